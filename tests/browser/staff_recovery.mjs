// Staff restores the account of a person who lost everything: with a reason, a wait, and mails; and
// the person can stop it.

import assert from "node:assert/strict";

import { App } from "./authenticator.mjs";
import { walk } from "./browser.mjs";
import { mail } from "./mailbox.mjs";
import { logIn, logInFromElsewhere, waitForRecovery } from "./people.mjs";

const { STAFF, STAFF_EMAIL, STAFF_PASSWORD, STAFF_SECRET, NAME, EMAIL, OLD_PASSWORD } = process.env;
const REASON = "Known in person; called back on the number we had.";

await walk(async (start) => {
  const desk = await start("desk");
  await logInFromElsewhere(desk, { name: STAFF, email: STAFF_EMAIL, password: STAFF_PASSWORD }, new App(STAFF_SECRET));
  await desk.open("/staff/recoveries/");
  await desk.look("recoveries, none yet");

  const begin = async (name, reason) => {
    await desk.open("/staff/recoveries/");
    await desk.fill("User name", name);
    await desk.fill("Reason", reason);
    return desk.press("Start the recovery");
  };
  await begin(NAME, "because");
  await desk.look("a recovery without a good reason");
  await begin(STAFF, REASON);
  await desk.saysNot("Takes effect on");
  await begin(NAME, REASON);
  await desk.says("Takes effect on", REASON);
  await desk.look("a recovery that waits");

  const person = await start("person");
  const announced = await mail("recovery-started", EMAIL);
  assert.ok(announced.text.includes(REASON.slice(0, 20)), announced.text);
  await person.open(announced.link);
  await person.look("stop the recovery");
  await person.press("Stop the recovery");
  await person.says("The recovery is stopped");
  await person.look("the recovery is stopped");
  await mail("recovery-cancelled", EMAIL);

  // This time it was them.
  await begin(NAME, REASON);
  await mail("recovery-started", EMAIL);
  await waitForRecovery(NAME);
  const completed = await mail("recovery-completed", EMAIL);
  await logIn(person, NAME, OLD_PASSWORD);
  assert.equal(person.path(), "/login", "the old password counts no more");
  await person.open(completed.link);
  await person.fill("New password", "amber puddle violin 92 storks");
  await person.press("Set the password");
  await logIn(person, NAME, "amber puddle violin 92 storks");
  assert.equal(person.path(), "/account/", "no second step: the factors are gone");

  // People who are not staff see none of it.
  assert.equal(await person.open("/staff/recoveries/"), 403);
  await person.look("not for everybody");
});
