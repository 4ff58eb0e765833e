// The steps of a walk: each passes or fails by itself, tells what went wrong and where, and is bounded in time. A step also
// fails when a browser that is being watched noticed something during it.
import { join } from "node:path";
import { Watched } from "./browser.mjs";

const STEP = 60_000;

// What ends a step's work when something that others build on did not happen.
export class Lost extends Error {}

export function check(holds, words) {
  if (!holds) throw new Error(words);
}

export function equal(actual, expected, words) {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) throw new Error(`${words}: is ${is}, should be ${should}`);
}

// Asks again and again until `ask` answers something; what it throws is told if time runs out.
export async function eventually(what, ask, within = 15_000) {
  const deadline = Date.now() + within;
  for (let last; ;) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      if (error instanceof Lost) throw error;
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${within} ms${last ? `; ${last.message}` : ""}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function within(milliseconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export class Steps {
  constructor(browser, screenshots, deadline) {
    Object.assign(this, { browser, screenshots, deadline, counts: { passed: 0, failed: 0 }, watched: [], area: "" });
  }

  // The same walk by somebody else at the same time, with browsers of their own.
  beside() {
    return Object.assign(new Steps(this.browser, this.screenshots, this.deadline), { counts: this.counts });
  }

  // A browser of its own for somebody.
  async open(options) {
    const watched = await Watched.open(this.browser, { screenshots: this.screenshots, ...options });
    this.watched.push(watched);
    return watched;
  }

  async close(watched) {
    await watched.close();
    this.watched = this.watched.filter((one) => one !== watched);
  }

  // One step. `needed`: what follows makes no sense without it.
  async step(name, work, { needed = false } = {}) {
    const began = Date.now();
    const title = `${this.area}: ${name}`;
    let wrong;
    try {
      await within(Math.max(1, Math.min(STEP, this.deadline - began)), work());
    } catch (error) {
      wrong = error;
    }
    const findings = this.watched.flatMap((watched) => watched.noticed());
    const spent = ((Date.now() - began) / 1000).toFixed(1);
    if (!wrong && findings.length === 0) {
      this.counts.passed += 1;
      console.log(`ok      ${title} (${spent} s)`);
      return;
    }
    this.counts.failed += 1;
    console.log(`FAILED  ${title} (${spent} s)`);
    if (wrong) console.log(indented(wrong.stack ?? String(wrong)));
    for (const finding of new Set(findings)) console.log(indented(finding));
    await this.picture(title);
    if (needed && wrong) throw new Lost(`without "${title}" there is nothing to go on with`);
    if (Date.now() > this.deadline) throw new Lost("the suite's time is over");
  }

  // What every browser shows at this moment.
  async picture(title) {
    const name = title.replaceAll(/[^a-z0-9]+/gi, "-").slice(0, 80);
    for (const [place, { page }] of this.watched.entries()) {
      const path = join(this.screenshots, `failed-${name}-${place}.png`);
      const taken = await page.screenshot({ path, timeout: 5_000 }).then(() => true, () => false);
      if (taken) console.log(indented(`at ${page.url()}: ${path}`));
    }
  }
}

const indented = (text) => text.split("\n").map((line) => `        ${line}`).join("\n");
