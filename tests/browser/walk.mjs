// A walk through the console of one real homeserver: set up with a passkey, look at every page, change something, prove again
// who one is, and everything once more without JavaScript. Arguments: programs, a place for data, a place for screenshots.
import { createHmac } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { launch, Watched } from "./browser.mjs";
import { Domain } from "./domain.mjs";

const [programs, place, screenshots] = process.argv.slice(2);
await mkdir(place, { recursive: true });
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";

// RFC 6238, as an authenticator does it.
const totp = (secret, at = Date.now()) => {
  const bits = [...secret.replaceAll(" ", "")].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  return String((digest.readUInt32BE(digest[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
};
// Each code counts once: the one of the step after the last is good too, for one step either way is tolerated.
let lastStep = 0;
const code = (secret) => {
  const step = Math.max(Math.floor(Date.now() / 30_000), lastStep + 1);
  lastStep = step;
  return totp(secret, step * 30_000);
};

const findings = [];
const domain = await Domain.start(programs, place, "alpha.test");
const browser = await launch(chromium);
try {
  const alice = await domain.person("alice");
  await domain.person("bob");

  const owner = await Watched.open(browser, { screenshots });
  await owner.withPasskeys();
  const page = owner.page;
  const open = async (path, name) => {
    await page.goto(domain.origin + path);
    await owner.look(name);
  };

  await page.goto(domain.origin + "/users");
  await owner.look("sign-in");
  await page.goto(domain.setupLink());
  await owner.look("setup");
  await page.fill("#passkey-name", "olga");
  await page.click("text=Make a passkey");
  await page.waitForSelector("#codes");
  await owner.look("codes");
  await page.click("text=I have kept them");
  owner.expected.add(410);
  await open(new URL(domain.setupLink()).pathname, "link-used");
  for (const path of ["/", "/users", `/users/show?address=${encodeURIComponent(alice.address)}`, "/bans", "/sessions", "/devices", "/tokens",
    "/federation", "/federation/would-allow?domain=beta.test", "/audit", "/audit/verify", "/settings", "/settings/info", "/admins",
    "/admins/sessions", "/health", "/health/jobs", "/account", "/prove"]) {
    const response = await page.goto(domain.origin + path);
    if (response.status() === 404) owner.findings.push(`${path}: not there`);
    await owner.look(path === "/" ? "overview" : path.split("?")[0].slice(1).replaceAll("/", "-"));
  }

  // A ban, a token, a refusal.
  await page.goto(domain.origin + "/bans");
  await page.fill("#ban-address", "mallory@evil.test");
  await page.fill("#ban-reason", "<script>spam</script>");
  await page.selectOption("#ban-expires", "7d");
  await page.click("section .danger");
  await page.waitForSelector(".said");
  await owner.look("banned");
  await page.goto(domain.origin + "/tokens");
  await page.click("text=Make it");
  await page.waitForSelector("#secret");
  await owner.look("token");
  await page.goto(domain.origin + "/federation");
  await page.fill("#invite-domain", "beta.test");
  await page.click("text=Make the token");
  await page.waitForSelector("#secret");
  await owner.look("invite");
  owner.expected.add(400).add(404).add(403);
  await page.goto(domain.origin + "/bans");
  await page.fill("#ban-address", "nobody");
  await page.fill("#ban-reason", "no address");
  await page.click("section .danger");
  await page.waitForSelector(".problem");
  await owner.look("refused");
  await open("/no/such/page", "nothing");

  // A password beside the passkey, for the other way in.
  await page.goto(domain.origin + "/account");
  await page.click("text=Set a password");
  await owner.look("password");
  await page.click("summary");
  const secret = await page.textContent("#totp-secret");
  await page.fill("#password", "four words make one");
  await page.fill("#code", code(secret));
  await page.click("text=Save");
  await page.waitForSelector(".said");
  await page.click("text=Sign out");
  await page.waitForSelector(".said");
  await page.click("text=Sign in with a passkey");
  await page.waitForSelector(".me");
  await page.click("text=Deutsch");
  await page.goto(domain.origin + "/users");
  await owner.look("nutzer");
  findings.push(...owner.findings);
  await owner.close();

  // Without a script.
  const plain = await Watched.open(browser, { script: false, screenshots, locale: "de-DE" });
  await plain.page.goto(domain.origin + "/tokens");
  await plain.look("plain-sign-in");
  await plain.page.fill("#name", "olga");
  await plain.page.fill("#password", "four words make one");
  await plain.page.fill("#code", code(secret));
  await plain.page.click("main form[action='/sign-in'] button");
  await plain.page.waitForSelector(".me");
  await plain.look("plain-tokens");
  await plain.page.click("section .primary");
  await plain.page.waitForSelector("#secret");
  await plain.look("plain-token");
  findings.push(...plain.findings);
  await plain.close();
} finally {
  await browser.close();
  await domain.stop();
}
for (const finding of new Set(findings)) console.error(finding);
process.exit(findings.length === 0 ? 0 : 1);
