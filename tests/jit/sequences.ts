/** Random straight-line code on vector and x87 registers, run by both engines. */
import { Translator } from "../../accel/jit/translator.ts";
import * as S from "../../accel/x86/state.ts";
import { setCpl, writeCr4 } from "../../accel/x86/system/control.ts";
import { Bed, CODE, DATA, STACK0 } from "../modes/bed.ts";

/** A generator of numbers that is the same everywhere. */
export class Random {
  constructor(private state: number) {}

  /** An integer below `n`. */
  below(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) | 0;
    return Math.floor(((this.state >>> 8) / 0x1000000) * n);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

/** Numbers with something special to them, as doubles. */
const DOUBLES = [
  0,
  -0,
  1,
  -1,
  1.5,
  0.1,
  -3.7,
  1e300,
  -1e300,
  1e-300,
  2 ** -1022,
  2 ** -1021,
  1.5 * 2 ** -1021,
  5e-324,
  -1e-310,
  Number.MAX_VALUE,
  2 ** 53,
  2 ** 53 - 1,
  2 ** 31,
  -(2 ** 31),
  2 ** 31 - 0.5,
  2 ** 63,
  1 + 2 ** -52,
  1 / 3,
  1e20,
  123456.75,
  Infinity,
  -Infinity,
  NaN,
];
const SINGLES = [0, -0, 1, -1, 0.1, 1.5, 2 ** -126, 2 ** -125, 1e-40, 3e38, 1e10, 2 ** 31, 1 / 3];

/** 16 bytes: two doubles, four singles, or anything. */
export function vector(random: Random): Uint8Array {
  const bytes = new Uint8Array(16), view = new DataView(bytes.buffer);
  const way = random.below(8);
  if (way < 5) {
    for (const i of [0, 8]) {
      const usual = random.below(10) > 0;
      const value = usual ? (random.below(2001) - 1000) / 8 : random.pick(DOUBLES);
      view.setFloat64(i, value + (usual && random.below(2) > 0 ? 0.1 : 0), true);
    }
  } else if (way < 7) {
    for (const i of [0, 4, 8, 12]) {
      const usual = random.below(20) > 0;
      view.setFloat32(i, usual ? random.below(1000) / 16 + 0.1 : random.pick(SINGLES), true);
    }
  } else for (let i = 0; i < 16; i++) bytes[i] = random.below(256);
  // A signalling NaN now and then, which a Float64Array would not keep everywhere.
  if (random.below(30) === 0) view.setUint32(4, 0x7ff00001, true);
  return bytes;
}

/** What a sequence starts from and consists of. */
export interface Sequence {
  code: number[];
  /** Sets registers and memory before the code runs. */
  prepare: (bed: Bed) => void;
}

/** Where memory operands lie. EBX points at the start, which is aligned. */
export const OPERANDS = DATA, OPERAND_BYTES = 256;

/** A processor of each engine, which run the same code from the same state. */
export class Pair {
  private readonly interpreted = Pair.bed(new Bed("max"));
  private readonly translated = Pair.bed(
    new Bed("max", (bus, model) => new Translator(bus, model, { eager: true })),
  );

  private static bed(bed: Bed): Bed {
    bed.protect().page();
    const { R, cpu } = bed;
    writeCr4(cpu.x86, R[S.CR4] | S.CR4_OSFXSR | S.CR4_OSXMMEXCPT);
    R[S.CR0] |= S.CR0_NE;
    return bed;
  }

  /** Instructions that were executed translated. */
  get executed(): number {
    return (this.translated.cpu as Translator).translation.executed;
  }

  /** Runs a sequence until it halts or traps; gives how the engines differ, "" if they do not. */
  compare(sequence: Sequence): string {
    const a = this.run(this.interpreted, sequence), b = this.run(this.translated, sequence);
    const differences: string[] = [];
    const x = new Int32Array(S.stateBytes(a.R).buffer);
    const y = new Int32Array(S.stateBytes(b.R).buffer);
    x.forEach((word, i) => {
      if (word === y[i]) return;
      differences.push(`word ${i}: ${(word >>> 0).toString(16)}, ${(y[i] >>> 0).toString(16)}`);
    });
    for (let i = 0; i < 2 * OPERAND_BYTES; i += 4) {
      const p = a.read32(OPERANDS + i), q = b.read32(OPERANDS + i);
      if (p !== q) differences.push(`operand ${i}: ${p.toString(16)}, ${q.toString(16)}`);
    }
    if (a.cpu.instructions !== b.cpu.instructions) differences.push("instructions");
    return differences.join("; ");
  }

  private run(bed: Bed, { code, prepare }: Sequence): Bed {
    const { R, cpu } = bed;
    R.fill(0, 0, S.RIP);
    setCpl(cpu.x86, 0);
    R[S.ACTIVITY] = 0;
    S.writeEflags(R, 2);
    R[S.RSP] = STACK0;
    R[S.RBX] = OPERANDS;
    R[S.RIP] = CODE;
    bed.put(CODE, [...code, 0xf4]);
    prepare(bed);
    cpu.run(100_000);
    return bed;
  }
}
