// Logging in with only a keyboard: everything is reached in order, and the focus is always visible.

import assert from "node:assert/strict";

import { App } from "./authenticator.mjs";
import { walk } from "./browser.mjs";
import { mail } from "./mailbox.mjs";

const { NAME, EMAIL, OLD_PASSWORD, SECRET } = process.env;

await walk(async (start) => {
  const browser = await start("browser");
  const { keyboard } = browser.page;
  const app = new App(SECRET);

  const focused = () =>
    browser.page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      const label = element.labels?.[0]?.innerText ?? "";
      return {
        name: (label || element.innerText || "").trim(),
        onPage: element !== document.body,
        seen: (style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none",
        inView: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
      };
    });
  /// Moves on until this element has the focus.
  const reach = async (name) => {
    const passed = [];
    for (let presses = 0; presses < 60; presses += 1) {
      await keyboard.press("Tab");
      const at = await focused();
      if (!at.onPage) continue;
      assert.ok(at.seen, `the focus on “${at.name}” cannot be seen`);
      assert.ok(at.inView, `“${at.name}” is focused out of sight`);
      passed.push(at.name);
      if (at.name === name) return passed;
    }
    return assert.fail(`“${name}” is not reached; passed ${passed.join(", ")}`);
  };

  await browser.open("/");
  await keyboard.press("Tab");
  assert.match((await focused()).name, /^Skip to/, "the first stop skips what is on every page");
  await browser.follow(async () => {
    await reach("Log in");
    await keyboard.press("Enter");
  });
  assert.equal(browser.path(), "/login");

  // After a typing error, the focus is on the message, and moves from there to the field.
  await reach("User name or email address");
  await keyboard.type(NAME);
  await reach("Password");
  await keyboard.type("not the password at all");
  await browser.follow(() => keyboard.press("Enter"));
  await browser.page.locator(".summary:focus").waitFor();
  const told = await focused();
  assert.match(told.name, /^Please correct this/);
  assert.ok(told.seen && told.inView, "what is wrong is seen to have the focus");
  assert.deepEqual(await reach("User name or email address"), ["Set a new password", "User name or email address"]);
  await browser.open("/login");

  // Twice: first the browser is unknown, then it is accepted.
  for (const known of [false, true]) {
    await reach("User name or email address");
    await keyboard.type(NAME);
    await reach("Password");
    await keyboard.type(OLD_PASSWORD);
    await browser.follow(() => keyboard.press("Enter"));
    await reach("Code from the app");
    await keyboard.type(await app.next());
    await browser.follow(() => keyboard.press("Enter"));
    if (known) break;
    const { link } = await mail("device-confirm", EMAIL);
    await browser.open(link);
    await reach("Yes, let this browser in");
    await browser.follow(() => keyboard.press("Enter"));
    await reach("Log in");
    await browser.follow(() => keyboard.press("Enter"));
    assert.equal(browser.path(), "/login");
  }
  assert.equal(browser.path(), "/account/");
  await browser.follow(async () => {
    await reach("Log out");
    await keyboard.press("Space");
  });
  assert.equal(await browser.isLoggedIn(), false);
});
