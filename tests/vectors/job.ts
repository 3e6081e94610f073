/** One single-instruction experiment: what goes in, what came out, and the recorder's wire format of both. */

/** Bytes written into the arena before a case. */
export interface Patch {
  /** Offset in the arena. */
  offset: number;
  bytes: Uint8Array;
}

/** The input of one case. */
export interface Job {
  /** EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI. */
  gpr: Int32Array;
  eip: number;
  eflags: number;
  /** ES, CS, SS, DS, FS, GS. */
  seg: number[];
  /** Iterations of a repeated string instruction after which the case ends anyway. */
  maxSteps: number;
  patches: Patch[];
  /** FXSAVE image, where the instruction touches x87, MMX, SSE. */
  fx: Uint8Array | undefined;
  /** Length of the instruction in bytes. */
  length: number;
  /** Offset of the memory operand in the arena, or negative. */
  operandAt: number;
}

/** The output of one case. */
export interface Result {
  /** Exception vector, or -1. */
  vector: number;
  /** Error code, 0 where the vector has none. */
  error: number;
  /** Address of a page fault, else 0. */
  cr2: number;
  steps: number;
  gpr: Int32Array;
  eip: number;
  eflags: number;
  seg: number[];
  fx: Uint8Array | undefined;
  /** Doublewords of the arena that changed: offset and value, by rising offset. */
  memory: [number, number][];
}

const HEAD_WORDS = 20;

/** A job as the recorder reads it. */
export function encodeJob(job: Job): Uint8Array {
  const patched = job.patches.reduce((n, p) => n + 8 + p.bytes.length, 0);
  const size = HEAD_WORDS * 4 + (job.fx === undefined ? 0 : 512) + patched;
  const out = new Uint8Array(size), view = new DataView(out.buffer);
  const words = [size, job.fx === undefined ? 0 : 1, job.maxSteps, job.patches.length, ...job.gpr];
  words.push(job.eip, job.eflags, ...job.seg);
  words.forEach((w, i) => view.setUint32(i * 4, w >>> 0, true));
  let at = HEAD_WORDS * 4;
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

const RESULT_WORDS = 22;

/** TF single-steps the recording and RF marks a restart: neither is the instruction's doing. */
const RECORDING_FLAGS = 0x10100;

/** Parses the recorder's report at `at`. */
export function decodeResult(
  view: DataView,
  at: number,
  job: Job,
): { result: Result; next: number } {
  const word = (i: number) => view.getUint32(at + i * 4, true);
  const size = word(0), words = word(5);
  const vector = word(1) === 1 ? -1 : word(1);
  const fxAt = at + RESULT_WORDS * 4;
  const fx = job.fx === undefined
    ? undefined
    : new Uint8Array(view.buffer, view.byteOffset + fxAt, 512).slice();
  const memoryAt = fxAt + (fx === undefined ? 0 : 512);
  const memory: [number, number][] = [];
  for (let i = 0; i < words; i++) {
    memory.push([
      view.getUint32(memoryAt + i * 8, true),
      view.getUint32(memoryAt + i * 8 + 4, true),
    ]);
  }
  const result: Result = {
    vector,
    error: vector === -1 ? 0 : word(2),
    cr2: vector === 14 ? word(3) : 0,
    steps: word(4),
    gpr: Int32Array.from({ length: 8 }, (_, i) => word(6 + i)),
    eip: word(14),
    eflags: word(15) & ~RECORDING_FLAGS,
    seg: Array.from({ length: 6 }, (_, i) => word(16 + i)),
    fx,
    memory,
  };
  return { result, next: at + size };
}
