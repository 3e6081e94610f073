/**
 * The interpreter's operations: each form of an instruction, once met, gets a number and either a case in
 * the loop's switch (the hot ones) or a function of its own, both generated from the semantics.
 */
import type { X86 } from "../x86/cpu.ts";
import type { Binder } from "../x86/binder.ts";
import type { Insn } from "../x86/decoder.ts";
import { PURE } from "../x86/integer.ts";
import { GUARDS, HELPERS } from "../x86/table.ts";
import { LONG_HELPERS } from "../x86/long_helpers.ts";
import { SEMANTICS } from "../x86/semantics.ts";
import { SEMANTICS64 } from "../x86/semantics64.ts";
import { WIDE } from "../x86/wide.ts";
import { LongBinder } from "./long_binder.ts";
import * as S from "../x86/state.ts";
import { hasNegativeEntries, tlbScope } from "../x86/tlb.ts";
import { STRING_HELPERS } from "../x86/strings.ts";
import { alignmentChecked, dropStack, peekStack, push } from "../x86/system/stack.ts";
import { type AddressForm, InterpBinder, type InterpVariant } from "./binder.ts";
import type { CodeCache } from "./code_cache.ts";
import { HOT_FORMS } from "./hot_forms.ts";
import {
  ADDRESS_HI,
  CURRENT,
  F_DISP,
  F_INDEX,
  F_INFO,
  F_PLACE,
  F_RM,
  FIRST_HOT,
  INFO_ADDRESS16,
  INFO_ADDRESS32,
  INFO_RIP,
  PAGE_IP,
  PAGE_IP_HI,
  ZERO,
} from "./record.ts";

/** What the loop does after a function of its own returned. */
export const GO_ON = 0, LOOK_UP = 1, LEAVE = 2;

/** A handler: executes the record at place `p`. */
export type Handler = (p: number) => void;

const JUMPS = new Set([
  "call",
  "call_near",
  "ret",
  "jmp",
  "jmp_near",
  "loop",
  "loope",
  "loopne",
  "jcxz",
]);
const STACK = new Set(["push", "pop", "pop_mem"]);

/** Whether text for a form depends on flat segments beyond its memory operand. */
function needsFlat(semantic: string): boolean {
  return JUMPS.has(semantic) || STACK.has(semantic) ||
    (semantic[0] === "j" && semantic in SEMANTICS);
}

/** Whether an override-free access through the segment needs no check in flat mode. */
const FLAT_SEGMENTS = new Set([S.ES, S.SS, S.DS]);

function addressOnlyOf(insn: Insn): boolean {
  return insn.form.addressOnly;
}

/** Whether the 64-bit meaning applies: by its destination's width, or by its name where the operand is implied. */
function isWide(binder: Binder): boolean {
  const { form, operandSize } = binder.variant, { semantic } = form.row;
  if (operandSize !== 64 || !Object.hasOwn(SEMANTICS64, semantic)) return false;
  return form.operands.length === 0 || JUMPS.has(semantic) || STACK.has(semantic) ||
    binder.width(0) === 64;
}

/** Emits the meaning of a form; false if it has none but a helper. */
export function emitMeaning(binder: Binder): boolean {
  const { semantic } = binder.variant.form.row;
  if (isWide(binder)) SEMANTICS64[semantic](binder);
  else if (Object.hasOwn(SEMANTICS, semantic)) SEMANTICS[semantic](binder);
  else return false;
  return true;
}

/** How the memory operand of an instruction is addressed. */
export function addressForm(insn: Insn, flat: boolean): AddressForm {
  if (!insn.memory) return "none";
  if (insn.long) {
    const plain = addressOnlyOf(insn) || (insn.segment !== S.FS && insn.segment !== S.GS);
    if (insn.addressSize !== 64 || !plain) return "checked";
    if (insn.ripRelative) return "rip";
    return insn.index >= 0 ? "index" : insn.base >= 0 ? "base" : "absolute";
  }
  const addressOnly = addressOnlyOf(insn);
  if (insn.addressSize === 16 || !(addressOnly || (flat && FLAT_SEGMENTS.has(insn.segment)))) {
    return "checked";
  }
  return insn.index >= 0 ? "index" : insn.base >= 0 ? "base" : "absolute";
}

