/** QEMU's `value,key=value,…` syntax: a doubled comma is a comma, a key alone is `key=on`. */
import { didYouMean } from "../../core/text.ts";

/** A command line that cannot be understood; the message names the option. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Splits at single commas. */
export function splitCommas(text: string): string[] {
  const parts = [""];
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== ",") parts[parts.length - 1] += text[i];
    else if (text[i + 1] === ",") {
      parts[parts.length - 1] += ",";
      i++;
    } else parts.push("");
  }
  return parts;
}

/** The suboptions of one option, taken one by one; what nobody took is an error. */
export class Suboptions {
  private readonly values = new Map<string, string>();

  /**
   * @param option as the user wrote it, for messages
   * @param implied the key of a first value that is given without one
   */
  constructor(readonly option: string, text: string, implied?: string) {
    for (const [index, part] of splitCommas(text).entries()) {
      const equals = part.indexOf("=");
      if (part === "" && text !== "") throw this.error("empty suboption");
      if (equals < 0 && index === 0 && implied !== undefined) this.values.set(implied, part);
      else if (equals < 0) this.values.set(part, "on");
      else if (equals === 0) throw this.error(`"${part}" has no key before "="`);
      else this.values.set(part.slice(0, equals), part.slice(equals + 1));
    }
  }

  /** An error that names the option. */
  error(problem: string): UsageError {
    return new UsageError(`${this.option}: ${problem}`);
  }

  /** Takes the value of a key. */
  take(key: string): string | undefined {
    const value = this.values.get(key);
    this.values.delete(key);
    return value;
  }

  /** Takes a value that must be one of `choices`. */
  takeChoice<T extends string>(key: string, choices: readonly T[]): T | undefined {
    const value = this.take(key);
    if (value === undefined) return undefined;
    return choice(this.option, `${key} `, value, choices);
  }

  /** Takes a boolean: `on`, `off` and what else QEMU understands. */
  takeBoolean(key: string): boolean | undefined {
    const value = this.take(key);
    if (value === undefined) return undefined;
    if (/^(on|yes|true|y)$/.test(value)) return true;
    if (/^(off|no|false|n)$/.test(value)) return false;
    throw this.error(`${key} is on or off, not "${value}"`);
  }

  /** Takes a whole number, decimal or with `0x`. */
  takeNumber(key: string, least: number, most: number): number | undefined {
    const value = this.take(key);
    return value === undefined ? undefined : number(this.option, key, value, least, most);
  }

  /** What is left, in order. */
  takeRest(): [string, string][] {
    const rest = [...this.values];
    this.values.clear();
    return rest;
  }

  /** Checks that nothing is left. @param known keys to suggest */
  finish(known: readonly string[]): void {
    for (const key of this.values.keys()) {
      throw this.error(`unknown suboption "${key}"${didYouMean(key, known)}`);
    }
  }
}

/** Checks that a value is one of those allowed. */
export function choice<T extends string>(
  option: string,
  what: string,
  value: string,
  choices: readonly T[],
): T {
  const found = choices.find((c) => c === value);
  if (found !== undefined) return found;
  const list = choices.length > 8 ? "" : `; there is ${choices.join(", ")}`;
  throw new UsageError(
    `${option}: unknown ${what}"${value}"${didYouMean(value, choices)}${list}`,
  );
}

/** Reads a whole number, decimal or with `0x`, within bounds. */
export function number(
  option: string,
  what: string,
  value: string,
  least: number,
  most: number,
): number {
  const n = /^(\d+|0x[0-9a-f]+)$/i.test(value) ? Number(value) : NaN;
  if (!(n >= least && n <= most)) {
    throw new UsageError(
      `${option}: ${what} is a whole number from ${least} to ${most}, not "${value}"`,
    );
  }
  return n;
}

/** Reads a size with QEMU's suffixes, in bytes. A number alone is in units of `unit` bytes. */
export function size(option: string, value: string, unit: number): number {
  const match = /^(\d+(?:\.\d+)?)([bkmgt]?)$/i.exec(value);
  if (match === null) {
    throw new UsageError(`${option}: "${value}" is no size (like 128, 512M or 1G)`);
  }
  const suffix = match[2].toLowerCase();
  const factor = suffix === "" ? unit : 1024 ** "bkmgt".indexOf(suffix);
  return Math.floor(Number(match[1]) * factor);
}
