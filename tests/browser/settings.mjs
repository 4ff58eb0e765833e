// Settings, what this homeserver is, health with its jobs, the overview of a domain on which something happens.
import { EXTREMES } from "./browser.mjs";
import { named } from "./console.mjs";
import { check, equal } from "./steps.mjs";

export async function settings(steps, owner) {
  steps.area = "settings";
  const { domain } = owner;
  const deadline = (rows) => rows.find((row) => row.Setting.startsWith("drain.deadline"));

  await steps.step("every setting has its value and origin", async () => {
    await owner.go("/settings");
    const rows = await owner.rows();
    check(rows.find((row) => row.Setting.startsWith("domain")).Origin.includes("File"), "the domain does not come from the file");
    check(deadline(rows).Origin.includes("Default"), "the deadline is not the default");
    await owner.look("settings");
  });
  await steps.step("one that takes no restart is changed here, and the command line and the file know it", async () => {
    await owner.go("/settings");
    await owner.fill({ "drain.deadline": "7s" });
    await owner.send("Save drain.deadline");
    await owner.said("Saved: drain.deadline");
    equal(await owner.page.getByLabel(named("drain.deadline")).inputValue(), "7s", "the value on the page");
    check(deadline(await owner.rows()).Origin.includes("File"), "the deadline does not come from the file");
    const line = (await domain.admin("config", "show")).find(({ key }) => key === "drain.deadline");
    equal([line.value, line.origin.startsWith("default")], ["7s", false], "what the command line shows");
    await owner.look("settings-saved", EXTREMES);
  });
  await steps.step("a value that can't be is refused with what was typed kept", async () => {
    await owner.go("/settings");
    await owner.fill({ "drain.deadline": "soon" });
    await owner.send("Save drain.deadline", owner.page, 400);
    await owner.reads("drain.deadline");
    equal(await owner.page.getByLabel(named("Value")).inputValue(), "soon", "the kept value");
    await owner.look("error-setting", EXTREMES);
    await owner.fill({ Value: "9s" });
    await owner.send("Try again");
    await owner.said("Saved: drain.deadline");
  });
  await steps.step("facts about this homeserver are those of the command line", async () => {
    await owner.go("/settings/info");
    const { client_pin: pin } = await domain.admin("info");
    await owner.reads(domain.name, domain.client, pin);
    await owner.look("info");
  });
}

export async function health(steps, owner) {
  steps.area = "health";
  await steps.step("the checks are those of doctor, each with its outcome", async () => {
    await owner.go("/health");
    const { checks } = await owner.domain.admin("doctor");
    check(checks.length > 3, `${checks.length} checks`);
    await owner.reads(...checks.map(({ id }) => id));
    await owner.look("health");
  });
  await steps.step("jobs show their last and next run", async () => {
    await owner.page.getByRole("link", { name: "Jobs" }).click();
    await owner.titled("Jobs");
    check((await owner.rows()).length > 0, "no jobs");
    await owner.look("jobs");
  });
  await steps.step("the overview shows the domain as it is, and renews itself", async () => {
    await owner.go("/");
    const { users } = await owner.domain.admin("status");
    const tile = owner.page.locator(".tile").filter({ has: owner.page.getByRole("link", { name: "Users" }) });
    equal(await tile.locator("strong").textContent(), String(users), "users on the overview");
    await owner.becomes("the peer counts as healthy", (text) => text.includes("Healthy: 1"));
    const renewed = owner.page.waitForResponse((response) => new URL(response.url()).pathname === "/live", { timeout: 30_000 });
    renewed.catch(() => {});
    await owner.look("overview");
    equal((await renewed).status(), 200, "status of the renewed part");
  });
}
