// The walk through the console: two real domains with their people, and everything an admin does in the browser, once.
// Arguments: the directory with the programs, one for the domains, one for screenshots.
import { mkdir } from "node:fs/promises";
import { account } from "./account.mjs";
import { admins } from "./admins.mjs";
import { audit } from "./audit.mjs";
import { launch } from "./browser.mjs";
import { Console } from "./console.mjs";
import { Domain } from "./domain.mjs";
import { errors } from "./errors.mjs";
import { federation } from "./federation.mjs";
import { firstRun } from "./first-run.mjs";
import { german } from "./languages.mjs";
import { moderation } from "./moderation.mjs";
import { firstRunWithoutScript, scriptless } from "./scriptless.mjs";
import { selfCheck } from "./self-check.mjs";
import { health, settings } from "./settings.mjs";
import { signsIn } from "./signing-in.mjs";
import { Lost, Steps, check } from "./steps.mjs";
import { tokens } from "./tokens.mjs";
import { transparency } from "./transparency.mjs";

const WHOLE = 290_000;
const [programs, place, screenshots] = process.argv.slice(2);
const chromium = process.env.QUICPROQUO_CHROMIUM ?? "/usr/bin/chromium";
const deadline = Date.now() + WHOLE;
const domains = [];

async function walk(steps) {
  const [alpha, beta] = domains;
  const meanwhile = steps.beside();
  const [owner, without] = await together(firstRun(steps, alpha), firstRunWithoutScript(meanwhile, beta));
  // Only now does anybody register, for the pages had to be seen empty.
  const registering = Promise.all([alpha.person("alice"), alpha.person("mallory"), beta.person("bob")]);
  const people = {};
  steps.area = "people";
  await steps.step("people register with the client", async () => {
    const [alice, mallory, bob] = await registering;
    await alice.says(mallory.address, "good morning");
    check((await mallory.hears(30)).includes("good morning"), "mallory did not hear alice");
    Object.assign(people, { alice, mallory, bob });
  }, { needed: true });

  await moderation(steps, owner, people);
  await tokens(steps, owner);
  const other = new Console(await steps.open({}), beta);
  steps.area = "federation";
  await steps.step("the other domain's owner signs in with password and code", async () => {
    await other.go("/federation");
    await signsIn(other, { name: "otto", code: await without.app.code() });
    await other.titled("Federation");
  }, { needed: true });
  await federation(steps, owner, other, people);
  await steps.close(other.watched);
  await together(theRest(steps, owner, people), scriptless(meanwhile, without, people));
}

// Both walk on to their ends, whatever happens to the other.
async function together(...walks) {
  const ended = await Promise.allSettled(walks);
  for (const { reason } of ended) if (reason) throw reason;
  return ended.map(({ value }) => value);
}

async function theRest(steps, owner, people) {
  await audit(steps, owner, people);
  await transparency(steps, owner);
  await settings(steps, owner);
  await admins(steps, owner, people);
  await health(steps, owner);
  await errors(steps, owner, people);
  await german(steps, owner, people);
  await account(steps, owner);
}

async function stopped(browser) {
  await browser?.close().catch(() => {});
  await Promise.allSettled(domains.map((domain) => domain.stop()));
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

let steps;
let browser;
try {
  await mkdir(place, { recursive: true });
  browser = await launch(chromium);
  steps = new Steps(browser, screenshots, deadline);
  const late = setTimeout(() => {
    console.log(`the walk did not end in time: ${steps.counts.passed} passed, ${steps.counts.failed + 1} failed`);
    process.exit(1);
  }, WHOLE + 8_000);
  late.unref();
  const starting = async () => {
    for (const name of ["alpha.test", "beta.test"]) domains.push(await Domain.start(programs, place, name));
  };
  await together(selfCheck(steps), starting());
  await walk(steps);
} catch (error) {
  console.log(error instanceof Lost ? `stopped: ${error.message}` : error.stack);
  if (steps && !(error instanceof Lost)) steps.counts.failed += 1;
}
await stopped(browser);
const { passed, failed } = steps?.counts ?? { passed: 0, failed: 1 };
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
