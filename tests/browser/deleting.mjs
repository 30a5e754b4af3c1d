// An account is deleted permanently, but not while a project would be left without an owner.

import assert from "node:assert/strict";

import { walk } from "./browser.mjs";
import { mail } from "./mailbox.mjs";
import { PASSWORD, logIn, register } from "./people.mjs";

const { OWNER, OWNER_PASSWORD, PROJECT, NAME, EMAIL, OLD_PASSWORD } = process.env;

await walk(async (start) => {
  const browser = await start("browser");
  await logIn(browser, OWNER, OWNER_PASSWORD);
  await browser.open("/account/delete");
  await browser.says("You are the only owner", PROJECT);
  await browser.look("delete the account of a sole owner");
  assert.equal(await browser.page.getByRole("button", { name: "Delete my account" }).count(), 0);

  const other = await start("other");
  await logIn(other, NAME, OLD_PASSWORD);
  await other.open("/account/delete");
  await other.look("delete the account");
  await other.fill("User name", "somebody");
  await other.press("Delete my account");
  await other.look("delete the account, wrong name");
  await other.fill("User name", NAME);
  await other.press("Delete my account");
  await mail("account-deleted", EMAIL);
  assert.equal(await other.isLoggedIn(), false);

  await logIn(other, "nobody-of-that-name", OLD_PASSWORD);
  const unknown = await other.text();
  await logIn(other, NAME, OLD_PASSWORD);
  assert.equal(await other.text(), unknown, "the account is answered like one that never was");
  // The address is free again; the name never is.
  await register(other, { name: NAME, email: EMAIL, password: PASSWORD });
});
