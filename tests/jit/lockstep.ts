/** Two boards that run one guest on two engines, compared wherever they stop. */
import { Interpreter } from "../../accel/interp/interpreter.ts";
import { type JitOptions, Translator } from "../../accel/jit/translator.ts";
import { parseCpuModel } from "../../accel/x86/models.ts";
import * as S from "../../accel/x86/state.ts";
import type { MachineControls } from "../../core/machine/board.ts";
import { createPc, type PcBoard, type PcOptions } from "../../hw/boards/pc.ts";

/** A board with one processor. */
class Half {
  ended = false;
  private constructor(readonly board: PcBoard, readonly cpu: Interpreter) {
    board.clock.instructions = () => cpu.instructions;
    board.clock.onEarlier = (deadline) =>
      cpu.shortenSlice(Math.max(1, board.clock.instructionsUntil(deadline)));
  }

  static async create(
    options: Omit<PcOptions, "cpu">,
    make: (bus: Parameters<PcOptions["cpu"]>[0]) => Interpreter,
  ): Promise<Half> {
    let cpu: Interpreter | undefined, half: Half | undefined = undefined as Half | undefined;
    const end = () => {
      if (half !== undefined) half.ended = true;
      cpu?.endSlice();
    };
    const controls: MachineControls = {
      powerOff: end,
      requestReset: end,
      debugExit: end,
      hold: () => {},
    };
    const board = await createPc({ ...options, cpu: (bus) => cpu = make(bus) }, controls);
    return half = new Half(board, cpu!);
  }

  /** Runs until `count` instructions were executed, as the run loop does without waits. */
  advance(count: number): void {
    const { cpu, board: { clock } } = this;
    while (cpu.instructions < count && !this.ended) {
      clock.fireDue();
      const limit = Math.min(count - cpu.instructions, clock.instructionsUntil(clock.next));
      cpu.run(Math.max(1, limit));
      if (cpu.activity === "running") continue;
      if (clock.next === Infinity || cpu.activity === "shutdown") return;
      clock.skipTo(clock.next);
    }
  }
}

/** One guest on the interpreter and on the translator. */
export class Lockstep {
  private constructor(private readonly a: Half, private readonly b: Half) {}

  /** Makes both boards. `options` is asked for twice, so that they share nothing. */
  static async create(
    options: () => Omit<PcOptions, "cpu">,
    { model = "max", jit = {} }: { model?: string; jit?: JitOptions } = {},
  ): Promise<Lockstep> {
    const cpu = parseCpuModel(model);
    return new Lockstep(
      await Half.create(options(), (bus) => new Interpreter(bus, cpu)),
      await Half.create(options(), (bus) => new Translator(bus, cpu, jit)),
    );
  }

  get ended(): boolean {
    return this.a.ended;
  }

  get instructions(): number {
    return this.a.cpu.instructions;
  }

  get translator(): Translator {
    return this.b.cpu as Translator;
  }

  /** Runs both until `count` instructions were executed; gives how they differ, "" if they do not. */
  advance(count: number): string {
    const { a, b } = this;
    a.advance(count);
    b.advance(count);
    const differences: string[] = [];
    if (a.cpu.instructions !== b.cpu.instructions) {
      differences.push(`${a.cpu.instructions} and ${b.cpu.instructions} instructions`);
    }
    const x = new Int32Array(S.stateBytes(a.cpu.x86.R).buffer);
    const y = new Int32Array(S.stateBytes(b.cpu.x86.R).buffer);
    x.forEach((word, i) => {
      if (word === y[i]) return;
      differences.push(`word ${i}: ${(word >>> 0).toString(16)}, ${(y[i] >>> 0).toString(16)}`);
    });
    const at = firstDifference(a.board, b.board);
    if (at >= 0) differences.push(`memory at host offset ${at.toString(16)}`);
    if (a.ended !== b.ended) differences.push("one ended");
    return differences.join("; ");
  }

  async dispose(): Promise<void> {
    await this.a.board.dispose();
    await this.b.board.dispose();
  }
}

/** Host offset of the first doubleword of memory that differs, or -1. */
function firstDifference(a: PcBoard, b: PcBoard): number {
  const x = new Int32Array(a.memory.host.buffer), y = new Int32Array(b.memory.host.buffer);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return i * 4;
  return -1;
}
