// The authenticator app: one-time codes from the secret that a page shows (RFC 6238, SHA-1, six digits, 30 seconds).
import { createHmac } from "node:crypto";
import { eventually } from "./steps.mjs";

const STEP = 30_000;

function bytes(base32) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = "";
  for (const letter of base32.toUpperCase().replaceAll(/[^A-Z2-7]/g, "")) bits += letters.indexOf(letter).toString(2).padStart(5, "0");
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

export function code(secret, step) {
  const moment = Buffer.alloc(8);
  moment.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", bytes(secret)).update(moment).digest();
  const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

// Each step's code works once, and one step of tolerance is granted either way: the next unused one is given.
export class App {
  constructor(secret) {
    Object.assign(this, { secret, used: 0 });
  }

  async code() {
    const step = await eventually("a code that was not used yet", () => {
      const now = Math.floor(Date.now() / STEP);
      const next = Math.max(this.used + 1, now);
      return next <= now + 1 ? next : undefined;
    }, 2 * STEP);
    this.used = step;
    return code(this.secret, step);
  }
}
