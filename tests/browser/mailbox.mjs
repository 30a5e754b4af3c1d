// The mails that the registry sent, read from its folder without SMTP.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const OUTBOX = process.env.OUTBOX;
const read = new Set();

/// The oldest mail of this kind to this address that was not read yet; waits for it.
export async function mail(kind, to) {
  // Recoveries are checked once a minute.
  const deadline = Date.now() + 120_000;
  while (Date.now() < deadline) {
    const found = (await letters()).find((letter) => letter.kind === kind && letter.to.includes(to) && !read.has(letter.name));
    if (found) {
      read.add(found.name);
      return found;
    }
    await pause(100);
  }
  assert.fail(`no mail ${kind} to ${to}; there are ${(await letters()).map((letter) => `${letter.name} to ${letter.to}`).join(", ")}`);
}

/// Every mail so far.
export async function letters() {
  const names = await readdir(OUTBOX).catch(() => []);
  return Promise.all(names.filter((name) => name.endsWith(".eml") && !name.startsWith(".")).sort().map(parsed));
}

async function parsed(name) {
  const part = split(await readFile(join(OUTBOX, name), "utf8"));
  const alternatives = part.parts();
  const text = alternatives.find(({ type }) => type.startsWith("text/plain"))?.text();
  const html = alternatives.find(({ type }) => type.startsWith("text/html"))?.text();
  assert.ok(text && html, `${name} is text and HTML`);
  const links = text.match(/https?:\/\/\S+/g) ?? [];
  return {
    name,
    // <time>-<kind>-<id>.eml
    kind: name.replace(/^[^a-z]*-(?=[a-z])/, "").replace(/-[0-9a-f]{8}-[0-9a-f-]+\.eml$/, ""),
    to: part.header("to"),
    subject: part.header("subject"),
    text,
    html,
    link: links.find((link) => link.includes("link=")),
  };
}

/// A message or a part of one (RFC 5322, RFC 2045), as far as this registry writes them.
function split(source) {
  const [head, ...rest] = source.replaceAll("\r\n", "\n").split("\n\n");
  const headers = head.replaceAll(/\n[ \t]+/g, " ").split("\n");
  const header = (name) => {
    const line = headers.find((each) => each.toLowerCase().startsWith(`${name}:`));
    return line ? words(line.slice(name.length + 1).trim()) : "";
  };
  const body = rest.join("\n\n");
  const boundary = /boundary="?([^";]+)"?/.exec(header("content-type"))?.[1];
  return {
    type: header("content-type"),
    header,
    parts: () => (boundary ? body.split(`--${boundary}`).slice(1, -1).flatMap((each) => split(each.replace(/^\n/, "")).parts()) : [split(source)]),
    text: () => decoded(body, header("content-transfer-encoding").toLowerCase()),
  };
}

function decoded(body, encoding) {
  if (encoding === "base64") return Buffer.from(body, "base64").toString("utf8");
  if (encoding !== "quoted-printable") return body;
  const joined = body.replaceAll(/=\n/g, "");
  return Buffer.from(joined.replaceAll(/=([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))), "latin1").toString("utf8");
}

/// Encoded words of a header (RFC 2047).
function words(text) {
  return text.replaceAll(/=\?utf-8\?([bq])\?([^?]*)\?=\s*/gi, (_, how, word) =>
    how.toLowerCase() === "b" ? Buffer.from(word, "base64").toString("utf8") : decoded(word.replaceAll("_", " "), "quoted-printable"),
  );
}
