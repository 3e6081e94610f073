/** Runs fuzzed programs on several engines; finds where they part, and makes what fails smaller. */
import { disassemble } from "../../../core/debug/disassemble.ts";
import { Prng } from "../../vectors/prng.ts";
import { Engines } from "./engines.ts";
import type { Image } from "./kernel.ts";
import { makeProgram } from "./program.ts";

/** A program in which engines differ. */
export interface Failure {
  /** Counts of instructions: where all were alike last, and where they no longer were. */
  alike: number;
  apart: number;
  /** How they differ. */
  differences: string;
}

/** A guest to run, where to compare, and the engines that are compared with the interpreter. */
export interface Trial {
  image: Image;
  counts: readonly number[];
  names: readonly string[];
  /** Bytes that the host writes when a count is reached, by count: address and value. */
  writes?: ReadonlyMap<number, readonly [number, number]>;
}

/** What a seed stands for, without some of its pieces. */
export function trialOf(seed: number, without?: ReadonlySet<number>): Trial {
  // Translation at first sight takes most of the time, and makes a region wherever a stop happens to be.
  const [names, counts] = seed % 4 === 0
    ? [["eager", "hot"], stops(seed, 12_000, LENGTH)]
    : seed % 4 === 1
    ? [["warm"], stops(seed, 30_000, 2 * LENGTH)]
    : [["hot"], stops(seed, 6_000, LENGTH)];
  const { image, constants } = makeProgram(seed, without), rng = new Prng(seed ^ 0xd3a);
  const writes = new Map<number, readonly [number, number]>();
  for (const count of constants.length > 0 && rng.chance(40) ? counts : []) {
    if (rng.chance(5)) writes.set(count, [rng.pick(constants), rng.next() & 0xff]);
  }
  return { image, counts, names, writes };
}

/** Instructions of one program. */
const LENGTH = 60_000;

/** The counts of instructions at which the engines of a program are compared: odd ones, near and far. */
function stops(seed: number, far: number, length: number): number[] {
  const rng = new Prng(seed ^ 0x0dd), counts: number[] = [];
  for (let at = 0; at < length;) {
    const kind = rng.below(10);
    at += 1 + rng.below(kind < 4 ? 40 : kind < 8 ? 500 : far);
    counts.push(Math.min(at, length));
  }
  return counts;
}

/** Counts of instructions between two comparisons of memory. */
const MEMORY_STOPS = 8;

/** Runs a program from its start; undefined if the engines stay alike. What they throw is a failure too. */
export function runTrial(
  engines: Engines,
  { image, counts, names, writes }: Trial,
): Failure | undefined {
  let alike = 0;
  try {
    engines.start(image, names);
    for (const [i, count] of counts.entries()) {
      const memory = i % MEMORY_STOPS === 0 || i === counts.length - 1;
      const differences = engines.advance(count, memory);
      if (differences !== "") return { alike, apart: count, differences };
      alike = count;
      const write = writes?.get(count);
      if (write !== undefined) engines.write(...write);
      if (engines.over || engines.count < count) break;
    }
    const differences = engines.compareAll();
    return differences === "" ? undefined : { alike, apart: alike, differences };
  } catch (error) {
    const differences = error instanceof Error ? error.stack ?? error.message : `${error}`;
    return { alike, apart: alike, differences };
  }
}

/** Finds the fewest instructions after which the engines of a failing program differ. */
export function narrow(engines: Engines, trial: Trial, failure: Failure): Failure {
  const before = trial.counts.filter((count) => count <= failure.alike);
  let { alike, apart, differences } = failure;
  while (apart - alike > 1) {
    const middle = (alike + apart) >> 1;
    const found = runTrial(engines, { ...trial, counts: [...before, middle] });
    if (found === undefined) alike = middle;
    else ({ apart, differences } = found);
    if (found !== undefined && found.apart < middle) break;
  }
  return { alike, apart, differences };
}

/** What the reference executed around a count of instructions. */
export function listing(engines: Engines, trial: Trial, count: number): string {
  const counts = [...trial.counts.filter((earlier) => earlier < count), count];
  runTrial(engines, { ...trial, counts, names: [] });
  return engines.reference.recent(24).map(({ linear, bytes, bits, ip }) =>
    `  ${(linear >>> 0).toString(16).padStart(8, "0")}  ${
      [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(30)
    } ${disassemble({ bytes, bits, ip })}`
  ).join("\n");
}

/** Leaves out pieces of a failing program as long as it still fails. */
export function minimise(
  engines: Engines,
  seed: number,
  without: ReadonlySet<number>,
  deadline: number,
): Set<number> {
  let left = new Set(without);
  const fails = (without: ReadonlySet<number>): boolean => {
    try {
      return runTrial(engines, trialOf(seed, without)) !== undefined;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  };
  for (let again = true; again;) {
    again = false;
    const ids = makeProgram(seed, left).pieces.map(({ id }) => id).filter((id) => !left.has(id));
    for (
      let size = Math.ceil(ids.length / 2);
      size >= 1;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < ids.length; at += size) {
        if (performance.now() > deadline) return left;
        const some = ids.slice(at, at + size).filter((id) => !left.has(id));
        if (some.length === 0) continue;
        const fewer = new Set([...left, ...some]);
        if (!fails(fewer)) continue;
        left = fewer;
        again = true;
      }
    }
  }
  return left;
}

/** Programs run on one set of boards; then fresh ones take over. */
const PER_BOARDS = 100;

/** Runs the programs of consecutive seeds. */
export class Fuzzer {
  programs = 0;
  instructions = 0;
  /** Seeds whose programs came to an end early. */
  ended = 0;
  compiled = 0;
  entered = 0;
  private engines: Engines | undefined;
  private since = 0;

  /** Runs the program of a seed. */
  async run(seed: number): Promise<Failure | undefined> {
    if (this.since++ % PER_BOARDS === 0) await this.renew();
    const engines = this.engines!, trial = trialOf(seed), failure = runTrial(engines, trial);
    this.programs++;
    this.instructions += engines.count;
    if (engines.count < trial.counts.at(-1)!) this.ended++;
    if (failure !== undefined) this.since = 0;
    return failure;
  }

  private async renew(): Promise<void> {
    await this.dispose();
    this.engines = await Engines.create();
  }

  async dispose(): Promise<void> {
    if (this.engines === undefined) return;
    for (const { translation } of this.engines.translators) {
      this.compiled += translation.compiled;
      this.entered += translation.entered;
    }
    await this.engines.dispose();
    this.engines = undefined;
  }
}
