// The same with JavaScript off: setting up and signing in with password and codes, and the walk's main path.
import { readFile } from "node:fs/promises";
import { check, equal } from "./steps.mjs";
import { table } from "./audit.mjs";
import { EXTREMES } from "./browser.mjs";
import { Console, plain } from "./console.mjs";
import { setsUpPassword, signsIn, signsOut } from "./signing-in.mjs";

export async function firstRunWithoutScript(steps, beta) {
  steps.area = "without script";
  const owner = new Console(await steps.open({ script: false }), beta);
  await steps.step("the setup offers the way that works, and says why the other doesn't", async () => {
    await owner.page.goto(beta.setupLink());
    await owner.titled("Set up your account");
    check(await owner.page.getByRole("button", { name: "Make a passkey" }).isDisabled(), "the passkey's button is enabled");
    await owner.reads("Passkeys need JavaScript, and it is off here.");
    await owner.look("noscript-setup", EXTREMES);
  });
  await steps.step("password and codes make the account", async () => {
    owner.app = await setsUpPassword(owner, { name: "otto", look: "noscript-setup" });
    await owner.reads("otto", "Owner");
    await owner.look("noscript-overview", EXTREMES);
  }, { needed: true });
  return owner;
}

export async function scriptless(steps, owner, { bob }) {
  steps.area = "without script";
  await steps.step("sign-out and sign-in with password and code", async () => {
    await owner.go("/users");
    await signsOut(owner);
    await owner.go("/users");
    await owner.look("noscript-sign-in", EXTREMES);
    await signsIn(owner, { name: "otto", code: await owner.app.code() });
    await owner.titled("Users");
    await owner.look("noscript-users", EXTREMES);
  }, { needed: true });
  await steps.step("a ban with reason and expiry, and its lifting", async () => {
    await owner.page.getByRole("link", { name: bob.address }).click();
    await owner.titled(bob.address);
    const part = owner.part("Ban this user");
    await owner.fill({ "Reason (the banned user reads it)": "without a script", "For how long": "1 hour" }, part);
    await owner.send("Ban", part);
    await owner.said(`Banned: ${bob.address}`);
    await owner.reads("Banned: without a script", "UTC");
    await owner.look("noscript-user-banned", EXTREMES);
    check((await bob.qpq("recv")).stderr.includes("without a script"), "bob is not refused with the reason");
    await owner.send("Lift it", owner.part("Lift the ban"));
    await owner.said(`The ban is lifted: ${bob.address}`);
    equal((await bob.qpq("recv")).status, 0, "exit status of the unbanned client");
  });
  await steps.step("a registration token with its QR code, used, and another revoked", async () => {
    for (const used of [true, false]) {
      await owner.go("/tokens");
      await owner.send("Make it", owner.part("Make a token"));
      equal(await owner.page.locator("svg.qr").count(), 1, "QR codes");
      const token = plain(await owner.page.locator("#secret").textContent());
      if (used) {
        await owner.look("noscript-token-once", EXTREMES);
        await owner.domain.person("erin", token);
      } else {
        await owner.page.getByRole("link", { name: "Go back" }).click();
        await owner.page.getByRole("button", { name: /^Revoke the token/ }).first().click();
        await owner.said("The token is revoked");
      }
    }
  });
  await steps.step("peering: the peer, its block and the lifting", async () => {
    await owner.go("/federation");
    await owner.page.getByRole("link", { name: "alpha.test" }).click();
    const part = owner.part("Block this domain");
    await owner.fill({ "Reason (the other domain reads it)": "for a moment" }, part);
    await owner.send("Block", part);
    await owner.reads("for a moment");
    await owner.look("noscript-peer-blocked", EXTREMES);
    await owner.send("Lift it", owner.part("Lift the block"));
    await owner.said("The block of alpha.test is lifted");
    await owner.go("/federation");
    const invite = owner.part("Invite a domain");
    await owner.fill({ "Any domain may use it; I confirm which one did": "yes" }, invite);
    await owner.send("Make the token", invite);
    await owner.titled("A peering token");
  });
  await steps.step("the audit log, filtered and downloaded", async () => {
    await owner.go("/audit");
    await owner.fill({ Target: bob.address, Action: "user.ban" });
    await owner.page.getByRole("button", { name: "Show", exact: true }).click();
    await owner.page.waitForURL(/action=user\.ban/);
    const rows = await owner.rows();
    const started = owner.page.waitForEvent("download");
    await owner.page.getByRole("link", { name: "Download as CSV" }).click();
    const records = table(await readFile(await (await started).path(), "utf8"));
    const shown = rows.map((row) => [row["No."], row.Target, row.Reason]).reverse();
    equal(records.map(({ seq, target, reason }) => [seq, target, reason]), shown, "rows of the export");
    check(records.length > 0, "no rows");
    await owner.look("noscript-audit", EXTREMES);
  });
  await steps.step("a setting, the language, every area", async () => {
    await owner.go("/settings");
    await owner.fill({ "drain.deadline": "11s" });
    await owner.send("Save drain.deadline");
    await owner.said("Saved: drain.deadline");
    await owner.look("noscript-settings", EXTREMES);
    for (const path of ["/", "/transparency", "/health", "/health/jobs", "/admins", "/account"]) {
      await owner.go(path);
      if (path === "/account") await owner.look("noscript-account", EXTREMES);
    }
    await owner.send("Deutsch");
    equal(await owner.page.getAttribute("html", "lang"), "de", "language of the page");
    await owner.send("English");
    await signsOut(owner);
  });
}
