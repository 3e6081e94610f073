/** A board that a test drives itself, without a run loop: the same calls give the same slices, whatever the host's load. */
import type { Interpreter } from "../../accel/interp/interpreter.ts";
import { PAGE_SIZE } from "../../core/bus/host_memory.ts";
import type { State } from "../../core/chip.ts";
import type { CpuBus, MachineControls } from "../../core/machine/board.ts";
import { hashState } from "../../core/machine/state_image.ts";
import { createPc, type PcBoard, type PcOptions } from "../../hw/boards/pc.ts";

/** What a board consists of but for its processors. */
export type BoardOptions = Omit<PcOptions, "cpu">;
/** Makes a processor; `peer` is the board's first one, of which the others share the code. */
export type MakeProcessor = (bus: CpuBus, peer: Interpreter | undefined) => Interpreter;

/** The state of a board but for its memory. */
export interface ChipStates {
  readonly skippedNs: number;
  readonly cpu: State;
  readonly chips: readonly State[];
}

/** One of two boards that are compared. */
export class Half {
  /** Whether the guest switched itself off. */
  ended = false;
  /** Most instructions that are run at once, if given: lengths from 1 to this come in an odd order. */
  pieces: number | undefined;
  private odd = 1;

  private constructor(readonly board: PcBoard, readonly processors: readonly Interpreter[]) {
    const { cpu, clock } = board;
    clock.instructions = () => cpu.instructions;
    clock.onEarlier = (deadline) =>
      cpu.shortenSlice(Math.max(1, clock.instructionsUntil(deadline)));
  }

  static async create(options: BoardOptions, make: MakeProcessor): Promise<Half> {
    const processors: Interpreter[] = [];
    let half: Half | undefined = undefined as Half | undefined;
    const end = () => {
      if (half === undefined) return;
      half.ended = true;
      half.board.cpu.endSlice();
    };
    const controls: MachineControls = {
      powerOff: end,
      requestReset: end,
      debugExit: end,
      hold: () => {},
    };
    const cpu: PcOptions["cpu"] = (bus) => {
      const processor = make(bus, processors[0]);
      processors.push(processor);
      return processor;
    };
    const board = await createPc({ ...options, cpu }, controls);
    return half = new Half(board, processors);
  }

  /** The processor that a board starts with. */
  get cpu(): Interpreter {
    return this.processors[0];
  }

  get instructions(): number {
    return this.board.cpu.instructions;
  }

  get hash(): string {
    return hashState(this.board);
  }

  /** Runs until `count` instructions were executed, as the run loop does without waits. */
  advance(count: number): void {
    const { cpu, clock } = this.board;
    while (cpu.instructions < count && !this.ended) {
      clock.fireDue();
      const before = cpu.instructions;
      cpu.run(Math.min(count - before, clock.instructionsUntil(clock.next), this.piece()));
      if (cpu.activity === "shutdown") return;
      // A processor that still halts when run again has no interrupt that it would take.
      if (cpu.activity !== "halted" || cpu.instructions > before) continue;
      if (clock.next === Infinity) return;
      clock.skipTo(clock.next);
    }
  }

  private piece(): number {
    if (this.pieces === undefined) return Infinity;
    // The minimal standard generator (Park and Miller, CACM 31:10).
    this.odd = this.odd * 48_271 % 0x7fffffff;
    return 1 + this.odd % this.pieces;
  }

  /** Takes the state of all but memory. */
  chipStates(): ChipStates {
    const { board } = this;
    return {
      skippedNs: board.clock.skippedNs,
      cpu: board.cpu.snapshot(),
      chips: board.chips.map((chip) => chip.snapshot()),
    };
  }

  /**
   * Puts a state back, and lets decoded and translated code be as far as its bytes are the same then. A
   * snapshot's own way forgets all code, and with it what a search for a fault in it is about.
   *
   * @param memory all of host memory as it was
   */
  putBack(memory: Uint8Array, states: ChipStates): void {
    const { board, processors } = this, { memory: map } = board, { host } = map;
    for (const page of touchedPages(this)) {
      const at = page * PAGE_SIZE, was = memory.subarray(at, at + PAGE_SIZE);
      if (same(host.bytes.subarray(at, at + PAGE_SIZE), was)) continue;
      host.bytes.set(was, at);
      if (map.codePages[page] !== 0) map.onCodeWrite(at, PAGE_SIZE);
    }
    map.onRemap();
    board.clock.skippedNs = states.skippedNs;
    // The processors have one store of code.
    const { code } = processors[0] as unknown as { code: { flush: () => void } };
    code.flush = () => {};
    board.cpu.restore(states.cpu);
    board.chips.forEach((chip, i) => chip.restore(states.chips[i]));
    board.cpu.restore(states.cpu);
    Reflect.deleteProperty(code, "flush");
    this.ended = false;
  }

  async dispose(): Promise<void> {
    await this.board.dispose();
  }
}

/** Numbers of the host pages that may hold something. */
export function* touchedPages(...halves: readonly Half[]): Generator<number> {
  const all = halves.map(({ board }) => board.memory.host.touched);
  for (let page = 0; page < all[0].length; page++) {
    if (all.some((touched) => touched[page] !== 0)) yield page;
  }
}

/** Whether two pieces of memory hold the same. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return indexOfDifference(a, b) < 0;
}

/** Where two pieces of memory of one length and of whole doublewords differ first, or -1. */
export function indexOfDifference(a: Uint8Array, b: Uint8Array): number {
  const x = new Int32Array(a.buffer, a.byteOffset, a.length / 4);
  const y = new Int32Array(b.buffer, b.byteOffset, b.length / 4);
  // hot: tests/jit/boots.ts.
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return i * 4;
  return -1;
}