const ADDRESS_FORMS: readonly AddressForm[] = [
  "none",
  "base",
  "index",
  "absolute",
  "rip",
  "checked",
];
/** Rows of the decode table whose operations are found without making their names. */
const MOST_FORMS = 2048;

/** The name of a form: what distinguishes its text. Stable across changes of the table. */
export function formKey(insn: Insn, flat: boolean): string {
  const { row } = insn.form;
  const suffix = insn.long ? " long" : needsFlat(row.semantic) ? (flat ? " flat" : " any") : "";
  return `${row.opcode}|${row.operands}|${insn.operandSize}|${addressForm(insn, flat)}${suffix}`;
}

/** All operations of one processor. */
export class Operations {
  /** Functions by operation number; the hot ones have none until asked. */
  readonly handlers: Handler[] = [];
  /** What follows each operation: {@linkcode GO_ON}, {@linkcode LOOK_UP} or {@linkcode LEAVE}. */
  readonly after: Uint8Array;
  private readonly numbers: Map<string, number>;
  /** What each number stands for. */
  private readonly variants: (InterpVariant | undefined)[];
  /** Operations of further processors, which take over the numbers. */
  private readonly followers: Operations[] = [];
  /** Scope of generated text: names and values, for the loop too. */
  readonly scope: Record<string, unknown>;
  /** The same for 64-bit code. */
  readonly longScope: Record<string, unknown>;
  /** Numbers for encodings that do not exist and for those longer than 15 bytes. */
  readonly invalid: number;
  readonly tooLong: number;
  /** Operations that were met, by what distinguishes them: see {@linkcode Operations.operation}. */
  private readonly met = new Int16Array(MOST_FORMS << 7);
  private count = FIRST_HOT;
  /** How many iterations a repeated string instruction may do now; the engine's to say. */
  iterationBudget: () => number = () => 1;

  /** @param leader the operations of the processor whose numbers are taken over, since its code is shared */
  constructor(
    private readonly cpu: X86,
    private readonly code: CodeCache,
    leader?: Operations,
  ) {
    this.after = leader?.after ?? new Uint8Array(8192);
    this.numbers = leader?.numbers ?? new Map();
    this.variants = leader?.variants ?? [];
    this.scope = this.makeScope();
    this.longScope = { ...this.scope, ...this.makeLongScope() };
    this.count = FIRST_HOT + HOT_FORMS.length;
    HOT_FORMS.forEach((key, i) => this.numbers.set(key, FIRST_HOT + i));
    const R = cpu.R;
    this.invalid = this.add("invalid", (p) => {
      R[CURRENT] = p;
      cpu.raise(S.UD);
    }, GO_ON);
    this.tooLong = this.add("too long", (p) => {
      R[CURRENT] = p;
      cpu.raise(S.GP, 0);
    }, GO_ON);
    if (leader === undefined) return;
    leader.followers.push(this);
    for (let number = FIRST_HOT; number < leader.count; number++) this.follow(number);
  }

  /** Takes over an operation of the leader's; its text is compiled for this processor when it is first met. */
  private follow(number: number): void {
    const variant = this.variants[number];
    if (variant === undefined) return;
    this.handlers[number] = (p) => {
      const { handler } = this.generate(variant, variant.form.row.opcode);
      this.handlers[number] = handler;
      handler(p);
    };
  }

  private add(key: string, handler: Handler, after: number): number {
    const number = this.count++;
    this.numbers.set(key, number);
    this.handlers[number] = handler;
    this.after[number] = after;
    return number;
  }

  /** Names by number, for profiles. */
  names(): Map<number, string> {
    return new Map([...this.numbers].map(([key, number]) => [number, key]));
  }

  /** The operation for an instruction. */
  operation(insn: Insn, flat: boolean): number {
    const size = insn.operandSize >> 5, address = ADDRESS_FORMS.indexOf(addressForm(insn, flat));
    const at = insn.form.index << 7 | address << 4 | size << 2 | (insn.long ? 2 : 0) |
      (flat ? 1 : 0);
    if (at < this.met.length && this.met[at] !== 0) return this.met[at];
    const number = this.meet(insn, flat);
    if (at < this.met.length) this.met[at] = number;
    return number;
  }

