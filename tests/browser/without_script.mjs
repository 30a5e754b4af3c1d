// Registering, logging in, recovery codes and an app, in a browser that runs no script.

import assert from "node:assert/strict";

import { walk } from "./browser.mjs";
import { mail } from "./mailbox.mjs";
import { PASSWORD, giveCode, keepRecoveryCodes, leaveOpen, logIn, logOut, register, setUpApp } from "./people.mjs";

const ben = { name: "ben", email: "ben@example.org", password: PASSWORD };

await walk(async (start) => {
  const browser = await start("browser", { javaScriptEnabled: false });
  await register(browser, ben);
  await browser.open((await mail("registration-confirm", ben.email)).link);
  await browser.fill("Password", PASSWORD);
  await browser.press("Create the account");
  await logIn(browser, ben.name, PASSWORD);
  assert.equal(browser.path(), "/account/");
  await keepRecoveryCodes(browser);
  const app = await setUpApp(browser);
  await browser.look("second factors without script");
  // No one fills in a form that could not be sent.
  await browser.says("Security keys and passkeys need JavaScript");
  await browser.saysNot("What you call it");
  await logOut(browser);
  await logIn(browser, ben.name, PASSWORD);
  await browser.look("second step without script");
  await giveCode(browser, await app.next());
  assert.equal(browser.path(), "/account/");

  // The contents of a form survive a step-up.
  await browser.open("/account/tokens/create");
  await browser.fill("Name", "without any script");
  await browser.fill("Project", "some-project");
  await leaveOpen(ben.name);
  assert.equal(await browser.press("Create token"), 403);
  await browser.look("step-up without script");
  await browser.fill("Code from the app", await app.next());
  await browser.press("Continue");
  await browser.says("without any script");
  // The text that a script would copy can be selected.
  assert.equal(await browser.page.getByText("Copy", { exact: true }).count(), 0);
  assert.match(await browser.page.getByRole("region", { name: "The token" }).innerText(), /^pypi-/);
});
