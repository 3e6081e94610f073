/** Makes the inputs of one case of 64-bit code: like `../builder.ts`, with REX and 64-bit addresses. */
import { vexPrefix } from "../form.ts";
import type { Patch } from "../job.ts";
import { hashText, Prng } from "../prng.ts";
import { randomState } from "../state_inputs.ts";
import type { Variant } from "./forms.ts";
import type { Job } from "./job.ts";
import * as M from "./machine.ts";
import { PROFILES } from "./profiles.ts";

export const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7;
const FS = 4, GS = 5;
const OVERRIDE = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const DF = 1 << 10;

/** A case in the making. Profiles set what matters to their instruction; the rest stays random. */
export class Builder {
  readonly rng: Prng;
  readonly gpr = new BigInt64Array(16);
  eflags: number;
  readonly patches: Patch[] = [];
  readonly fx: Uint8Array | undefined;
  private locked = 1 << RSP;
  reg: number;
  rm: number;
  opcodeReg: number;
  /** Register in VEX.vvvv. */
  vvvv = 0;
  immediate: bigint;
  immediate2: number;
  /** Linear address of the memory operand, or -1. */
  target = -1n;
  targetPatched = false;
  override = -1;
  addressSize: 32 | 64 = 64;
  lockPrefix = false;
  /** Whether the code lies in the arena's upper place. */
  readonly home: bigint;
  readonly at: number;
  readonly operandSize: 16 | 32 | 64;
  /** REX bits that the case needs. */
  private rex = 0;
  private readonly wantRex: boolean;

  constructor(readonly variant: Variant, index: number) {
    const { form } = variant;
    const rng = this.rng = new Prng(
      hashText(`64 ${variant.name}`) ^ Math.imul(index + 1, 0x85ebca6b),
    );
    this.operandSize = variant.operandSize === 0 ? 32 : variant.operandSize;
    for (let i = 0; i < 16; i++) this.gpr[i] = this.value();
    this.eflags = 0x202 | (rng.next() & 0x8d5) | (rng.chance(25) ? DF : 0);
    const extend = () => rng.below(16);
    this.reg = form.digit >= 0 ? form.digit : extend();
    this.rm = extend();
    this.opcodeReg = extend();
    this.wantRex = rng.chance(35);
    this.immediate = this.value();
    this.immediate2 = rng.value();
    this.home = rng.chance(60) ? M.HIGH : M.LOW;
    this.at = rng.chance(5) ? M.MIDDLE - rng.below(10) : rng.range(M.CODE_FROM, M.CODE_TO);
    if (form.options.stack || rng.chance(50)) this.stackPointer();
    if (form.options.state !== undefined) {
      const fx = randomState(rng, form.options.state);
      for (let i = 0; i < 8; i++) {
        const from = 160 + 16 * rng.below(8);
        fx.set(fx.slice(from, from + 16), 288 + 16 * i);
      }
      this.fx = fx;
    }
    if (form.vex !== undefined) this.vvvv = rng.below(16);
  }

  /** 64 bits, often at the edges of some operand size. */
  value(): bigint {
    const { rng } = this;
    const low = BigInt(rng.value());
    switch (rng.below(6)) {
      case 0:
      case 1:
        return BigInt.asIntN(32, low);
      case 2:
        return low;
      case 3:
        return 1n << BigInt(rng.below(64));
      default:
        return (BigInt(rng.value()) << 32n) | low;
    }
  }

  private place(): bigint {
    return this.rng.chance(60) ? M.HIGH : M.LOW;
  }

  /** Points RSP into the stack's part of the arena, or rarely to where pushes and pops fault. */
  stackPointer(): void {
    const { rng } = this;
    let offset = rng.range(M.STACK_FROM / 8, M.STACK_TO / 8) * 8;
    if (rng.chance(12)) offset += rng.below(8);
    if (this.variant.form.options.stack && rng.chance(5)) {
      offset = rng.pick([0, 1, 2, 8, M.ARENA_SIZE, M.ARENA_SIZE - 4, M.ARENA_SIZE + 8]);
    } else if (rng.chance(6)) offset = M.MIDDLE + rng.pick([0, 2, 4, 8, -4, -8]);
    this.gpr[RSP] = this.place() + BigInt(offset);
  }

