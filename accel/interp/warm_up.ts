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
  OP,
  OP_RESYNC,
  PAGE_IP,
  PAGE_IP_HI,
  PLACE_END,
  RECORD,
  WARM_UP_PLACE,
  ZERO,
} from "./record.ts";

/** Bits of an entry of long mode's tables. */
const PTE_P = 1, PTE_RW = 2, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80;

/** V8 collects feedback only once a function has run for a while. */
const ROUNDS = 5;
/** Where memory operands and the stack are: in pages of their own, so that either may be one that the TLB has not. */
const ADDRESS = 0x400, STACK = 0x1800;
/** Pages that are used, the tables of long mode behind those of the operands; contents are put back. */
const PAGES = 5, PML4 = 0x2000, PDPT = 0x3000, PD = 0x4000;
/** Where long mode's tables have the first 2 MiB once more, as kernels have theirs: the low half of the address. */
const UPPER = 0x80000000 | 0;

/** Register contents, immediates and flags that between them take both ways of every branch in the text. */
const PATTERNS = [
  { value: 0, immediate: 0, fr: 0, fc: 0 },
  { value: 0x12345678, immediate: 5, fr: -1, fc: 0x80000000 | 0 },
  { value: -2, immediate: 1, fr: 1, fc: 0x40000000 },
  { value: 0x7fffffff, immediate: 31, fr: 0, fc: 0xc0000001 | 0 },
  { value: -1, immediate: 40, fr: -1, fc: 0x40000000 },
];

type Loop = (p: number, pEnd: number) => void;

/** Runs a loop over all hot forms of its kind of code. The processor and memory are afterwards as before. */
export function warmUp(
  cpu: X86,
  code: CodeCache,
  loop: Loop,
  { variants, long }: { variants: ReadonlyMap<string, InterpVariant>; long: boolean },
): void {
  const { R, mmu, mmu64 } = cpu, { memory } = cpu.bus, C = code.records;
  const registers = R.slice();
  const pages = Array.from({ length: PAGES }, (_, i) => memory.hostOffset(i * 0x1000));
  // Without memory at address 0 there is nothing to load from: the loop then learns on the way.
  if (pages.some((page) => page < 0)) return;
  const { host } = memory, { bytes } = host;
  const before = pages.map((page) => bytes.slice(page, page + 0x1000));
  if (long) {
    const entry = (at: number, value: number) => {
      host.setInt32(pages[at >>> 12] + (at & 0xfff), value);
      host.setInt32(pages[at >>> 12] + (at & 0xfff) + 4, 0);
    };
    const rights = PTE_A | PTE_RW | PTE_P;
    for (const at of [0, 511]) entry(PML4 + at * 8, PDPT | rights);
    for (const at of [0, 510]) entry(PDPT + at * 8, PD | rights);
    entry(PD, PTE_PS | PTE_D | rights);
  }
  C[WARM_UP_PLACE + RECORD + OP] = OP_RESYNC;
  for (let round = 0; round < ROUNDS; round++) {
    HOT_FORMS.forEach((key, i) => {
      const variant = variants.get(key);
      if (variant === undefined || variant.long !== long) return;
      for (const [n, pattern] of PATTERNS.entries()) {
        for (const direct of [true, false]) {
          mmu.flushAll();
          mmu64.flushAll();
          R.fill(0);
          // Every other time in the upper half of the addresses.
          const upper = long && ((n + round) & 1) !== 0;
          if (long) setLong(cpu, upper);
          else setFlat(R);
          setOperands(R, pattern, upper);
          setRecord(C, FIRST_HOT + i, { variant, pattern, linked: direct, upper });
          if (direct) {
            const base = upper ? -0x80000000 : 0;
            for (const at of [ADDRESS, STACK]) {
              if (long) mmu64.probeWrite(base + at, 1, false);
              else mmu.load8(at, false);
            }
          }
          R[CURRENT] = WARM_UP_PLACE;
          R[PLACE_END] = WARM_UP_PLACE + RECORD;
          try {
            loop(WARM_UP_PLACE, WARM_UP_PLACE + RECORD);
          } catch (thrown) {
            if (thrown !== FAULT) throw thrown;
          }
        }
      }
    });
  }
  R.set(registers);
  pages.forEach((page, i) => bytes.set(before[i], page));
  mmu.flushAll();
  mmu64.flushAll();
}

function setFlat(R: Int32Array): void {
  R[S.SEG_LIMIT + S.DS] = R[S.SEG_LIMIT + S.SS] = 0xffff;
  R[S.SEG_ATTR + S.DS] = R[S.SEG_ATTR + S.SS] = 0x4093;
}

function setLong({ R }: X86, upper: boolean): void {
  R[S.LONG] = 1;
  R[S.CR3] = PML4;
  R[PAGE_IP] = upper ? UPPER : 0;
  R[PAGE_IP_HI] = upper ? -1 : 0;
}

function setOperands(
  R: Int32Array,
  { value, immediate, fr, fc }: (typeof PATTERNS)[number],
  upper: boolean,
): void {
  const low = upper ? UPPER : 0, high = upper ? -1 : 0;
  for (let n = 0; n < S.GPR_COUNT; n++) {
    R[n * 2] = value;
    R[n * 2 + 1] = value >> 31;
  }
  R[S.RBX] = low | ADDRESS;
  R[S.RBX + 1] = high;
  R[S.RCX] = (value & ~31) | (immediate & 31);
  R[S.RSP] = low | STACK;
  R[S.RSP + 1] = high;
  // An index, counted upwards or downwards.
  R[S.RSI] = upper ? -1 : 1;
  R[S.RSI + 1] = upper ? -1 : 0;
  R[S.FR] = fr;
  R[S.FC] = fc;
  R[S.EFLAGS] = 2;
}

function setRecord(
  C: Int32Array,
  op: number,
  { variant, pattern: { immediate, fr }, linked, upper }: {
    variant: InterpVariant;
    pattern: (typeof PATTERNS)[number];
    linked: boolean;
    upper: boolean;
  },
): void {
  const p = WARM_UP_PLACE, { memory, address, long } = variant;
  C[p + OP] = op;
  C[p + F_REG] = 0;
  C[p + F_RM] = memory ? S.RBX : 0;
  C[p + F_INDEX] = !memory ? 0 : address === "index" && long ? S.RSI : ZERO;
  C[p + F_INFO] = S.DS << 8 | (address === "index" && fr !== 0 ? 2 : 0);
  C[p + F_DISP] = address === "absolute" || address === "rip"
    ? (upper && long && address === "absolute" ? UPPER : 0) | ADDRESS
    : long
    ? fr * 16
    : 0;
  C[p + F_IMM] = immediate;
  C[p + F_PLACE] = 2 << 16;
  if (!memory && linked && variant.form.operands[0]?.kind === "J") C[p + F_LINK] = p + RECORD;
}
