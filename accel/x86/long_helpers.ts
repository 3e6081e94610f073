/** The long general-purpose instructions in 64-bit code, where addresses and counters have 64 bits (SDM vol. 2). */
import type { X86 } from "./cpu.ts";
import type { Helper } from "./rows.ts";
import * as S from "./state.ts";
import { checkIo, readPort, writePort } from "./system/io.ts";

type Bytes = 1 | 2 | 4 | 8;

/** Linear address of an index register, with the segment's base if it has one. */
function indexAddress(cpu: X86, register: number, segment: number): number {
  const { R } = cpu;
  return cpu.linear64(segment, R[register], cpu.addressSize === 64 ? R[register + 1] : 0);
}

/** Adds to a register at the address size. */
function advance(cpu: X86, register: number, by: number): void {
  const { R } = cpu, old = R[register], sum = (old + by) | 0;
  R[register] = sum;
  if (cpu.addressSize === 64) R[register + 1] += (by >> 31) + ((sum >>> 0) < (by >>> 0) ? 1 : 0);
  else R[register + 1] = 0;
}

/** Reads an element: the low half, the high half in `R[HIGH]`. */
function load(cpu: X86, linear: number, bytes: Bytes): number {
  switch (bytes) {
    case 1:
      return cpu.load8(linear);
    case 2:
      return cpu.load16(linear);
    case 4:
      return cpu.load32(linear);
    case 8:
      return cpu.load64(linear);
  }
}

function store(cpu: X86, linear: number, bytes: Bytes, low: number, high: number): void {
  switch (bytes) {
    case 1:
      return cpu.store8(linear, low);
    case 2:
      return cpu.store16(linear, low);
    case 4:
      return cpu.store32(linear, low);
    case 8:
      return cpu.store64(linear, low, high);
  }
}

const step = (cpu: X86, bytes: Bytes) => (cpu.R[S.EFLAGS] & S.DF) !== 0 ? -bytes : bytes;

/** One iteration; a false result ends the repetition. */
type Iteration = (cpu: X86, bytes: Bytes) => boolean;
/** Several iterations at once where nothing can be observed between them: their number, or 0. */
type Bulk = (cpu: X86, bytes: Bytes, most: number) => number;

function stringInstruction(fixed: Bytes | 0, once: Iteration, bulk?: Bulk): Helper {
  return (cpu) => {
    const bytes = (fixed === 0 ? cpu.operandSize >> 3 : fixed) as Bytes, { R } = cpu;
    cpu.iterations = 0;
    if (cpu.repeat === 0) {
      once(cpu, bytes);
      cpu.iterations = 1;
      return;
    }
    const wide = cpu.addressSize === 64;
    const count = () => (wide ? R[S.RCX + 1] >>> 0 : 0) * 0x100000000 + (R[S.RCX] >>> 0);
    if (count() === 0) {
      cpu.iterations = 1;
      return;
    }
    cpu.attention = false;
    for (;;) {
      let done = 0, more = true;
      if (bulk !== undefined) {
        done = bulk(cpu, bytes, Math.min(count(), cpu.iterationBudget - cpu.iterations));
      }
      if (done === 0) {
        more = once(cpu, bytes);
        done = 1;
      }
      cpu.iterations += done;
      const low = R[S.RCX];
      R[S.RCX] = low - done;
      R[S.RCX + 1] = wide ? R[S.RCX + 1] - ((low >>> 0) < done ? 1 : 0) : 0;
      if (count() === 0 || !more) return;
      if (cpu.iterations >= cpu.iterationBudget || cpu.attention) {
        R[S.RIP] = R[S.INSN_IP];
        R[S.RIP + 1] = R[S.INSN_IP_HI];
        cpu.repeating = true;
        return;
      }
    }
  };
}

/** How many forward elements fit the rest of a page. */
const room = (linear: number, bytes: Bytes, most: number) =>
  Math.min(most, Math.floor((0x1000 - (linear & 0xfff)) / bytes));

