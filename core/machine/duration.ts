/** Durations as scripts write them. */

/**
 * A length of time: a number of milliseconds, or a number with its unit, such as `"250ms"`, `"5s"`,
 * `"1.5min"`. Units are `ns`, `us`, `ms`, `s`, `min` and `h`.
 */
export type Duration = number | `${number}${"ns" | "us" | "ms" | "s" | "min" | "h"}`;

const UNITS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  min: 60e9,
  h: 3600e9,
};

/**
 * The duration in whole nanoseconds.
 *
 * @throws {RangeError} when it is no duration, is negative, or exceeds 100 days
 */
export function nanoseconds(duration: Duration): number {
  let ns: number;
  if (typeof duration === "number") ns = duration * 1e6;
  else {
    const parts = /^\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*(ns|us|ms|s|min|h)\s*$/.exec(`${duration}`);
    ns = parts === null ? NaN : Number(parts[1]) * UNITS[parts[2]];
  }
  if (!(ns >= 0 && ns <= 100 * 24 * UNITS.h)) {
    throw new RangeError(
      `${
        JSON.stringify(duration)
      } is not a duration: give milliseconds as a number, or text such as ` +
        `"250ms", "5s" or "2min", from 0 to 100 days`,
    );
  }
  return Math.round(ns);
}

/** Writes nanoseconds in the largest unit that leaves at least one whole. */
export function formatNanoseconds(ns: number): string {
  const [unit, size] = ns >= 1e9
    ? ["s", 1e9]
    : ns >= 1e6
    ? ["ms", 1e6]
    : ns >= 1e3
    ? ["us", 1e3]
    : ["ns", 1];
  return `${Number((ns / (size as number)).toFixed(6))} ${unit}`;
}
