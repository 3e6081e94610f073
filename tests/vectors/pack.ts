/**
 * The files in `data/`: recorded outputs, as differences from the inputs, which are made again from seeds.
 * README.md describes the format.
 */
import type { Job, Result } from "./job.ts";
import { ARENA, ARENA_SIZE, BASE_MEMORY } from "./machine.ts";
import { hashBytes } from "./prng.ts";
import { FX_FDP, FX_FOP, FX_FSW, FX_ST, FX_USED } from "./state_inputs.ts";

/** What a data file says about itself and about each variant in it. */
export interface Header {
  format: 1;
  /** Processor and kernel that it was recorded on. */
  host: string;
  /** Name, number of cases, hash of all their inputs, bytes of outputs; in the order of the outputs. */
  variants: [string, number, number, number][];
}

/** A data file, unpacked. */
export interface Recording {
  header: Header;
  /** Inputs' hash and encoded outputs by variant name. */
  outputs: Map<string, { cases: number; inputs: number; bytes: Uint8Array }>;
}

const VECTOR = 1, FLAGS = 2, EIP = 4, SEGMENTS = 8, STATE = 16, MEMORY = 32, STEPS = 64, GPRS = 128;

/** Growing little-endian output. */
export class Writer {
  private bytes = new Uint8Array(1 << 16);
  length = 0;

  u8(value: number): void {
    if (this.length === this.bytes.length) {
      const more = new Uint8Array(this.bytes.length * 2);
      more.set(this.bytes);
      this.bytes = more;
    }
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    for (let i = 0; i < 32; i += 8) this.u8((value >>> i) & 0xff);
  }

  /** Seven bits a byte, low ones first. */
  varint(value: number): void {
    let rest = value >>> 0;
    for (; rest >= 0x80; rest >>>= 7) this.u8((rest & 0x7f) | 0x80);
    this.u8(rest);
  }

  /** Signed: small magnitudes of either sign are short. */
  signed(value: number): void {
    this.varint((value << 1) ^ (value >> 31));
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}

class Reader {
  at = 0;
  constructor(private readonly bytes: Uint8Array) {}

  u8(): number {
    return this.bytes[this.at++];
  }

  u32(): number {
    const b = this.bytes, i = this.at;
    this.at += 4;
    return b[i] | (b[i + 1] << 8) | (b[i + 2] << 16) | (b[i + 3] << 24);
  }

  varint(): number {
    let value = 0, shift = 0;
    for (;;) {
      const b = this.u8();
      value |= (b & 0x7f) << shift;
      shift += 7;
      if (b < 0x80) return value >>> 0;
    }
  }

  signed(): number {
    const v = this.varint();
    return (v >>> 1) ^ -(v & 1);
  }
}

/**
 * An FXSAVE image with its x87 registers in physical instead of stack order, so that a push changes one
 * register; only the words that are state. Pointers to the last x87 instruction count only while an
 * unmasked exception is pending: AMD processors keep them only then (APM vol. 5, FXSAVE).
 */
export function stateWords(fx: Uint8Array): Int32Array {
  const out = new Uint8Array(FX_USED);
  out.set(fx.subarray(0, FX_USED));
  const top = (fx[FX_FSW + 1] >> 3) & 7;
  for (let i = 0; i < 8; i++) {
    const from = FX_ST + 16 * i, to = FX_ST + 16 * ((top + i) & 7);
    out.set(fx.subarray(from, from + 10), to);
    out.fill(0, to + 10, to + 16);
  }
  const pending = (fx[FX_FSW] & 0x80) !== 0;
  if (!pending) out.fill(0, FX_FOP, 24);
  // Code and data selectors; MXCSR_MASK belongs to the model.
  out.fill(0, 12, 16);
  out.fill(0, FX_FDP + 4, FX_FDP + 8);
  out.fill(0, 28, 32);
  return new Int32Array(out.buffer);
}

/** The arena's doublewords before a case: base content with the case's patches. */
export class MemoryBefore {
  private readonly bytes = BASE_MEMORY.slice(0, ARENA_SIZE);
  private readonly words = new Int32Array(this.bytes.buffer);

