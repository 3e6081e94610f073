/** Checks of what a script passes, for callers that no type checker has looked at. */
import { didYouMean } from "../text.ts";

/** An option of a machine that is wrong. The message names it and what would be right. */
export class OptionError extends TypeError {
  /**
   * Makes the error.
   *
   * @param problem what is wrong and what would be right
   */
  constructor(
    /** The option's name. */
    readonly option: string,
    problem: string,
  ) {
    super(`${option}: ${problem}`);
    this.name = "OptionError";
  }
}

/** A value as messages show it. */
export function shown(value: unknown): string {
  if (typeof value === "bigint" || typeof value === "symbol") return String(value);
  if (typeof value === "function") return "a function";
  return JSON.stringify(value) ?? String(value);
}

/** What kinds of values there are, and what to say of them. */
const KINDS = {
  text: { holds: (value: unknown) => typeof value === "string", about: "give text" },
  boolean: { holds: (value: unknown) => typeof value === "boolean", about: "give true or false" },
  list: { holds: (value: unknown) => Array.isArray(value), about: "give an array" },
  object: {
    holds: (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value),
    about: "give an object",
  },
  function: { holds: (value: unknown) => typeof value === "function", about: "give a function" },
  date: {
    holds: (value: unknown) => value instanceof Date && !Number.isNaN(value.getTime()),
    about: "give a valid Date",
  },
  number: {
    holds: (value: unknown) => Number.isInteger(value) && value as number >= 0,
    about: "give a whole number from 0 on",
  },
} as const;

/** The kind of a value: `any` is checked elsewhere. */
export type Kind = keyof typeof KINDS | "any";

/**
 * Checks that an object has none but known properties, and each of its kind.
 *
 * @param what the object, in words that follow "option of"
 * @throws {OptionError}
 */
export function checkOptions(what: string, given: unknown, known: Record<string, Kind>): void {
  if (!KINDS.object.holds(given)) {
    throw new OptionError(what, `${shown(given)} is no set of options: ${KINDS.object.about}`);
  }
  for (const [name, value] of Object.entries(given as object)) {
    if (!Object.hasOwn(known, name)) {
      throw new OptionError(
        name,
        `there is no such option of ${what}${didYouMean(name, Object.keys(known))}; ` +
          `the options are ${Object.keys(known).join(", ")}`,
      );
    }
    const kind = known[name];
    if (kind === "any" || value === undefined || KINDS[kind].holds(value)) continue;
    throw new OptionError(name, `${shown(value)} will not do: ${KINDS[kind].about}`);
  }
}

/**
 * Checks that a value, if given, is one of several.
 *
 * @throws {OptionError}
 */
export function checkChoice(option: string, given: unknown, choices: readonly string[]): void {
  if (given === undefined || choices.includes(given as string)) return;
  throw new OptionError(
    option,
    `${shown(given)} is none of ${choices.join(", ")}${didYouMean(String(given), choices)}`,
  );
}
