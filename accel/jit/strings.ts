/**
 * String instructions in regions. One iteration is text; a repetition is one call, made only if all of it
 * lies in directly addressed pages and fits the budget, so that nothing can come between two iterations.
 * Everything else is the interpreter's.
 */
import type { X86 } from "../x86/cpu.ts";
import type { Width } from "../x86/binder.ts";
import type { Insn } from "../x86/decoder.ts";
import { TLB_USER, TLB_WRITE } from "../x86/mmu.ts";
import * as S from "../x86/state.ts";
import { hostOffsetOf } from "../x86/tlb.ts";
import type { JitBinder } from "./binder.ts";
import { LEFT_MEMORY } from "./emitter.ts";

const NAME = /^(movs|stos|lods|scas|cmps)([bv])$/;
const RCX = 1, RSI = 6, RDI = 7;

/** Bytes of an element. */
function sizeOf(insn: Insn): 1 | 2 | 4 | 8 {
  return insn.form.row.semantic.endsWith("b") ? 1 : (insn.operandSize >> 3) as 2 | 4 | 8;
}

/** Whether an instruction is a string instruction that regions contain. */
export function translatesString(insn: Insn): boolean {
  const name = NAME.exec(insn.form.row.semantic)?.[1];
  if (name === undefined || insn.addressSize !== (insn.long ? 64 : 32)) return false;
  if (insn.segment === S.FS || insn.segment === S.GS) return false;
  if (!insn.long && insn.segment === S.CS) return false;
  if (insn.repeat !== 0 && name === "lods") return false;
  return sizeOf(insn) !== 8 || name === "movs" || name === "stos";
}

/** Emits a string instruction; false if it is none that regions contain. */
export function emitString(b: JitBinder): boolean {
  const { insn } = b;
  if (!translatesString(insn)) return false;
  const name = NAME.exec(insn.form.row.semantic)![1], size = sizeOf(insn);
  if (insn.repeat === 0) emitOnce(b, name, size);
  else emitRepeated(b, name, size);
  return true;
}

function emitOnce(b: JitBinder, name: string, size: 1 | 2 | 4 | 8): void {
  const width = size * 8 as Width;
  const source = name === "stos" || name === "scas" ? "" : b.indexAddress(RSI);
  const target = name === "lods" ? "" : b.indexAddress(RDI);
  if (size === 8) {
    const value = name === "movs" ? b.loadWide(source) : b.gpr64(0);
    b.storeWide(target, value);
  } else if (name === "movs") b.store(width, target, b.load(width, source));
  else if (name === "stos") b.store(width, target, b.gpr(0, width));
  else if (name === "lods") b.setGpr(0, b.load(width, source), width);
  else {
    const d = name === "scas" ? b.let(b.gpr(0, width)) : b.load(width, source);
    const s = b.load(width, target);
    b.flagsSub(d, s, b.let(`(${d}-${s})|0`), width);
  }
  const by = b.let(`(R[${S.EFLAGS}]&${S.DF})!==0?-${size}:${size}`);
  if (source !== "") b.advanceIndex(RSI, by);
  if (target !== "") b.advanceIndex(RDI, by);
}