  /** Runs `use` with the patches of `job` applied. */
  with<T>(job: Job, use: (words: Int32Array) => T): T {
    for (const p of job.patches) this.bytes.set(p.bytes, p.offset);
    try {
      return use(this.words);
    } finally {
      for (const p of job.patches) {
        this.bytes.set(BASE_MEMORY.subarray(p.offset, p.offset + p.bytes.length), p.offset);
      }
    }
  }
}

/** Appends one output. */
export function writeResult(to: Writer, job: Job, result: Result, before: Int32Array): void {
  const faulted = result.vector >= 0;
  const eip = faulted ? job.eip : (job.eip + job.length) | 0;
  const state = result.fx === undefined ? undefined : stateWords(result.fx);
  const oldState = job.fx === undefined ? undefined : stateWords(job.fx);
  const gprs = [...job.gpr.keys()].filter((i) => result.gpr[i] !== job.gpr[i]);
  const segments = [...job.seg.keys()].filter((i) => result.seg[i] !== job.seg[i]);
  const words = state === undefined
    ? []
    : [...state.keys()].filter((i) => state[i] !== oldState![i]);
  const flags = (result.eflags ^ job.eflags) >>> 0;
  const steps = faulted ? 0 : 1;
  to.u8(
    (faulted ? VECTOR : 0) | (flags !== 0 ? FLAGS : 0) |
      ((result.eip | 0) !== (eip | 0) ? EIP : 0) |
      (segments.length > 0 ? SEGMENTS : 0) | (words.length > 0 ? STATE : 0) |
      (result.memory.length > 0 ? MEMORY : 0) | (result.steps !== steps ? STEPS : 0) |
      (gprs.length > 0 ? GPRS : 0),
  );
  if (faulted) {
    to.u8(result.vector);
    to.varint(result.error);
    if (result.vector === 14) to.signed(result.cr2 - ARENA);
  }
  if (flags !== 0) to.varint(flags);
  if ((result.eip | 0) !== (eip | 0)) to.signed(result.eip - eip);
  if (segments.length > 0) {
    to.u8(segments.reduce((m, i) => m | (1 << i), 0));
    for (const i of segments) to.varint(result.seg[i]);
  }
  if (result.steps !== steps) to.varint(result.steps);
  if (gprs.length > 0) {
    to.u8(gprs.reduce((m, i) => m | (1 << i), 0));
    for (const i of gprs) to.u32(result.gpr[i] - job.gpr[i]);
  }
  if (words.length > 0) {
    to.u8(words.length);
    for (const i of words) to.u8(i);
    for (const i of words) to.u32(state![i] ^ oldState![i]);
  }
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

/** An output as the runner compares it. */
export interface Expected extends Omit<Result, "fx"> {
  /** {@linkcode stateWords} of the image. */
  state: Int32Array | undefined;
}

/** Reads the outputs of one variant one after the other. */
export class ResultReader {
  private readonly from: Reader;

  constructor(bytes: Uint8Array) {
    this.from = new Reader(bytes);
  }

  next(job: Job, before: Int32Array): Expected {
    const r = this.from;
    const what = r.u8();
    const out: Expected = {
      vector: -1,
      error: 0,
      cr2: 0,
      steps: (what & VECTOR) !== 0 ? 0 : 1,
      gpr: job.gpr.slice(),
      eip: job.eip,
      eflags: job.eflags,
      seg: [...job.seg],
      state: job.fx === undefined ? undefined : stateWords(job.fx),
      memory: [],
    };
    if ((what & VECTOR) !== 0) {
      out.vector = r.u8();
      out.error = r.varint();
      if (out.vector === 14) out.cr2 = (r.signed() + ARENA) >>> 0;
    } else out.eip += job.length;
    if ((what & FLAGS) !== 0) out.eflags ^= r.varint();
    if ((what & EIP) !== 0) out.eip += r.signed();
    out.eip = out.eip >>> 0;
    if ((what & SEGMENTS) !== 0) {
      const mask = r.u8();
      for (let i = 0; i < 6; i++) if ((mask >> i & 1) !== 0) out.seg[i] = r.varint();
    }
    if ((what & STEPS) !== 0) out.steps = r.varint();
    if ((what & GPRS) !== 0) {
      const mask = r.u8();
      for (let i = 0; i < 8; i++) if ((mask >> i & 1) !== 0) out.gpr[i] += r.u32();
    }
    if ((what & STATE) !== 0) {
      const at = Array.from({ length: r.u8() }, () => r.u8());
      for (const i of at) out.state![i] ^= r.u32();
    }
    if ((what & MEMORY) !== 0) {
      let last = 0;
      const at = Array.from({ length: r.varint() }, () => last += r.varint());
      for (const i of at) out.memory.push([i * 4, (r.u32() ^ before[i]) >>> 0]);
    }
    return out;
  }
}

/** The hash that ties outputs to the inputs they came from. */
export function inputHash(h: number, encoded: Uint8Array): number {
  return hashBytes(encoded, h);
}

/** A data file's content, not yet compressed: the header's length, the header, the outputs. */
export function packFile(header: Header, outputs: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(4 + text.length + outputs.length);
  new DataView(file.buffer).setUint32(0, text.length, true);
  file.set(text, 4);
  file.set(outputs, 4 + text.length);
  return file;
}

/** Reads a data file. */
export async function readRecording(file: URL): Promise<Recording> {
  const packed = await Deno.readFile(file);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header: Header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const outputs: Recording["outputs"] = new Map();
  let at = 4 + length;
  for (const [name, cases, inputs, size] of header.variants) {
    outputs.set(name, { cases, inputs, bytes: bytes.subarray(at, at + size) });
    at += size;
  }
  return { header, outputs };
}

/** Where a group's data lies. */
export function dataFile(group: string): URL {
  return new URL(`./data/${group}.vectors`, import.meta.url);
}
