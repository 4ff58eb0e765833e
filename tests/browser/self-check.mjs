// Plants what the watch is there to notice, one by one, on pages of a small server of its own. A watch that misses one of
// them would make every later "nothing found" worthless.
import { createServer } from "node:http";
import { check } from "./steps.mjs";
import { code } from "./totp.mjs";

const POLICY = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'";
const page = (body) => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Planted</title></head><body><main><h1>Planted</h1>
<p>Words.</p>${body}</main></body></html>`;

const PLANTED = [
  ["nothing", { path: "/sound" }, []],
  ["text that is hard to read", {
    path: "/sound",
    plant: () => {
      const words = document.createElement("p");
      words.textContent = "hardly to be read";
      words.style.setProperty("color", "#cccccc");
      words.style.setProperty("background-color", "#ffffff");
      document.querySelector("main").append(words);
    },
  }, [/^axe, .*color-contrast/]],
  ["a field without a label", {
    path: "/sound",
    plant: () => document.querySelector("main").append(document.createElement("input")),
  }, [/^axe, .*label/]],
  ["an image of another host", { path: "/foreign-image" }, [/^policy: .*image/i, /^foreign host: /]],
  ["an image of another host that no policy holds back", { path: "/no-policy" }, [/^no policy: /, /^foreign host: http:\/\/127\.0\.0\.1/]],
  ["a script in the page", { path: "/inline-script" }, [/^policy: .*script/i]],
  ["a script that fails", { path: "/sound", plant: () => { setTimeout(() => { throw new Error("planted"); }, 0); } }, [/^script: planted/]],
  ["a resource that is missing", { path: "/missing-image" }, [/^console: .*404/]],
  ["a text that was left behind", {
    path: "/sound",
    plant: () => document.querySelector("main").append(Object.assign(document.createElement("p"), { textContent: "users-none-found" })),
  }, [/reads "users-none-found"/]],
  ["a page that is too wide", {
    path: "/sound",
    plant: () => document.querySelector("main").style.setProperty("inline-size", "1500px"),
  }, [/px wider than a window of 360 px/]],
];

function serve() {
  const server = createServer((request, response) => {
    const other = `http://127.0.0.1:${server.address().port}/image.svg`;
    const bodies = {
      "/sound": page(""),
      "/foreign-image": page(`<img src="${other}" alt="planted">`),
      "/no-policy": page(`<img src="${other}" alt="planted">`),
      "/inline-script": page("<script>globalThis.planted = true;</script>"),
      "/noscript": page('<noscript><img src="/image.svg"></noscript>'),
      "/missing-image": page('<img src="/missing.svg" alt="planted">'),
    };
    const headers = { "content-type": "text/html; charset=utf-8" };
    if (request.url !== "/no-policy") headers["content-security-policy"] = POLICY;
    const body = bodies[request.url];
    if (request.url === "/favicon.ico" || request.url === "/image.svg") response.writeHead(204).end();
    else response.writeHead(body ? 200 : 404, headers).end(body ?? "");
  });
  return new Promise((resolve) => server.listen(0, "localhost", () => resolve(server)));
}

export async function selfCheck(steps) {
  steps.area = "self-check";
  const server = await serve();
  const watched = await steps.open({});
  try {
    for (const [what, { path, plant }, expected] of PLANTED) {
      await steps.step(`${what} is noticed, and nothing else`, async () => {
        await watched.page.goto(`http://localhost:${server.address().port}${path}`, { waitUntil: "load" });
        if (plant) await watched.page.evaluate(plant);
        await watched.look("self-check", [["dark", 360]]);
        const found = watched.noticed();
        for (const pattern of expected) check(found.some((one) => pattern.test(one)), `${pattern} is not in ${JSON.stringify(found)}`);
        const other = found.filter((one) => !expected.some((pattern) => pattern.test(one)));
        check(other.length === 0, `also noticed: ${JSON.stringify(other)}`);
      });
    }
    await steps.step("a page without scripts is judged like one with them", async () => {
      const without = await steps.open({ script: false });
      await without.page.goto(`http://localhost:${server.address().port}/noscript`);
      await without.look("self-check-noscript", [["dark", 360]]);
      const found = without.noticed();
      check(found.length === 1 && /^axe, .*image-alt/.test(found[0]), `noticed: ${JSON.stringify(found)}`);
      await steps.close(without);
    });
    await steps.step("one-time codes are those of RFC 6238", () => {
      const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
      for (const [seconds, expected] of [[59, "287082"], [1111111109, "081804"], [20000000000, "353130"]]) {
        check(code(secret, Math.floor(seconds / 30)) === expected, `at ${seconds} s the code is ${code(secret, Math.floor(seconds / 30))}`);
      }
      return Promise.resolve();
    });
  } finally {
    await steps.close(watched);
    server.close();
    server.closeAllConnections();
  }
}