  private meet(insn: Insn, flat: boolean): number {
    const key = formKey(insn, flat);
    const known = this.numbers.get(key);
    if (known !== undefined && (this.handlers[known] !== undefined)) return known;
    const variant: InterpVariant = {
      form: insn.form,
      operandSize: insn.operandSize,
      memory: insn.memory,
      long: insn.long,
      address: addressForm(insn, flat),
      flat,
    };
    const { handler, after } = this.generate(variant, key);
    const number = known ?? this.add(key, handler, after);
    this.handlers[number] = handler;
    this.after[number] = after;
    this.variants[number] = variant;
    for (const follower of this.followers) follower.follow(number);
    return number;
  }

  /** Bodies of the switch for the hot forms; those which the model's table lacks are left out. */
  hotBodies(samples: (key: string) => InterpVariant | undefined, long: boolean): string {
    const cases: string[] = [];
    HOT_FORMS.forEach((key, i) => {
      const variant = samples(key);
      if (variant === undefined || variant.long !== long) return;
      const binder = this.makeBinder(variant, true);
      emitMeaning(binder);
      const end = binder.jumps && !/^j(?!mp)/.test(variant.form.row.semantic)
        ? ""
        : "p=p+8|0;continue L;";
      cases.push(`case ${FIRST_HOT + i}:{${binder.text}${end}}`);
    });
    return cases.join("\n");
  }

  private makeBinder(variant: InterpVariant, inline: boolean): InterpBinder {
    const wide = hasNegativeEntries(this.cpu.bus.memory.host);
    return variant.long
      ? new LongBinder(variant, inline, wide)
      : new InterpBinder(variant, inline, wide);
  }

  private generate(variant: InterpVariant, key: string): { handler: Handler; after: number } {
    const { row } = variant.form;
    const binder = this.makeBinder(variant, false);
    const scope: Record<string, unknown> = { ...(variant.long ? this.longScope : this.scope) };
    let after: number = GO_ON;
    if (emitMeaning(binder)) {
      if (binder.jumps) after = LOOK_UP;
    } else {
      const helper = variant.long && Object.hasOwn(LONG_HELPERS, row.semantic)
        ? LONG_HELPERS[row.semantic]
        : HELPERS[row.semantic];
      if (helper === undefined) {
        throw new Error(`decode table: no meaning for ${row.semantic} (${key})`);
      }
      scope.helper = Object.hasOwn(STRING_HELPERS, row.semantic)
        ? (x86: X86, a: number, b: number, c: number) => {
          x86.iterationBudget = this.iterationBudget();
          helper(x86, a, b, c);
        }
        : helper;
      if (row.guard !== undefined) {
        scope.guard = GUARDS[row.guard];
        if (scope.guard === undefined) {
          throw new Error(`decode table: no guard ${row.guard} (${key})`);
        }
      }
      binder.callHelper();
      if (row.control === true) after = LEAVE;
    }
    const names = Object.keys(scope);
    const make = new Function(...names, `"use strict";return function(p){${binder.text}}`);
    return { handler: make(...names.map((name) => scope[name])), after };
  }