  /** Fixes a whole register. */
  set(register: number, value: bigint): void {
    this.gpr[register] = value;
    this.locked |= 1 << register;
  }

  /** Fixes the low bits of a register. */
  setPart(register: number, bits: number, value: bigint): void {
    const mask = (1n << BigInt(bits)) - 1n;
    this.set(register, (this.gpr[register] & ~mask) | (value & mask));
  }

  /** The linear address of somewhere in the data. */
  data(): bigint {
    return this.place() + BigInt(this.rng.range(M.DATA_FROM, M.DATA_TO));
  }

  patch(offset: number, bytes: ArrayLike<number>): void {
    if (offset < 0 || offset + bytes.length > M.ARENA_SIZE) return;
    this.patches.push({ offset, bytes: Uint8Array.from(bytes) });
  }

  /** Patches memory at a linear address of the arena. */
  patchNumber(linear: bigint, size: number, value: bigint): void {
    const bytes = Array.from(
      { length: size },
      (_, i) => Number((value >> BigInt(8 * Math.min(i, 63))) & 0xffn),
    );
    this.patch(this.offsetOf(linear), bytes);
  }

  /** The arena's offset of a linear address, or one outside. */
  offsetOf(linear: bigint): number {
    return Number(linear - (linear >= M.HIGH - 0x1000n ? M.HIGH : M.LOW));
  }

  /** Bytes of the ModRM.rm operand in memory. */
  get memorySize(): number {
    const o = this.operandSize / 8, wide = this.variant.operandSize === 64;
    const sizes: Record<string, number> = {
      "": o,
      b: 1,
      w: 2,
      v: o,
      z: Math.min(o, 4),
      d: wide && this.variant.form.opcode !== "63 /r" ? 8 : 4,
      y: o,
      q: 8,
      t: 10,
      dq: 16,
      ps: 16,
      pd: 16,
      ss: 4,
      sd: 8,
    };
    return sizes[this.variant.form.rmSize] ?? 16;
  }

  /** Sets the ModRM.rm operand, register or memory. */
  setRm(value: bigint): void {
    const size = this.memorySize;
    if (!this.variant.memory) {
      if (size === 1 && this.rm > 3) this.rm &= 3;
      return this.setPart(this.rm, size * 8, value);
    }
    this.chooseTarget();
    this.patchNumber(this.target, size, value);
    this.targetPatched = true;
  }

  /** Decides where the memory operand lies, and through which segment. */
  chooseTarget(): void {
    if (this.target >= 0n) return;
    const { rng, variant } = this, size = this.memorySize;
    const { aligned } = variant.form.options;
    let offset = rng.range(M.DATA_FROM, M.DATA_TO);
    if (aligned ? !rng.chance(8) : rng.chance(50)) offset &= aligned ? ~15 : ~7;
    if (size <= 16 && rng.chance(5)) {
      offset = rng.pick([
        M.ARENA_SIZE - rng.range(1, size),
        M.ARENA_SIZE + rng.below(64),
        M.ARENA_SIZE + M.READ_ONLY_SIZE - rng.range(1, size),
        M.ARENA_SIZE + M.READ_ONLY_SIZE + rng.below(64),
        -rng.range(1, 32),
      ]);
    } else if (rng.chance(8) && this.at < M.MIDDLE - 0x40) offset = M.MIDDLE - rng.range(1, size);
    if (rng.chance(15) && this.override < 0) this.override = rng.below(6);
    if (rng.chance(12)) this.addressSize = 32;
    this.target = (this.addressSize === 32 && this.override !== GS ? M.LOW : this.place()) +
      BigInt(offset);
    if (this.addressSize === 32 && this.override === FS) this.target = M.LOW + BigInt(offset);
    if (this.addressSize === 32 && this.override === GS) this.target = M.HIGH + BigInt(offset);
  }

