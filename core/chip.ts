/** What a chip is to the machine that holds it, and the wires between chips. */

/** A wire that carries a level: an interrupt line, A20, reset. Idempotent: driving the level it already has is nothing new. */
export type Wire = (level: boolean) => void;

/** A plain, structured-cloneable object: numbers, strings, booleans, null, arrays, `Uint8Array`s and objects of these. */
export type State = { [key: string]: StateValue };
/** One value inside a {@linkcode State}. */
export type StateValue = number | string | boolean | null | Uint8Array | StateValue[] | State;

/** What every chip, board part and processor offers to the machine. */
export interface Chip {
  /** Unique within a machine, lower case: `i8259`, `ide0`. It names the chip in snapshots and traces. */
  readonly name: string;
  /** Puts the chip in the state of a hardware reset, and drives its output wires accordingly. */
  reset(): void;
  /** A deep copy of all state that a guest could ever notice: registers, queues, deadlines. */
  snapshot(): State;
  /**
   * Takes over a state made by {@linkcode Chip.snapshot} and drives the output wires again.
   *
   * @throws {StateError} when a key is unknown, missing, of another type or out of bounds. The chip is then unchanged.
   */
  restore(state: State): void;
}

/** A snapshot that does not fit the chip it was given to. */
export class StateError extends Error {
  /**
   * Makes the error.
   *
   * @param problem what does not fit, in words that follow the chip's name
   */
  constructor(chip: string, problem: string) {
    super(`cannot restore ${chip}: ${problem}`);
    this.name = "StateError";
  }
}

/** Deep-copies a state. */
export function copyState<T extends StateValue>(value: T): T {
  return structuredClone(value);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (value instanceof Uint8Array) return "bytes";
  return typeof value;
}

/**
 * Checks that `state` has exactly the keys of `like`, recursively, and values of the same kinds;
 * a `null` in either place is compatible with a number. Arrays may differ in length, byte arrays may not.
 * Bounds are the chip's own business.
 *
 * @throws {StateError} naming the offending key.
 */
export function checkState(
  chip: string,
  state: StateValue,
  like: StateValue,
  path = "state",
): void {
  const kind = kindOf(state), wanted = kindOf(like);
  if (kind !== wanted) {
    const nullable = (kind === "null" && wanted === "number") ||
      (kind === "number" && wanted === "null");
    if (!nullable) throw new StateError(chip, `${path} is ${kind}, expected ${wanted}`);
    return;
  }
  if (kind === "number" && !Number.isFinite(state)) {
    throw new StateError(chip, `${path} is ${state}, expected a finite number`);
  }
  if (kind === "bytes" && (state as Uint8Array).length !== (like as Uint8Array).length) {
    throw new StateError(
      chip,
      `${path} has ${(state as Uint8Array).length} bytes, expected ${(like as Uint8Array).length}`,
    );
  }
  if (kind !== "object") return;
  const have = state as State, want = like as State;
  for (const key of Object.keys(want)) {
    if (!Object.hasOwn(have, key)) throw new StateError(chip, `${path}.${key} is missing`);
    checkState(chip, have[key], want[key], `${path}.${key}`);
  }
  for (const key of Object.keys(have)) {
    if (!Object.hasOwn(want, key)) throw new StateError(chip, `${path}.${key} is unknown`);
  }
}
