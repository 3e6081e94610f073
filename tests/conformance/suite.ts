/**
 * What every chip must do whatever its datasheet says: reset to its initial state, survive every access,
 * keep its invariants under seeded fuzz, and be restored from a snapshot so that nobody can tell.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { AccessSize, RegisterAccess } from "../../core/bus/port_map.ts";
import {
  type Chip,
  copyState,
  type State,
  StateError,
  type StateValue,
  type Wire,
} from "../../core/chip.ts";
import { type Alarm, VirtualClock } from "../../core/machine/clock.ts";
import { Random } from "./random.ts";

/** A clock that notices an alarm which sets itself for the present again and again. */
class BenchClock extends VirtualClock {
  private firedAt = -1;
  private fired = 0;

  override createAlarm(name: string, fire: () => void): Alarm {
    return super.createAlarm(name, () => {
      if (this.now() !== this.firedAt) this.fired = 0;
      this.firedAt = this.now();
      if (++this.fired > 10_000) throw new Error(`alarm ${name} fires without end`);
      fire();
    });
  }

  /** Moves time; `exact` stops at the alarms on the way (at most 64), as a machine does. */
  advance(ns: number, exact: boolean): void {
    const end = this.now() + ns;
    for (let i = 0; exact && i < 64 && this.next <= end; i++) {
      this.skipTo(this.next);
      this.fireDue();
    }
    this.skipTo(end);
    this.fireDue();
  }
}

/** What a chip on the test bench is joined to. */
export class Bench {
  readonly clock = new BenchClock(0);
  /** Memory that bus masters may be given: 1 MiB. */
  readonly memory: Uint8Array<ArrayBuffer> = new Uint8Array(1 << 20);
  /** Levels of the wires, as last driven. */
  readonly levels = new Map<string, boolean>();
  /** Everything that left the chip, while recording. */
  readonly log: string[] = [];
  recording = false;
  /** Calls that left the chip. */
  calls = 0;

  constructor(startNs = 0) {
    this.clock.skipTo(startNs);
  }

  /** A wire whose level is watched. */
  wire(name: string): Wire {
    return (level) => {
      assert(typeof level === "boolean", `${name} is driven to ${level}`);
      this.levels.set(name, level);
      this.note(name, level);
    };
  }

  /** Takes what a chip gives away: a byte sent, an event. */
  sink(name: string): (value?: number) => void {
    return (value) => {
      assert(value === undefined || Number.isFinite(value), `${name} is given ${value}`);
      this.note(name, value);
    };
  }

  private note(name: string, value: unknown): void {
    this.calls++;
    if (this.recording) this.log.push(`${this.clock.now()} ${name} ${value}`);
  }
}

/** Registers to be exercised. */
export interface Space {
  name: string;
  access: RegisterAccess;
  /** Offsets 0 to `count` - 1. */
  count: number;
  /** Widths that the chip takes. Default `[1]`. */
  sizes?: readonly AccessSize[];
}

/** One or more chips that are joined on a bench. */
export interface Subject {
  /** Snapshots are taken and restored in this order. */
  chips: readonly Chip[];
  spaces: readonly Space[];
  /** What may happen to the chip from elsewhere: lines, host input, the bus. A number that an event returns is compared. */
  events?: readonly ((random: Random) => void | number)[];
  /** Throws when something is wrong. Called now and then during fuzz. */
  invariants?: () => void;
  /** Awaited after every operation, for chips that finish their work asynchronously. */
  settle?: () => Promise<void>;
}

/** How a chip joins the suite. */
export interface ConformanceOptions {
  name: string;
  /** Makes the chip from scratch. Must not depend on anything but the bench. */
  create(bench: Bench): Subject | Promise<Subject>;
  /** State that a reset leaves alone, as paths: `cmos`, `master.lines`. With several chips, of all of them. */
  persistent?: readonly string[];
  /** Operations of the fuzz loop. Default 100,000. */
  operations?: number;
}

const snapshots = (s: Subject): State[] => s.chips.map((chip) => copyState(chip.snapshot()));

function restoreAll(s: Subject, states: readonly State[]): void {
  s.chips.forEach((chip, i) => chip.restore(copyState(states[i])));
}

