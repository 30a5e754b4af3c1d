// People's actions on the pages, a function for each, named after the buttons.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { App } from "./authenticator.mjs";
import { SERVER } from "./browser.mjs";
import { mail } from "./mailbox.mjs";

const run = promisify(execFile);

export const PASSWORD = "velvet teapot orbit 58 lanterns";

/// Registers, up to the mail.
export async function register(browser, { name, email, password }) {
  await browser.open("/register");
  await browser.fill("User name", name);
  await browser.fill("Email address", email);
  await browser.fill("Password", password);
  assert.equal(await browser.press("Create the account"), 200);
  await browser.says("Check your email");
}

/// Types name and password.
export async function logIn(browser, name, password) {
  await browser.open("/login");
  await browser.fill("User name or email address", name);
  await browser.fill("Password", password);
  return browser.press("Log in");
}

/// The second step, with a code.
export async function giveCode(browser, code) {
  assert.equal(browser.path(), "/login/factor");
  await browser.fill("Code from the app", code);
  return browser.press("Log in");
}

export async function logOut(browser) {
  await browser.open("/account/");
  await browser.press("Log out");
  assert.equal(browser.path(), "/login");
}

/// Logs in from a browser that the account was never used from: confirmed by mail, by a person who
/// opens it in the same browser.
export async function logInFromElsewhere(browser, { name, email, password }, app) {
  await logIn(browser, name, password);
  assert.equal(await giveCode(browser, await app.next()), 200);
  await browser.says("Confirm this browser");
  const { link } = await mail("device-confirm", email);
  await browser.open(link);
  await browser.press("Yes, let this browser in");
  await logIn(browser, name, password);
  await giveCode(browser, await app.next());
  assert.equal(browser.path(), "/account/");
}

/// Gets recovery codes and uses one. Returns the others.
export async function keepRecoveryCodes(browser, look = async () => {}) {
  await browser.open("/account/factors/");
  await look("second factors, none yet");
  await browser.press("Get recovery codes");
  const shown = await browser.page.getByRole("region", { name: "Your recovery codes" }).innerText();
  const codes = shown.match(/\b[0-9a-z]{4}(?:-[0-9a-z]{4}){3}\b/g);
  assert.equal(codes?.length, 8, shown);
  assert.equal(new Set(codes).size, 8);
  await look("recovery codes");
  await browser.fill("One of your recovery codes", "aaaa-bbbb-cccc-dddd");
  await browser.press("Confirm");
  await look("a wrong recovery code");
  await browser.saysNot(codes[0]);
  await browser.fill("One of your recovery codes", codes[0].toUpperCase());
  await browser.press("Confirm");
  return codes.slice(1);
}

/// Sets up an app.
export async function setUpApp(browser, look = async () => {}) {
  await browser.open("/account/factors/");
  await browser.click("Set up an app");
  await look("set up an app");
  const secret = await browser.page.locator("code.secret").innerText();
  const app = new App(secret);
  await browser.fill("Code from the app", app.wrong());
  await browser.press("Set up the app");
  await look("a wrong code of the app");
  assert.equal(await browser.page.locator("code.secret").innerText(), secret, "a person has scanned it already");
  await browser.fill("Code from the app", await app.next());
  await browser.press("Set up the app");
  assert.equal(browser.path(), "/account/factors/");
  return app;
}

/// Adds the key that is plugged in.
export async function addKey(browser, kind, name) {
  await browser.open("/account/factors/");
  await browser.page.getByRole("radio", { name: kind }).check();
  await browser.fill("Name", name);
  await browser.press("Add the key");
  assert.equal(browser.path(), "/account/factors/", await browser.text());
  await browser.says(name);
}

/// Moves a user's session proofs half an hour and a minute into the past, instead of waiting.
export async function leaveOpen(name) {
  const past = 31 * 60 * 1000;
  await changeOneRow(
    `UPDATE sessions SET password_at = password_at - ${past}, factor_at = factor_at - ${past} WHERE user_id = (SELECT id FROM users WHERE name = ?1)`,
    name,
  );
}

/// Ends the waiting time of a user's recovery.
export async function waitForRecovery(name) {
  await changeOneRow("UPDATE recoveries SET effective_at = started_at WHERE ended_at IS NULL AND user_id = (SELECT id FROM users WHERE name = ?1)", name);
}

/// Only times are ever changed behind the server's back.
async function changeOneRow(statement, name) {
  const script = `import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30)
assert database.execute(sys.argv[2], (sys.argv[3],)).rowcount == 1
database.commit()`;
  await run(process.env.PYTHON, ["-c", script, join(process.env.DATA, "portcullis.sqlite"), statement, name]);
}

/// Uploads the wheel of this journey with twine. Fails with twine's output.
export async function upload(token) {
  const words = ["upload", "--non-interactive", "--disable-progress-bar", "--repository-url", `${SERVER}/legacy/`, "--username", "__token__", process.env.WHEEL];
  return run(process.env.TWINE, words, { env: { PATH: process.env.PATH, HOME: process.env.HOME, TWINE_PASSWORD: token } });
}
