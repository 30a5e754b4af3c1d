// An authenticator app: time-based one-time passwords (RFC 6238, SHA-1, six digits, 30 s).

import { createHmac } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const STEP = 30_000;

export class App {
  #key;
  #last = -Infinity;

  /// From the secret in base32, as a person would type it in.
  constructor(secret) {
    const bits = [...secret.replaceAll(/[\s=]/g, "").toUpperCase()].map((digit) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(digit).toString(2).padStart(5, "0")).join("");
    this.#key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  }

  /// A code that was not used yet and is valid now: registries accept clocks that are one step off,
  /// so three codes at a time. Waits for the next one only if all of them were used.
  async next() {
    const now = () => Math.floor(Date.now() / STEP);
    const step = Math.max(this.#last + 1, now() - 1);
    // Near its end, the oldest step might be over before the code arrives.
    const safe = step === now() - 1 && Date.now() % STEP > STEP - 5_000 ? step + 1 : step;
    while (safe > now() + 1) await pause(200);
    this.#last = safe;
    return this.#code(safe);
  }

  /// The most recently returned code.
  again() {
    return this.#code(this.#last);
  }

  /// Six digits that are not a valid code in these minutes.
  wrong() {
    const now = Math.floor(Date.now() / STEP);
    const right = [-3, -2, -1, 0, 1, 2, 3].map((steps) => this.#code(now + steps));
    return ["000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777"].find((code) => !right.includes(code));
  }

  #code(step) {
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(step));
    const digest = createHmac("sha1", this.#key).update(counter).digest();
    const offset = digest[19] & 15;
    return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
  }
}
