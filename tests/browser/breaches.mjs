// Speaks the range protocol of Have I Been Pwned and records the requests. Prints its address on
// the first line of standard output.
//
//   GET /range/{5 hex}   the passwords below, and padding as the real one adds it
//   GET /asked           what was asked so far, as JSON

import { createHash } from "node:crypto";
import { createServer } from "node:http";

/// Known from a breach.
const BREACHED = ["trombone lantern gravel 1994"];
/// Only in the padding, with a count of 0: not breached.
const PADDING = ["unheard velvet marmalade 77"];

const digest = (text) => createHash("sha1").update(text).digest("hex").toUpperCase();
const asked = [];

const server = createServer((request, response) => {
  if (request.url === "/asked") {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(asked));
    return;
  }
  asked.push({ method: request.method, url: request.url, headers: request.headers });
  const prefix = /^\/range\/([0-9A-F]{5})$/.exec(request.url)?.[1];
  if (!prefix) {
    response.statusCode = 400;
    response.end("The hash prefix was not in a valid format");
    return;
  }
  const known = [...BREACHED.map((password) => [digest(password), 23]), ...PADDING.map((password) => [digest(password), 0])];
  const lines = known.filter(([hash]) => hash.startsWith(prefix)).map(([hash, count]) => `${hash.slice(5)}:${count}`);
  for (let number = 0; number < 800; number += 1) lines.push(`${digest(`${prefix} ${number}`).slice(5)}:${number % 40}`);
  response.setHeader("Content-Type", "text/plain");
  response.end(lines.sort().join("\r\n"));
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
