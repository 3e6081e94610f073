/** Makes the inputs of one case: register and memory values, an addressing form, and the bytes of the instruction. */
import { type Variant, vexPrefix } from "./form.ts";
import type { Job, Patch } from "./job.ts";
import * as M from "./machine.ts";
import { hashText, Prng } from "./prng.ts";
import { randomState } from "./state_inputs.ts";

/** Encodings of the general registers. */
export const EAX = 0, ECX = 1, EDX = 2, EBX = 3, ESP = 4, EBP = 5, ESI = 6, EDI = 7;
/** Encodings of the segment registers. */
export const ES = 0, CS = 1, SS = 2, DS = 3, FS = 4, GS = 5;

const OVERRIDE = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const BASE16 = [EBX, EBX, EBP, EBP, ESI, EDI, EBP, EBX];
const INDEX16 = [ESI, EDI, ESI, EDI, -1, -1, -1, -1];
const AC = 1 << 18, DF = 1 << 10;

/** Selectors for GS, some of which refuse some accesses. */
const GS_SELECTORS = [
  M.SEL_SMALL,
  M.SEL_SMALL,
  M.SEL_DOWN,
  M.SEL_DOWN16,
  M.SEL_READ_ONLY,
  M.SEL_CODE32,
  0,
];

/** A case in the making. Profiles set what matters to their instruction; the rest stays random. */
export class Builder {
  readonly rng: Prng;
  readonly gpr = new Int32Array(8);
  readonly seg: number[];
  eflags: number;
  readonly patches: Patch[] = [];
  fx: Uint8Array | undefined;
  /** Registers whose value a profile fixed: addressing may use but not change them. */
  private locked = 1 << ESP;
  /** ModRM.reg, ModRM.rm of register forms, low bits of the opcode. */
  reg: number;
  rm: number;
  opcodeReg: number;
  /** Register in VEX.vvvv. */
  vvvv = 0;
  immediate: number;
  immediate2: number;
  /** Offset of the memory operand in the arena; chosen by the profile or at the end. */
  target = -1;
  /** The profile wrote the operand's bytes itself. */
  targetPatched = false;
  /** Segment override, or -1. */
  override = -1;
  addressSize: 16 | 32;
  lockPrefix = false;
  /** Offset of the instruction in the arena. */
  readonly at: number;
  readonly codeBits: 16 | 32;
  operandSize: 16 | 32;

  constructor(readonly variant: Variant, readonly index: number) {
    const { form, env } = variant;
    this.rng = new Prng(hashText(variant.name) ^ Math.imul(index + 1, 0x85ebca6b));
    const rng = this.rng;
    this.codeBits = env === "seg16" ? 16 : 32;
    this.operandSize = variant.operandSize === 0 ? this.codeBits : variant.operandSize;
    this.addressSize = this.codeBits;
    for (let i = 0; i < 8; i++) this.gpr[i] = rng.value();
    this.seg = [...M.SEGMENTS[env]];
    this.eflags = 0x202 | (rng.next() & 0x8d5) | (rng.chance(25) ? DF : 0);
    this.reg = form.digit >= 0 ? form.digit : rng.below(8);
    this.rm = rng.below(8);
    this.opcodeReg = rng.below(8);
    this.immediate = rng.value();
    this.immediate2 = rng.value();
    this.at = rng.chance(5) ? 0x2000 - rng.below(8) : rng.range(M.CODE_FROM, M.CODE_TO);
    if (form.options.stack || rng.chance(50)) this.stackPointer();
    if (form.options.state !== undefined) this.fx = randomState(rng, form.options.state);
    if (form.vex !== undefined) this.vvvv = rng.below(8);
  }

