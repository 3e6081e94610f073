import { assert, assertEquals } from "@std/assert";
import { FAULT } from "../cpu.ts";
import * as S from "../state.ts";
import { updateAlignment } from "./control.ts";
import { enterDirectly, returnDirectly } from "./direct_transfers.ts";
import { deliverWholly } from "./interrupts.ts";
import { LONG0, LONG3, LongTestbed, STACK_IST } from "./long_testbed.ts";
import { returnWholly } from "./transfers.ts";
import {
  CODE,
  CODE0,
  CODE1,
  CODE3,
  CONFORMING,
  DATA,
  DATA0,
  DATA1,
  DATA3,
  dpl,
  FREE,
  LDT_SEL,
  READ_ONLY,
  STACK0,
  STACK1,
  STACK3,
  Testbed,
  TSS_A,
} from "./testbed.ts";

const CASES = 5000;

/** Numbers of a seed: those below the argument, or an element of it. */
function numbers(seed: number) {
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
    return (seed >>> 8) % n;
  };
  const of = <T>(...list: T[]): T => list[below(list.length)];
  return { below, of, rarely: (n = 12) => below(n) === 0 };
}

/** Makes the TLB know the lowest pages, as far as they may be accessed. */
function warm({ cpu }: Testbed): void {
  cpu.mmu.flushAll();
  cpu.mmu64.flushAll();
  const mmu = cpu.longActive ? cpu.mmu64 : cpu.mmu;
  const tried = (access: () => void) => {
    try {
      access();
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
    }
  };
  for (let at = 0; at < 0x14000; at += 0x1000) {
    for (const user of [false, true]) {
      tried(() => mmu.probeWrite(at, 1, user));
      tried(() => mmu.load8(at, user));
    }
  }
  cpu.R[S.CR2] = cpu.R[S.CR2 + 1] = 0;
}

function wordsOf({ buffer, byteOffset, length }: Uint8Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length / 4);
}

/** A bed that is made ready anew for each case: making one takes long. */
class Bench<T extends Testbed> {
  private readonly pristine: { registers: Int32Array; memory: Uint8Array };

  constructor(readonly bed: T) {
    this.pristine = { registers: bed.R.slice(), memory: this.memory.slice() };
  }

  /** The memory that the cases are about. */
  get memory(): Uint8Array {
    return this.bed.memory.host.bytes.subarray(0, 0x16000);
  }

  renew(): T {
    const { bed, pristine } = this;
    this.put(pristine);
    updateAlignment(bed.cpu);
    return bed;
  }

  put({ registers, memory }: { registers: Int32Array; memory: Uint8Array }): void {
    this.bed.R.set(registers);
    this.memory.set(memory);
    this.bed.cpu.mmu.flushAll();
    this.bed.cpu.mmu64.flushAll();
  }

  take(): { registers: Int32Array; memory: Uint8Array } {
    return { registers: this.bed.R.slice(), memory: this.memory.slice() };
  }

  /** Fails unless what may have changed is as it was taken. */
  equals(expected: { registers: Int32Array; memory: Uint8Array }, message: string): void {
    const { R } = this.bed;
    // The words after the state are facts about the instruction, and `HIGH`.
    assertEquals(S.stateBytes(R), S.stateBytes(expected.registers), message);
    const now = wordsOf(this.memory), then = wordsOf(expected.memory);
    let at = 0;
    while (at < now.length && now[at] === then[at]) at++;
    assertEquals(at, now.length, `${message}: memory differs from ${4 * at} on`);
  }
}

/**
 * Runs seeded cases: what the direct way takes has to be what the whole one does, and what it declines must
 * have changed nothing. Gives how many it took.
 */