  /** The finished case. */
  job(): Job {
    const { rng, variant } = this, { form } = variant;
    if (form.options.lock && variant.memory && rng.chance(15)) this.lockPrefix = true;
    PROFILES[form.mnemonic]?.(this);
    let address: number[] = [];
    if (variant.memory) {
      this.chooseTarget();
      if (!this.targetPatched && this.memorySize <= 8 && rng.chance(70)) {
        this.patchNumber(this.target, this.memorySize, this.value());
      }
      address = this.address();
    } else if (form.fixed >= 0) address = [form.fixed];
    else if (form.modrm) address = [0xc0 | ((this.reg & 7) << 3) | (this.rm & 7)];
    if (form.modrm && form.fixed < 0) {
      if (this.reg > 7) this.rex |= 4;
      if (!variant.memory && this.rm > 7) this.rex |= 1;
    }
    if (form.plus && this.opcodeReg > 7) this.rex |= 1;
    if (/^0F C[89A-F]$/.test(form.opcode) && rng.chance(50)) this.rex |= 1;
    if (variant.operandSize === 64 && (!DEFAULTS.has(form.mnemonic) || rng.chance(20))) {
      if (!isBranch(variant) || rng.chance(20)) this.rex |= 8;
    }
    const tail = this.immediates();
    const prefixes: number[] = [];
    if (variant.operandSize === 16) prefixes.push(0x66);
    if (this.addressSize === 32) prefixes.push(0x67);
    if (this.override >= 0) prefixes.push(OVERRIDE[this.override]);
    if (this.lockPrefix) prefixes.push(0xf0);
    for (let i = prefixes.length - 1; i > 0; i--) {
      const k = rng.below(i + 1);
      [prefixes[i], prefixes[k]] = [prefixes[k], prefixes[i]];
    }
    if (form.prefix >= 0) prefixes.push(form.prefix);
    if (form.vex !== undefined) prefixes.push(...this.vex(form.vex));
    else if (this.rex !== 0 || this.wantRex) prefixes.push(0x40 | this.rex);
    const opcode = [...form.bytes];
    if (form.plus) opcode[opcode.length - 1] += this.opcodeReg & 7;
    const code = [...prefixes, ...opcode, ...address, ...tail];
    if (this.ripFrom >= 0) {
      // The displacement counts from the end of the instruction, which is known only now.
      const at = prefixes.length + opcode.length + 1;
      const next = this.home + BigInt(this.at + code.length);
      push(code, this.target - this.segmentBase() - next, 4, at);
    }
    this.patch(this.at, [...code, 0xeb, 0xfe]);
    return {
      gpr: new Int32Array(this.gpr.buffer),
      rip: this.home + BigInt(this.at),
      eflags: this.eflags,
      maxSteps: form.options.repeats ? 64 : 1,
      patches: this.patches,
      fx: this.fx,
      length: code.length,
      at: this.at,
    };
  }

  /** The VEX prefix; rarely something that makes it #UD. */
  private vex(vex: NonNullable<Variant["form"]["vex"]>): number[] {
    const { rng } = this;
    const bytes = vexPrefix(vex, {
      extend: this.rex & 7,
      vvvv: vex.vvvv ? this.vvvv : rng.chance(6) ? rng.range(1, 15) : 0,
      wide: (this.rex & 8) !== 0,
      length: rng.chance(4) ? 1 : 0,
    });
    return rng.chance(4) ? [rng.pick([0x66, 0xf2, 0xf3, 0xf0, 0x40, 0x48]), ...bytes] : bytes;
  }

  private immediates(): number[] {
    const { form } = this.variant, tail: number[] = [], o = this.operandSize / 8;
    form.immediates.forEach((kind, i) => {
      const value = i === 0 ? this.immediate : BigInt(this.immediate2);
      if (kind === "b") push(tail, value, 1);
      else if (kind === "w") push(tail, value, 2);
      else if (kind === "o") {
        this.chooseTarget();
        push(tail, this.target - this.segmentBase(), this.addressSize / 8);
      } else if (kind === "v" || (kind === "z" && form.opcode === "B8 +r")) push(tail, value, o);
      else if (kind === "j") {
        push(tail, this.rng.chance(60) ? BigInt(this.rng.range(-3000, 3000)) : value, 4);
      } else push(tail, value, Math.min(o, 4));
    });
    return tail;
  }

