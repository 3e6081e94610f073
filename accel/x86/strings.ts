/**
 * String instructions (SDM vol. 2, REP and each). One iteration counts as one instruction, and an
 * interrupt may come between two: an unfinished repetition leaves RIP at the instruction.
 */
import type { X86 } from "./cpu.ts";
import { TLB_USER, TLB_WRITE } from "./mmu.ts";
import type { Helper } from "./rows.ts";
import * as Words from "./state.ts";
import { hostOffsetOf } from "./tlb.ts";
import { checkIo, readPort, writePort } from "./system/io.ts";
import { alignmentChecked } from "./system/stack.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

type Bytes = 1 | 2 | 4;

/** Index registers and counter at the address size. */
function index(cpu: X86, register: number): number {
  return cpu.addressSize === 32 ? cpu.R[register] : cpu.U16[register * 2];
}

function advance(cpu: X86, register: number, by: number): void {
  if (cpu.addressSize === 32) cpu.R[register] += by;
  else cpu.U16[register * 2] += by;
}

function load(cpu: X86, linear: number, bytes: Bytes): number {
  return bytes === 1 ? cpu.load8(linear) : bytes === 2 ? cpu.load16(linear) : cpu.load32(linear);
}

function store(cpu: X86, linear: number, bytes: Bytes, value: number): void {
  if (bytes === 1) cpu.store8(linear, value);
  else if (bytes === 2) cpu.store16(linear, value);
  else cpu.store32(linear, value);
}

const source = (cpu: X86, bytes: Bytes) =>
  cpu.linear(cpu.R[S.INSN_SEG], index(cpu, S.RSI), bytes, false);
const destination = (cpu: X86, bytes: Bytes, write: boolean) =>
  cpu.linear(S.ES, index(cpu, S.RDI), bytes, write);

const step = (cpu: X86, bytes: Bytes) => (cpu.R[S.EFLAGS] & S.DF) !== 0 ? -bytes : bytes;

/** Does one iteration; a false result ends the repetition (its condition failed). */
type Iteration = (cpu: X86, bytes: Bytes) => boolean;
/** Does several iterations at once where nothing can be observed between them: gives their number, or 0. */
type Bulk = (cpu: X86, bytes: Bytes, most: number) => number;

function stringInstruction(bytes: Bytes | 0, once: Iteration, bulk?: Bulk): Helper {
  return (cpu) => {
    const size = (bytes === 0 ? cpu.operandSize >> 3 : bytes) as Bytes;
    const R = cpu.R;
    cpu.iterations = 0;
    if (cpu.repeat === 0) {
      once(cpu, size);
      cpu.iterations = 1;
      return;
    }
    const wide = cpu.addressSize === 32;
    let count = wide ? R[S.RCX] >>> 0 : cpu.U16[S.RCX * 2];
    if (count === 0) {
      cpu.iterations = 1;
      return;
    }
    cpu.attention = false;
    for (;;) {
      let done = 0;
      let more = true;
      if (bulk !== undefined) {
        done = bulk(cpu, size, Math.min(count, cpu.iterationBudget - cpu.iterations));
      }
      if (done === 0) {
        more = once(cpu, size);
        done = 1;
      }
      count -= done;
      cpu.iterations += done;
      if (wide) R[S.RCX] = count;
      else cpu.U16[S.RCX * 2] = count;
      if (count === 0 || !more) return;
      if (cpu.iterations >= cpu.iterationBudget || cpu.attention) {
        R[S.RIP] = R[S.INSN_IP];
        cpu.repeating = true;
        return;
      }
    }
  };
}

function flagsOfDifference(cpu: X86, d: number, s: number, bytes: Bytes): void {
  const shift = 32 - bytes * 8, R = cpu.R;
  const r = (d - s) | 0, borrows = (~d & s) | ((~d | s) & r);
  R[S.FR] = (r << shift) >> shift;
  R[S.FC] = ((borrows << shift) & 0xc0000000) | (borrows & 8);
}

/** Whether a repetition goes on, by REPE (F3) or REPNE (F2) and ZF. */
const goesOn = (cpu: X86) => (cpu.R[S.FR] === 0) === (cpu.repeat === 0xf3);

/** Host offset of the page of a linear address in a TLB table, if the whole run may use it; else negative. */
function direct(cpu: X86, linear: number, table: number): number {
  return hostOffsetOf(cpu.mmu.tlb[(linear >>> 12) + table + (cpu.R[S.CPL] === 3 ? TLB_USER : 0)]);
}

/** How many forward iterations stay in the segment, the page and the address size. */
function run(
  cpu: X86,
  segment: number,
  register: number,
  bytes: Bytes,
  most: number,
  write: boolean,
): number {
  const offset = index(cpu, register) >>> 0;
  const linear = (cpu.R[S.SEG_BASE + segment] + offset) | 0;
  const top = cpu.addressSize === 32 ? 0x100000000 : 0x10000;
  const room = Math.min(
    most,
    Math.floor((0x1000 - (linear & 0xfff)) / bytes),
    Math.floor((top - offset) / bytes),
  );
  if (room < 2 || !cpu.segmentAllows(segment, offset, room * bytes, write)) return 0;
  return room;
}