/** One seeded operation: an access, an event or the passage of time. Returns what it answered. */
function operate(bench: Bench, subject: Subject, random: Random): number {
  const { spaces, events = [] } = subject;
  const kind = random.int(16);
  if (kind === 0 || (kind < 3 && spaces.length === 0)) {
    bench.clock.advance(random.int(2 ** (1 + random.int(28))), random.bool());
    return 0;
  }
  if ((kind < 4 || spaces.length === 0) && events.length > 0) {
    const answer = random.pick(events)(random);
    if (answer === undefined) return 0;
    assert(Number.isFinite(answer), `an event answers ${answer}`);
    return answer;
  }
  if (spaces.length === 0) return 0;
  const space = random.pick(spaces);
  const size = random.pick<AccessSize>(space.sizes ?? [1]);
  const slots = Math.max(1, space.count - size + 1);
  const offset = random.int(slots);
  if (random.bool()) {
    const value = size === 4 ? random.next() : random.int(size === 2 ? 0x10000 : 0x100);
    space.access.write(offset, size, random.oneIn(3) ? (value & random.next()) >>> 0 : value);
    return 0;
  }
  return readChecked(space, offset, size);
}

function readChecked(space: Space, offset: number, size: AccessSize): number {
  const value = space.access.read(offset, size);
  assert(
    Number.isInteger(value) && value >= 0 && value <= 0xffffffff,
    `${space.name} offset ${offset} size ${size} reads as ${value}`,
  );
  return value;
}

async function traffic(
  bench: Bench,
  subject: Subject,
  random: Random,
  operations: number,
): Promise<number[]> {
  const answers: number[] = [];
  for (let i = 0; i < operations; i++) {
    answers.push(operate(bench, subject, random));
    if (subject.settle) await subject.settle();
  }
  return answers;
}

type Path = readonly (string | number)[];

/** Paths to every value in a state; of long arrays only the first items. */
function* paths(value: StateValue, at: Path = []): Generator<Path> {
  if (at.length > 0) yield at;
  if (Array.isArray(value)) {
    for (let i = 0; i < Math.min(2, value.length); i++) yield* paths(value[i], [...at, i]);
  } else if (value !== null && typeof value === "object" && !(value instanceof Uint8Array)) {
    for (const key of Object.keys(value)) yield* paths(value[key], [...at, key]);
  }
}

// deno-lint-ignore no-explicit-any
type Loose = any;

function parentOf(state: State, path: Path): Loose {
  let at: Loose = state;
  for (const key of path.slice(0, -1)) at = at[key];
  return at;
}

function without(state: State, persistent: readonly string[]): State {
  const copy = copyState(state);
  for (const name of persistent) {
    const path = name.split(".");
    const parent = path.slice(0, -1).reduce((at: Loose, key) => at?.[key], copy);
    if (parent !== undefined) delete parent[path.at(-1)!];
  }
  return copy;
}

/** Values that may not stand where `value` stands. */
function wrongValues(value: StateValue): StateValue[] {
  if (value === null) return ["x", true, 2 ** 60, -(2 ** 60), 0.5];
  switch (typeof value) {
    case "number":
      return ["x", NaN, Infinity, value + 0.5, 2 ** 60, -(2 ** 60)];
    case "boolean":
      return [1, "true"];
    case "string":
      return [1];
  }
  if (value instanceof Uint8Array) return [new Uint8Array(value.length + 1), []];
  if (Array.isArray(value)) {
    return ["x", {}, Array.from({ length: 100_000 }, () => value[0] ?? 0)];
  }
  return ["x", [], null];
}

