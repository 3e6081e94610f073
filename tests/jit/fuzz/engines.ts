/** Boards that run one guest on several engines, one beside the other, and can be started anew. */
import { Buffer } from "node:buffer";
import { Interpreter } from "../../../accel/interp/interpreter.ts";
import { Translator } from "../../../accel/jit/translator.ts";
import { parseCpuModel } from "../../../accel/x86/models.ts";
import * as S from "../../../accel/x86/state.ts";
import type { MachineControls } from "../../../core/machine/board.ts";
import {
  type MachineSnapshot,
  putSnapshot,
  takeSnapshot,
} from "../../../core/machine/state_image.ts";
import { createPc, type PcBoard, type PcOptions } from "../../../hw/boards/pc.ts";
import type { Image } from "./kernel.ts";
import * as L from "./layout.ts";

/** Engines by name: the reference, translation at first sight, and of what is hot, sooner than usual: the longer stretches are, the later. */
const ENGINES: Record<string, (bus: Parameters<PcOptions["cpu"]>[0]) => Interpreter> = {
  interpreter: (bus) => new Interpreter(bus, parseCpuModel("max")),
  eager: (bus) => new Translator(bus, parseCpuModel("max"), { eager: true, most: 60 }),
  warm: (bus) =>
    new Translator(bus, parseCpuModel("max"), { sample: 4000, hot: 300, trial: 16, join: 32 }),
  hot: (bus) =>
    new Translator(bus, parseCpuModel("max"), { sample: 300, hot: 150, trial: 8, join: 8 }),
};
/** Halts in a row, without an instruction between them, after which nothing more is expected. */
const MOST_HALTS = 50;

class Engine {
  private ended = false;
  /** The board as it was made. */
  private readonly fresh: MachineSnapshot;

  private constructor(readonly name: string, readonly board: PcBoard, readonly cpu: Interpreter) {
    board.clock.instructions = () => cpu.instructions;
    board.clock.onEarlier = (deadline) =>
      cpu.shortenSlice(Math.max(1, board.clock.instructionsUntil(deadline)));
    this.fresh = takeSnapshot(board);
  }

  static async create(name: string): Promise<Engine> {
    let cpu: Interpreter | undefined, engine = undefined as Engine | undefined;
    const end = () => {
      if (engine !== undefined) engine.ended = true;
      cpu?.endSlice();
    };
    const controls: MachineControls = {
      powerOff: end,
      requestReset: end,
      debugExit: end,
      hold: () => {},
    };
    const board = await createPc({
      cpu: (bus) => cpu = ENGINES[name](bus),
      memory: L.MEMORY,
      kernel: {
        kernel: { file: "program", bytes: new Uint8Array([0xf4]) },
        flat: { address: L.KERNEL, mode: "protected" },
      },
    }, controls);
    return engine = new Engine(name, board, cpu!);
  }

  get count(): number {
    return this.cpu.instructions;
  }

  /** Whether it will execute nothing more. */
  get over(): boolean {
    return this.ended || this.cpu.activity === "shutdown";
  }

  start(image: Image): void {
    const { board } = this;
    putSnapshot(board, this.fresh);
    for (const { address, bytes } of image) board.memory.writeBlock(address, bytes);
    this.ended = false;
  }

  /** Runs until `count` instructions were executed since the start, or nothing more happens. */
  advance(count: number): void {
    const { cpu, board: { clock } } = this;
    for (let halts = 0; this.count < count && !this.ended && halts < MOST_HALTS; halts++) {
      clock.fireDue();
      const before = cpu.instructions;
      const limit = Math.min(count - this.count, clock.instructionsUntil(clock.next));
      cpu.run(Math.max(1, limit));
      if (cpu.instructions !== before) halts = 0;
      if (cpu.activity === "running") continue;
      if (clock.next === Infinity || cpu.activity === "shutdown") return;
      clock.skipTo(clock.next);
    }
  }
}

/** The engines side by side. */
export class Engines {
  /** Those that run: the reference first. */
  private list: readonly Engine[];

  private constructor(private readonly all: readonly Engine[]) {
    this.list = all;
  }