function compare<T extends Testbed>(
  bench: Bench<T>,
  make: (bed: T, seed: number) => void,
  ways: { directly: (bed: Testbed) => boolean; wholly: (bed: Testbed) => void },
): number {
  let taken = 0;
  for (let seed = 1; seed <= CASES; seed++) {
    const bed = bench.renew();
    make(bed, seed);
    warm(bed);
    const before = bench.take(), done = ways.directly(bed);
    if (!done) {
      bench.equals(before, `seed ${seed}: declined, but something changed`);
      continue;
    }
    taken++;
    const after = bench.take();
    bench.put(before);
    assertEquals(bed.attempt(() => ways.wholly(bed)), 0, `seed ${seed} faults`);
    bench.equals(after, `seed ${seed}`);
  }
  return taken;
}

/** Registers and flags of any value. */
function scatter({ R }: Testbed, { below, of, rarely }: ReturnType<typeof numbers>): void {
  S.writeEflags(R, 2 | (below(0x1000) & ~S.TF) | (rarely() ? below(1 << 22) : of(0, S.IOPL)));
  R[S.EFLAGS] &= ~S.VM;
  R[S.RIP] = below(0x10000);
  for (const n of [S.DS, S.ES, S.FS, S.GS]) {
    if (rarely(4)) R[S.SEG_SEL + n] = R[S.SEG_ATTR + n] = R[S.SEG_FLAT + n] = 0;
  }
}

/** Where a frame may end. */
function top(of: ReturnType<typeof numbers>["of"], usual: number): number {
  return of(usual, usual, usual, usual + 0x100, usual - 12, usual + 8, usual + 2, usual - 0xff0);
}

function protectedBed(bed: Testbed, seed: number): ReturnType<typeof numbers> {
  const random = numbers(seed), { below, of, rarely } = random;
  bed.protect(of(0, 1, 3, 3));
  scatter(bed, random);
  if (rarely(2)) bed.page();
  bed.segment(
    FREE,
    of(dpl(CODE, below(4)), dpl(CODE & ~1, 0), CONFORMING, dpl(DATA, 3), READ_ONLY),
    { flags: of(0xc, 0xc, 4, 8, 0), limit: of(0xfffff, 0xfffff, 0x500), base: of(0, 0, 0x100) },
  );
  return random;
}

function eventBed(bed: Testbed, seed: number): void {
  const { below, of, rarely } = protectedBed(bed, seed), { R } = bed;
  const access = rarely() ? below(256) : dpl(of(0x8e, 0x8f), of(0, 3, 3));
  bed.interruptGate(0x30, access, of(CODE0, CODE0, CODE0, CODE1, CODE3, FREE, 4, 0), below(0x2000));
  bed.write32(TSS_A + 4, top(of, STACK0));
  bed.write32(TSS_A + 8, rarely() ? of(FREE, 0, DATA1, DATA3, LDT_SEL) : DATA0);
  bed.write32(TSS_A + 12, top(of, STACK1));
  if (rarely()) R[S.IDTR_LIMIT] = below(0x200);
  if (rarely()) R[S.GDTR_LIMIT] = below(0x100);
  if (rarely()) R[S.SEG_LIMIT + S.TR] = below(16);
  if (rarely()) R[S.IDTR_BASE] += of(0xffc, -0x4000, 1);
  R[S.RSP] = top(of, R[S.RSP]);
}

function returnBed(bed: Testbed, seed: number): void {
  const { below, of, rarely } = protectedBed(bed, seed), { R } = bed;
  const sp = R[S.RSP] = top(of, R[S.RSP]) - 0x80;
  const [code, data] = of([CODE0, DATA0], [CODE1, DATA1], [CODE3, DATA3], [CODE3, DATA3]);
  const frame = [below(0x10000), code, below(0x1000), top(of, STACK3), data];
  if (rarely()) frame[1] = of(FREE, FREE + 3, 0, 4, LDT_SEL, DATA3);
  if (rarely()) frame[2] = below(1 << 22);
  if (rarely()) frame[4] = of(FREE + 3, 0, 4, LDT_SEL, CODE3);
  frame.forEach((value, i) => bed.write32(sp + 4 * i, value));
  bed.cpu.operandSize = rarely() ? 16 : 32;
}