const bulkMove: Bulk = (cpu, bytes, most) => {
  const { R } = cpu;
  if (most < 4 || (R[S.EFLAGS] & S.DF) !== 0 || cpu.addressSize !== 64) return 0;
  const from = indexAddress(cpu, S.RSI, R[S.INSN_SEG]), to = indexAddress(cpu, S.RDI, S.ES);
  const n = Math.min(room(from, bytes, most), room(to, bytes, most)), length = n * bytes;
  if (n < 2) return 0;
  const user = R[S.CPL] === 3;
  const a = cpu.mmu64.direct(from, length, false, user),
    b = cpu.mmu64.direct(to, length, true, user);
  // An overlapping forward copy repeats a pattern, which copyWithin would not.
  if (a < 0 || b < 0 || (b > a && b < a + length)) return 0;
  cpu.bus.memory.host.bytes.copyWithin(b, a, a + length);
  advance(cpu, S.RSI, length);
  advance(cpu, S.RDI, length);
  return n;
};

const bulkStore: Bulk = (cpu, bytes, most) => {
  const { R } = cpu;
  if (most < 4 || (R[S.EFLAGS] & S.DF) !== 0 || cpu.addressSize !== 64) return 0;
  const to = indexAddress(cpu, S.RDI, S.ES), n = room(to, bytes, most), length = n * bytes;
  if (n < 2) return 0;
  const at = cpu.mmu64.direct(to, length, true, R[S.CPL] === 3);
  if (at < 0) return 0;
  const { host } = cpu.bus.memory;
  for (let i = 0; i < bytes; i++) host.bytes[at + i] = cpu.U8[i];
  for (let have: number = bytes; have < length; have *= 2) {
    host.bytes.copyWithin(at + have, at, at + Math.min(have, length - have));
  }
  advance(cpu, S.RDI, length);
  return n;
};

const move: Iteration = (cpu, bytes) => {
  const low = load(cpu, indexAddress(cpu, S.RSI, cpu.R[S.INSN_SEG]), bytes);
  store(cpu, indexAddress(cpu, S.RDI, S.ES), bytes, low, cpu.R[S.HIGH]);
  advance(cpu, S.RSI, step(cpu, bytes));
  advance(cpu, S.RDI, step(cpu, bytes));
  return true;
};

const storeAccumulator: Iteration = (cpu, bytes) => {
  store(cpu, indexAddress(cpu, S.RDI, S.ES), bytes, cpu.R[S.RAX], cpu.R[S.RAX + 1]);
  advance(cpu, S.RDI, step(cpu, bytes));
  return true;
};

const loadAccumulator: Iteration = (cpu, bytes) => {
  const { R } = cpu, low = load(cpu, indexAddress(cpu, S.RSI, R[S.INSN_SEG]), bytes);
  if (bytes === 1) cpu.U8[0] = low;
  else if (bytes === 2) cpu.U16[0] = low;
  else {
    R[S.RAX] = low;
    R[S.RAX + 1] = bytes === 8 ? R[S.HIGH] : 0;
  }
  advance(cpu, S.RSI, step(cpu, bytes));
  return true;
};

/** Flags of a comparison, and whether the repetition goes on by REPE (F3) or REPNE (F2). */
function compareFlags(
  cpu: X86,
  bytes: Bytes,
  dl: number,
  dh: number,
  sl: number,
  sh: number,
): boolean {
  const { R } = cpu, lo = (dl - sl) | 0, borrows = (~dl & sl) | ((~dl | sl) & lo);
  if (bytes === 8) {
    const hi = (dh - sh - (borrows >>> 31)) | 0, top = (~dh & sh) | ((~dh | sh) & hi);
    R[S.FR] = hi | (lo >>> 1) | (lo & 1);
    R[S.FC] = (top & 0xc0000000) | (borrows & 8) | (((R[S.FR] ^ lo) & 0xff) << 8);
  } else {
    const shift = 32 - bytes * 8;
    R[S.FR] = (lo << shift) >> shift;
    R[S.FC] = ((borrows << shift) & 0xc0000000) | (borrows & 8);
  }
  return (R[S.FR] === 0) === (cpu.repeat === 0xf3);
}

