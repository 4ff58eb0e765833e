// Other admins: added by a link, held to their role, limited at the door, removed by their typed name.
import { EXTREMES } from "./browser.mjs";
import { check, equal } from "./steps.mjs";
import { Console, plain } from "./console.mjs";
import { setsUpPassword, signsIn } from "./signing-in.mjs";

export async function admins(steps, owner, { alice }) {
  steps.area = "admins";
  const vera = new Console(await steps.open({}), owner.domain);
  let link;

  await steps.step("an auditor is added by a link that is shown once", async () => {
    await owner.go("/admins");
    const part = owner.part("Add an admin");
    await owner.fill({ Name: "vera", Role: "Auditor" }, part);
    await owner.send("Add", part);
    await owner.titled("A setup link");
    link = plain(await owner.page.locator("#secret").textContent());
    await owner.reads("vera", "Valid until");
    await owner.look("admin-added");
  });
  await steps.step("she sets up password and codes, and sees what she may read", async () => {
    await vera.page.goto(link);
    await vera.reads("You were added as an admin", "vera", "Auditor");
    await vera.look("setup-added", EXTREMES);
    vera.app = await setsUpPassword(vera, { look: "setup" });
    await vera.reads("vera", "Auditor");
    await vera.look("auditor-overview");
  }, { needed: true });
  await steps.step("nothing that she reads offers a change", async () => {
    const own = /^\/(sign-out|language|account)/;
    for (const [name, path] of [["users", "/users"], ["user", `/users/show?address=${alice.address}`], ["federation", "/federation"],
      ["tokens", "/tokens"], ["admins", "/admins"], ["settings", "/settings"], ["health", "/health"], ["audit", "/audit"]]) {
      await vera.go(path);
      const forms = await vera.page.locator("form[method=post]").evaluateAll((all) => all.map((form) => new URL(form.action).pathname));
      const changing = forms.filter((action) => !own.test(action));
      equal(changing, [], `forms that change something on ${path}`);
      if (["user", "federation", "settings"].includes(name)) await vera.look(`auditor-${name}`, EXTREMES);
    }
  });
  await steps.step("a form that she sends all the same is refused, and nothing happens", async () => {
    await vera.go("/users");
    await vera.forge("/users/ban", { addresses: alice.address, reason: "because" }, 403);
    await vera.titled("Your role doesn’t allow this");
    await vera.reads("Request");
    await vera.look("error-403-role");
    await owner.go("/bans");
    await owner.readsNot(alice.address);
  });
  await steps.step("as an operator she may ban, and still not change settings", async () => {
    await owner.go("/admins");
    const part = owner.part("vera Auditor");
    await part.locator("summary").click();
    await owner.fill({ Role: "Operator" }, part);
    await owner.look("admins");
    await owner.send("Change the role", part);
    await owner.said("The role of vera has changed");
    await vera.go(`/users/show?address=${alice.address}`);
    await vera.reads("Operator", "Ban this user");
    await vera.forge("/settings/set", { key: "drain.deadline", value: "1s" }, 403);
    await vera.titled("Your role doesn’t allow this");
  });
  await steps.step("the fourth wrong password is refused for a while, and her open session goes on", async () => {
    const stranger = new Console(await steps.open({}), owner.domain);
    await stranger.go("/sign-in");
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await signsIn(stranger, { name: "vera", password: "not the password", code: "123456", status: 401 });
      await stranger.reads("Name, password or code is wrong");
    }
    await stranger.look("sign-in-wrong");
    const limited = await signsIn(stranger, { name: "vera", password: "not the password", code: "123456", status: 429 });
    check(Number((await limited.allHeaders())["retry-after"]) > 0, "no Retry-After");
    await stranger.reads("Too many attempts", "Try again in");
    await stranger.look("error-429", EXTREMES);
    await steps.close(stranger.watched);
    await vera.go("/users");
    await vera.titled("Users");
  });
  await steps.step("sessions of all admins are listed", async () => {
    await owner.go("/admins/sessions");
    const names = (await owner.rows()).map((row) => row.Name);
    check(names.includes("olga") && names.includes("vera"), `sessions of ${names}`);
    await owner.look("admin-sessions");
  });
  await steps.step("removing her wants her name typed, and ends her session", async () => {
    await owner.go("/admins");
    const part = owner.part("vera Operator");
    await part.locator("summary").click();
    await owner.fill({ "Type vera to confirm": "verena" }, part);
    await owner.send("Remove", part, 400);
    await owner.reads("nothing was done");
    await owner.look("error-typed", EXTREMES);
    await owner.fill({ "Type the name to confirm": "vera" });
    await owner.send("Try again");
    await owner.said("vera is no longer an admin");
    await owner.readsNot("Change vera");
    await vera.go("/users");
    await vera.titled("Sign in");
  });
  await steps.step("the last owner can't remove herself", async () => {
    await owner.go("/admins");
    const part = owner.part("olga Owner You");
    await part.locator("summary").click();
    await owner.fill({ "Type olga to confirm": "olga" }, part);
    await owner.send("Remove", part, 403);
    await owner.titled("That isn’t allowed");
    await owner.look("error-403");
    await owner.go("/users");
  });
  await steps.close(vera.watched);
}

// One's own account, at the end of the walk.
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
    await owner.go("/account");
    await owner.send("Sign out");
    await owner.said("You are signed out.");
    await owner.look("signed-out", EXTREMES);
    owner.watched.expected.add(401).add(403);
    const [answer] = await Promise.all([
      other.waitForResponse((response) => response.request().method() === "POST"),
      other.getByRole("button", { name: "Make it", exact: true }).click(),
    ]);
    check([401, 403].includes(answer.status()), `the old form was answered with ${answer.status()}`);
    await other.close();
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
