// A password that is known from a breach does not work; a reset by mail is the way back.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import { walk } from "./browser.mjs";
import { mail } from "./mailbox.mjs";
import { logIn, logOut, register } from "./people.mjs";

const { NAME, EMAIL, BREACHES } = process.env;
/// Known to the server of breaches. The second one is in its padding only.
const BREACHED = "trombone lantern gravel 1994";
const PADDED = "unheard velvet marmalade 77";

await walk(async (start) => {
  const browser = await start("browser");
  const look = (name) => browser.look(name);

  await logIn(browser, NAME, BREACHED);
  assert.notEqual(browser.path(), "/account/");
  await browser.says("appeared in a data breach", "Set a new password");
  await browser.saysNot("You are not logged in");
  await look("a breached password does not log in");
  assert.equal(await browser.isLoggedIn(), false);
  await mail("password-breached", EMAIL);

  // It is now treated like a wrong one: a person who has it from the breach learns nothing more.
  await logIn(browser, NAME, "not the password at all");
  const wrong = await browser.text();
  await logIn(browser, NAME, BREACHED);
  assert.equal(await browser.text(), wrong);

  await browser.open("/password/forgot");
  await look("forgot the password");
  await browser.fill("User name or email address", "nobody-of-that-name");
  await browser.press("Send the link");
  const unknown = await browser.text();
  await browser.open("/password/forgot");
  await browser.fill("User name or email address", NAME);
  await browser.press("Send the link");
  assert.equal(await browser.text(), unknown, "whether there is such an account is not told");
  await look("a link was sent, if there is such an account");
  const { link } = await mail("password-reset-link", EMAIL);
  await browser.open(link);
  await look("set a new password");
  await browser.fill("New password", BREACHED);
  await browser.press("Set the password");
  await browser.says("known from a breach");
  await look("set a new password, a breached one");
  await browser.fill("New password", PADDED);
  await browser.press("Set the password");
  await mail("password-reset", EMAIL);
  assert.equal(await browser.open(link), 404, "the link works once");
  await logIn(browser, NAME, PADDED);
  assert.equal(browser.path(), "/account/");

  // No one else can choose it either, nor is it accepted as the next password.
  await browser.open("/account/password");
  await browser.fill("Current password", PADDED);
  await browser.fill("New password", BREACHED);
  await browser.press("Change the password");
  await browser.says("known from a breach");
  await logOut(browser);
  await browser.open("/register");
  await browser.fill("User name", "newcomer");
  await browser.fill("Email address", "newcomer@example.org");
  await browser.fill("Password", BREACHED);
  await browser.press("Create the account");
  await browser.says("known from a breach");
  await look("register with a breached password");
  await register(browser, { name: "newcomer", email: "newcomer@example.org", password: "marble otter canyon 64 sails" });

  // Only five characters of the digest ever left, and padding hid even the answer's size.
  const asked = await (await fetch(`${BREACHES}/asked`)).json();
  const digest = createHash("sha1").update(BREACHED).digest("hex").toUpperCase();
  assert.ok(asked.some(({ url }) => url === `/range/${digest.slice(0, 5)}`));
  for (const { method, url, headers } of asked) {
    assert.equal(method, "GET");
    assert.match(url, /^\/range\/[0-9A-F]{5}$/);
    assert.equal(headers["add-padding"], "true");
    assert.ok(!JSON.stringify(headers).toUpperCase().includes(digest.slice(5)));
    for (const name of ["cookie", "authorization", "referer"]) assert.equal(headers[name], undefined);
  }
});