  /** Points ESP into the stack's part of the arena, or rarely to where pushes and pops fault. */
  stackPointer(): void {
    const { rng } = this, env = this.variant.env;
    let offset = rng.range(M.STACK_FROM / 4, M.STACK_TO / 4) * 4;
    if (rng.chance(12)) offset += rng.below(4);
    let high = 0;
    if (env === "flat") {
      if (this.variant.form.options.stack && rng.chance(4)) {
        offset = rng.pick([0, 1, 2, 4, M.ARENA_SIZE, M.ARENA_SIZE - 2, M.ARENA_SIZE + 4]);
      }
    } else if (env === "seg16") {
      if (rng.chance(8)) offset = rng.pick([0, 1, 2, 3, 4, 6, 0xfffe, 0xffff, 0xfffc]);
      high = rng.chance(30) ? rng.next() & 0xffff0000 : 0;
    }
    this.gpr[ESP] = (this.offsetIn(SS, offset) + high) | 0;
  }

  /** What an offset in the arena is as an offset in a segment. */
  offsetIn(segment: number, arenaOffset: number): number {
    return (M.ARENA + arenaOffset - M.selectorBase(this.seg[segment])) | 0;
  }

  /** Fixes a whole register. */
  set(register: number, value: number): void {
    this.gpr[register] = value;
    this.locked |= 1 << register;
  }

  /** Fixes the low 8, 16 or 32 bits of a register; 8-bit registers by their own encoding (AL CL DL BL AH CH DH BH). */
  setPart(register: number, bits: number, value: number): void {
    if (bits === 32) return this.set(register, value);
    const whole = bits === 8 ? register & 3 : register;
    const shift = bits === 8 && register > 3 ? 8 : 0;
    const mask = (bits === 8 ? 0xff : 0xffff) << shift;
    this.set(whole, (this.gpr[whole] & ~mask) | ((value << shift) & mask));
  }

  lock(...registers: number[]): void {
    for (const r of registers) this.locked |= 1 << r;
  }

  patch(offset: number, bytes: ArrayLike<number>): void {
    if (offset < 0 || offset + bytes.length > M.ARENA_SIZE) return;
    this.patches.push({ offset, bytes: Uint8Array.from(bytes) });
  }

  /** Patches a little-endian number. */
  patchNumber(offset: number, size: number, value: number): void {
    this.patch(
      offset,
      Array.from({ length: size }, (_, i) => (value >>> (8 * Math.min(i, 31))) & 0xff),
    );
  }

  /** Bytes of the ModRM.rm operand in memory. */
  get memorySize(): number {
    const o = this.operandSize / 8;
    const sizes: Record<string, number> = {
      "": o,
      b: 1,
      w: 2,
      v: o,
      z: o,
      d: 4,
      y: 4,
      q: 8,
      t: 10,
      dq: 16,
      ps: 16,
      pd: 16,
      ss: 4,
      sd: 8,
      p: o + 2,
      a: 2 * o,
      e: o === 2 ? 14 : 28,
      s: o === 2 ? 94 : 108,
      x: 512,
    };
    return sizes[this.variant.form.rmSize];
  }

  /** Sets the ModRM.rm operand, register or memory, up to 32 bits. */
  setRm(value: number): void {
    const size = this.memorySize;
    if (!this.variant.memory) return this.setPart(this.rm, size * 8, value);
    this.chooseTarget();
    this.patchNumber(this.target, size, value);
    this.targetPatched = true;
  }

  /** Decides where the memory operand lies, and through which segment. */
  chooseTarget(): void {
    if (this.target >= 0) return;
    const { rng, variant } = this, env = variant.env, size = this.memorySize;
    const { aligned } = variant.form.options;
    let target = rng.range(M.DATA_FROM, M.DATA_TO);
    if (aligned ? !rng.chance(8) : rng.chance(60)) {
      target &= aligned ? ~15 : size <= 2 ? ~1 : size === 4 ? ~3 : ~7;
    }
    if (size <= 16 && rng.chance(6)) {
      if (env === "flat") {
        target = rng.pick([
          M.ARENA_SIZE - rng.range(1, size),
          M.ARENA_SIZE + rng.below(64),
          M.ARENA_SIZE + M.READ_ONLY_SIZE - rng.range(1, size),
          M.ARENA_SIZE + M.READ_ONLY_SIZE + rng.below(64),
          -rng.range(1, 32),
        ]);
      } else if (env === "seg16") target = M.ARENA_SIZE - rng.range(1, size);
    } else if (rng.chance(8) && this.override < 0) {
      this.override = rng.below(6);
      if (this.override === FS && variant.env === "flat") this.seg[FS] = M.SEL_DATA;
      if (this.override === GS) {
        this.seg[GS] = rng.pick(GS_SELECTORS);
        if (this.seg[GS] === M.SEL_SMALL) target = 0x8000 + rng.below(0x1008);
      }
    }
    if (
      variant.form.options.state === undefined && env === "flat" && rng.chance(4) &&
      !this.lockPrefix
    ) {
      this.eflags |= AC;
    }
    this.target = target;
  }

