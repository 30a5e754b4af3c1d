// A real Chromium, and the checks of every page: does it load anything from elsewhere, does
// anything violate the content security policy, does axe-core find a barrier in light or dark, does
// it fit a screen of 320 px.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(join(process.env.PACKAGES, "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

export const SERVER = process.env.SERVER;
/// Pictures of this journey.
const SHOTS = join(process.env.SCREENSHOTS, process.env.JOURNEY);
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 320, height: 640 };
// Two cores are shared with other tests: a page that takes this long is broken, not slow.
const PATIENCE = 30_000;

/// One browser on one machine, with separate cookies. Close it.
export class Browser {
  #context;
  #folder;
  #looked = new Map();
  #complaints = [];

  static async start(name, options = {}) {
    const browser = new Browser();
    browser.#folder = await mkdtemp(join(tmpdir(), "chromium-"));
    browser.#context = await chromium.launchPersistentContext(browser.#folder, {
      executablePath: process.env.CHROMIUM,
      args: FLAGS,
      viewport: WIDE,
      ...options,
    });
    browser.name = name;
    browser.withScript = options.javaScriptEnabled !== false;
    browser.#context.setDefaultTimeout(PATIENCE);
    browser.#context.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== "data:" && origin !== SERVER) browser.#complaints.push(`${request.url()} was loaded from elsewhere`);
    });
    browser.#context.on("response", (response) => browser.#check(response));
    browser.page = browser.#context.pages()[0] ?? (await browser.#context.newPage());
    browser.page.on("pageerror", (error) => browser.#complaints.push(`a script failed on ${browser.page.url()}: ${error}`));
    browser.page.on("console", (message) => {
      // A 403 is checked where it is expected.
      const expected = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !expected) browser.#complaints.push(`on ${browser.page.url()}: ${message.text()}`);
    });
    return browser;
  }

  #check(response) {
    if (response.status() >= 500) this.#complaints.push(`${response.status()} from ${response.url()}`);
    const headers = response.headers();
    if (!(headers["content-type"] ?? "").startsWith("text/html")) return;
    const policy = headers["content-security-policy"] ?? "";
    for (const wanted of ["default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]) {
      if (!policy.includes(wanted)) this.#complaints.push(`${response.url()} lacks ${wanted}: ${policy}`);
    }
    if (policy.includes("unsafe")) this.#complaints.push(`${response.url()} is lax: ${policy}`);
  }

  async close() {
    await this.#context.close();
    // Processes of the browser may still write there for a moment.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    const complaints = [...new Set(this.#complaints)];
    assert.ok(complaints.length === 0, `${this.name} saw what must not be:\n${complaints.join("\n")}`);
  }

  /// Opens a path of the registry, or a full address. Returns the status.
  async open(path) {
    const url = new URL(path, SERVER);
    assert.equal(url.origin, SERVER, `${path} leads elsewhere`);
    const response = await this.page.goto(url.href);
    return response?.status();
  }

  /// The current path, without its query.
  path() {
    return new URL(this.page.url()).pathname;
  }

  /// Fills in the field with this label.
  async fill(label, value) {
    await this.page.locator("input, textarea").and(this.page.getByLabel(label, { exact: true })).fill(value);
  }

  /// Presses the button with this label and waits for the page that follows. Returns its status.
  async press(label, within = this.page) {
    return this.follow(() => within.getByRole("button", { name: label, exact: true }).click());
  }

  /// Follows the link with this text.
  async click(text) {
    return this.follow(() => this.page.getByRole("link", { name: text, exact: true }).first().click());
  }

  /// Performs a step that leads to another page, and waits for that page.
  async follow(act) {
    const main = this.page.mainFrame();
    const arrived = this.page.waitForResponse((response) => {
      const request = response.request();
      return request.isNavigationRequest() && request.frame() === main && ![301, 302, 303, 307, 308].includes(response.status());
    });
    const [response] = await Promise.all([arrived, act()]);
    await this.page.waitForURL(response.url());
    await this.page.waitForLoadState("load");
    return response.status();
  }

  /// Presses the button that copies this. Returns the text that a person would paste.
  async copy(what) {
    await this.#context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: SERVER });
    const button = this.page.getByRole("button", { name: `(${what})` });
    await button.click();
    await button.getByText("Copied", { exact: true }).waitFor();
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  /// All visible text of the page.
  async text() {
    return (await this.page.locator("body").innerText()).replaceAll(/\s+/g, " ");
  }

  /// Fails unless the page contains this text.
  async says(...wanted) {
    const text = await this.text();
    for (const part of wanted) assert.ok(text.includes(part), `expected “${part}” at ${this.page.url()}:\n${text}`);
  }

  async saysNot(...unwanted) {
    const text = await this.text();
    for (const part of unwanted) assert.ok(!text.includes(part), `“${part}” must not stand at ${this.page.url()}:\n${text}`);
  }

  /// Whether a person is logged in, according to the page.
  async isLoggedIn() {
    await this.open("/");
    return (await this.page.getByRole("button", { name: "Log out" }).count()) > 0;
  }

  async cookies() {
    return this.#context.cookies();
  }

  /// Checks the current page, and stores pictures of it under this name. The same page in the same
  /// state needs to be checked only once in a journey.
  async look(name) {
    assert.ok(!this.#looked.has(name), `${name} was looked at already`);
    const number = String(this.#looked.size + 1).padStart(2, "0");
    this.#looked.set(name, this.page.url());
    assert.equal(await this.page.locator("h1").count(), 1, `${name} has one main heading`);
    // The problems, and where they were seen.
    const problems = new Map();
    for (const colorScheme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme });
      for (const size of [WIDE, NARROW]) {
        await this.page.setViewportSize(size);
        for (const problem of [...(this.withScript ? await this.#barriers() : []), ...(await this.#overflow())]) {
          problems.set(problem, [...(problems.get(problem) ?? []), `${colorScheme} ${size.width} px`]);
        }
        const file = `${this.name}-${number}-${name.replaceAll(/[^a-z0-9]+/gi, "-")}-${colorScheme}-${size.width}.png`;
        await this.page.screenshot({ path: join(SHOTS, file), fullPage: true });
      }
    }
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.page.setViewportSize(WIDE);
    console.log(`  ${this.name} looked at ${name}: ${this.path()}`);
    // Reported together at the end: one run shows everything that needs fixing.
    for (const [problem, places] of problems) this.#complaints.push(`${name} (${places.join(", ")}): ${problem}`);
  }

  async #barriers() {
    await this.page.evaluate(axe.source);
    const found = await this.page.evaluate(
      (tags) => globalThis.axe.run(document, { runOnly: { type: "tag", values: tags }, rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] }),
      WCAG,
    );
    return found.violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`);
  }

  /// The elements that make the page wider than the screen, if any.
  async #overflow() {
    return this.page.evaluate(() => {
      const width = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= width) return [];
      const wide = [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > width + 0.5);
      return [`wider than the screen (${document.documentElement.scrollWidth}): ${wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 120)).join(" | ")}`];
    });
  }

  /// Plugs in a key: a security key, or a passkey that the device stores.
  async plugIn({ passkey }) {
    const session = await this.#context.newCDPSession(this.page);
    await session.send("WebAuthn.enable");
    const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        transport: passkey ? "internal" : "usb",
        hasResidentKey: passkey,
        hasUserVerification: passkey,
        isUserVerified: passkey,
        automaticPresenceSimulation: true,
      },
    });
    return {
      credentials: async () => (await session.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
      unplug: async () => {
        await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
        await session.detach();
      },
    };
  }
}

/// Runs a journey with browsers that are closed however it ends. Problems that a browser saw fail
/// the journey too.
export async function walk(journey) {
  // Pictures from an earlier run could be mistaken for this one's.
  await rm(SHOTS, { recursive: true, force: true });
  await mkdir(SHOTS, { recursive: true });
  const browsers = [];
  const start = async (name, options) => {
    const browser = await Browser.start(name, options);
    browsers.push(browser);
    return browser;
  };
  const failures = [];
  try {
    await journey(start);
  } catch (error) {
    failures.push(error.stack);
    for (const { name, page } of browsers) {
      const file = join(SHOTS, `${name}-where-it-failed.png`);
      await page.screenshot({ path: file, fullPage: true }).catch(() => {});
      failures.push(`${name} was at ${page.url()}: ${(await page.locator("body").innerText({ timeout: 1000 }).catch(() => "")).slice(0, 2000)}`);
    }
  }
  for (const browser of browsers) await browser.close().catch((error) => failures.push(error.message));
  if (failures.length > 0) {
    console.error(failures.join("\n\n"));
    process.exit(1);
  }
}
