/**
 * The format of `../data/long.vectors`: that of `../pack.ts` but for the outputs. An output is a byte (bit 0 fault, 1
 * EFLAGS, 2 RIP, 3 steps, 4 x87 and SSE, 5 memory, 7 registers) and then, where its bit is set:
 *
 * - fault: vector (byte), error code (varint), for #PF CR2 (8 bytes);
 * - EFLAGS: varint, XORed;
 * - RIP: 8 bytes, what must be added to the next instruction's (a fault's: to the instruction's own);
 * - steps: varint; registers: count (byte), numbers of their halves (bytes), 4 bytes each, XORed;
 * - x87 and SSE: the same on `stateWords`; memory: count, then increment of the doubleword's number (varints) each,
 *   then 4 bytes each, XORed.
 */
import type { Job, Result } from "./job.ts";

const FAULT = 1, FLAGS = 2, RIP = 4, STEPS = 8, STATE = 0x10, MEMORY = 0x20, GPRS = 0x80;

/** A growing output. */
export class Writer {
  private bytes = new Uint8Array(1 << 20);
  private view = new DataView(this.bytes.buffer);
  length = 0;

  private room(n: number): number {
    if (this.length + n > this.bytes.length) {
      const larger = new Uint8Array(this.bytes.length * 2);
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    const at = this.length;
    this.length += n;
    return at;
  }

  u8(value: number): void {
    const at = this.room(1);
    this.bytes[at] = value;
  }

  u32(value: number): void {
    const at = this.room(4);
    this.view.setInt32(at, value, true);
  }

  u64(value: bigint): void {
    const at = this.room(8);
    this.view.setBigInt64(at, value, true);
  }

  varint(value: number): void {
    for (value >>>= 0; value > 0x7f; value >>>= 7) this.u8((value & 0x7f) | 0x80);
    this.u8(value);
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}

function differing(now: Int32Array, was: Int32Array): number[] {
  const out: number[] = [];
  for (let i = 0; i < now.length; i++) if (now[i] !== was[i]) out.push(i);
  return out;
}

function writeWords(to: Writer, at: number[], now: Int32Array, was: Int32Array): void {
  to.u8(at.length);
  for (const i of at) to.u8(i);
  for (const i of at) to.u32(now[i] ^ was[i]);
}

/** Appends one output; `before` is the arena and `state` are the words of the job's image. */
export function writeResult(
  to: Writer,
  job: Job,
  result: Result,
  before: Int32Array,
  state: Int32Array | undefined,
): void {
  const faulted = result.vector >= 0;
  const rip = faulted ? job.rip : job.rip + BigInt(job.length);
  const gprs = differing(result.gpr, job.gpr);
  const words = state === undefined ? [] : differing(result.state!, state);
  const flags = (result.eflags ^ job.eflags) >>> 0, steps = faulted ? 0 : 1;
  to.u8(
    (faulted ? FAULT : 0) | (flags !== 0 ? FLAGS : 0) | (result.rip !== rip ? RIP : 0) |
      (result.steps !== steps ? STEPS : 0) | (words.length > 0 ? STATE : 0) |
      (result.memory.length > 0 ? MEMORY : 0) | (gprs.length > 0 ? GPRS : 0),
  );
  if (faulted) {
    to.u8(result.vector);
    to.varint(result.error);
    if (result.vector === 14) to.u64(result.cr2);
  }
  if (flags !== 0) to.varint(flags);
  if (result.rip !== rip) to.u64(result.rip - rip);
  if (result.steps !== steps) to.varint(result.steps);
  if (gprs.length > 0) writeWords(to, gprs, result.gpr, job.gpr);
  if (words.length > 0) writeWords(to, words, result.state!, state!);
  if (result.memory.length > 0) {
    to.varint(result.memory.length);
    let last = 0;
    for (const [offset] of result.memory) {
      to.varint(offset / 4 - last);
      last = offset / 4;
    }
    for (const [offset, value] of result.memory) to.u32(value ^ before[offset / 4]);
  }
}

/** Reads the outputs of one variant one after the other. */
export class ResultReader {
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  private u8(): number {
    return this.view.getUint8(this.at++);
  }

  private u32(): number {
    this.at += 4;
    return this.view.getInt32(this.at - 4, true);
  }

  private u64(): bigint {
    this.at += 8;
    return this.view.getBigUint64(this.at - 8, true);
  }

  private varint(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  private words(into: Int32Array): void {
    const at = Array.from({ length: this.u8() }, () => this.u8());
    for (const i of at) into[i] ^= this.u32();
  }

  next(job: Job, before: Int32Array, state: Int32Array | undefined): Result {
    const what = this.u8(), faulted = (what & FAULT) !== 0;
    const out: Result = {
      vector: -1,
      error: 0,
      cr2: 0n,
      steps: faulted ? 0 : 1,
      gpr: job.gpr.slice(),
      rip: faulted ? job.rip : job.rip + BigInt(job.length),
      eflags: job.eflags,
      state: state?.slice(),
      memory: [],
    };
    if (faulted) {
      out.vector = this.u8();
      out.error = this.varint();
      if (out.vector === 14) out.cr2 = this.u64();
    }
    if ((what & FLAGS) !== 0) out.eflags ^= this.varint();
    if ((what & RIP) !== 0) out.rip += this.u64();
    out.rip = BigInt.asUintN(64, out.rip);
    if ((what & STEPS) !== 0) out.steps = this.varint();
    if ((what & GPRS) !== 0) this.words(out.gpr);
    if ((what & STATE) !== 0) this.words(out.state!);
    if ((what & MEMORY) !== 0) {
      let last = 0;
      const at = Array.from({ length: this.varint() }, () => last += this.varint());
      for (const i of at) out.memory.push([i * 4, this.u32() ^ before[i]]);
    }
    return out;
  }
}