  private makeScope(): Record<string, unknown> {
    const { cpu } = this;
    const { R, U8, U16, mmu } = cpu;
    const C = this.code.records;
    const host = cpu.bus.memory.host;
    const offset = (p: number): number => {
      const info = C[p + F_INFO];
      const sum = R[C[p + F_RM]] + (R[C[p + F_INDEX]] << info) + C[p + F_DISP];
      return (info & INFO_ADDRESS16) !== 0 ? sum & 0xffff : sum | 0;
    };
    // Pieces of an operand that is aligned as it must be are not to be found misaligned themselves.
    const inWords = (linear: number): boolean => (linear & 3) !== 0 && alignmentChecked(cpu);
    return {
      R,
      U8,
      U16,
      C,
      XT: mmu.tlb,
      ...tlbScope(host),
      PARITY: S.PARITY,
      PURE,
      REPEAT: [0, 0xf2, 0xf3],
      cpu,
      misaligned: () => {
        if (alignmentChecked(cpu)) cpu.raise(S.AC_FAULT, 0);
      },
      offset,
      linear: (p: number, bytes: number, write: boolean): number => {
        R[CURRENT] = p;
        return cpu.linear((C[p + F_INFO] >>> 8) & 7, offset(p), bytes, write);
      },
      load8: (p: number, a: number) => {
        R[CURRENT] = p;
        return cpu.load8(a);
      },
      load16: (p: number, a: number) => {
        R[CURRENT] = p;
        return cpu.load16(a);
      },
      load32: (p: number, a: number) => {
        R[CURRENT] = p;
        return cpu.load32(a);
      },
      store8: (p: number, a: number, v: number) => {
        R[CURRENT] = p;
        cpu.store8(a, v);
      },
      store16: (p: number, a: number, v: number) => {
        R[CURRENT] = p;
        cpu.store16(a, v);
      },
      store32: (p: number, a: number, v: number) => {
        R[CURRENT] = p;
        cpu.store32(a, v);
      },
      update8: (p: number, a: number) => {
        R[CURRENT] = p;
        cpu.probeWrite(a, 1);
        return cpu.load8(a);
      },
      update16: (p: number, a: number) => {
        R[CURRENT] = p;
        cpu.probeWrite(a, 2);
        return cpu.load16(a);
      },
      update32: (p: number, a: number) => {
        R[CURRENT] = p;
        cpu.probeWrite(a, 4);
        return cpu.load32(a);
      },
      push16: (p: number, value: number) => {
        R[CURRENT] = p;
        push(cpu, 2, value);
      },
      push32: (p: number, value: number) => {
        R[CURRENT] = p;
        push(cpu, 4, value);
      },
      pop16: (p: number) => {
        R[CURRENT] = p;
        return peekStack(cpu, 0, 2);
      },
      pop32: (p: number) => {
        R[CURRENT] = p;
        return peekStack(cpu, 0, 4);
      },
      moveStack: (by: number) => dropStack(cpu, by),
      checkTarget: (p: number, to: number) => {
        if ((to >>> 0) > (R[S.SEG_LIMIT + S.CS] >>> 0)) {
          R[CURRENT] = p;
          cpu.raise(S.GP, 0);
        }
      },
      raise: (p: number, vector: number) => {
        R[CURRENT] = p;
        // Of what semantics raise only #GP has an error code, which then names no segment.
        if (vector === S.GP) cpu.raise(vector, 0);
        else cpu.raise(vector);
      },
      loadScratch: (linear: number, bytes: number) => {
        let i = 0;
        const at = S.SCRATCH * 4;
        for (const words = inWords(linear); words && i + 2 <= bytes; i += 2) {
          U16[(at + i) / 2] = cpu.load16((linear + i) | 0);
        }
        for (; i + 4 <= bytes; i += 4) R[S.SCRATCH + (i >> 2)] = cpu.load32((linear + i) | 0);
        for (; i < bytes; i++) U8[at + i] = cpu.load8((linear + i) | 0);
      },
      storeScratch: (linear: number, bytes: number) => {
        let i = 0;
        const at = S.SCRATCH * 4;
        for (const words = inWords(linear); words && i + 2 <= bytes; i += 2) {
          cpu.store16((linear + i) | 0, U16[(at + i) / 2]);
        }
        for (; i + 4 <= bytes; i += 4) cpu.store32((linear + i) | 0, R[S.SCRATCH + (i >> 2)]);
        for (; i < bytes; i++) cpu.store8((linear + i) | 0, U8[at + i]);
      },
    };
  }

