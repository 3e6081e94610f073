/**
 * Exercises every case of the loop's switch, on its fast and its slow path, before the guest does.
 *
 * V8 compiles a path that has not run yet as "give up this code". Without this a boot gave up the loop's
 * optimised code 170 times in its first 30 seconds, each time falling back to V8's own interpreter until
 * the next compilation, which takes up to half a second.
 */
import { FAULT, type X86 } from "../x86/cpu.ts";
import * as S from "../x86/state.ts";
import type { InterpVariant } from "./binder.ts";
import type { CodeCache } from "./code_cache.ts";
import { HOT_FORMS } from "./hot_forms.ts";
import {
  CURRENT,
  F_DISP,
  F_IMM,
  F_INDEX,
  F_INFO,
  F_LINK,
  F_PLACE,
  F_REG,
  F_RM,
  FIRST_HOT,
  LINK_FROM,
  OP,
  OP_RESYNC,
  PLACE_END,
  RECORD,
  WARM_UP_PLACE,
  ZERO,
} from "./record.ts";

/** V8 collects feedback only once a function has run for a while. */
const ROUNDS = 6;
/** Where memory operands and the stack point to: within the first page. */
const ADDRESS = 0x400, STACK = 0x800;

/** Register contents, immediates and flags that between them take both ways of every branch in the text. */
const PATTERNS = [
  { value: 0, immediate: 0, fr: 0, fc: 0 },
  { value: 0x12345678, immediate: 5, fr: -1, fc: 0x80000000 | 0 },
  { value: -2, immediate: 1, fr: 1, fc: 0x40000000 },
  { value: 0x7fffffff, immediate: 31, fr: 0, fc: 0xc0000001 | 0 },
];

/** Runs the loop over all hot forms of one kind of code. The processor and memory are afterwards as before. */
export function warmUp(
  cpu: X86,
  code: CodeCache,
  loop: (p: number, pEnd: number) => void,
  variants: ReadonlyMap<string, InterpVariant>,
): void {
  const { R, mmu, mmu64 } = cpu;
  const C = code.records, { memory } = cpu.bus;
  const p = WARM_UP_PLACE;
  const registers = R.slice();
  const page = memory.hostOffset(0);
  // Without memory at address 0 there is nothing to load from: the loop then learns on the way.
  if (page < 0) return;
  const bytes = memory.host.bytes.slice(page, page + 0x1000);
  C[p + RECORD + OP] = OP_RESYNC;
  for (let round = 0; round < ROUNDS; round++) {
    HOT_FORMS.forEach((key, i) => {
      const variant = variants.get(key);
      if (variant === undefined || variant.long) return;
      for (const { value, immediate, fr, fc } of PATTERNS) {
        for (const direct of [true, false]) {
          R.fill(0);
          for (let n = 0; n < 8; n++) R[n * 2] = value;
          R[S.RBX] = ADDRESS;
          R[S.RCX] = (value & ~31) | immediate;
          R[S.RSP] = STACK;
          R[S.FR] = fr;
          R[S.FC] = fc;
          R[S.EFLAGS] = 2;
          R[S.SEG_LIMIT + S.DS] = R[S.SEG_LIMIT + S.SS] = 0xffff;
          R[S.SEG_ATTR + S.DS] = R[S.SEG_ATTR + S.SS] = 0x4093;
          mmu.flushAll();
          if (direct) mmu.load8(ADDRESS, false);
          C[p + OP] = FIRST_HOT + i;
          C[p + F_REG] = 0;
          C[p + F_RM] = variant.memory ? S.RBX : 0;
          C[p + F_INDEX] = variant.memory ? ZERO : 0;
          C[p + F_INFO] = S.DS << 8;
          C[p + F_DISP] = variant.address === "absolute" ? ADDRESS : 0;
          C[p + F_IMM] = immediate;
          C[p + F_PLACE] = 2 << 16;
          if (!variant.memory && direct && variant.form.operands[0]?.kind === "J") {
            C[p + F_LINK] = p + RECORD;
          }
          R[CURRENT] = p;
          R[PLACE_END] = p + RECORD;
          try {
            loop(p, p + RECORD);
          } catch (thrown) {
            if (thrown !== FAULT) throw thrown;
          }
          R[LINK_FROM] = 0;
        }
      }
    });
  }
  R.set(registers);
  memory.host.bytes.set(bytes, page);
  mmu.flushAll();
  mmu64.flushAll();
}