const compare: Iteration = (cpu, bytes) => {
  const { R } = cpu;
  const dl = load(cpu, indexAddress(cpu, S.RSI, R[S.INSN_SEG]), bytes), dh = R[S.HIGH];
  const sl = load(cpu, indexAddress(cpu, S.RDI, S.ES), bytes), sh = R[S.HIGH];
  advance(cpu, S.RSI, step(cpu, bytes));
  advance(cpu, S.RDI, step(cpu, bytes));
  return compareFlags(cpu, bytes, dl, dh, sl, sh);
};

const scan: Iteration = (cpu, bytes) => {
  const { R } = cpu, sl = load(cpu, indexAddress(cpu, S.RDI, S.ES), bytes), sh = R[S.HIGH];
  const dl = bytes === 1 ? cpu.U8[0] : bytes === 2 ? cpu.U16[0] : R[S.RAX];
  advance(cpu, S.RDI, step(cpu, bytes));
  return compareFlags(cpu, bytes, dl, R[S.RAX + 1], sl, sh);
};

const input: Iteration = (cpu, bytes) => {
  const port = cpu.U16[S.RDX * 2], size = Math.min(bytes, 4) as 1 | 2 | 4;
  checkIo(cpu, port, size);
  const to = indexAddress(cpu, S.RDI, S.ES);
  cpu.probeWrite(to, size);
  store(cpu, to, size, readPort(cpu, port, size), 0);
  advance(cpu, S.RDI, step(cpu, size));
  return true;
};

const output: Iteration = (cpu, bytes) => {
  const port = cpu.U16[S.RDX * 2], size = Math.min(bytes, 4) as 1 | 2 | 4;
  checkIo(cpu, port, size);
  writePort(cpu, port, size, load(cpu, indexAddress(cpu, S.RSI, cpu.R[S.INSN_SEG]), size));
  advance(cpu, S.RSI, step(cpu, size));
  return true;
};

const xlat: Helper = (cpu) => {
  const { R } = cpu, low = (R[S.RBX] + cpu.U8[0]) | 0;
  const high = cpu.addressSize === 64 ? R[S.RBX + 1] + ((low >>> 0) < cpu.U8[0] ? 1 : 0) : 0;
  cpu.U8[0] = cpu.load8(cpu.linear64(R[S.INSN_SEG], low, high));
};

/** BT and its kin on a bit string: the signed bit offset selects the word. */
function bitString(change: (d: number, mask: number) => number, writes: boolean): Helper {
  return (cpu, low, bit) => {
    const { R } = cpu;
    // The word's offset in bytes, rounded down to the 32 bits that hold the bit (16 for a word operand).
    const high = R[S.ARG_HI], word = cpu.operandSize === 16;
    let by: number;
    if (word) by = (((bit << 16) >> 16) >> 4) * 2;
    else if (cpu.operandSize === 32) by = (bit >> 5) * 4;
    else by = Math.floor((R[S.ARG_HI + 1] * 0x100000000 + (bit >>> 0)) / 32) * 4;
    const sum = (low >>> 0) + by, carry = Math.floor(sum / 0x100000000);
    const linear = cpu.linear64(R[S.INSN_SEG], sum | 0, (high + carry) | 0);
    const bytes = word ? 2 : 4, mask = 1 << (bit & (word ? 15 : 31));
    if (writes) cpu.probeWrite(linear, bytes);
    const d = word ? cpu.load16(linear) : cpu.load32(linear);
    if (writes) {
      if (word) cpu.store16(linear, change(d, mask));
      else cpu.store32(linear, change(d, mask));
    }
    if ((R[S.FC] < 0) !== ((d & mask) !== 0)) R[S.FC] ^= 0xc0000000;
  };
}