  private makeLongScope(): Record<string, unknown> {
    const { cpu } = this;
    const { R, mmu64 } = cpu;
    const C = this.code.records;
    const user = () => R[S.CPL] === 3;
    // As in makeScope.
    const inWords = (linear: number): boolean => (linear & 3) !== 0 && alignmentChecked(cpu);
    /** The address of two halves as a number, after noting where; #GP(0) if it is not canonical. */
    const canonical = (p: number, lo: number, hi: number): number => {
      R[CURRENT] = p;
      if (hi < -0x8000 || hi > 0x7fff) cpu.raise(S.GP, 0);
      return hi * 0x100000000 + (lo >>> 0);
    };
    const offset64 = (p: number): number => {
      const info = C[p + F_INFO], disp = C[p + F_DISP], scale = info & 3;
      const base = C[p + F_RM], index = C[p + F_INDEX];
      let lo = R[base], hi = base === ZERO ? 0 : R[base + 1];
      if ((info & INFO_RIP) !== 0) {
        lo = (R[PAGE_IP] + (C[p + F_PLACE] >>> 16)) | 0;
        hi = R[PAGE_IP_HI] + ((lo >>> 0) < (R[PAGE_IP] >>> 0) ? 1 : 0);
      }
      if (index !== ZERO) {
        const il = R[index] << scale;
        const ih = scale === 0
          ? R[index + 1]
          : (R[index + 1] << scale) | (R[index] >>> (32 - scale));
        lo = (lo + il) | 0;
        hi = (hi + ih + ((lo >>> 0) < (il >>> 0) ? 1 : 0)) | 0;
      }
      lo = (lo + disp) | 0;
      hi = (hi + (disp >> 31) + ((lo >>> 0) < (disp >>> 0) ? 1 : 0)) | 0;
      R[ADDRESS_HI] = (info & INFO_ADDRESS32) !== 0 ? 0 : hi;
      return lo;
    };
    return {
      LT: mmu64.tlb,
      WIDE,
      canonical,
      offset64,
      linear64: (p: number): number => {
        const segment = (C[p + F_INFO] >>> 8) & 7;
        const lo = offset64(p);
        if (segment !== S.FS && segment !== S.GS) return lo;
        const base = R[S.SEG_BASE + segment], sum = (lo + base) | 0;
        R[ADDRESS_HI] =
          (R[ADDRESS_HI] + R[S.SEG_BASE_HI + segment] + ((sum >>> 0) < (base >>> 0) ? 1 : 0)) | 0;
        return sum;
      },
      load8: (p: number, lo: number, hi: number) => mmu64.load8(canonical(p, lo, hi), user()),
      load16: (p: number, lo: number, hi: number) => mmu64.load16(canonical(p, lo, hi), user()),
      load32: (p: number, lo: number, hi: number) => mmu64.load32(canonical(p, lo, hi), user()),
      load64: (p: number, lo: number, hi: number) => mmu64.load64(canonical(p, lo, hi), user()),
      store8: (p: number, lo: number, hi: number, v: number) =>
        mmu64.store8(canonical(p, lo, hi), v, user()),
      store16: (p: number, lo: number, hi: number, v: number) =>
        mmu64.store16(canonical(p, lo, hi), v, user()),
      store32: (p: number, lo: number, hi: number, v: number) =>
        mmu64.store32(canonical(p, lo, hi), v, user()),
      store64: (p: number, lo: number, hi: number, v: number, w: number) =>
        mmu64.store64(canonical(p, lo, hi), v, w, user()),
      update8: (p: number, lo: number, hi: number) => {
        mmu64.probeWrite(canonical(p, lo, hi), 1, user());
        return mmu64.load8(canonical(p, lo, hi), user());
      },
      update16: (p: number, lo: number, hi: number) => {
        mmu64.probeWrite(canonical(p, lo, hi), 2, user());
        return mmu64.load16(canonical(p, lo, hi), user());
      },
      update32: (p: number, lo: number, hi: number) => {
        mmu64.probeWrite(canonical(p, lo, hi), 4, user());
        return mmu64.load32(canonical(p, lo, hi), user());
      },
      update64: (p: number, lo: number, hi: number) => {
        mmu64.probeWrite(canonical(p, lo, hi), 8, user());
        return mmu64.load64(canonical(p, lo, hi), user());
      },
      loadScratch: (linear: number, bytes: number) => {
        let i = 0;
        for (const words = inWords(linear); words && i + 2 <= bytes; i += 2) {
          cpu.U16[S.SCRATCH * 2 + (i >> 1)] = mmu64.load16(linear + i, user());
        }
        for (; i + 4 <= bytes; i += 4) R[S.SCRATCH + (i >> 2)] = mmu64.load32(linear + i, user());
        for (; i < bytes; i++) cpu.U8[S.SCRATCH * 4 + i] = mmu64.load8(linear + i, user());
      },
      storeScratch: (linear: number, bytes: number) => {
        let i = 0;
        for (const words = inWords(linear); words && i + 2 <= bytes; i += 2) {
          mmu64.store16(linear + i, cpu.U16[S.SCRATCH * 2 + (i >> 1)], user());
        }
        for (; i + 4 <= bytes; i += 4) mmu64.store32(linear + i, R[S.SCRATCH + (i >> 2)], user());
        for (; i < bytes; i++) mmu64.store8(linear + i, cpu.U8[S.SCRATCH * 4 + i], user());
      },
    };
  }

  /** Offset in CS of the record at `p`. */
  static ipOf(R: Int32Array, C: Int32Array, p: number): number {
    return (R[PAGE_IP] + (C[p + F_PLACE] & 0xffff)) | 0;
  }
}