  /** @param names those to compare with the interpreter */
  static async create(names: readonly string[] = ["eager", "hot", "warm"]): Promise<Engines> {
    const list: Engine[] = [];
    for (const name of ["interpreter", ...names]) list.push(await Engine.create(name));
    return new Engines(list);
  }

  async dispose(): Promise<void> {
    for (const { board } of this.all) await board.dispose();
  }

  /** Starts a program, on the reference and on engines named. */
  start(image: Image, names: readonly string[]): void {
    this.list = this.all.filter(({ name }, i) => i === 0 || names.includes(name));
    for (const engine of this.list) engine.start(image);
  }

  /** The host, or a chip, writes a byte of memory. */
  write(address: number, byte: number): void {
    for (const { board } of this.list) board.memory.writeBlock(address, new Uint8Array([byte]));
  }

  /** Whether the guest has come to an end. */
  get over(): boolean {
    return this.list[0].over;
  }

  get count(): number {
    return this.list[0].count;
  }

  /** The reference's processor. */
  get reference(): Interpreter {
    return this.list[0].cpu;
  }

  /** The processors that translate. */
  get translators(): Translator[] {
    return this.all.slice(1).map(({ cpu }) => cpu as Translator);
  }

  /** Runs all up to a count of instructions; gives how registers and, if wanted, memory differ, "" if they do not. */
  advance(count: number, memory = true): string {
    for (const engine of this.list) engine.advance(count);
    // The board's RAM comes first in host memory.
    return this.compare(memory ? L.MEMORY + 0x1000 : 0);
  }

  private compare(length?: number): string {
    const [first, ...others] = this.list;
    return others.map((engine) => difference(first, engine, length)).filter((text) => text !== "")
      .join("\n");
  }

  /** Compares video memory and the states of chips too. */
  compareAll(): string {
    const [first, ...others] = this.list, differences = this.compare();
    if (differences !== "") return differences;
    return others.flatMap(({ name, board }) =>
      board.chips.filter((chip, i) =>
        JSON.stringify(chip.snapshot()) !== JSON.stringify(first.board.chips[i].snapshot())
      ).map((chip) => `${name}: the chip ${chip.name} differs`)
    ).join("\n");
  }
}

function difference(a: Engine, b: Engine, length?: number): string {
  const differences: string[] = [];
  if (a.count !== b.count) differences.push(`${a.count} and ${b.count} instructions`);
  if (a.over !== b.over) differences.push("one came to an end");
  const x = new Int32Array(S.stateBytes(a.cpu.x86.R).buffer);
  const y = new Int32Array(S.stateBytes(b.cpu.x86.R).buffer);
  x.forEach((word, i) => {
    if (word !== y[i]) differences.push(`${wordName(i)}: ${hex(word)}, ${hex(y[i])}`);
  });
  const p = a.board.memory.host, q = b.board.memory.host;
  // Whether anything differs is asked of a function that is quick to answer.
  if (!Buffer.from(p.buffer, 0, length).equals(Buffer.from(q.buffer, 0, length))) {
    const at = p.bytes.findIndex((byte, i) => byte !== q.bytes[i]);
    differences.push(
      `host memory at ${hex(at)}: ${hex(p.bytes[at])}, ${hex(q.bytes[at])}`,
    );
  }
  return differences.length === 0 ? "" : `interpreter, ${b.name}: ${differences.join("; ")}`;
}

const REGISTERS = ["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"];

/** Name of a word of the processor's state. */
function wordName(i: number): string {
  const half = i & 1 ? " high" : "", n = i >> 1;
  if (n < 8) return `${REGISTERS[n]}${half}`;
  if (n < 16) return `R${n}${half}`;
  if (n === 16) return `IP${half}`;
  if (i === S.FR || i === S.FC) return i === S.FR ? "FR" : "FC";
  if (i === S.EFLAGS) return "EFLAGS";
  if (i >= S.ST0 && i < S.XMM0) return `ST${(i - S.ST0) >> 2}.${(i - S.ST0) & 3}`;
  if (i >= S.XMM0 && i < S.SCRATCH) return `XMM${(i - S.XMM0) >> 2}.${(i - S.XMM0) & 3}`;
  return `word ${i}`;
}

function hex(n: number): string {
  return (n >>> 0).toString(16);
}
