// Users, and keeping one of them out: the live session is cut, logins are refused with the reason, the ban ends by itself.
import { EXTREMES } from "./browser.mjs";
import { named } from "./console.mjs";
import { check, equal, eventually } from "./steps.mjs";

const REASON = 'sold "spam" & <b>more</b>';

export async function moderation(steps, owner, { alice, mallory }) {
  steps.area = "moderation";
  const { domain } = owner;
  const here = `/users/show?address=${encodeURIComponent(mallory.address)}`;

  await steps.step("the list shows who registered, and finds one of them", async () => {
    await owner.go("/users");
    const addresses = (await owner.rows()).map((row) => row.Address);
    for (const person of [alice, mallory]) check(addresses.includes(person.address), `${person.address} is not among ${addresses}`);
    await owner.look("users");
    await owner.fill({ "Name or address": "mall" });
    await owner.page.getByRole("button", { name: "Show", exact: true }).click();
    await owner.page.waitForURL(/search=mall/);
    equal((await owner.rows()).map((row) => row.Address), [mallory.address], "found users");
    await owner.go("/users?search=nobody-of-this-name");
    await owner.reads("No user matches.");
    await owner.look("users-none-found", EXTREMES);
  });
  await steps.step("a user's page shows device, session and what a ban would do", async () => {
    await owner.go("/users");
    await owner.page.getByRole("link", { name: mallory.address }).click();
    await owner.titled(mallory.address);
    await owner.reads("Signature key", "A ban would end or hold back", "1 device");
    await owner.look("user");
    for (const [name, path] of [["sessions", "/sessions"], ["devices", "/devices"]]) {
      await owner.go(`${path}?address=${encodeURIComponent(mallory.address)}`);
      equal((await owner.rows()).length, 1, `rows of ${path}`);
      await owner.look(name);
    }
    await owner.go(`/users/preview?address=${encodeURIComponent(mallory.address)}&effect=delete`);
    await owner.titled("What would happen");
    await owner.look("preview", EXTREMES);
  });
  await steps.step("a ban with a reason and an expiry cuts the live session within a second", async () => {
    const listening = mallory.listens(120);
    try {
      await eventually("mallory's session is live", async () => {
        await owner.go(here);
        return await owner.page.locator(".badge", { hasText: "Live" }).count() > 0;
      }, 30_000);
      const part = owner.part("Ban this user");
      await owner.fill({ "Reason (the banned user reads it)": REASON, "For how long": "1 hour" }, part);
      await owner.send("Ban", part);
      const banned = Date.now();
      const { status, said, heard } = await listening.ended;
      equal(status, 1, "exit status of the listening client");
      check(said.includes(REASON), `the cut session said: ${said}`);
      check(heard - banned < 1_000, `the session was cut after ${heard - banned} ms`);
      await owner.said(`Banned: ${mallory.address}`);
      await owner.reads(`Banned: ${REASON}`, "Until:");
      await owner.look("user-banned");
    } finally {
      listening.child.kill();
    }
  });
  await steps.step("logging in again is refused with the reason", async () => {
    for (const refused of [await mallory.qpq("recv"), await mallory.logsIn()]) {
      equal(refused.status, 1, "exit status");
      check(refused.stderr.includes(REASON), `refused with: ${refused.stderr}`);
    }
  });
  await steps.step("the list of bans shows who banned whom, and lifts it", async () => {
    await owner.go("/bans");
    const [ban] = await owner.rows();
    check(ban.Who.includes(mallory.address) && ban.Reason === REASON && ban.By === "admin:olga", JSON.stringify(ban));
    await owner.look("bans");
    await owner.send(`Lift the ban of ${mallory.address}`);
    await owner.said(`The ban is lifted: ${mallory.address}`);
    await owner.reads("Nobody is banned.");
    equal((await mallory.qpq("recv")).status, 0, "exit status of the unbanned client");
  });
  await steps.step("a short ban ends by itself, and the page shows it gone", async () => {
    await domain.admin("user", "ban", mallory.address, "--reason", "to cool off", "--expires", "5s");
    await owner.go(here);
    await owner.reads("Banned: to cool off");
    await owner.becomes("the ban is gone", (text) => !text.includes("to cool off"), 30_000);
    await owner.reads("Ban this user");
    equal((await mallory.qpq("recv")).status, 0, "exit status of the client");
    await owner.go(`/audit?target=${encodeURIComponent(mallory.address)}`);
    check((await owner.rows()).some((row) => row.Who === "job:lift-bans"), "the audit log does not say that the ban was lifted");
  });
  await steps.step("several chosen users are banned at once", async () => {
    await owner.go("/users");
    for (const person of [alice, mallory]) await owner.page.getByLabel(named(`Choose ${person.address}`)).check();
    const part = owner.part("Ban the chosen users");
    await owner.fill({ "Reason (the banned user reads it)": "both of you", "For how long": "1 day" }, part);
    await owner.send("Ban them", part);
    const banned = (await owner.rows()).filter((row) => row.State.startsWith("Banned")).map((row) => row.Address);
    equal(banned.sort(), [alice.address, mallory.address], "banned users");
    await owner.look("users-banned", EXTREMES);
    for (const person of [alice, mallory]) {
      await owner.go(`/users/show?address=${encodeURIComponent(person.address)}`);
      const lift = owner.part("Lift the ban");
      await owner.fill({ "Why (for the audit log, optional)": "they said sorry" }, lift);
      await owner.send("Lift it", lift);
    }
  });
  await steps.step("a device that is revoked stays out", async () => {
    const elsewhere = mallory.elsewhere();
    equal((await elsewhere.logsIn()).status, 0, "exit status of the second device's login");
    await owner.go(here);
    equal(await owner.page.getByRole("button", { name: /^Revoke the device/ }).count(), 2, "devices");
    const { device } = JSON.parse((await elsewhere.qpq("--json", "whoami")).stdout);
    await owner.send(`Revoke the device ${device} for good`);
    await owner.said("The device is revoked for good");
    const refused = await elsewhere.qpq("recv");
    equal(refused.status, 1, "exit status of the revoked device");
    equal((await mallory.qpq("recv")).status, 0, "exit status of the other device");
  });
}
