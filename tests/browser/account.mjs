// One's own account: proofs, a password beside the passkey, new recovery codes, signing out and in again.
import { EXTREMES } from "./browser.mjs";
import { Console, plain } from "./console.mjs";
import { check, equal } from "./steps.mjs";

export async function account(steps, owner) {
  steps.area = "account";
  await steps.step("a fresh proof is given before it is asked for, and the session gets another id", async () => {
    const session = async () => (await owner.watched.context.cookies()).find(({ name }) => name === "__Host-quicproquo").value;
    const before = await session();
    await owner.go("/prove?back=/account");
    await owner.look("prove");
    await owner.send("Confirm with a passkey");
    await owner.said("Confirmed.");
    check(await session() !== before, "the session kept its id");
  });
  await steps.step("the account gets a password beside the passkey, and new recovery codes", async () => {
    await owner.send("Set a password");
    await owner.titled("Password and codes");
    await owner.look("account-password", EXTREMES);
    await owner.go("/account");
    await owner.send("Make new codes");
    const codes = (await owner.page.locator("#codes li").allTextContents()).map(plain);
    equal(codes.filter((code) => owner.codes.map(plain).includes(code)), [], "old codes among the new ones");
    owner.codes = codes;
  });
  await steps.step("signed out, old pages and forms lead to the door; the passkey opens it", async () => {
    const other = await owner.watched.context.newPage();
    await other.goto(`${owner.domain.origin}/tokens`);
    // A page in the background is drawn when the browser finds time, and a picture of it waits for that.
    await owner.page.bringToFront();
    await owner.go("/account");
    await owner.send("Sign out");
    await owner.said("You are signed out.");
    await owner.look("signed-out", EXTREMES);
    owner.watched.expected.add(401).add(403);
    // A click waits for the page to be drawn, too.
    await other.bringToFront();
    const [answer] = await Promise.all([
      other.waitForResponse((response) => response.request().method() === "POST"),
      other.getByRole("button", { name: "Make it", exact: true }).click(),
    ]);
    check([401, 403].includes(answer.status()), `the old form was answered with ${answer.status()}`);
    await other.close();
    await owner.page.bringToFront();
    await owner.go("/users");
    await owner.titled("Sign in");
    await owner.send("Sign in with a passkey");
    await owner.titled("Users");
  });
  await steps.step("a recovery code opens it once where the passkey is missing", async () => {
    const without = new Console(await steps.open({}), owner.domain);
    for (const [attempt, status] of [["first", 303], ["second", 401]]) {
      await without.go("/sign-in");
      await without.page.getByText("Lost your passkey, and there is no password?").click();
      const part = without.page.locator("details");
      await without.fill({ Name: "olga", "Recovery code": owner.codes[0] }, part);
      const answer = await without.send("Sign in with a recovery code", part, status);
      equal(answer.status(), status, `status of the ${attempt} use`);
      if (status === 303) await without.send("Sign out");
    }
    await without.look("recovery-refused", EXTREMES);
    await steps.close(without.watched);
  });
}