/** Registers the tests that `options` describes. */
export function conformance(options: ConformanceOptions): void {
  const { name, create, persistent = [], operations = 100_000 } = options;
  const test = (sentence: string, run: () => Promise<void>) =>
    Deno.test(`${name} ${sentence}`, run);

  test("resets to its initial state", async () => {
    const bench = new Bench();
    const subject = await create(bench);
    for (const chip of subject.chips) chip.reset();
    await traffic(bench, subject, new Random(1), 3_000);
    for (const chip of subject.chips) chip.reset();
    const fresh = await create(new Bench(bench.clock.now()));
    subject.chips.forEach((chip, i) =>
      assertEquals(
        without(chip.snapshot(), persistent),
        without(fresh.chips[i].snapshot(), persistent),
        chip.name,
      )
    );
  });

  test("goes on after a restore as if nothing had happened", async () => {
    for (const seed of [2, 3, 4, 5]) {
      const bench = new Bench();
      const subject = await create(bench);
      await traffic(bench, subject, new Random(seed), 1_000);
      const states = snapshots(subject);

      const twinBench = new Bench(bench.clock.now());
      const twin = await create(twinBench);
      twinBench.memory.set(bench.memory);
      restoreAll(twin, states);
      assertEquals(snapshots(twin), states);
      for (const [wire, level] of twinBench.levels) {
        if (bench.levels.has(wire)) assertEquals(level, bench.levels.get(wire), `wire ${wire}`);
      }

      bench.recording = twinBench.recording = true;
      // Time alone comes first: an access would set forgotten alarms again.
      for (let ns = 1_000; ns <= 1e9; ns *= 10) {
        for (const { clock } of [bench, twinBench]) clock.advance(ns, true);
      }
      assertEquals(twinBench.log, bench.log);
      assertEquals(snapshots(twin), snapshots(subject));
      const answers = await traffic(bench, subject, new Random(seed + 100), 1_500);
      const twinAnswers = await traffic(twinBench, twin, new Random(seed + 100), 1_500);
      assertEquals(twinAnswers, answers);
      assertEquals(twinBench.log, bench.log);
      assertEquals(snapshots(twin), snapshots(subject));
      assert(bench.memory.every((byte, i) => byte === twinBench.memory[i]), "memory differs");
    }
  });

  test("refuses snapshots that do not fit and stays as it is", async () => {
    const bench = new Bench();
    const subject = await create(bench);
    await traffic(bench, subject, new Random(6), 1_000);
    for (const chip of subject.chips) {
      const before = copyState(chip.snapshot());
      const refused = (state: State, what: string) => {
        assertThrows(() => chip.restore(state), StateError, undefined, `${chip.name}: ${what}`);
        assertEquals(chip.snapshot(), before, `${chip.name}: ${what}`);
      };
      const change = (path: Path, what: string, mutate: (parent: Loose, key: Loose) => void) => {
        const state = copyState(before);
        mutate(parentOf(state, path), path.at(-1));
        refused(state, `${path.join(".")} ${what}`);
      };
      for (const path of paths(before)) {
        const key = path.at(-1)!;
        const value = parentOf(before, path)[key];
        if (typeof key === "string") {
          change(path, "missing", (parent, key) => delete parent[key]);
        }
        for (const wrong of wrongValues(value)) {
          const shown = Array.isArray(wrong) ? `array of ${wrong.length}` : String(wrong);
          change(path, `is ${shown}`, (parent, key) => parent[key] = wrong);
        }
      }
      refused({ ...before, surplus: 1 }, "surplus key");
    }
  });

  test("survives every offset and size", async () => {
    const bench = new Bench();
    const subject = await create(bench);
    for (const space of subject.spaces) {
      for (const size of space.sizes ?? [1]) {
        for (let offset = 0; offset + size <= Math.max(size, space.count); offset++) {
          readChecked(space, offset, size);
          for (const value of [0, 1, 0x55555555, 0xaaaaaaaa, 0xffffffff]) {
            space.access.write(offset, size, size === 4 ? value : value & (2 ** (8 * size) - 1));
            if (subject.settle) await subject.settle();
            readChecked(space, offset, size);
          }
        }
      }
    }
    subject.invariants?.();
  });

  test(`keeps its invariants through ${operations} random operations`, async () => {
    const bench = new Bench();
    const subject = await create(bench);
    const random = new Random(7);
    for (let i = 0; i < operations; i++) {
      operate(bench, subject, random);
      if (subject.settle) await subject.settle();
      if (i % 64 === 0) subject.invariants?.();
      if (i % 4_096 === 0) {
        const states = snapshots(subject);
        restoreAll(subject, states);
        assertEquals(snapshots(subject), states);
      }
    }
    subject.invariants?.();
    // A chip acts only when it is called: not on the host's time.
    const calls = bench.calls;
    await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(bench.calls, calls);
  });
}
