/** What was measured: rows of times, and the arithmetic on them. */
import type { Clock, Peer } from "./guest.ts";

/** The groups of rows, in the order of the tables. */
export const GROUPS = {
  boot: "Linux to the shell's first line",
  "kernels-32": "Bare-metal kernels, 32-bit",
  "kernels-64": "Bare-metal kernels, 64-bit",
  "shell-i386": "Shell work in Linux i386",
  "shell-amd64": "Shell work in Linux amd64",
} as const;

/** One of {@linkcode GROUPS}. */
export type Group = keyof typeof GROUPS;

/** The same work in several emulators. */
export interface Row {
  group: Group;
  name: string;
  /** Seconds of each run. */
  seconds: { [peer in Peer]?: number[] };
  /** Why an emulator has no times. */
  failed: { [peer in Peer]?: string };
}

/** Under which circumstances rows were measured. */
export interface Circumstances {
  /** ISO 8601. */
  date: string;
  commit: string;
  deno: string;
  v8: string;
  /** The host's processor, and how many. */
  processor: string;
  cpus: number;
  /** The host's load averages over one minute, before and after. */
  load: [number, number];
  /** compy's engine. */
  accel: string;
  clock: Clock;
  /** Versions of the others. */
  versions: { [peer in Peer]?: string };
}

/** One run of the benchmarks. */
export interface Result {
  circumstances: Circumstances;
  rows: Row[];
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values to take the median of");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The geometric mean of positive values. */
export function geometricMean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values to take the mean of");
  if (values.some((value) => !(value > 0))) throw new RangeError("the values must be positive");
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** The median time of one emulator; undefined where it has none. */
export function timeOf(row: Row, peer: Peer): number | undefined {
  const seconds = row.seconds[peer];
  return seconds === undefined || seconds.length === 0 ? undefined : median(seconds);
}

/** How many times as fast as `peer` compy is, by the medians; undefined where one of them has no time. */
export function speed(row: Row, peer: Peer): number | undefined {
  const ours = timeOf(row, "compy"), theirs = timeOf(row, peer);
  return ours === undefined || theirs === undefined ? undefined : theirs / ours;
}

/** The geometric mean of compy's speeds in units of `peer`'s; undefined where there is none. */
export function meanSpeed(rows: readonly Row[], peer: Peer): number | undefined {
  const speeds = rows.map((row) => speed(row, peer)).filter((value) => value !== undefined);
  return speeds.length === 0 ? undefined : geometricMean(speeds);
}

/** The rows of each group that has any, in the order of {@linkcode GROUPS}. */
export function grouped(rows: readonly Row[]): { group: Group; rows: Row[] }[] {
  return (Object.keys(GROUPS) as Group[])
    .map((group) => ({ group, rows: rows.filter((row) => row.group === group) }))
    .filter(({ rows }) => rows.length > 0);
}
