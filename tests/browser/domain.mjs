// One real homeserver as a child process, and its people: made, started, asked on the command line, stopped.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

// A port that is free for TCP on both loopback addresses at this moment.
async function freeTcpPort() {
  for (;;) {
    const port = await new Promise((resolve, reject) => {
      const listener = createServer();
      listener.once("error", reject);
      listener.listen(0, "127.0.0.1", () => {
        const { port } = listener.address();
        listener.close(() => resolve(port));
      });
    });
    const alsoSix = await new Promise((resolve) => {
      const listener = createServer();
      listener.once("error", () => resolve(false));
      listener.listen(port, "::1", () => listener.close(() => resolve(true)));
    });
    if (alsoSix) return port;
  }
}

function freeUdpPort() {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.once("error", reject);
    socket.bind(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

export class Domain {
  // Makes and starts a homeserver for `name` in `place` with the programs in `programs`.
  static async start(programs, place, name) {
    const domain = new Domain();
    Object.assign(domain, { programs, place, name, data: join(place, name), people: 0 });
    const [client, peer, admin] = [await freeUdpPort(), await freeUdpPort(), await freeTcpPort()];
    domain.client = `127.0.0.1:${client}`;
    domain.origin = `http://localhost:${admin}`;
    await run(domain.program("qpq-server"), [
      "--data-dir", domain.data, "init", "--domain", name,
      "--client-listen", domain.client, "--federation-listen", `127.0.0.1:${peer}`, "--admin-listen", `127.0.0.1:${admin}`,
    ]);
    await domain.serve();
    return domain;
  }

  program(name) {
    return join(this.programs, name);
  }

  // Starts the process and waits until it is ready; its standard output is kept, for it holds the setup link.
  async serve() {
    this.output = "";
    this.log = "";
    this.process = spawn(this.program("qpq-server"), ["--data-dir", this.data, "serve"], { stdio: ["ignore", "pipe", "pipe"] });
    this.process.stdout.on("data", (bytes) => { this.output += bytes; });
    this.process.stderr.on("data", (bytes) => { this.log += bytes; });
    const deadline = Date.now() + 30_000;
    for (;;) {
      try {
        if ((await fetch(`${this.origin}/readyz`)).ok) return;
      } catch {
        // Not listening yet.
      }
      if (this.process.exitCode !== null || Date.now() > deadline) throw new Error(`${this.name} did not start:\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  // A verb of the command line; its JSON.
  async admin(...verb) {
    const { stdout } = await run(this.program("qpq-server"), ["--data-dir", this.data, "--json", ...verb], { maxBuffer: 64 << 20 });
    return JSON.parse(stdout);
  }

  // The one-time link of the first run, as the process printed it.
  setupLink() {
    const link = /http:\/\/localhost:\d+\/setup\/\S+/.exec(this.output);
    if (!link) throw new Error(`no setup link in:\n${this.output}`);
    return link[0];
  }

  // Registers a person with a home of their own.
  async person(name) {
    const home = join(this.place, `${name}.${this.name}`);
    const { client_pin: pin } = await this.admin("info");
    const { token } = await this.admin("token", "create");
    const person = new Person(this, name, home);
    await person.qpq("register", `${name}@${this.name}`, "--server", this.client, "--pin", pin,
      "--password-file", await secretFile(this.place), "--registration-token", token);
    return person;
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    await ended;
  }
}

async function secretFile(place) {
  const path = join(place, "secret");
  await writeFile(path, "a secret of this run\n", { mode: 0o600 });
  return path;
}

export class Person {
  constructor(domain, name, home) {
    Object.assign(this, { domain, name, home, address: `${name}@${domain.name}` });
  }

  // Runs `qpq`; resolves to {status, stdout, stderr}.
  async qpq(...verb) {
    const file = await secretFile(this.domain.place);
    const args = ["--home", this.home, "--passphrase-file", file, ...verb];
    try {
      return { status: 0, ...(await run(this.domain.program("qpq"), args)) };
    } catch (error) {
      if (typeof error.code !== "number") throw error;
      if (verb[0] === "register") throw new Error(error.stderr);
      return { status: error.code, stdout: error.stdout, stderr: error.stderr };
    }
  }

  // Starts `qpq recv` and resolves when it ends, with what it said: how a live session hears that it was cut.
  listens(seconds) {
    const child = spawn(this.domain.program("qpq"),
      ["--home", this.home, "--passphrase-file", join(this.domain.place, "secret"), "recv", "--wait", String(seconds)]);
    let said = "";
    child.stdout.on("data", (bytes) => { said += bytes; });
    child.stderr.on("data", (bytes) => { said += bytes; });
    const ended = new Promise((resolve) => child.once("exit", (status) => resolve({ status, said, at: Date.now() })));
    return { child, ended };
  }
}

export { mkdtemp, readFile };
