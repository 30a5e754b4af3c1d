// The first user of an empty registry is created through the link that the server printed, and is a
// member of staff.

import assert from "node:assert/strict";

import { SERVER, walk } from "./browser.mjs";
import { mail } from "./mailbox.mjs";
import { PASSWORD, logIn } from "./people.mjs";

const { LINK } = process.env;

await walk(async (start) => {
  const browser = await start("browser");
  assert.equal(await browser.open("/first-user?link=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 404);
  assert.equal(new URL(LINK).origin, SERVER);
  assert.equal(await browser.open(LINK), 200);
  await browser.look("create the first account");
  await browser.fill("User name", "founder");
  await browser.fill("Email address", "founder@example.org");
  await browser.fill("Password", PASSWORD);
  await browser.press("Create the account");
  assert.equal(browser.path(), "/login");
  assert.equal(await browser.open(LINK), 404, "the link works once");
  await logIn(browser, "founder", PASSWORD);
  await browser.says("a member of the registry's staff");
  await browser.look("account of the first user");
  const { link } = await mail("email-verify", "founder@example.org");
  await browser.open(link);
  await browser.press("Verify the address");
  await browser.open("/account/emails/");
  await browser.says("Primary, verified");

  // Later users are not staff.
  await browser.page.context().clearCookies();
  assert.equal(await browser.open(LINK), 404);
});
