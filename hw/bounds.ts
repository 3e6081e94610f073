/** What a chip's `restore` asks of the numbers in a snapshot. */
import { checkState, copyState, type State, StateError, type StateValue } from "../core/chip.ts";

/** Bounds of one value: integers from 0 to a maximum, a range, one of some strings, or bounds within. */
export type Bound =
  | number
  | { readonly min?: number; readonly max: number; readonly nullable?: boolean }
  | { readonly items: Bound; readonly most: number; readonly least?: number }
  | { readonly keys: Bounds };

/** Bounds of the numbers and arrays in a state, by key. Booleans, strings and byte arrays need none. */
export type Bounds = { readonly [key: string]: Bound };

/** Any virtual time or count of ticks. */
export const ANY_TIME: Bound = { max: Number.MAX_SAFE_INTEGER };
/** A virtual time or count of ticks, or null. */
export const ANY_TIME_OR_NULL: Bound = { max: Number.MAX_SAFE_INTEGER, nullable: true };

function checkValue(chip: string, value: StateValue, bound: Bound, path: string): void {
  if (typeof bound === "object" && "keys" in bound) {
    checkKeys(chip, value, bound.keys, path);
    return;
  }
  if (typeof bound === "object" && "items" in bound) {
    const { items, most, least = 0 } = bound;
    if (!Array.isArray(value) || value.length > most || value.length < least) {
      throw new StateError(chip, `${path} is not an array of ${least} to ${most} items`);
    }
    value.forEach((item, i) => checkValue(chip, item, items, `${path}[${i}]`));
    return;
  }
  const { min = 0, max, nullable = false } = typeof bound === "number" ? { max: bound } : bound;
  if (value === null && nullable) return;
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    throw new StateError(chip, `${path} is ${value}, expected an integer from ${min} to ${max}`);
  }
}

function checkKeys(chip: string, state: StateValue, bounds: Bounds, path: string): void {
  // Items of arrays get here without having been compared with anything.
  if (
    state === null || typeof state !== "object" || Array.isArray(state) ||
    state instanceof Uint8Array
  ) throw new StateError(chip, `${path} is not an object`);
  for (const key of Object.keys(bounds)) {
    if (!Object.hasOwn(state, key)) throw new StateError(chip, `${path}.${key} is missing`);
  }
  for (const key of Object.keys(state)) {
    const value = state[key];
    if (!Object.hasOwn(bounds, key)) {
      const bounded = typeof value === "number" || value === null || Array.isArray(value) ||
        (typeof value === "object" && !(value instanceof Uint8Array));
      if (bounded) throw new StateError(chip, `${path}.${key} is unknown or has no bounds`);
      continue;
    }
    checkValue(chip, value, bounds[key], `${path}.${key}`);
  }
}

/**
 * Checks a snapshot's keys and kinds against `like`, its numbers against `bounds`, and returns a deep copy.
 *
 * @throws {StateError} when anything is unknown, missing, of another kind or out of bounds
 */
export function checkedState<T extends State>(
  chip: string,
  state: State,
  like: T,
  bounds: Bounds,
): T {
  checkState(chip, state, like);
  checkKeys(chip, state, bounds, "state");
  return copyState(state) as T;
}