  /** The finished case. */
  job(): Job {
    const { rng, variant } = this, { form } = variant;
    if (form.options.lock && variant.memory && rng.chance(20)) this.lockPrefix = true;
    form.options.profile?.(this);
    const tail: number[] = [];
    let address: number[] = [];
    if (variant.memory) {
      this.chooseTarget();
      if (variant.env !== "flat" && rng.chance(variant.env === "based" ? 70 : 25)) {
        this.addressSize = this.codeBits === 32 ? 16 : 32;
      }
      if (!this.targetPatched && this.memorySize <= 8 && rng.chance(70)) {
        const size = this.memorySize;
        this.patchNumber(this.target, Math.min(size, 4), rng.value());
        if (size > 4) this.patchNumber(this.target + 4, size - 4, rng.value());
      }
      address = this.addressBytes();
    } else if (form.fixed >= 0) address = [form.fixed];
    else if (form.modrm) address = [0xc0 | (this.reg << 3) | this.rm];
    if (form.immediates.includes("o")) {
      this.chooseTarget();
      if (variant.env === "based") this.addressSize = rng.chance(70) ? 16 : 32;
    }
    let first = true;
    for (const kind of form.immediates) {
      const value = first ? this.immediate : this.immediate2;
      first = false;
      const o = this.operandSize / 8;
      if (kind === "b") push(tail, value, 1);
      else if (kind === "w") push(tail, value, 2);
      else if (kind === "p") {
        push(tail, value, o);
        push(tail, this.immediate2, 2);
      } else if (kind === "o") {
        push(
          tail,
          this.offsetIn(this.override >= 0 ? this.override : DS, this.target),
          this.addressSize / 8,
        );
      } else push(tail, value, o);
    }
    const prefixes: number[] = [];
    if (variant.operandSize !== 0 && variant.operandSize !== this.codeBits) prefixes.push(0x66);
    if (this.addressSize !== this.codeBits) prefixes.push(0x67);
    if (this.override >= 0) prefixes.push(OVERRIDE[this.override]);
    if (this.lockPrefix) prefixes.push(0xf0);
    for (let i = prefixes.length - 1; i > 0; i--) {
      const k = rng.below(i + 1);
      [prefixes[i], prefixes[k]] = [prefixes[k], prefixes[i]];
    }
    if (form.prefix >= 0) prefixes.push(form.prefix);
    if (form.vex !== undefined) prefixes.push(...this.vex(form.vex));
    const opcode = [...form.bytes];
    if (form.plus) opcode[opcode.length - 1] += this.opcodeReg;
    const code = [...prefixes, ...opcode, ...address, ...tail];
    // After it a jump to itself: it runs in the shadow of MOV SS, and holds engines that run on.
    this.patch(this.at, [...code, 0xeb, 0xfe]);
    return {
      gpr: this.gpr,
      eip: this.offsetIn(CS, this.at),
      eflags: this.eflags,
      seg: this.seg,
      maxSteps: form.options.repeats ? 64 : 1,
      patches: this.patches,
      fx: this.fx,
      length: code.length,
      operandAt: this.target,
    };
  }