function longBed(bed: LongTestbed, seed: number): ReturnType<typeof numbers> {
  const random = numbers(seed), { below, of, rarely } = random;
  bed.long(of(0, 3, 3), !rarely(6));
  scatter(bed, random);
  if (rarely()) bed.R[S.CR4] |= S.CR4_SMAP;
  bed.segment(
    FREE + 0x60,
    of(dpl(CODE, below(4)), CONFORMING, dpl(DATA, 3), READ_ONLY),
    { flags: of(0xa, 0xa, 0xc, 0xe) },
  );
  return random;
}

function longEventBed(bed: LongTestbed, seed: number): void {
  const { below, of, rarely } = longBed(bed, seed), { R } = bed;
  const access = rarely() ? below(256) : dpl(of(0x8e, 0x8f), of(0, 3, 3));
  const selector = rarely() ? of(LONG3, CODE0, FREE + 0x60, 0, 4) : LONG0;
  bed.longGate(0x30, access, selector, below(1 << 20), of(0, 0x7fff, -0x8000, 0x8000), of(0, 0, 2));
  bed.write64(TSS_A + 4, top(of, STACK0), of(0, 0, 0x8000));
  bed.write64(TSS_A + 0x24 + 8, top(of, STACK_IST), 0);
  if (rarely()) R[S.IDTR_LIMIT] = below(0x400);
  if (rarely()) R[S.SEG_LIMIT + S.TR] = below(64);
  if (rarely()) R[S.GDTR_BASE + 1] = of(1, -0x80);
  R[S.RSP] = top(of, R[S.RSP]);
}

function longReturnBed(bed: LongTestbed, seed: number): void {
  const { below, of, rarely } = longBed(bed, seed), { R } = bed;
  const sp = R[S.RSP] = top(of, R[S.RSP]) - 0x80;
  const [code, data] = of([LONG0, 0], [LONG0, DATA0], [LONG3, DATA3], [LONG3, DATA3]);
  const frame = [below(0x10000), code, below(0x1000), top(of, STACK3), data];
  if (rarely()) frame[1] = of(FREE + 0x60, FREE + 0x63, 0, 4, CODE3, DATA3);
  if (rarely()) frame[2] = below(1 << 22);
  if (rarely()) frame[4] = of(FREE + 0x63, 3, 4, CODE3);
  const highs = [of(0, 0x7fff, 0x8000), 0, 0, of(0, -1), 0];
  frame.forEach((value, i) => bed.write64(sp + 8 * i, value, highs[i]));
  bed.cpu.operandSize = rarely() ? 32 : 64;
}

/** Both ways into the handler of vector 0x30, of an event that follows from the seed's bed. */
function entering(error: boolean) {
  const code = error ? 0x1234 : -1;
  return {
    directly: ({ cpu }: Testbed) => enterDirectly(cpu, 0x30, !error, code, error),
    wholly: ({ cpu }: Testbed) =>
      deliverWholly(cpu, 0x30, error ? "exception" : "int", code, error),
  };
}

const RETURNING = {
  directly: ({ cpu }: Testbed) => returnDirectly(cpu),
  wholly: ({ cpu }: Testbed) => returnWholly(cpu),
};

/** So many of the cases at least are to be taken. */
const LEAST = CASES / 15;

Deno.test("an interrupt that goes directly to its handler does what the whole delivery does", () => {
  const legacy = new Bench(new Testbed("qemu32")), long = new Bench(new LongTestbed());
  for (const error of [false, true]) {
    assert(compare(legacy, eventBed, entering(error)) > LEAST);
    assert(compare(long, longEventBed, entering(error)) > LEAST);
  }
});

Deno.test("an IRET that returns directly does what the whole IRET does", () => {
  assert(compare(new Bench(new Testbed("qemu32")), returnBed, RETURNING) > LEAST);
  assert(compare(new Bench(new LongTestbed()), longReturnBed, RETURNING) > LEAST);
});