function emitRepeated(b: JitBinder, name: string, size: 1 | 2 | 4 | 8): void {
  const { e, insn } = b, width = size * 8 as Width;
  const count = b.let(b.indexNumber(RCX));
  // Each iteration counts as an instruction; the others of the block must still fit the budget.
  const room = `n-${e.needs - 1}`;
  const from = () => b.indexNumber(RSI), to = b.indexNumber(RDI);
  if (name === "movs" || name === "stos") {
    const value = size === 8 ? b.gpr64(0) : { lo: b.gpr(0, 32), hi: "0" };
    const call = name === "movs"
      ? `STRINGS.move(${from()},${to},${count},${size},${room})`
      : `STRINGS.fill(${to},${count},${size},${room},${value.lo},${value.hi})`;
    b.emit(`if(!${call})${e.bail(LEFT_MEMORY)}`);
    b.emit(`if(${count}!==0){`);
    const by = b.let(`${count}*${size}`);
    if (name === "movs") b.advanceIndex(RSI, by);
    b.advanceIndex(RDI, by);
    b.clearIndex(RCX);
    b.emit(`n=(n-${count}+1)|0;}`);
    return;
  }
  const equal = insn.repeat === 0xf3 ? 1 : 0;
  const done = b.let(
    name === "scas"
      ? `STRINGS.scan(${to},${count},${size},${room},${equal},${b.gpr(0, width)})`
      : `STRINGS.compare(${from()},${to},${count},${size},${room},${equal})`,
  );
  b.emit(`if(${done}===0)${e.bail(LEFT_MEMORY)}`);
  const d = b.let("LAST[0]"), s = b.let("LAST[1]"), by = b.let(`${done}*${size}`);
  if (name === "cmps") b.advanceIndex(RSI, by);
  b.advanceIndex(RDI, by);
  b.advanceIndex(RCX, b.let(`-${done}|0`));
  b.emit(`n=(n-${done}+1)|0;`);
  b.flagsSub(d, s, b.let(`(${d}-${s})|0`), width);
}

/** Below so many bytes a loop is faster than a call of the host's. */
const SHORT = 48;

/** What repetitions do. Addresses are linear, counts and addresses numbers that are not negative in 32-bit code. */
class Strings {
  constructor(private readonly cpu: X86, private readonly last: Int32Array) {}

  /** Host offset of a byte in a directly addressed page, or -1. */
  private place(linear: number, write: boolean): number {
    const { R, mmu, mmu64 } = this.cpu, user = R[S.CPL] === 3;
    if (R[S.LONG] !== 0) return mmu64.direct(linear, 1, write, user);
    const table = (write ? TLB_WRITE : 0) + (user ? TLB_USER : 0);
    const page = hostOffsetOf(mmu.tlb[(linear >>> 12) + table]);
    return page < 0 ? -1 : page + (linear & 0xfff);
  }

  /** Whether elements follow each other upward without wrapping around, and may all be done now. */
  private isPlain(linear: number, count: number, size: number, room: number): boolean {
    const { R } = this.cpu;
    if (count < 0 || count > room || (R[S.EFLAGS] & S.DF) !== 0) return false;
    return R[S.LONG] !== 0 || linear + count * size <= 0x100000000;
  }

  /** REP MOVS, all of it; false, and nothing done, where that cannot be. */
  move(from: number, to: number, count: number, size: number, room: number): boolean {
    if (count === 0) return true;
    if (!this.isPlain(from, count, size, room) || !this.isPlain(to, count, size, room)) {
      return false;
    }
    const length = count * size;
    for (let done = 0; done < length;) {
      const a = this.place(from + done, false), b = this.place(to + done, true);
      if (a < 0 || b < 0) return false;
      const piece = pieceOf(length - done, from + done, to + done);
      // A copy to just behind its source repeats a pattern.
      if (b > a && b < a + piece) return false;
      if (piece === length) {
        this.copy(a, b, length);
        return true;
      }
      done += piece;
      if (done % size !== 0) {
        // An element in two pages is read whole before any of it is written.
        const rest = this.place(from + done, false);
        if (rest < b + piece && rest + size > b + piece - size) return false;
      }
    }
    for (let done = 0; done < length;) {
      const piece = pieceOf(length - done, from + done, to + done);
      this.copy(this.place(from + done, false), this.place(to + done, true), piece);
      done += piece;
    }
    return true;
  }

  private copy(from: number, to: number, length: number): void {
    const { bytes } = this.cpu.bus.memory.host;
    if (length >= SHORT) bytes.copyWithin(to, from, from + length);
    else for (let i = 0; i < length; i++) bytes[to + i] = bytes[from + i];
  }

