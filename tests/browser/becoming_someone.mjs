// A stranger becomes a user: registers, verifies the address, saves recovery codes, sets up an app,
// a security key and a passkey, creates a token and uploads with it, all on pages.

import assert from "node:assert/strict";
import { SERVER, walk } from "./browser.mjs";
import { letters, mail } from "./mailbox.mjs";
import { PASSWORD, addKey, giveCode, keepRecoveryCodes, leaveOpen, logIn, logInFromElsewhere, logOut, register, setUpApp, upload } from "./people.mjs";

const ana = { name: "ana", email: "ana@example.org", password: PASSWORD };

await walk(async (start) => {
  const home = await start("home");
  const look = (name) => home.look(name);

  // ---- what strangers see
  await home.open("/");
  await look("front page of a stranger");
  await home.open("/projects/");
  await look("projects, none yet");
  await home.open("/help/");
  await look("help");
  assert.equal(await home.open("/account/"), 200);
  assert.equal(home.path(), "/login", "who is nobody is asked to log in");
  await look("log in");
  assert.equal(await home.open("/nowhere/"), 404);
  await look("not found");

  // ---- registering
  await home.open("/register");
  await look("register");
  await home.fill("User name", ana.name);
  await home.fill("Email address", ana.email);
  await home.fill("Password", "password");
  await home.press("Create the account");
  await look("register with a password that is easily guessed");
  assert.equal(await home.page.getByLabel("User name", { exact: true }).inputValue(), ana.name, "what was typed is kept");
  assert.equal(await home.page.getByLabel("Password", { exact: true }).inputValue(), "", "but no password");
  await register(home, ana);
  await look("registered, look into your mail");
  const confirmation = await mail("registration-confirm", ana.email);
  await home.open(confirmation.link);
  await look("finish the registration");
  // A scanner that opens links changes nothing, however often.
  await home.open(confirmation.link);
  // The link alone is not enough: the reader of the mail may not be the person who registered.
  await home.fill("Password", "not the password at all");
  await home.press("Create the account");
  await look("finish the registration, wrong password");
  await home.fill("Password", PASSWORD);
  await home.press("Create the account");
  await look("log in after registering");
  assert.equal(await home.open(confirmation.link), 404);
  await look("a link that is used up");

  // The answer does not reveal whether there is such an account.
  await register(home, { ...ana, email: "somebody.else@example.org" });
  await register(home, { ...ana, name: "somebody-else" });
  await mail("registration-existing", ana.email);

  // ---- logging in
  await logIn(home, ana.name, "not the password at all");
  await look("log in with a wrong password");
  const wrong = await home.text();
  await logIn(home, "ann", "not the password at all");
  assert.equal((await home.text()).replace("ann", "ana"), wrong, "an unknown name is answered like a wrong password");
  await logIn(home, ana.name, PASSWORD);
  assert.equal(home.path(), "/account/");
  await look("account, just begun");
  const session = (await home.cookies()).find(({ name }) => name.endsWith("session"));
  assert.deepEqual({ httpOnly: session.httpOnly, sameSite: session.sameSite, path: session.path }, { httpOnly: true, sameSite: "Lax", path: "/" });

  // ---- an action that is not allowed yet says what leads to it
  assert.equal(await home.open("/account/tokens/create"), 403);
  await home.says("no second factor");
  await look("no token without a second factor");
  assert.ok((await home.page.locator("main").getByRole("link").evaluateAll((links) => links.map((link) => link.pathname))).includes("/account/factors/"));

  // ---- recovery codes, then an app
  const codes = await keepRecoveryCodes(home, look);
  await look("second factors, recovery codes kept");
  const app = await setUpApp(home, look);
  await look("second factors, with an app");

  // ---- setting it up has confirmed it: the first token and the next key need no new confirmation
  await home.open("/account/tokens/create");
  await home.fill("Name", "the first one");
  await home.fill("Project", "hello-first");
  await home.press("Create token");
  assert.match(await home.text(), /\bpypi-[\w-]{40,}/, "no proof was asked for");
  await mail("token-created", ana.email);
  await home.open("/account/tokens/");
  await home.click("Revoke the first one");
  await home.press("Revoke the token");
  const second = await home.plugIn({ passkey: false });
  await addKey(home, /security key/, "the second factor");
  await home.click("Remove the second factor");
  await home.press("Remove it");
  await mail("factor-removed", ana.email);
  await second.unplug();
  await logOut(home);
  await look("logged out");
  await logIn(home, ana.name, PASSWORD);
  await look("second step, app");
  await giveCode(home, app.again());
  assert.equal(home.path(), "/login/factor", "the code that enrolled the app is used up");
  await look("second step, used code");
  await giveCode(home, await app.next());
  assert.equal(home.path(), "/account/");
  await look("account, with an app");

  // ---- a security key
  const key = await home.plugIn({ passkey: false });
  await addKey(home, /security key/, "the blue one");
  await look("second factors, with an app and a key");
  await home.click("Rename the blue one");
  await look("rename a key");
  await home.fill("Name", "the green one");
  await home.press("Save the name");
  await home.says("the green one");
  await logOut(home);
  await logIn(home, ana.name, PASSWORD);
  await look("second step, key and app");
  await home.press("Use a key");
  assert.equal(home.path(), "/account/", "the key is the second step");
  await key.unplug();

  // ---- a passkey, and log-in by it alone
  const passkey = await home.plugIn({ passkey: true });
  await addKey(home, /passkey/, "this computer");
  assert.equal((await passkey.credentials())[0].isResidentCredential, true);
  await logOut(home);
  await home.open("/login");
  await home.press("Use a passkey");
  assert.equal(home.path(), "/account/", "neither name nor password was asked for");
  await home.says(ana.name);

  // ---- step-up: the session was left open, and the form is kept
  await leaveOpen(ana.name);
  await home.open("/account/emails/");
  await look("email addresses");
  await home.fill("Email address", "ana@second.example");
  assert.equal(await home.press("Add the address"), 403);
  await look("step-up");
  const before = (await home.cookies()).find(({ name }) => name.endsWith("session")).value;
  await home.press("Use a key");
  assert.equal(home.path(), "/account/emails/");
  await home.says("We have sent a link to the address");
  // Only the mail reveals whether the address belongs to anyone.
  await home.saysNot("ana@second.example");
  const after = (await home.cookies()).find(({ name }) => name.endsWith("session")).value;
  assert.notEqual(after, before, "the session has a new secret");
  const verification = await mail("email-verify", "ana@second.example");
  await home.open(verification.link);
  await look("verify an address");
  await home.press("Verify the address");
  await mail("email-added", ana.email);
  await home.open("/account/emails/");
  await look("email addresses, two of them");
  await home.press("Make primary ana@second.example");
  await mail("primary-email-changed", ana.email);
  await mail("primary-email-changed", "ana@second.example");
  await home.press("Remove ana@example.org");
  await home.saysNot(ana.email);
  await mail("email-removed", ana.email);
  ana.email = "ana@second.example";

  // ---- step-up with a code, and a replayed one
  await leaveOpen(ana.name);
  await home.open("/account/factors/recovery-codes");
  await look("recovery codes, kept long ago");
  await home.press("Get new recovery codes");
  await home.fill("Code from the app", app.again());
  await home.press("Continue");
  await look("step-up, used code");
  await home.fill("Code from the app", await app.next());
  await home.press("Continue");
  await home.says("This is the only time they are shown");
  await mail("recovery-codes-generated", ana.email);

  // ---- a token, and an upload with it
  await home.open("/account/tokens/");
  await look("tokens, none yet");
  await home.click("Create a token");
  await look("make a token");
  await home.fill("Name", "my laptop");
  await home.page.getByRole("button", { name: "Create token", exact: true }).click();
  assert.equal(await home.page.locator(":focus").getAttribute("name"), "project", "the browser says what is missing before it sends anything");
  await home.fill("Project", "hello-browser");
  await home.press("Create token");
  const shown = (await home.text()).match(/\bpypi-[\w-]{40,}/g);
  assert.equal(shown?.length, 1, "the token stands on the page once");
  const [token] = shown;
  assert.equal(await home.copy("the token"), token);
  assert.match(await home.copy("the command for uv"), new RegExp(`^UV_PUBLISH_TOKEN=${token} \\\\\n  uv publish --publish-url `));
  await look("a new token");
  await home.open("/account/tokens/");
  await home.saysNot(token);
  await look("tokens");
  await mail("token-created", ana.email);
  await upload(token);
  await home.open("/projects/?q=hello");
  await home.says("hello-browser");
  await look("projects, found one");
  await home.click("hello-browser");
  await look("project");
  await home.open("/account/factors/");

  // ---- another browser, seen and ended from the first one
  const away = await start("away");
  await away.plugIn({ passkey: false });
  await logInFromElsewhere(away, ana, app);
  await home.open("/account/sessions/");
  await look("sessions");
  await home.press("End all others");
  await home.says("There is no other session");
  assert.equal(await away.isLoggedIn(), false, "the other browser is logged out");
  assert.equal(await home.isLoggedIn(), true);

  // ---- a new password ends the others too
  const recovery = codes[0];
  await home.open("/account/password");
  await look("change the password");
  await home.fill("Current password", "not this one, surely");
  await home.fill("New password", "seven quiet harbours 31 maps");
  await home.press("Change the password");
  await look("change the password, the current one is wrong");
  await home.fill("Current password", PASSWORD);
  await home.fill("New password", "seven quiet harbours 31 maps");
  await home.press("Change the password");
  await mail("password-changed", ana.email);
  assert.equal(await home.isLoggedIn(), true, "this session goes on");
  await logOut(home);
  await logIn(home, ana.name, "seven quiet harbours 31 maps");
  await home.fill("One of your codes", recovery);
  await home.press("Use a recovery code");
  assert.equal(home.path(), "/login/factor", "new codes made the old ones worthless");
  await home.press("Use a key");

  // ---- removing the last factor is for another journey; here others stay
  await home.open("/account/factors/");
  await home.click("Remove the app …");
  await look("remove the app");
  await home.press("Remove it");
  await home.says("The second factor is removed");
  await mail("factor-removed", ana.email);

  // ---- all of that is in the history
  await home.open("/account/history/");
  await look("security history");
  const history = await (await home.page.request.get(`${SERVER}/account/history/history.json`)).json();
  const kinds = new Set(JSON.stringify(history).match(/[a-z]+(?::[a-z-]+)+/g));
  for (const kind of ["authentication:failed", "session:started", "token:created"]) assert.ok(kinds.has(kind), `${kind} is not in ${[...kinds].join(", ")}`);
  for (const secret of [token, PASSWORD, recovery]) assert.ok(!JSON.stringify(history).includes(secret), "no secret in the history");
  // Within a UUID, any six digits may occur.
  assert.doesNotMatch(JSON.stringify(history), new RegExp(`(?<![0-9a-f])${app.again()}(?![0-9a-f])`), "no code in the history");

  // ---- no mail to anyone contains a secret other than its link
  for (const letter of await letters()) {
    for (const secret of [token, PASSWORD, ...codes]) assert.ok(!letter.text.includes(secret) && !letter.html.includes(secret), `${letter.name} tells a secret`);
  }
});
