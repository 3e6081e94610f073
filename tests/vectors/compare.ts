/** Compares what an engine did with what the processor did. */
import type { Variant } from "./form.ts";
import type { Job } from "./job.ts";
import { ARENA_SIZE } from "./machine.ts";
import type { Expected } from "./pack.ts";
import { leaveOut } from "./deviations.ts";
import { closeEnough } from "./tolerance.ts";
import { type Context, undefinedFlags, undefinedResult } from "./undefined_flags.ts";

/** The instruction's bytes. */
export function codeOf(job: Job): Uint8Array {
  return job.patches[job.patches.length - 1].bytes.subarray(0, job.length);
}

function context(variant: Variant, job: Job): Context {
  const { form } = variant, code = codeOf(job);
  const byte = form.rmSize === "b" || /^[EGZA]?(b|L)/.test(form.operands.slice(0, 2));
  const bits = byte ? 8 : variant.operandSize === 0 ? 32 : variant.operandSize;
  return { form, job, bits, immediate: code[code.length - 1] };
}

/**
 * Bytes of an x87 image in memory that are not compared, as offsets in it. The host's kernel loses the selectors
 * of the last instruction between its 64-bit saves; FXSAVE's pointers are kept by AMD processors only while an
 * exception is pending (APM vol. 5, FXSAVE), and MXCSR_MASK belongs to the model.
 */
function unknownBytes(variant: Variant, job: Job): [number, number][] {
  const name = variant.form.mnemonic;
  if (name === "fnstenv" || name === "fnsave") {
    return variant.operandSize === 32 ? [[16, 18], [24, 28]] : [[8, 10], [12, 14]];
  }
  if (name === "fxsave") {
    const pending = (job.fx![2] & 0x80) !== 0;
    return pending ? [[12, 16], [20, 24], [28, 32]] : [[6, 24], [28, 32]];
  }
  return [];
}

/** What differs, in words; empty when nothing does. `changed` receives the indices of doublewords that the engine changed. */
export function compare(
  variant: Variant,
  job: Job,
  expected: Expected,
  got: Expected,
  before: Int32Array,
  after: Int32Array,
  changed: number[],
): string[] {
  const differences: string[] = [];
  const differ = (what: string, want: number, have: number) =>
    differences.push(`${what}: expected ${hex(want)}, got ${hex(have)}`);
  const c = context(variant, job);
  const anyResult = undefinedResult(c);
  const leave = leaveOut(variant, job, expected, got);
  if (expected.vector !== got.vector && !leave.vector) {
    differences.push(`vector: expected ${expected.vector}, got ${got.vector}`);
  }
  if (expected.error !== got.error) differ("error code", expected.error, got.error);
  if (expected.cr2 !== got.cr2 && !leave.cr2) differ("CR2", expected.cr2, got.cr2);
  const names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
  for (let i = 0; i < 8; i++) {
    if (expected.gpr[i] !== got.gpr[i] && !anyResult) differ(names[i], expected.gpr[i], got.gpr[i]);
  }
  if (expected.eip !== got.eip) differ("eip", expected.eip, got.eip);
  const mask = ~undefinedFlags(c);
  if (((expected.eflags ^ got.eflags) & mask) !== 0) {
    differ("eflags", expected.eflags & mask, got.eflags & mask);
  }
  ["es", "cs", "ss", "ds", "fs", "gs"].forEach((name, i) => {
    if (expected.seg[i] !== got.seg[i]) differ(name, expected.seg[i], got.seg[i]);
  });
  if (expected.state !== undefined) {
    compareState(variant, expected.state, got.state!, differ);
  }
  compareMemory(variant, job, expected, before, after, changed, anyResult || leave.memory, differ);
  return leave.everything ? [] : differences;
}

type Differ = (what: string, want: number, have: number) => void;

function compareState(variant: Variant, want: Int32Array, have: Int32Array, differ: Differ): void {
  const { tolerance } = variant.form.options;
  const word = (what: string, i: number, shift: number, mask: number) => {
    const w = (want[i] >>> shift) & mask, h = (have[i] >>> shift) & mask;
    if (w !== h) differ(what, w, h);
  };
  word("FCW", 0, 0, 0xffff);
  // Where the last bit may differ, so may the direction of rounding that C1 tells.
  word("FSW", 0, 16, tolerance === "x87" ? 0xfdff : 0xffff);
  word("FTW", 1, 0, 0xff);
  word("FOP", 1, 16, 0x7ff);
  word("FIP", 2, 0, -1);
  word("FDP", 4, 0, -1);
  word("MXCSR", 6, 0, -1);
  for (let r = 0; r < 16; r++) {
    const at = 8 + 4 * r;
    const same = want[at] === have[at] && want[at + 1] === have[at + 1] &&
      want[at + 2] === have[at + 2] && want[at + 3] === have[at + 3];
    if (same || closeEnough(tolerance, want, have, at)) continue;
    for (let k = 3; k >= 0; k--) {
      if (want[at + k] !== have[at + k]) {
        differ(`${r < 8 ? `R${r}` : `XMM${r - 8}`}[${k}]`, want[at + k], have[at + k]);
      }
    }
  }
}

function compareMemory(
  variant: Variant,
  job: Job,
  expected: Expected,
  before: Int32Array,
  after: Int32Array,
  changed: number[],
  anyResult: boolean,
  differ: Differ,
): void {
  findChanges(before, after, changed);
  const want = new Map(expected.memory.map(([offset, value]) => [offset / 4, value | 0]));
  const indices = new Set([...changed, ...want.keys()]);
  const unknown = unknownBytes(variant, job);
  for (const i of [...indices].sort((a, b) => a - b)) {
    let w = want.get(i) ?? before[i], h = after[i];
    if (w === h || anyResult) continue;
    for (let k = 0; k < 4; k++) {
      const at = i * 4 + k - job.operandAt;
      if (unknown.some(([from, to]) => at >= from && at < to)) {
        w &= ~(0xff << (8 * k));
        h &= ~(0xff << (8 * k));
      }
    }
    if (w !== h) differ(`arena+${hex(i * 4)}`, w, h);
  }
}

function findChanges(before: Int32Array, after: Int32Array, changed: number[]): void {
  // Eight words at a time: this is most of what a case costs.
  for (let i = 0; i < ARENA_SIZE / 4; i += 8) {
    const same = (before[i] ^ after[i]) | (before[i + 1] ^ after[i + 1]) |
      (before[i + 2] ^ after[i + 2]) | (before[i + 3] ^ after[i + 3]) |
      (before[i + 4] ^ after[i + 4]) | (before[i + 5] ^ after[i + 5]) |
      (before[i + 6] ^ after[i + 6]) | (before[i + 7] ^ after[i + 7]);
    if (same === 0) continue;
    for (let k = i; k < i + 8; k++) if (before[k] !== after[k]) changed.push(k);
  }
}

/** A 32-bit value. */
export function hex(value: number): string {
  return (value >>> 0).toString(16);
}