  private free(register: number): boolean {
    return (this.locked >> register & 1) === 0;
  }

  segmentBase(): bigint {
    return this.override === FS ? M.FS_BASE : this.override === GS ? M.GS_BASE : 0n;
  }

  private ripFrom = -1;

  /** ModRM, SIB and displacement that reach the target; sets a base register where the form needs it. */
  private address(): number[] {
    const { rng, gpr } = this, reg = (this.reg & 7) << 3, narrow = this.addressSize === 32;
    const want = this.target - this.segmentBase();
    const place = (register: number, value: bigint) => {
      gpr[register] = narrow
        ? (BigInt(rng.value()) << 32n) | BigInt.asUintN(32, value)
        : BigInt.asIntN(64, value);
    };
    const fits = (disp: bigint) => narrow || BigInt.asIntN(32, disp) === BigInt.asIntN(64, disp);
    const kind = rng.below(10);
    const base = rng.below(16), index = rng.below(16), scale = BigInt(rng.below(4));
    const disp8 = BigInt((rng.next() << 24) >> 24);
    const disp32 = rng.chance(50) ? disp8 * 64n : BigInt(rng.next() | 0);
    const mod = rng.below(3);
    const disp = mod === 0 ? 0n : mod === 1 ? disp8 : disp32;
    const dispBytes = mod === 0 ? 0 : mod === 1 ? 1 : 4;
    const bytes = (value: bigint, size: number) => {
      const out: number[] = [];
      push(out, value, size);
      return out;
    };
    const next = this.home + BigInt(this.at);
    if (kind < 2 && fits(want - next + 0x40n) && fits(want - next - 0x40n)) {
      this.ripFrom = 0;
      return [reg | 5, 0, 0, 0, 0];
    }
    if (kind === 2 && fits(want)) return [reg | 4, 0x25, ...bytes(want, 4)];
    if (kind < 6 && (base & 7) !== 4 && !(mod === 0 && (base & 7) === 5) && this.free(base)) {
      place(base, want - disp);
      if (base > 7) this.rex |= 1;
      return [(mod << 6) | reg | (base & 7), ...bytes(disp, dispBytes)];
    }
    const scaled = index === 4 ? 0n : gpr[index] << scale;
    const sib = (Number(scale) << 6) | ((index & 7) << 3);
    if (kind === 6 && index !== 4 && this.free(index)) {
      // No base: the index alone comes near.
      const from = narrow ? BigInt.asUintN(32, want - disp32) : want - disp32;
      place(index, from >> scale);
      if (index > 7) this.rex |= 2;
      return [reg | 4, sib | 5, ...bytes(want - (gpr[index] << scale), 4)];
    }
    // A base without an index also for R12 and RSP, which need the byte.
    let b = base;
    while (!this.free(b) || b === index || (mod === 0 && (b & 7) === 5)) b = (b + 1) & 15;
    place(b, want - scaled - disp);
    if (b > 7) this.rex |= 1;
    if (index > 7) this.rex |= 2;
    return [(mod << 6) | reg | 4, sib | (b & 7), ...bytes(disp, dispBytes)];
  }
}

const DEFAULTS = new Set("push pop pushf enter leave push_seg".split(" "));
const isBranch = (v: Variant) =>
  ["call", "jmp", "ret", "loop", "loope", "loopne", "jcxz"].includes(v.form.mnemonic) ||
  /^(7|0F 8)/.test(v.form.opcode);

function push(out: number[], value: bigint, size: number, at = out.length): void {
  for (let i = 0; i < size; i++) out[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

/** The job of one case. */
export function buildJob(variant: Variant, index: number): Job {
  return new Builder(variant, index).job();
}
