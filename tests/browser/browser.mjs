// Debian's Chromium, watched: every policy violation, console error, failed request and foreign host is kept, and axe looks
// at every page that a walk stops at.
import { createRequire } from "node:module";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const launch = (executablePath) => chromium.launch({ executablePath, args: FLAGS });

export class Watched {
  // A fresh browser profile. `script`: whether JavaScript is on.
  static async open(browser, { script = true, screenshots, width = 1440, scheme = "light", locale = "en-GB" }) {
    const watched = new Watched();
    Object.assign(watched, { script, screenshots, findings: [], expected: new Set(), seen: new Set() });
    await mkdir(screenshots, { recursive: true });
    watched.context = await browser.newContext({
      javaScriptEnabled: script, viewport: { width, height: 900 }, colorScheme: scheme, locale, timezoneId: "Europe/Berlin",
      permissions: [], acceptDownloads: true,
    });
    watched.page = await watched.context.newPage();
    watched.watch(watched.page);
    return watched;
  }

  watch(page) {
    page.on("console", (message) => {
      const text = message.text();
      // A refusal that the walk provoked on purpose shows as a failed load.
      const status = /status of (\d{3})/.exec(text)?.[1];
      if (message.type() === "error" && !(status && this.expected.has(Number(status)))) this.findings.push(`console: ${text}`);
      if (/Content.Security.Policy/i.test(text)) this.findings.push(`policy: ${text}`);
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

  // A virtual authenticator, as a laptop has one built in.
  async withPasskeys() {
    const session = await this.context.newCDPSession(this.page);
    await session.send("WebAuthn.enable");
    await session.send("WebAuthn.addVirtualAuthenticator", {
      options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
        automaticPresenceSimulation: true },
    });
  }

  // Looks at the page as it is: screenshots in both schemes and widths, axe without exclusions.
  async look(name) {
    for (const [scheme, width] of [["light", 1440], ["dark", 1440], ["light", 360], ["dark", 360]]) {
      await this.page.emulateMedia({ colorScheme: scheme });
      await this.page.setViewportSize({ width, height: 900 });
      await this.page.screenshot({ path: join(this.screenshots, `${name}-${scheme}-${width}.png`), fullPage: true });
      const wide = this.script && await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) this.findings.push(`${name}: ${wide} px wider than a window of ${width} px`);
      if (this.script) await this.axe(`${name} ${scheme} ${width}`);
    }
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.page.setViewportSize({ width: 1440, height: 900 });
    this.seen.add(name);
  }

  // axe is evaluated by the debugger, so the page's own policy stays as it is.
  async axe(name) {
    await this.page.evaluate(axeSource);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run(document));
    for (const { id, help, nodes } of violations) {
      for (const node of nodes) this.findings.push(`axe, ${name}: ${id} (${help}) at ${node.target.join(" ")}`);
    }
  }

  async close() {
    await this.context.close();
  }
}
