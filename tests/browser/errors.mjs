// What is no page: each has a fitting status, a sentence, a way on, the request's id.
import { createServer } from "node:http";
import { EXTREMES } from "./browser.mjs";
import { check, equal } from "./steps.mjs";

async function tells(admin, title, name) {
  await admin.titled(title);
  await admin.reads("Request");
  check(await admin.page.locator("main a.button").count() > 0, "no way on");
  if (name) await admin.look(name, EXTREMES);
}

export async function errors(steps, owner, { alice }) {
  steps.area = "errors";
  const unharmed = async () => {
    await owner.go(`/users/show?address=${encodeURIComponent(alice.address)}`);
    await owner.reads("Ban this user");
  };

  await steps.step("an address that leads nowhere", async () => {
    await owner.go("/no/such/page", 404);
    await tells(owner, "There is nothing here", "error-404");
    await owner.go("/users/show?address=nobody@alpha.test", 404);
    await tells(owner, "There is nothing here");
    await owner.go("/users/..%2f..%2fetc/passwd", 404);
  });
  await steps.step("an address that only takes forms", async () => {
    await owner.go("/users/ban", 405);
    await tells(owner, "This address only takes forms", "error-405");
  });
  await steps.step("an oversized form", async () => {
    await owner.go("/users");
    await owner.forge("/users/ban", { addresses: alice.address, reason: "x".repeat(70_000) }, 413);
    await tells(owner, "That is too long", "error-413");
    await unharmed();
  });
  await steps.step("a form with another session's token", async () => {
    await owner.go("/users");
    await owner.page.evaluate(() => { for (const token of document.querySelectorAll("input[name=_token]")) token.value = "0".repeat(64); });
    await owner.forge("/users/ban", { addresses: alice.address, reason: "because" }, 403);
    await tells(owner, "This page has been open for too long", "error-token");
    await unharmed();
  });
  await steps.step("a form from another site in the same browser", async () => {
    await owner.go("/users");
    const token = await owner.page.locator("input[name=_token]").first().inputValue();
    const body = `<!doctype html><html lang="en"><title>Elsewhere</title><form method="post" action="${owner.domain.origin}/users/ban">
      <input name="_token" value="${token}"><input name="addresses" value="${alice.address}"><input name="reason" value="because">
      <button>Go</button></form>`;
    const headers = { "content-type": "text/html", "content-security-policy": "default-src 'none'" };
    const elsewhere = createServer((_, response) => response.writeHead(200, headers).end(body));
    await new Promise((resolve) => elsewhere.listen(0, "localhost", resolve));
    try {
      await owner.page.goto(`http://localhost:${elsewhere.address().port}/`);
      owner.watched.expected.add(403).add(404);
      const sent = owner.page.waitForResponse((response) => response.request().method() === "POST");
      await Promise.all([sent, owner.page.getByRole("button", { name: "Go" }).click()]);
      equal((await sent).status(), 403, "status");
      await owner.titled("This form didn’t come from this console");
      await owner.look("error-cross-site", EXTREMES);
      await unharmed();
    } finally {
      elsewhere.close();
      elsewhere.closeAllConnections();
    }
  });
  await steps.step("a setup link that never was", async () => {
    await owner.go(`/setup/${"A".repeat(43)}`, 410);
    await tells(owner, "This link is used up");
  });
}
