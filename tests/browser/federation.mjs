// Two consoles make two domains peers; messages cross, a block holds them back, and lifting it lets them flow.
import { EXTREMES } from "./browser.mjs";
import { check, equal, eventually } from "./steps.mjs";
import { plain } from "./console.mjs";

export async function federation(steps, alpha, beta, { alice, bob }) {
  steps.area = "federation";
  const there = `/federation/show?domain=${beta.domain.name}`;
  let token;

  await steps.step("one console makes a peering token for the other domain", async () => {
    await alpha.go("/federation");
    const part = alpha.part("Invite a domain");
    await alpha.fill({ "Only this domain may use it": beta.domain.name }, part);
    await alpha.send("Make the token", part);
    await alpha.titled("A peering token");
    token = plain(await alpha.page.locator("#secret").textContent());
    await alpha.look("invite-once");
  });
  await steps.step("a token that was damaged on the way is refused, and can be corrected in place", async () => {
    await beta.go("/federation");
    const part = beta.part("Accept an invite");
    await beta.fill({ "Peering token": `${token.slice(0, -4)}AAAA` }, part);
    await beta.send("Accept", part, 400);
    await beta.reads("Correct it");
    await beta.look("error-400", EXTREMES);
  });
  await steps.step("the other console accepts it, pasted", async () => {
    await beta.go("/federation");
    const part = beta.part("Accept an invite");
    await beta.fill({ "Peering token": token }, part);
    await beta.send("Accept", part);
    await beta.said(`Peering with ${alpha.domain.name} is set up`);
    for (const [console, peer] of [[alpha, beta], [beta, alpha]]) {
      await console.go("/federation");
      await console.becomes(`${peer.domain.name} is healthy`, (text) => text.includes("Healthy") && text.includes(peer.domain.name));
    }
    await alpha.look("federation");
  }, { needed: true });
  await steps.step("the peer's page shows its pin, which is the one that the other domain says", async () => {
    await alpha.go(there);
    await alpha.titled(beta.domain.name);
    await alpha.reads("The link is up", "Key exchange");
    await alpha.look("peer");
  });
  await steps.step("a probe passes every step and says what the peer thinks of us", async () => {
    await alpha.go(there);
    await alpha.page.getByRole("link", { name: "Probe this peer" }).click();
    await alpha.titled("nothing is wrong");
    const rows = await alpha.rows();
    equal(rows.length, 8, "steps");
    check(rows.every((row) => row.Result === "Passed" && /^\d+$/.test(row["Time (ms)"])), JSON.stringify(rows));
    await alpha.reads("What the peer says about this domain");
    await alpha.look("probe");
  });
  await steps.step("a peer that moved is given its new address, and one that is wrong shows in the probe", async () => {
    await alpha.go(there);
    const address = await alpha.page.locator("dl.facts dd").first().textContent();
    const move = async (to) => {
      await alpha.go(there);
      const part = alpha.part("Where it is dialled");
      await alpha.fill({ "HOST:PORT of its federation listener": to }, part);
      await alpha.send("Change the address", part);
      await alpha.said(`${beta.domain.name} is dialled elsewhere from now on`);
    };
    await move(alpha.domain.client);
    await alpha.go(`/federation/probe?domain=${beta.domain.name}`);
    await alpha.titled("something is wrong");
    await alpha.reads("doesn't speak", "What to do", "Skipped");
    await alpha.look("probe-failed", EXTREMES);
    await move(plain(address));
  });
  await steps.step("messages cross, both ways", async () => {
    await alice.says(bob.address, "hello beta");
    check((await bob.hears(30)).includes("hello beta"), "bob did not hear alice");
    await bob.says(alice.address, "hello alpha");
    check((await alice.hears(30)).includes("hello alpha"), "alice did not hear bob");
  });
  await steps.step("a pause lets messages wait, and its page says what waits; resumed, they flow", async () => {
    await alpha.go(there);
    const part = alpha.part("Let its queue wait");
    await alpha.fill({ Reason: "beta moves tonight" }, part);
    await alpha.send("Pause", part);
    await alpha.said(`The queue for ${beta.domain.name} waits`);
    await alpha.reads("nothing goes out, nothing is lost");
    await alice.says(bob.address, "after the move");
    await alpha.page.getByRole("link", { name: "What waits" }).click();
    await alpha.titled("What waits");
    equal((await alpha.rows()).length, 1, "streams that wait");
    await alpha.look("queue");
    await alpha.go(there);
    await alpha.send("Resume", alpha.part("Let its queue go on"));
    await alpha.said(`The queue for ${beta.domain.name} goes on`);
    await eventually("bob hears what waited", async () => (await bob.hears(2)).includes("after the move"), 30_000);
    await alpha.go("/federation/dead-letters");
    await alpha.reads("No dead letters");
    await alpha.look("dead-letters");
  });
  await steps.step("a block with a reason holds them back", async () => {
    await alpha.go(there);
    const part = alpha.part("Block this domain");
    await alpha.fill({ "Reason (the other domain reads it)": "a flood of <script>spam</script>" }, part);
    await alpha.send("Block", part);
    await alpha.said(`Blocked: ${beta.domain.name}`);
    await alpha.reads("Blocked", "a flood of <script>spam</script>", "nothing is sent or accepted");
    await alpha.look("peer-blocked");
    const refused = await alice.qpq("send", bob.address, "is anybody there");
    equal(refused.status, 1, "exit status of the sender");
    check(refused.stderr.includes(beta.domain.name), `alice was refused with: ${refused.stderr}`);
    await alpha.go(`/federation/would-allow?domain=${beta.domain.name}`);
    await alpha.reads(`${beta.domain.name}: no`);
    await alpha.look("would-allow", EXTREMES);
    await alpha.go("/bans?kind=domain");
    equal((await alpha.rows()).length, 1, "blocked domains");
  });
  await steps.step("the other console tells that its peer refuses, as soon as there is something to send", async () => {
    await bob.qpq("send", alice.address, "do you still hear me");
    await beta.go(`/federation/show?domain=${alpha.domain.name}`);
    await beta.becomes("the peer refuses", (text) => text.includes("Refused") && text.includes("Somebody has to act"), 30_000);
    await beta.look("peer-refused", EXTREMES);
  });
  await steps.step("lifted, they flow again", async () => {
    await alpha.go(there);
    await alpha.send("Lift it", alpha.part("Lift the block"));
    await alpha.said(`The block of ${beta.domain.name} is lifted`);
    await alpha.becomes("the peer is healthy", (text) => text.includes("Healthy"), 30_000);
    await alice.says(bob.address, "back again");
    await eventually("bob hears alice", async () => (await bob.hears(2)).includes("back again"), 30_000);
    await eventually("alice hears what waited", async () => (await alice.hears(2)).includes("do you still hear me"), 40_000);
  });
  await steps.step("the policy closes the door, and opens it", async () => {
    for (const policy of ["Nobody", "Peers only"]) {
      await alpha.go("/federation");
      const part = alpha.part("Policy");
      await alpha.fill({ "Who is let in": policy }, part);
      await alpha.send("Change", part);
      await alpha.reads(`Who is let in: ${policy}`);
    }
  });
}