  /** REP STOS, likewise. */
  fill(to: number, count: number, size: number, room: number, lo: number, hi: number): boolean {
    if (count === 0) return true;
    if (!this.isPlain(to, count, size, room)) return false;
    const length = count * size, { bytes } = this.cpu.bus.memory.host;
    for (let done = 0; done < length;) {
      if (this.place(to + done, true) < 0) return false;
      done += pieceOf(length - done, to + done, to + done);
    }
    const byte = lo & 0xff, twice = byte | (byte << 8), four = twice | (twice << 16);
    const uniform = size === 1 || (size === 2 ? (lo & 0xffff) === twice : lo === four) &&
        (size !== 8 || hi === four);
    for (let done = 0; done < length;) {
      const at = this.place(to + done, true);
      const piece = pieceOf(length - done, to + done, to + done);
      if (uniform && piece >= SHORT) bytes.fill(byte, at, at + piece);
      else {
        // A page may begin within an element.
        for (let i = 0; i < Math.min(piece, size); i++) {
          const n = (done + i) % size;
          bytes[at + i] = (n < 4 ? lo : hi) >>> (8 * (n & 3));
        }
        if (piece < SHORT) {
          for (let i = size; i < piece; i++) bytes[at + i] = bytes[at + i - size];
        } else {
          for (let have = size; have < piece; have *= 2) {
            bytes.copyWithin(at + have, at, at + Math.min(have, piece - have));
          }
        }
      }
      done += piece;
    }
    return true;
  }

  /**
   * REP SCAS: iterations until an element is unlike (`equal` 1) or like `value`, or none is left; 0, and
   * nothing done, where that cannot be told. Leaves the last operands in `last`.
   */
  scan(
    to: number,
    count: number,
    size: number,
    room: number,
    equal: number,
    value: number,
  ): number {
    return this.search(undefined, to, count, size, room, equal, value);
  }

  /** REP CMPS, likewise. */
  compare(
    from: number,
    to: number,
    count: number,
    size: number,
    room: number,
    equal: number,
  ): number {
    return this.search(from, to, count, size, room, equal, 0);
  }

  private search(
    from: number | undefined,
    to: number,
    count: number,
    size: number,
    room: number,
    equal: number,
    value: number,
  ): number {
    const most = Math.min(count, room), { host } = this.cpu.bus.memory;
    if (most <= 0 || !this.isPlain(to, most, size, room)) return 0;
    if (from !== undefined && !this.isPlain(from, most, size, room)) return 0;
    let a = -1, b = -1, d = value;
    for (let i = 0; i < most; i++) {
      if (from !== undefined) {
        const at = (from + i * size) & 0xfff;
        if (at + size > 0x1000) return 0;
        if (a < 0 || at < size) a = this.place(from + i * size, false);
        else a += size;
        if (a < 0) return 0;
        d = load(host, a, size);
      }
      const at = (to + i * size) & 0xfff;
      if (at + size > 0x1000) return 0;
      if (b < 0 || at < size) b = this.place(to + i * size, false);
      else b += size;
      if (b < 0) return 0;
      const s = load(host, b, size);
      if ((d === s ? 1 : 0) !== equal || i + 1 === count) {
        this.last[0] = d;
        this.last[1] = s;
        return i + 1;
      }
    }
    return 0;
  }
}

type Host = X86["bus"]["memory"]["host"];

function load(host: Host, at: number, size: number): number {
  return size === 1 ? host.getUint8(at) : size === 2 ? host.getUint16(at) : host.getInt32(at);
}

/** How much of `length` bytes stays in one page at both addresses. */
function pieceOf(length: number, a: number, b: number): number {
  return Math.min(length, 0x1000 - (a & 0xfff), 0x1000 - (b & 0xfff));
}

/** Names that the text of string instructions uses, with their values. */
export function stringScope(cpu: X86): Record<string, unknown> {
  const last = new Int32Array(2);
  return { STRINGS: new Strings(cpu, last), LAST: last };
}