  /** The VEX prefix: here B, the top bit of vvvv and W say nothing. Rarely something that makes it #UD. */
  private vex(vex: NonNullable<Variant["form"]["vex"]>): number[] {
    const { rng } = this;
    const vvvv = vex.vvvv ? this.vvvv | (rng.below(2) << 3) : rng.chance(6) ? rng.range(1, 15) : 0;
    const bytes = vexPrefix(vex, {
      extend: rng.below(2),
      vvvv,
      wide: rng.chance(20),
      length: rng.chance(4) ? 1 : 0,
    });
    return rng.chance(4) ? [rng.pick([0x66, 0xf2, 0xf3, 0xf0]), ...bytes] : bytes;
  }

  /** ModRM, SIB and displacement that reach the target; sets a base register where the form needs it. */
  private addressBytes(): number[] {
    return this.addressSize === 32 ? this.address32() : this.address16();
  }

  /** Offset that the addressing form must give, in the segment it will use. */
  private wanted(defaultSegment: number): number {
    return this.offsetIn(this.override >= 0 ? this.override : defaultSegment, this.target);
  }

  private free(register: number): boolean {
    return (this.locked >> register & 1) === 0;
  }

  private address32(): number[] {
    const { rng, gpr } = this, reg = this.reg << 3;
    const mod = rng.below(3), sib = rng.chance(40);
    const base = rng.below(8), index = rng.below(8), scale = rng.below(4);
    if (!sib) {
      if (base === ESP || (mod === 0 && base === EBP)) return this.direct32();
      const segment = base === EBP ? SS : DS;
      const want = this.wanted(segment);
      if (mod === 2) return [0x80 | reg | base, ...bytes(want - gpr[base], 4)];
      if (!this.free(base)) return this.direct32();
      const disp = mod === 1 ? (rng.next() << 24) >> 24 : 0;
      gpr[base] = want - disp;
      return [(mod << 6) | reg | base, ...bytes(disp, mod)];
    }
    const sibByte = (scale << 6) | (index << 3) | base;
    const scaled = index === ESP ? 0 : gpr[index] << scale;
    if (mod === 0 && base === EBP) {
      const want = this.wanted(DS);
      return [reg | 4, sibByte, ...bytes(want - scaled, 4)];
    }
    const want = this.wanted(base === EBP || base === ESP ? SS : DS);
    if (mod === 2) return [0x84 | reg, sibByte, ...bytes(want - scaled - gpr[base], 4)];
    if (!this.free(base) || base === index) return this.direct32();
    const disp = mod === 1 ? (rng.next() << 24) >> 24 : 0;
    gpr[base] = want - scaled - disp;
    return [(mod << 6) | reg | 4, sibByte, ...bytes(disp, mod)];
  }

  private direct32(): number[] {
    return [(this.reg << 3) | 5, ...bytes(this.wanted(DS), 4)];
  }

  private address16(): number[] {
    const { rng, gpr } = this, reg = this.reg << 3;
    const mod = rng.below(3), rm = rng.below(8);
    const base = BASE16[rm], index = INDEX16[rm];
    if (mod === 0 && rm === 6) return [reg | 6, ...bytes(this.wanted(DS), 2)];
    const want = this.wanted(base === EBP ? SS : DS);
    const indexed = index < 0 ? 0 : gpr[index];
    if (mod === 2) return [0x80 | reg | rm, ...bytes(want - indexed - gpr[base], 2)];
    if (!this.free(base)) return [reg | 6, ...bytes(this.wanted(DS), 2)];
    const disp = mod === 1 ? (rng.next() << 24) >> 24 : 0;
    gpr[base] = (gpr[base] & 0xffff0000) | ((want - indexed - disp) & 0xffff);
    return [(mod << 6) | reg | rm, ...bytes(disp, mod)];
  }
}

function bytes(value: number, size: number): number[] {
  const out: number[] = [];
  push(out, value, size);
  return out;
}

function push(out: number[], value: number, size: number): void {
  for (let i = 0; i < size; i++) out.push((value >>> (8 * i)) & 0xff);
}

/** The job of one case. */
export function buildJob(variant: Variant, index: number): Job {
  return new Builder(variant, index).job();
}
