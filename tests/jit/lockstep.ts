/** Two boards that run one guest on two engines, compared wherever they stop. */
import { Interpreter } from "../../accel/interp/interpreter.ts";
import { type JitOptions, Translator } from "../../accel/jit/translator.ts";
import { parseCpuModel } from "../../accel/x86/models.ts";
import * as S from "../../accel/x86/state.ts";
import { PAGE_SIZE } from "../../core/bus/host_memory.ts";
import type { State, StateValue } from "../../core/chip.ts";
import {
  type BoardOptions,
  type ChipStates,
  Half,
  indexOfDifference,
  touchedPages,
} from "./half.ts";

/** A state in which both boards were the same. */
interface Agreement {
  readonly instructions: number;
  readonly states: ChipStates;
}

/** Where two engines part. */
export interface Parting {
  /** Both had executed so many instructions and were the same. */
  readonly last: number;
  /** With so many they were not. The instruction is of a block that the translator executed in one piece. */
  readonly first: number;
  /** What differed. */
  readonly differences: string;
  /** The interpreter's registers, and its last instructions as addresses in CS and bytes, oldest first. */
  readonly registers: Record<string, number | bigint>;
  readonly recent: readonly { ip: number; bits: 16 | 32 | 64; bytes: Uint8Array }[];
}

/** One guest on the interpreter and on the translator. */
export class Lockstep {
  /** Memory as it was when both were last found to be the same; kept from the first {@linkcode Lockstep.agree} on. */
  private memory: Uint8Array | undefined;
  private agreement: Agreement | undefined;

  private constructor(readonly a: Half, readonly b: Half) {}

  /** Makes both boards. `options` is asked for twice, so that they share nothing. */
  static async create(
    options: () => BoardOptions,
    { model = "max", jit = {} }: { model?: string; jit?: JitOptions } = {},
  ): Promise<Lockstep> {
    const cpu = parseCpuModel(model);
    return new Lockstep(
      await Half.create(options(), (bus, peer) => new Interpreter(bus, cpu, peer)),
      await Half.create(
        options(),
        (bus, peer) => new Translator(bus, cpu, { ...jit, peer: peer as Translator | undefined }),
      ),
    );
  }

  get ended(): boolean {
    return this.a.ended;
  }

  get instructions(): number {
    return this.a.instructions;
  }

  get translator(): Translator {
    return this.b.cpu as Translator;
  }

  /** Runs both until `count` instructions were executed; gives how they differ, "" if they do not. */
  advance(count: number): string {
    this.go(count);
    return this.compare();
  }

  /** Runs both without a comparison. */
  go(count: number): void {
    this.a.advance(count);
    this.b.advance(count);
  }

  /** How the processors and the time differ, "" if they do not. Quick. */
  compareProcessors(): string {
    return this.processorDifferences().join("; ");
  }

  /** How they differ in anything that a guest could notice, "" if they do not. */
  compare(): string {
    const { a, b } = this;
    const differences = this.processorDifferences();
    const at = firstDifference(a, b);
    if (at >= 0) {
      const words = [a, b].map(({ board }) => board.memory.host.getInt32(at) >>> 0);
      differences.push(
        `memory at host offset ${at.toString(16)}: ${words.map((w) => w.toString(16)).join(", ")}`,
      );
    }
    a.board.chips.forEach((chip, i) => {
      const found = stateDifference(chip.snapshot(), b.board.chips[i].snapshot());
      if (found !== "") differences.push(`${chip.name}${found}`);
    });
    return differences.join("; ");
  }

  private processorDifferences(): string[] {
    const { a, b } = this, differences: string[] = [];
    if (a.instructions !== b.instructions) {
      differences.push(`${a.instructions} and ${b.instructions} instructions`);
    }
    const [x, y] = [a, b].map(({ board }) => board.clock.skippedNs);
    if (x !== y) differences.push(`${x} and ${y} ns skipped`);
    if (a.ended !== b.ended) differences.push(`only the ${a.ended ? "first" : "second"} ended`);
    a.processors.forEach((one, i) => {
      const name = a.processors.length > 1 ? `processor ${i}: ` : "";
      for (const text of registerDifferences(one, b.processors[i])) differences.push(name + text);
    });
    return differences;
  }

