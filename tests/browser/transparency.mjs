// The key-transparency log: how it stands, its newest checkpoint, an entry by its number, whether all of it is what was signed.
import { EXTREMES } from "./browser.mjs";
import { equal } from "./steps.mjs";

export async function transparency(steps, owner) {
  steps.area = "transparency";
  const { domain } = owner;
  const keys = async () => (await owner.rows()).map((row) => row["Public key"]);
  let status;
  await steps.step("the log stands as the command line says, and a peer cosigns it", async () => {
    await owner.go("/");
    await owner.page.getByRole("link", { name: "Transparency", exact: true }).click();
    await owner.titled("Transparency");
    status = await domain.admin("log", "status");
    await owner.reads(status.origin, status.key, status.root, "By peers", "all of them must cosign");
    await owner.reads(...status.config.witnesses);
    equal(await keys(), status.config.keys.map(({ key }) => key), "the domain's keys");
    await owner.look("transparency");
  });
  await steps.step("its witnesses have a page, and so has evidence against logs", async () => {
    await owner.page.getByRole("link", { name: "Witnesses", exact: true }).click();
    await owner.titled("Witnesses");
    const { witnesses } = await domain.admin("log", "witness", "list");
    await owner.reads(...witnesses.map(({ name }) => name));
    await owner.look("transparency-witnesses");
    await owner.go("/transparency");
    await owner.page.getByRole("link", { name: "Evidence", exact: true }).click();
    await owner.titled("Evidence");
    await owner.reads("No log was caught with two histories.");
    await owner.look("transparency-evidence");
    await owner.go("/transparency");
  });
  await steps.step("the newest checkpoint is there to be copied", async () => {
    await owner.page.getByRole("link", { name: "Newest checkpoint" }).click();
    await owner.titled("Newest checkpoint");
    const { note } = await domain.admin("log", "head");
    equal(await owner.page.locator("#note").textContent(), note, "the note");
    await owner.look("transparency-checkpoint", EXTREMES);
  });
  await steps.step("an entry is shown by its number, and the first one says what the domain's keys are", async () => {
    await owner.go("/transparency");
    await owner.fill({ "Entry (from 0)": "0" });
    await owner.page.getByRole("button", { name: "Show the entry", exact: true }).click();
    await owner.page.waitForURL(/entry\?index=0$/);
    await owner.titled("An entry of the log");
    const { leaf, config } = await domain.admin("log", "entry", "0");
    await owner.reads("CONFIG", leaf);
    equal(await keys(), config.keys.map(({ key }) => key), "the keys of the first entry");
    await owner.look("transparency-entry", EXTREMES);
    await owner.go(`/transparency/entry?index=${status.size + 1_000_000}`, 404);
    await owner.reads("the log has no entry");
  });
  await steps.step("the whole log is what was signed", async () => {
    await owner.go("/transparency");
    await owner.page.getByRole("link", { name: "Check the whole log" }).click();
    await owner.titled("The whole log");
    await owner.reads("is what was signed", "Entries that were read");
    await owner.look("transparency-verify");
  });
}
