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
      ["tokens", "/tokens"], ["admins", "/admins"], ["settings", "/settings"], ["health", "/health"], ["audit", "/audit"],
      ["transparency", "/transparency"]]) {
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
