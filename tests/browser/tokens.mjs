// Registration tokens: shown once with a QR code, used by a real client, revoked and given back.
import { EXTREMES } from "./browser.mjs";
import { check, equal } from "./steps.mjs";
import { plain } from "./console.mjs";

export async function tokens(steps, owner) {
  steps.area = "tokens";
  const { domain } = owner;
  let token;
  let id;

  await steps.step("a token is made, and shown once with a QR code and the command that uses it", async () => {
    await owner.go("/tokens");
    const part = owner.part("Make a token");
    await owner.fill({ "How many accounts": "2", "Valid for": "1 day", "What it is for (only admins see it)": "for <i>carol</i>" }, part);
    await owner.send("Make it", part);
    await owner.titled("A registration token");
    token = plain(await owner.page.locator("#secret").textContent());
    const message = plain(await owner.page.locator("#message").textContent());
    check(message.includes(token) && message.includes(domain.client), `ready to send: ${message}`);
    equal(await owner.page.getByRole("img", { name: "The same as a QR code" }).evaluate((code) => code.tagName.toLowerCase()), "svg", "the QR code");
    await owner.look("token-once");
    await owner.page.getByRole("link", { name: "Go back" }).click();
    await owner.titled("Registration tokens");
    await owner.readsNot(token);
    const [row] = await owner.rows();
    check(row.State === "Open" && row.Completed === "0 / 2" && row.Token.includes("for <i>carol</i>"), JSON.stringify(row));
    id = /tok_\w+/.exec(row.Token)[0];
    await owner.look("tokens");
  });
  await steps.step("the token that was shown makes an account", async () => {
    await domain.person("carol", token);
    await owner.go("/tokens");
    equal((await owner.rows()).find((row) => row.Token.includes(id)).Completed, "1 / 2", "completed uses");
  });
  await steps.step("a revoked token makes none", async () => {
    await owner.send(`Revoke the token ${id}`);
    await owner.said("The token is revoked");
    const refused = await domain.person("dave", token).then(() => "", (error) => error.message);
    check(refused.includes("token"), `dave was refused with: ${refused}`);
    await owner.go("/tokens?state=revoked");
    check((await owner.rows()).some((row) => row.Token.includes(id)), "the filter does not find the revoked token");
    await owner.look("tokens-revoked", EXTREMES);
  });
  await steps.step("given back, it works again, until it is used up", async () => {
    await owner.send(`Give back the token ${id}`);
    await owner.said("The token works again");
    await domain.person("dave", token);
    await owner.go("/tokens?state=used-up");
    check((await owner.rows()).some((row) => row.Token.includes(id)), "the token is not used up");
  });
}
