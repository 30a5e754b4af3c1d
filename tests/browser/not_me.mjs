// A person sees something in their history that was not them, and ends everything.

import assert from "node:assert/strict";
import { App } from "./authenticator.mjs";
import { walk } from "./browser.mjs";
import { mail } from "./mailbox.mjs";
import { giveCode, logIn, logInFromElsewhere, upload } from "./people.mjs";

const { NAME, EMAIL, OLD_PASSWORD, SECRET, TOKEN } = process.env;

await walk(async (start) => {
  const app = new App(SECRET);
  const person = { name: NAME, email: EMAIL, password: OLD_PASSWORD };
  const home = await start("home");
  await logIn(home, NAME, OLD_PASSWORD);
  await giveCode(home, await app.next());
  await home.says("Confirm this browser");
  await home.look("confirm this browser");
  const { link } = await mail("device-confirm", EMAIL);
  await home.open(link);
  await home.look("was this you");
  await home.press("Yes, let this browser in");
  await logIn(home, NAME, OLD_PASSWORD);
  await giveCode(home, await app.next());
  assert.equal(home.path(), "/account/");

  // An attacker with the password, the app, and the mails.
  const stranger = await start("stranger");
  await logInFromElsewhere(stranger, person, app);

  await home.open("/account/history/");
  await home.click("secure your account");
  await home.look("this was not me");
  await home.press("End everything and reset my password");
  await home.look("everything is ended");
  assert.equal(await home.isLoggedIn(), false);
  assert.equal(await stranger.isLoggedIn(), false, "every session has ended");
  await logIn(stranger, NAME, OLD_PASSWORD);
  assert.notEqual(stranger.path(), "/login/factor", "the password no longer works");

  const refused = await upload(TOKEN).then(
    () => assert.fail("the token still uploads"),
    (error) => error.stdout + error.stderr,
  );
  assert.match(refused, /403/);

  const secured = await mail("account-secured", EMAIL);
  await home.open(secured.link);
  await home.fill("New password", "copper violin meadow 83 rain");
  await home.press("Set the password");
  await logIn(home, NAME, "copper violin meadow 83 rain");
  await giveCode(home, await app.next());
  // The mailed link proves the same as a link about this browser would, but nothing about the
  // others.
  assert.equal(home.path(), "/account/");
  await logIn(stranger, NAME, "copper violin meadow 83 rain");
  await giveCode(stranger, await app.next());
  await stranger.says("Confirm this browser");
});
