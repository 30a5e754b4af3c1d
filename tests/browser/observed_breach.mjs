// Where breached passwords are only observed, a person with one notices nothing.

import assert from "node:assert/strict";

import { walk } from "./browser.mjs";
import { letters } from "./mailbox.mjs";
import { logIn, logOut } from "./people.mjs";

const { NAME } = process.env;

await walk(async (start) => {
  const browser = await start("browser");
  // Twice: if the first time had disabled the password, the second would fail.
  for (let time = 0; time < 2; time += 1) {
    await logIn(browser, NAME, "trombone lantern gravel 1994");
    assert.equal(browser.path(), "/account/");
    await logOut(browser);
  }
  assert.deepEqual((await letters()).map(({ kind }) => kind), []);
});
