// The first minutes: the link that the server printed, a passkey, recovery codes, and pages on which nothing has happened yet.
import { EXTREMES } from "./browser.mjs";
import { check, equal } from "./steps.mjs";
import { Console, plain } from "./console.mjs";

const EMPTY = [
  ["users", "/users", "Nobody has an account yet."],
  ["tokens", "/tokens", "There are no tokens."],
  ["federation", "/federation", "No peers yet."],
  ["bans", "/bans", "Nobody is banned."],
  ["sessions", "/sessions", "Whose?"],
  ["devices", "/devices", "Whose?"],
];

export async function firstRun(steps, alpha) {
  steps.area = "first run";
  const watched = await steps.open({});
  await watched.withPasskeys();
  const owner = new Console(watched, alpha);
  const link = alpha.setupLink();

  await steps.step("without an account every page leads to the door, which says how to begin", async () => {
    await owner.go("/users?page=2");
    await owner.titled("Sign in");
    await owner.reads("qpq-server admin setup-link");
    await owner.look("sign-in");
  });
  await steps.step("the link on localhost opens the setup", async () => {
    equal(new URL(link).hostname, "localhost", "host of the link");
    equal((await owner.page.goto(link)).status(), 200, "status of the link");
    await owner.titled("Set up your account");
    await owner.reads("first admin", "A passkey made on localhost stays there");
    await owner.look("setup");
  }, { needed: true });
  await steps.step("a passkey makes the account, and ten recovery codes are shown", async () => {
    const part = owner.part("With a passkey");
    await owner.fill({ "Your name here": "olga" }, part);
    await owner.send("Make a passkey", part);
    await owner.titled("Recovery codes");
    owner.codes = await owner.page.locator("#codes li").allTextContents();
    equal(new Set(owner.codes.map(plain)).size, 10, "number of recovery codes");
    check(owner.codes.every((code) => code.replaceAll(/[^A-Z2-7]/gi, "").length >= 16), "a code has too few letters");
    await owner.look("recovery-codes");
  }, { needed: true });
  await steps.step("the codes are not shown again, and the console opens", async () => {
    await owner.page.getByRole("button", { name: "I have kept them" }).click();
    await owner.titled("Overview");
    // Chromium would have to send the form again, and does not.
    await owner.page.goBack().catch(() => {});
    await owner.readsNot(...owner.codes.map(plain));
    await owner.go("/account");
    await owner.reads("10 are left", "olga", "Owner");
    await owner.readsNot(...owner.codes.map(plain));
    await owner.look("account");
  });
  await steps.step("the cookie can't be read by scripts, nor leave this host", async () => {
    const cookies = (await watched.context.cookies()).filter(({ name }) => name === "__Host-quicproquo");
    equal(cookies.length, 1, "number of session cookies");
    const [{ httpOnly, secure, sameSite, path }] = cookies;
    equal({ httpOnly, secure, sameSite, path }, { httpOnly: true, secure: true, sameSite: "Strict", path: "/" }, "the cookie");
  });
  await steps.step("the used link is gone", async () => {
    const other = new Console(await steps.open({}), alpha);
    await other.go(new URL(link).pathname, 410);
    await other.titled("This link is used up");
    await other.look("error-410");
    await steps.close(other.watched);
  });
  for (const [name, path, words] of EMPTY) {
    await steps.step(`"${name}" without anything in it says what to do first`, async () => {
      await owner.go(path);
      await owner.reads(words);
      await owner.look(`empty-${name}`, EXTREMES);
    });
  }
  return owner;
}