  /** Both were compared and are the same: what {@linkcode Lockstep.bisect} goes back to. */
  agree(): void {
    const { a } = this, { bytes } = a.board.memory.host;
    const memory = this.memory ??= new Uint8Array(bytes.length);
    for (const page of touchedPages(a)) {
      const at = page * PAGE_SIZE, now = bytes.subarray(at, at + PAGE_SIZE);
      if (indexOfDifference(now, memory.subarray(at, at + PAGE_SIZE)) >= 0) memory.set(now, at);
    }
    this.agreement = { instructions: a.instructions, states: a.chipStates() };
  }

  /**
   * After a difference: goes back to the last agreement again and again, and finds the least number of
   * instructions after which it is there. Undefined if from there, with the code that is translated by now, it
   * does not come back before `count` instructions.
   */
  bisect(count: number): Parting | undefined {
    const { agreement, memory } = this;
    if (agreement === undefined || memory === undefined) return undefined;
    const { instructions, states } = agreement;
    const differ = (to: number): string => {
      this.a.putBack(memory, states);
      this.b.putBack(memory, states);
      this.go(to);
      return this.compare();
    };
    let differences = differ(count);
    if (differences === "") return undefined;
    let last = instructions, first = count;
    while (first - last > 1) {
      const middle = Math.floor((last + first) / 2), found = differ(middle);
      if (found === "") last = middle;
      else {
        first = middle;
        differences = found;
      }
    }
    differ(first);
    const cpu = this.a.board.cpu;
    return {
      last,
      first,
      differences,
      registers: cpu.registers(),
      recent: cpu.recent(24),
    };
  }

  async dispose(): Promise<void> {
    await this.a.dispose();
    await this.b.dispose();
  }
}

/** Registers of two processors that differ, by name where there is one, with both values. */
function registerDifferences(a: Interpreter, b: Interpreter): string[] {
  const x = new Int32Array(S.stateBytes(a.x86.R).buffer);
  const y = new Int32Array(S.stateBytes(b.x86.R).buffer);
  const words: string[] = [];
  x.forEach((word, i) => {
    if (word === y[i]) return;
    words.push(`word ${i}: ${(word >>> 0).toString(16)}, ${(y[i] >>> 0).toString(16)}`);
  });
  if (words.length === 0) return [];
  const here = a.registers(), there = b.registers(), named: string[] = [];
  for (const [name, value] of Object.entries(here)) {
    const other = there[name];
    if (other !== value) named.push(`${name}: ${value.toString(16)}, ${other?.toString(16)}`);
  }
  return [...named, ...words];
}

/** Host offset of the first doubleword of memory that differs, or -1. */
function firstDifference(a: Half, b: Half): number {
  const x = a.board.memory.host.bytes, y = b.board.memory.host.bytes;
  for (const page of touchedPages(a, b)) {
    const at = page * PAGE_SIZE, end = at + PAGE_SIZE;
    const offset = indexOfDifference(x.subarray(at, end), y.subarray(at, end));
    if (offset >= 0) return at + offset;
  }
  return -1;
}

/** The first difference of two chips' states with its path, or "". */
function stateDifference(a: StateValue, b: StateValue): string {
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") {
    return Object.is(a, b) ? "" : `: ${a}, ${b}`;
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    const at = a.length === b.length ? a.findIndex((byte, i) => byte !== b[i]) : 0;
    return at < 0 ? "" : `[${at}]: ${a[at]}, ${b[at]}`;
  }
  const x = a as State, y = b as State;
  for (const key of new Set([...Object.keys(x), ...Object.keys(y)])) {
    if (x[key] === undefined || y[key] === undefined) return `.${key}: only one has it`;
    const found = stateDifference(x[key], y[key]);
    if (found !== "") return `.${key}${found}`;
  }
  return "";
}
