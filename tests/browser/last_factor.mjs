// The last second factor stays while a policy demands one: the page says which, and what to do
// instead. With another factor it can be removed.

import assert from "node:assert/strict";

import { App } from "./authenticator.mjs";
import { walk } from "./browser.mjs";
import { keepRecoveryCodes, leaveOpen, logInFromElsewhere } from "./people.mjs";

const { NAME, EMAIL, OLD_PASSWORD, SECRET, PROJECT } = process.env;

await walk(async (start) => {
  const browser = await start("browser");
  const app = new App(SECRET);
  await logInFromElsewhere(browser, { name: NAME, email: EMAIL, password: OLD_PASSWORD }, app);
  await browser.open("/account/factors/totp/remove");
  await browser.says("This is your last second factor", "require-second-factor", PROJECT);
  await browser.look("the last factor is demanded");
  assert.equal(await browser.page.getByRole("button", { name: "Remove it" }).count(), 0);

  await keepRecoveryCodes(browser);
  await browser.plugIn({ passkey: false });
  // The script gets the demand for a confirmation first, and leaves the question to a page.
  await leaveOpen(NAME);
  await browser.open("/account/factors/");
  await browser.page.getByRole("radio", { name: /security key/ }).check();
  await browser.fill("Name", "the red one");
  await browser.press("Add the key");
  await browser.look("step-up before a key is added");
  await browser.fill("Code from the app", await app.next());
  await browser.press("Continue");
  await browser.look("back from the step-up, to add the key");
  await browser.press("Add the key");
  assert.equal(browser.path(), "/account/factors/");
  await browser.says("the red one");

  await browser.open("/account/factors/totp/remove");
  await browser.says("Your other second factors stay");
  await browser.press("Remove it");
  await browser.says("The second factor is removed");
  assert.equal(await browser.open("/account/factors/totp/remove"), 409);
  await browser.says("No one-time password app is set up");
});
