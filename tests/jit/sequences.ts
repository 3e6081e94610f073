/** Random straight-line code on vector and x87 registers, run by both engines. */
import { Translator } from "../../accel/jit/translator.ts";
import * as S from "../../accel/x86/state.ts";
import { setCpl, writeCr0, writeCr4, writeEfer } from "../../accel/x86/system/control.ts";
import { A_CODE, Bed, CODE, DATA, FREE, P, RW, STACK0 } from "../modes/bed.ts";

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
  private readonly interpreted: Bed;
  private readonly translated: Bed;

  /** @param long whether the code is 64-bit code */
  constructor(private readonly long = false) {
    this.interpreted = this.bed(new Bed("max"));
    this.translated = this.bed(
      new Bed("max", (bus, model) => new Translator(bus, model, { eager: true })),
    );
  }

  private bed(bed: Bed): Bed {
    bed.protect();
    const { R, cpu: { x86 } } = bed;
    if (this.long) {
      // The first 2 MiB where they are, in pages.
      bed.write32(0x34000, 0x35000 | P | RW);
      bed.write32(0x35000, 0x36000 | P | RW);
      bed.write32(0x36000, 0x37000 | P | RW);
      for (let n = 0; n < 512; n++) bed.write32(0x37000 + 8 * n, (n << 12) | P | RW);
      writeEfer(x86, S.EFER_LME, 0);
      writeCr4(x86, S.CR4_PAE);
      R[S.CR3] = 0x34000;
      writeCr0(x86, R[S.CR0] | S.CR0_PG | S.CR0_WP);
      bed.segment(FREE, A_CODE, { flags: 0xa });
      bed.load(S.CS, FREE);
    } else bed.page();
    writeCr4(x86, R[S.CR4] | S.CR4_OSFXSR | S.CR4_OSXMMEXCPT);
    R[S.CR0] |= S.CR0_NE;
    return bed;
  }

  /** Instructions that were executed translated. */
  get executed(): number {
    return (this.translated.cpu as Translator).translation.executed;
  }

  /**
   * Runs a sequence until it halts or traps; gives how the engines differ, "" if they do not.
   *
   * @param slice instructions between two comparisons
   */
  compare(sequence: Sequence, slice = 100_000): string {
    const a = this.interpreted, b = this.translated;
    for (const bed of [a, b]) this.start(bed, sequence);
    for (let n = 0; n < 1000 && a.cpu.activity === "running"; n++) {
      a.cpu.run(slice);
      b.cpu.run(slice);
      const differences = differencesOf(a, b);
      if (differences !== "") return `${differences} (slice ${n})`;
    }
    return a.cpu.activity === b.cpu.activity ? "" : "activity";
  }

  private start(bed: Bed, { code, prepare }: Sequence): void {
    const { R, cpu } = bed;
    R.fill(0, 0, S.RIP + 2);
    setCpl(cpu.x86, 0);
    R[S.ACTIVITY] = 0;
    S.writeEflags(R, 2);
    R[S.RSP] = STACK0;
    R[S.RBX] = OPERANDS;
    R[S.RIP] = CODE;
    bed.put(CODE, [...code, 0xf4]);
    prepare(bed);
  }
}

function differencesOf(a: Bed, b: Bed): string {
  const differences: string[] = [];
  const x = new Int32Array(S.stateBytes(a.R).buffer);
  const y = new Int32Array(S.stateBytes(b.R).buffer);
  x.forEach((word, i) => {
    if (word === y[i]) return;
    differences.push(`word ${i}: ${(word >>> 0).toString(16)}, ${(y[i] >>> 0).toString(16)}`);
  });
  for (let i = 0; i < 0x2000; i += 4) {
    const p = a.read32(OPERANDS + i), q = b.read32(OPERANDS + i);
    if (p !== q) differences.push(`operand ${i}: ${p.toString(16)}, ${q.toString(16)}`);
  }
  if (a.cpu.instructions !== b.cpu.instructions) {
    differences.push(`${a.cpu.instructions} and ${b.cpu.instructions} instructions`);
  }
  return differences.slice(0, 12).join("; ");
}