/** CMPXCHG8B, and with REX.W CMPXCHG16B, whose operand must be aligned. */
const cmpxchg8b: Helper = (cpu, low) => {
  const { R } = cpu, linear = cpu.linear64(R[S.INSN_SEG], low, R[S.ARG_HI]);
  const half = cpu.operandSize === 64 ? 2 : 1;
  if (half === 2 && !cpu.model.features.has("cx16")) cpu.raise(S.UD);
  if (half === 2 && (linear & 15) !== 0) cpu.raise(S.GP, 0);
  cpu.probeWrite(linear, 8 * half);
  const have = [0, 1, 2, 3].slice(0, 2 * half).map((i) => cpu.load32(linear + 4 * i));
  const words = (a: number, b: number) =>
    half === 2 ? [R[a], R[a + 1], R[b], R[b + 1]] : [R[a], R[b]];
  const expected = words(S.RAX, S.RDX), wanted = words(S.RBX, S.RCX);
  const equal = have.every((word, i) => word === expected[i]);
  (equal ? wanted : have).forEach((word, i) => cpu.store32(linear + 4 * i, word));
  if (!equal) {
    R[S.RAX] = have[0];
    R[S.RAX + 1] = half === 2 ? have[1] : 0;
    R[S.RDX] = have[half];
    R[S.RDX + 1] = half === 2 ? have[3] : 0;
  }
  S.setArithFlags(R, (S.arithFlags(R) & ~S.ZF) | (equal ? S.ZF : 0));
};

const enter: Helper = (cpu, size, nesting) => {
  const { R } = cpu, level = nesting & 31, width = cpu.operandSize === 16 ? 2 : 8;
  const sp = R[S.RSP + 1] * 0x100000000 + (R[S.RSP] >>> 0),
    bp = R[S.RBP + 1] * 0x100000000 + (R[S.RBP] >>> 0);
  const frame = sp - width, final = frame - level * width - size;
  cpu.probeWrite(frame - level * width, (level + 1) * width);
  cpu.probeWrite(final, width);
  const put = (at: number, low: number, high: number) =>
    width === 8 ? cpu.store64(at, low, high) : cpu.store16(at, low);
  put(frame, R[S.RBP], R[S.RBP + 1]);
  // Frames are on the stack: an address that is not canonical is #SS.
  if (level > 1) cpu.linear64(S.SS, R[S.RBP], R[S.RBP + 1]);
  for (let i = 1; i < level; i++) {
    const low = width === 8 ? cpu.load64(bp - i * width) : cpu.load16(bp - i * width);
    put(frame - i * width, low, R[S.HIGH]);
  }
  if (level > 0) put(frame - level * width, frame | 0, Math.floor(frame / 0x100000000));
  if (width === 2) cpu.U16[S.RBP * 2] = frame;
  else {
    R[S.RBP] = frame;
    R[S.RBP + 1] = Math.floor(frame / 0x100000000);
  }
  R[S.RSP] = final;
  R[S.RSP + 1] = Math.floor(final / 0x100000000);
};

/** LEAVE of 16 bits; the stack pointer has 64. */
const leave: Helper = (cpu) => {
  const { R } = cpu, value = cpu.load16(cpu.linear64(S.SS, R[S.RBP], R[S.RBP + 1]));
  const sp = (R[S.RBP] + 2) | 0;
  R[S.RSP + 1] = R[S.RBP + 1] + ((sp >>> 0) < 2 ? 1 : 0);
  R[S.RSP] = sp;
  cpu.U16[S.RBP * 2] = value;
};

/** Helpers that 64-bit code has instead of those of the same names. */
export const LONG_HELPERS: Record<string, Helper> = {
  leave,
  movsb: stringInstruction(1, move, bulkMove),
  movsv: stringInstruction(0, move, bulkMove),
  stosb: stringInstruction(1, storeAccumulator, bulkStore),
  stosv: stringInstruction(0, storeAccumulator, bulkStore),
  lodsb: stringInstruction(1, loadAccumulator),
  lodsv: stringInstruction(0, loadAccumulator),
  cmpsb: stringInstruction(1, compare),
  cmpsv: stringInstruction(0, compare),
  scasb: stringInstruction(1, scan),
  scasv: stringInstruction(0, scan),
  insb: stringInstruction(1, input),
  insv: stringInstruction(0, input),
  outsb: stringInstruction(1, output),
  outsv: stringInstruction(0, output),
  xlat,
  bt_string: bitString((d) => d, false),
  bts_string: bitString((d, m) => d | m, true),
  btr_string: bitString((d, m) => d & ~m, true),
  btc_string: bitString((d, m) => d ^ m, true),
  cmpxchg8b,
  enter,
};