const bulkMove: Bulk = (cpu, bytes, most) => {
  const R = cpu.R, segment = R[S.INSN_SEG];
  if (most < 4 || (R[S.EFLAGS] & S.DF) !== 0) return 0;
  const n = Math.min(
    run(cpu, segment, S.RSI, bytes, most, false),
    run(cpu, S.ES, S.RDI, bytes, most, true),
  );
  if (n === 0) return 0;
  const from = (R[S.SEG_BASE + segment] + index(cpu, S.RSI)) | 0;
  const to = (R[S.SEG_BASE + S.ES] + index(cpu, S.RDI)) | 0;
  const fromPage = direct(cpu, from, 0), toPage = direct(cpu, to, TLB_WRITE);
  if (fromPage < 0 || toPage < 0) return 0;
  const length = n * bytes, a = fromPage + (from & 0xfff), b = toPage + (to & 0xfff);
  // An overlapping forward copy repeats a pattern, which copyWithin would not.
  if (b > a && b < a + length) return 0;
  cpu.bus.memory.host.bytes.copyWithin(b, a, a + length);
  advance(cpu, S.RSI, length);
  advance(cpu, S.RDI, length);
  return n;
};

const bulkStore: Bulk = (cpu, bytes, most) => {
  const R = cpu.R;
  if (most < 4 || (R[S.EFLAGS] & S.DF) !== 0) return 0;
  const n = run(cpu, S.ES, S.RDI, bytes, most, true);
  if (n === 0) return 0;
  const to = (R[S.SEG_BASE + S.ES] + index(cpu, S.RDI)) | 0;
  const page = direct(cpu, to, TLB_WRITE);
  if (page < 0) return 0;
  const host = cpu.bus.memory.host, length = n * bytes, at = page + (to & 0xfff);
  const value = R[S.RAX], byte = value & 0xff;
  const uniform = bytes === 1 || (byte === ((value >>> 8) & 0xff) &&
    (bytes === 2 || (value & 0xffff) === value >>> 16));
  if (uniform) host.bytes.fill(byte, at, at + length);
  else {
    if (bytes === 2) host.setInt16(at, value);
    else host.setInt32(at, value);
    for (let have: number = bytes; have < length; have *= 2) {
      host.bytes.copyWithin(at + have, at, at + Math.min(have, length - have));
    }
  }
  advance(cpu, S.RDI, length);
  return n;
};

const move: Iteration = (cpu, bytes) => {
  // The source's faults come before those of the destination.
  const value = load(cpu, source(cpu, bytes), bytes);
  store(cpu, destination(cpu, bytes, true), bytes, value);
  const by = step(cpu, bytes);
  advance(cpu, S.RSI, by);
  advance(cpu, S.RDI, by);
  return true;
};

const storeAccumulator: Iteration = (cpu, bytes) => {
  store(cpu, destination(cpu, bytes, true), bytes, cpu.R[S.RAX]);
  advance(cpu, S.RDI, step(cpu, bytes));
  return true;
};

const loadAccumulator: Iteration = (cpu, bytes) => {
  const value = load(cpu, source(cpu, bytes), bytes);
  if (bytes === 1) cpu.U8[0] = value;
  else if (bytes === 2) cpu.U16[0] = value;
  else cpu.R[S.RAX] = value;
  advance(cpu, S.RSI, step(cpu, bytes));
  return true;
};

const compare: Iteration = (cpu, bytes) => {
  const d = load(cpu, source(cpu, bytes), bytes);
  const s = load(cpu, destination(cpu, bytes, false), bytes);
  const by = step(cpu, bytes);
  advance(cpu, S.RSI, by);
  advance(cpu, S.RDI, by);
  flagsOfDifference(cpu, d, s, bytes);
  return goesOn(cpu);
};

const scan: Iteration = (cpu, bytes) => {
  const s = load(cpu, destination(cpu, bytes, false), bytes);
  const d = bytes === 1 ? cpu.U8[0] : bytes === 2 ? cpu.U16[0] : cpu.R[S.RAX];
  advance(cpu, S.RDI, step(cpu, bytes));
  flagsOfDifference(cpu, d, s, bytes);
  return goesOn(cpu);
};

const input: Iteration = (cpu, bytes) => {
  const port = cpu.U16[S.RDX * 2];
  checkIo(cpu, port, bytes);
  const to = destination(cpu, bytes, true);
  // The store must not fault once the port was read.
  if ((to & (bytes - 1)) !== 0 && alignmentChecked(cpu)) cpu.raise(S.AC_FAULT, 0);
  cpu.probeWrite(to, bytes);
  store(cpu, to, bytes, readPort(cpu, port, bytes));
  advance(cpu, S.RDI, step(cpu, bytes));
  return true;
};

const output: Iteration = (cpu, bytes) => {
  const port = cpu.U16[S.RDX * 2];
  checkIo(cpu, port, bytes);
  const value = load(cpu, source(cpu, bytes), bytes);
  writePort(cpu, port, bytes, value);
  advance(cpu, S.RSI, step(cpu, bytes));
  return true;
};

function both(name: string, once: Iteration, bulk?: Bulk): [string, Helper][] {
  return [[`${name}b`, stringInstruction(1, once, bulk)], [
    `${name}v`,
    stringInstruction(0, once, bulk),
  ]];
}

/** Helpers of the string rows. They are engines' to call with `iterationBudget` set. */
export const STRING_HELPERS: Record<string, Helper> = Object.fromEntries([
  ...both("movs", move, bulkMove),
  ...both("stos", storeAccumulator, bulkStore),
  ...both("lods", loadAccumulator),
  ...both("cmps", compare),
  ...both("scas", scan),
  ...both("ins", input),
  ...both("outs", output),
]);
