// Every page once in German: the switch keeps the page, every heading is another, nothing is left untranslated.
import { check, equal, eventually } from "./steps.mjs";
import { EXTREMES } from "./browser.mjs";
import { plain } from "./console.mjs";

const PAGES = [
  ["overview", "/"], ["users", "/users"], ["user", "/users/show?address=ALICE"], ["bans", "/bans"], ["sessions", "/sessions"],
  ["devices", "/devices"], ["tokens", "/tokens"], ["federation", "/federation"], ["peer", "/federation/show?domain=beta.test"],
  ["probe", "/federation/probe?domain=beta.test"],
  ["audit", "/audit"], ["audit-verify", "/audit/verify"], ["transparency", "/transparency"],
  ["transparency-checkpoint", "/transparency/checkpoint"], ["transparency-entry", "/transparency/entry?index=0"],
  ["transparency-verify", "/transparency/verify"],
  ["settings", "/settings"], ["info", "/settings/info"], ["admins", "/admins"],
  ["admin-sessions", "/admins/sessions"], ["health", "/health"], ["jobs", "/health/jobs"], ["account", "/account"], ["prove", "/prove"],
];

// What stands on a page in words of ours: headings, labels, buttons, heads of tables.
const words = (owner) => owner.page.evaluate(() => {
  const all = document.querySelectorAll("main h1, main h2, main label, main button, main thead th, main dt, nav a");
  return [...all].filter((one) => !one.querySelector("bdi, code") && !one.closest("bdi")).map((one) => one.textContent.trim());
});

export async function german(steps, owner, { alice }) {
  steps.area = "German";
  const english = {};
  const address = (path) => path.replace("ALICE", encodeURIComponent(alice.address));
  const same = new Map();

  await steps.step("the switch changes the language and keeps the page", async () => {
    for (const [name, path] of PAGES) {
      await owner.go(address(path));
      english[name] = { title: await owner.heading(), words: await words(owner) };
    }
    await owner.go("/users?search=ali");
    await owner.send("Deutsch");
    check(owner.page.url().endsWith("/users?search=ali"), `the switch leads to ${owner.page.url()}`);
    equal(await owner.page.getAttribute("html", "lang"), "de", "language of the page");
  });
  for (const [name, path] of PAGES) {
    await steps.step(`"${name}" speaks German`, async () => {
      await owner.go(address(path));
      equal(await owner.page.getAttribute("html", "lang"), "de", "language of the page");
      const now = await words(owner);
      equal(now.length, english[name].words.length, "number of headings, labels and buttons");
      now.forEach((word, place) => {
        if (word === english[name].words[place]) same.set(plain(word), name);
      });
      await owner.look(`de-${name}`, EXTREMES);
    });
  }
  await steps.step("what is the same in both languages is the same on purpose", () => {
    const left = [...same.keys()].filter((word) => /[a-z]{3}/i.test(word) && !ALIKE.test(word));
    equal(left, [], "words that are the same in English and German");
    return Promise.resolve();
  });
  await steps.step("an error speaks German, and the switch leads back to English", async () => {
    await owner.go("/no/such/page", 404);
    equal(await owner.page.getAttribute("html", "lang"), "de", "language of the page");
    await owner.readsNot("There is nothing here");
    await owner.look("de-error-404", EXTREMES);
    await owner.go("/users");
    await owner.send("English");
    await eventually("English", async () => (await owner.heading()) === "Users");
  });
}

// Names and words that German has too.
const ALIKE = /^(Browser|Domain|Status|Name|Health|Token|Code|Passkeys?|QR|alpha\.test|beta\.test|alice@.*|olga.*|[a-z]+\.[a-z.-]+)$/;
