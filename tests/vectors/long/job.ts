/** One single-instruction experiment in 64-bit code, and the wire format of `recorder64.c`. */
import type { Patch } from "../job.ts";

/** The input of one case. Registers are pairs of words, the low half first. */
export interface Job {
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: 32 words. */
  gpr: Int32Array;
  rip: bigint;
  eflags: number;
  /** Iterations of a repeated string instruction after which the case ends anyway. */
  maxSteps: number;
  patches: Patch[];
  /** FXSAVE image, where the instruction touches x87, MMX, SSE. */
  fx: Uint8Array | undefined;
  /** Length of the instruction in bytes, and where it lies in the arena. */
  length: number;
  at: number;
}

/** The output of one case. */
export interface Result {
  /** Exception vector, or -1. */
  vector: number;
  error: number;
  /** Address of a page fault, else 0. */
  cr2: bigint;
  steps: number;
  gpr: Int32Array;
  rip: bigint;
  eflags: number;
  /** {@linkcode stateWords} of the image. */
  state: Int32Array | undefined;
  /** Doublewords of the arena that changed: offset and value, by rising offset. */
  memory: [number, number][];
}

const HEAD = 160, RESULT_HEAD = 176;
/** Bytes of an FXSAVE image that are used in 64-bit mode. */
export const FX_USED = 416;

/** A job as the recorder reads it. */
export function encodeJob(job: Job): Uint8Array {
  const patched = job.patches.reduce((n, p) => n + 8 + p.bytes.length, 0);
  const size = HEAD + (job.fx === undefined ? 0 : 512) + patched;
  const out = new Uint8Array(size), view = new DataView(out.buffer);
  [size, job.fx === undefined ? 0 : 1, job.maxSteps, job.patches.length].forEach((w, i) =>
    view.setUint32(i * 4, w, true)
  );
  job.gpr.forEach((w, i) => view.setInt32(16 + i * 4, w, true));
  view.setBigUint64(144, BigInt.asUintN(64, job.rip), true);
  view.setUint32(152, job.eflags, true);
  let at = HEAD;
  if (job.fx !== undefined) {
    out.set(job.fx, at);
    at += 512;
  }
  for (const p of job.patches) {
    view.setUint32(at, p.offset, true);
    view.setUint32(at + 4, p.bytes.length, true);
    out.set(p.bytes, at + 8);
    at += 8 + p.bytes.length;
  }
  return out;
}

/** Parses the recorder's report at `at`. */
export function decodeResult(
  view: DataView,
  at: number,
  job: Job,
): { result: Result; next: number } {
  const word = (i: number) => view.getUint32(at + i * 4, true);
  const size = word(0), words = word(4);
  const vector = word(1) === 1 ? -1 : word(1);
  const fxAt = at + RESULT_HEAD;
  const state = job.fx === undefined
    ? undefined
    : stateWords(new Uint8Array(view.buffer, view.byteOffset + fxAt, 512));
  const memoryAt = fxAt + (job.fx === undefined ? 0 : 512);
  const memory = Array.from({ length: words }, (_, i): [number, number] => [
    view.getUint32(memoryAt + i * 8, true),
    view.getInt32(memoryAt + i * 8 + 4, true),
  ]);
  const result: Result = {
    vector,
    error: vector === -1 ? 0 : word(2),
    cr2: vector === 14 ? view.getBigUint64(at + 24, true) : 0n,
    steps: word(3),
    gpr: Int32Array.from({ length: 32 }, (_, i) => word(8 + i)),
    rip: view.getBigUint64(at + 160, true),
    // TF single-steps the recording and RF marks a restart: neither is the instruction's doing.
    eflags: word(42) & ~0x10100,
    state,
    memory,
  };
  return { result, next: at + size };
}

/**
 * The words of an FXSAVE image that are compared: FCW, FSW, FTW, MXCSR, the x87 registers in physical order, XMM0
 * to XMM15. The last x87 instruction's addresses are the business of the 32-bit vectors.
 */
export function stateWords(fx: Uint8Array): Int32Array {
  const view = new DataView(fx.buffer, fx.byteOffset, 512);
  const out = new Int32Array(FX_USED / 4);
  out[0] = view.getInt32(0, true);
  out[1] = fx[4];
  out[6] = view.getInt32(24, true);
  const top = (fx[3] >> 3) & 7;
  for (let i = 0; i < 8; i++) {
    const to = 8 + 4 * ((i + top) & 7), from = 32 + 16 * i;
    out[to] = view.getInt32(from, true);
    out[to + 1] = view.getInt32(from + 4, true);
    out[to + 2] = view.getUint16(from + 8, true);
  }
  for (let i = 40; i < out.length; i++) out[i] = view.getInt32(i * 4, true);
  return out;
}
