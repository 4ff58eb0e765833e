// Debian's Chromium, watched: every policy violation, console error, failed request and foreign host is kept, and axe looks
// at every page that a walk stops at.
import { createRequire } from "node:module";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// Every page is looked at in these; what differs only in its words, in fewer.
export const ALL = [["light", 1440], ["dark", 1440], ["light", 360], ["dark", 360]];
export const EXTREMES = [["light", 1440], ["dark", 360]];

// Names of texts, and places in texts, that should have become words.
function raw() {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.trim();
    const exact = node.parentElement.closest("code, pre, bdi, time, script, noscript, [lang]:not(html)");
    if (!exact && (/^[a-z]+(-[a-z0-9_]+)+$/.test(text) || /\{ ?\$|\{\{|\bundefined\b|\[object /.test(text))) found.push(text);
  }
  return found;
}

const COLOURS = ["color-contrast", "link-in-text-block"];

export const launch = (executablePath) => chromium.launch({ executablePath, args: FLAGS });

export class Watched {
  // A fresh browser profile. `script`: whether JavaScript is on.
  static async open(browser, { script = true, screenshots, width = 1440, scheme = "light", locale = "en-GB" }) {
    const watched = new Watched();
    Object.assign(watched, { script, screenshots, findings: [], expected: new Set(), seen: new Set() });
    await mkdir(screenshots, { recursive: true });
    watched.context = await browser.newContext({
      javaScriptEnabled: script, viewport: { width, height: 900 }, colorScheme: scheme, locale, timezoneId: "Europe/Berlin",
      permissions: [], acceptDownloads: true, reducedMotion: "reduce",
    });
    watched.context.setDefaultTimeout(10_000);
    watched.context.on("page", (page) => watched.watch(page));
    watched.page = await watched.context.newPage();
    return watched;
  }

  watch(page) {
    page.on("console", (message) => {
      const text = message.text();
      // A refusal that the walk provoked on purpose shows as a failed load.
      const status = /status of (\d{3})/.exec(text)?.[1];
      if (/Content.Security.Policy/i.test(text)) this.findings.push(`policy: ${text}`);
      else if (message.type() === "error" && !(status && this.expected.has(Number(status)))) this.findings.push(`console: ${text}`);
    });
    page.on("pageerror", (error) => this.findings.push(`script: ${error.message}`));
    page.on("request", (request) => {
      const { hostname } = new URL(request.url());
      if (hostname && hostname !== "localhost" && !request.url().startsWith("data:")) this.findings.push(`foreign host: ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.request().resourceType() === "document" && !response.headers()["content-security-policy"]) {
        this.findings.push(`no policy: ${response.url()}`);
      }
    });
  }

  // What was noticed since the last time; refusals that were meant no longer are.
  noticed() {
    this.expected.clear();
    return this.findings.splice(0);
  }

  // A virtual authenticator, as a laptop has one built in.
  async withPasskeys() {
    const session = await this.context.newCDPSession(this.page);
    await session.send("WebAuthn.enable");
    await session.send("WebAuthn.addVirtualAuthenticator", {
      options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
        automaticPresenceSimulation: true },
    });
  }

  // Looks at the page as it is: screenshots in both schemes and widths, axe without exclusions, texts that were left behind.
  async look(name, ways = ALL) {
    const judged = this.script ? this.page : await this.copy();
    for (const [scheme, width] of ways) {
      for (const page of new Set([this.page, judged])) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: 900 });
      }
      await this.page.screenshot({ path: join(this.screenshots, `${name}-${scheme}-${width}.png`), fullPage: true });
      const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) this.findings.push(`${name}: ${wide} px wider than a window of ${width} px`);
      if (scheme === "light" && width === 360) continue;
      await this.axe(judged, `${name} ${scheme} ${width}`, scheme === "dark" && width === 1440 ? COLOURS : undefined);
    }
    for (const text of await this.page.evaluate(raw)) this.findings.push(`${name}: reads "${text}", which is no text for people`);
    if (judged !== this.page) await judged.close();
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.page.setViewportSize({ width: 1440, height: 900 });
    this.seen.add(name);
  }

  // axe is a script. A page without scripts is copied to where they run, as it is: with what stands there instead of them.
  async copy() {
    const url = this.page.url();
    const html = (await this.page.content()).replaceAll(/<script[^>]*><\/script>/g, "").replaceAll(/<(\/?)noscript>/g, "<$1div>");
    this.copies ??= await this.context.browser().newContext({ timezoneId: "Europe/Berlin", reducedMotion: "reduce" });
    const page = await this.copies.newPage();
    await page.route(url, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html }));
    await page.goto(url);
    return page;
  }

  // axe is evaluated by the debugger, so the page's own policy stays as it is. All of its default rules look at a wide light page
  // and at a narrow dark one; those about colours at the wide dark one too, which has what is not there on narrow ones.
  async axe(page, name, rules) {
    if (!await page.evaluate(() => "axe" in globalThis)) await page.evaluate(axeSource);
    const options = { resultTypes: ["violations"], ...(rules && { runOnly: rules }) };
    const { violations } = await page.evaluate((chosen) => globalThis.axe.run(document, chosen), options);
    for (const { id, help, nodes } of violations) {
      for (const node of nodes) this.findings.push(`axe, ${name}: ${id} (${help}) at ${node.target.join(" ")}`);
    }
  }

  async close() {
    await this.copies?.close();
    await this.context.close();
  }
}
