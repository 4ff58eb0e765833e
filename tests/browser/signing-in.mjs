// Setting up an account and signing in with password and one-time codes; the same with JavaScript and without.
import { EXTREMES } from "./browser.mjs";
import { check, equal } from "./steps.mjs";
import { plain } from "./console.mjs";
import { App } from "./totp.mjs";

export const PASSWORD = "several plain words in a row";

// From the page behind a setup link to the recovery codes. Answers with the authenticator app, and keeps the codes.
export async function setsUpPassword(admin, { name, look }) {
  const part = admin.part("With password and codes");
  if (name) await admin.fill({ "Your name here": name }, part);
  await admin.send("Use a password and codes", part);
  await admin.titled("Password and codes");
  equal(await admin.page.getByRole("img", { name: "QR code for the authenticator app" }).count(), 1, "QR codes");
  const secret = plain(await admin.page.locator("#totp-secret").textContent());
  if (look) await admin.look(`${look}-password`);

  // A mistake in typing keeps the secret that was scanned already.
  const app = new App(secret);
  await admin.fill({ "New password": PASSWORD, "The code that the app shows now": "000000" });
  const wrong = await admin.send("Save", admin.page, 401);
  check(wrong.status() === 401, "a wrong code was taken");
  equal(plain(await admin.page.locator("#totp-secret").textContent()), secret, "the secret after a wrong code");
  if (look) await admin.look(`${look}-password-wrong-code`, EXTREMES);

  await admin.fill({ "New password": PASSWORD, "The code that the app shows now": await app.code() });
  await admin.send("Save");
  await admin.titled("Recovery codes");
  admin.codes = (await admin.page.locator("#codes li").allTextContents()).map(plain);
  equal(admin.codes.length, 10, "number of recovery codes");
  await admin.page.getByRole("button", { name: "I have kept them" }).click();
  await admin.titled("Overview");
  return app;
}

export async function signsIn(admin, { name, password = PASSWORD, code, status }) {
  await admin.fill({ Name: name, Password: password, Code: code }, admin.part("With password and code"));
  return admin.send("Sign in", admin.part("With password and code"), status);
}

export async function signsOut(admin) {
  await admin.send("Sign out");
  await admin.titled("Sign in");
  await admin.said("You are signed out.");
}
