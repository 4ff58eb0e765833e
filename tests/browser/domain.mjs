// One real homeserver as a child process, and its people: made, started, asked on the command line, stopped.
import { execFile, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

// However the walk ends, nothing that it started stays behind.
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
function started(program, args, options) {
  const child = spawn(program, args, options);
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

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
    await writeFile(secretFile(place), "a secret of this run\n", { mode: 0o600 });
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
    this.process = started(this.program("qpq-server"), ["--data-dir", this.data, "serve"], { stdio: ["ignore", "pipe", "pipe"] });
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

  // A verb of the command line; its JSON. Exit code 3 says that `doctor` found something.
  async admin(...verb) {
    const args = ["--data-dir", this.data, "--json", ...verb];
    const { stdout } = await run(this.program("qpq-server"), args, { maxBuffer: 64 << 20, timeout: 60_000 }).catch((error) => {
      if (verb[0] === "doctor" && error.code === 3) return error;
      throw error;
    });
    return JSON.parse(stdout);
  }

  // The one-time link of the first run, as the process printed it.
  setupLink() {
    const link = /http:\/\/localhost:\d+\/setup\/\S+/.exec(this.output);
    if (!link) throw new Error(`no setup link in:\n${this.output}`);
    return link[0];
  }

  // Registers a person with a home of their own.
  async person(name, token) {
    const home = join(this.place, `${name}.${this.name}`);
    const person = new Person(this, name, home);
    const given = token ?? (await this.admin("token", "create")).token;
    await person.entered("register", "--registration-token", given);
    return person;
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    await ended;
  }
}

// The password of all accounts, and the passphrase of all stores.
const secretFile = (place) => join(place, "secret");

export class Person {
  constructor(domain, name, home) {
    Object.assign(this, { domain, name, home, address: `${name}@${domain.name}` });
  }

  // Runs `qpq`; resolves to {status, stdout, stderr}.
  async qpq(...verb) {
    const file = secretFile(this.domain.place);
    const args = ["--home", this.home, "--passphrase-file", file, ...verb];
    try {
      return { status: 0, ...(await run(this.domain.program("qpq"), args, { timeout: 60_000 })) };
    } catch (error) {
      if (typeof error.code !== "number") throw error;
      return { status: error.code, stdout: error.stdout, stderr: error.stderr };
    }
  }

  // Registers, or logs in: with everything that the homeserver wants to hear.
  async enters(verb, ...more) {
    const { client_pin: pin } = await this.domain.admin("info");
    return this.qpq(verb, this.address, "--server", this.domain.client, "--pin", pin,
      "--password-file", secretFile(this.domain.place), ...more);
  }

  async entered(verb, ...more) {
    const { status, stderr } = await this.enters(verb, ...more);
    if (status !== 0) throw new Error(`${this.address} could not ${verb}: ${stderr}`);
  }

  logsIn() {
    return this.enters("login");
  }

  // The same person on another device.
  elsewhere() {
    return new Person(this.domain, this.name, `${this.home}.elsewhere`);
  }

  async says(to, text) {
    const { status, stderr } = await this.qpq("send", to, text);
    if (status !== 0) throw new Error(`${this.address} could not write to ${to}: ${stderr}`);
  }

  // What comes within these seconds, or at once.
  async hears(seconds) {
    const { status, stdout, stderr } = await this.qpq("recv", "--wait", String(seconds));
    if (status !== 0) throw new Error(`${this.address} could not receive: ${stderr}`);
    return stdout;
  }

  // Starts `qpq recv` and resolves when it ends, with what it said and when: how a live session hears that it was cut.
  listens(seconds) {
    const child = started(this.domain.program("qpq"),
      ["--home", this.home, "--passphrase-file", secretFile(this.domain.place), "recv", "--wait", String(seconds)]);
    let [said, heard] = ["", 0];
    const hear = (bytes) => {
      heard ||= Date.now();
      said += bytes;
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    const ended = new Promise((resolve) => child.once("close", (status) => resolve({ status, said, heard })));
    return { child, ended };
  }
}
