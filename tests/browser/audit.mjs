// The audit log: every filter, both exports, the chain.
import { readFile } from "node:fs/promises";
import { EXTREMES } from "./browser.mjs";
import { check, equal } from "./steps.mjs";

async function downloaded(admin, link) {
  const started = admin.page.waitForEvent("download");
  await admin.page.getByRole("link", { name: link }).click();
  return readFile(await (await started).path(), "utf8");
}

// RFC 4180 without line breaks in fields.
export function table(text) {
  const [head, ...lines] = text.split("\r\n").filter((line) => line);
  const field = /(?:^|,)(?:"((?:[^"]|"")*)"|([^,"]*))/g;
  const fields = (line) => [...line.matchAll(field)].map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare);
  const names = fields(head);
  return lines.map((line) => Object.fromEntries(fields(line).map((value, place) => [names[place], value])));
}

// What the page's rows and an export have in common, oldest first.
const shown = (rows) => rows.map((row) => [row["No."], row.Who, row.Action, row.Target, row.Reason.replace(/^–$/, ""), row.Request]).reverse();
const kept = (rows) => rows.map(({ seq, actor, action, target, reason, request }) => [String(seq), actor, action, target, reason ?? "", request]);

export async function audit(steps, owner, { mallory }) {
  steps.area = "audit";
  await steps.step("the log tells what was done here, by whom, to whom", async () => {
    await owner.go("/audit");
    const rows = await owner.rows();
    const did = (action, target) => rows.some((row) => row.Action === action && row.Target.includes(target) && row.Who === "admin:olga");
    for (const [action, target] of [["user.ban", mallory.address], ["peer.block", "beta.test"], ["token.create", "tok_"]]) {
      check(did(action, target), `no row says that olga did ${action} to ${target}`);
    }
    await owner.look("audit");
  });
  await steps.step("filters leave what was asked for, and both exports hold exactly that", async () => {
    await owner.go("/audit");
    await owner.fill({ Who: "admin:olga", Action: "user.ban", Target: mallory.address });
    await owner.page.getByRole("button", { name: "Show", exact: true }).click();
    await owner.page.waitForURL(/action=user\.ban/);
    const rows = await owner.rows();
    check(rows.length >= 2, `${rows.length} rows`);
    check(rows.every((row) => row.Action === "user.ban" && row.Who === "admin:olga" && row.Target === mallory.address), JSON.stringify(rows));
    await owner.look("audit-filtered", EXTREMES);
    const lines = (await downloaded(owner, "Download as JSONL")).split("\n").filter((line) => line).map((line) => JSON.parse(line));
    equal(kept(lines), shown(rows), "rows of the JSONL export");
    const records = table(await downloaded(owner, "Download as CSV"));
    equal(kept(records), shown(rows), "rows of the CSV export");
    equal(records.map(({ hash }) => hash), lines.map(({ hash }) => hash), "hashes of both exports");
  });
  await steps.step("dates filter, and a filter that nothing matches says so", async () => {
    await owner.go("/audit?from=2020-01-01&until=2020-01-02");
    await owner.reads("No row matches.");
    await owner.look("audit-none-found", EXTREMES);
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    await owner.go("/audit");
    await owner.fill({ "From (UTC)": "2020-01-01", "Before (UTC)": tomorrow });
    await owner.page.getByRole("button", { name: "Show", exact: true }).click();
    await owner.page.waitForURL(/until=/);
    check((await owner.rows()).length > 5, "the dates of today leave too few rows");
  });
  await steps.step("the chain is whole", async () => {
    await owner.go("/audit");
    await owner.page.getByRole("link", { name: "Check the chain" }).click();
    await owner.titled("The audit chain");
    await owner.reads("rows is whole", "Newest hash");
    await owner.look("audit-verify");
  });
}
