// Somebody at a console: goes to pages, fills forms by their labels, presses buttons by their names, reads what is said.
import { check, equal, eventually } from "./steps.mjs";

export class Console {
  constructor(watched, domain) {
    Object.assign(this, { watched, domain, page: watched.page });
  }

  // Goes to a page by its address.
  async go(path, status = 200) {
    if (status >= 400) this.watched.expected.add(status);
    const response = await this.page.goto(this.domain.origin + path);
    equal(response.status(), status, `status of ${path}`);
    return response;
  }

  // The part of the page under a heading.
  part(heading) {
    return this.page.locator("section, article").filter({ has: this.page.getByRole("heading", { name: named(heading) }) }).last();
  }

  // Fills fields by their labels, in the page or a part of it.
  async fill(fields, where = this.page) {
    for (const [label, value] of Object.entries(fields)) {
      const field = where.getByLabel(named(label));
      const kind = await field.evaluate((element) => element.tagName === "SELECT" ? "select" : element.type);
      if (kind === "select") await field.selectOption({ label: value });
      else if (kind === "checkbox") await field.check();
      else await field.fill(value);
    }
  }

  // Presses a button that sends a form; answers with what came back for it.
  async send(button, where = this.page, status = undefined) {
    if (status >= 400) this.watched.expected.add(status);
    const sent = this.page.waitForResponse((response) => response.request().method() === "POST" && response.request().isNavigationRequest());
    const [response] = await Promise.all([sent, where.getByRole("button", { name: named(button) }).click()]);
    if (status !== undefined) equal(response.status(), status, `status of ${new URL(response.url()).pathname}`);
    else check(response.status() < 400, `${response.url()} was answered with ${response.status()}`);
    await this.page.waitForLoadState("load");
    return response;
  }

  // What the page says has happened.
  async said(words) {
    const said = await this.page.locator(".said").textContent();
    check(plain(said).includes(words), `the page says "${plain(said)}", not "${words}"`);
  }

  async heading() {
    return plain(await this.page.getByRole("heading", { level: 1 }).textContent());
  }

  async titled(words) {
    await eventually(`the heading "${words}"`, async () => (await this.heading()).includes(words), 10_000)
      .catch(async () => equal(await this.heading(), words, `the heading of ${this.page.url()}`));
  }

  // All that is to be read on the page.
  async text() {
    return plain(await this.page.locator("body").innerText());
  }

  async reads(...words) {
    const text = await this.text();
    for (const word of words) check(text.includes(word), `${this.page.url()} does not read "${word}": ${text.slice(0, 1_500)}`);
  }

  async readsNot(...words) {
    const text = await this.text();
    for (const word of words) check(!text.includes(word), `${this.page.url()} reads "${word}"`);
  }

  // Loads the page again until it reads so, without anybody doing something.
  becomes(what, holds, within) {
    return eventually(what, async () => {
      await this.page.reload();
      return holds(await this.text());
    }, within);
  }

  // A table as rows of {column: text}, by the names in its head.
  rows() {
    return this.page.locator("table").first().evaluate((table) => {
      const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
      const row = (cells) => Object.fromEntries(cells.map((cell, place) => [names[place], cell.textContent.replace(/\s+/g, " ").trim()]));
      return [...table.querySelectorAll("tbody tr")].map((line) => row([...line.children]));
    });
  }

  // Sends a form that no page of ours has, from the page as it is, with its token. The browser goes where it leads.
  async forge(path, fields, status) {
    this.watched.expected.add(status);
    const answered = this.page.waitForResponse((response) => response.request().method() === "POST");
    await this.page.evaluate(({ path, fields }) => {
      const form = Object.assign(document.createElement("form"), { method: "post", action: path });
      const token = document.querySelector("input[name=_token]").value;
      for (const [name, value] of Object.entries({ _token: token, _back: "/users", ...fields })) {
        form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
      }
      document.body.append(form);
      form.submit();
    }, { path, fields });
    const response = await answered;
    await this.page.waitForLoadState("load");
    equal(response.status(), status, `status of ${path}`);
    return response;
  }

  look(name, ways) {
    return this.watched.look(name, ways);
  }
}

// A whole text as a label or name has it, whatever marks and spaces stand between its words.
export const named = (text) => {
  const between = "[\\s\\u2066-\\u2069]";
  const words = text.split(" ").map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${between}*${words.join(`${between}+`)}${between}*$`);
};

// Marks of writing direction and odd spaces are not what a step is about.
export const plain = (text) => (text ?? "").replaceAll(/[\u2066-\u2069]/g, "").replaceAll(/[\s\u202f\u00a0]+/g, " ").trim();
