/** An assembler of machine code by opcode and operands, for code of 16, 32 and 64 bits. */

/** A place in the code, known once it is bound. */
export interface Label {
  at?: number;
}

/** A memory operand with 32-bit addressing, or 64-bit in 64-bit code. */
export interface Memory {
  base?: number;
  index?: number;
  /** Power of two. */
  scale?: number;
  disp: number;
  /** Addresses `disp` relative to the instruction pointer, in 64-bit code. */
  relative?: boolean;
  /** Prefix byte of a segment. */
  segment?: number;
  /** Of the other address size: `disp` alone, or with BX and SI. In 32-bit code only. */
  short?: "disp" | "bx+si";
}

/** A register or a memory operand. */
export type RegisterOrMemory = number | Memory;

/** What an instruction has besides opcode and ModR/M. */
export interface Extras {
  /** Operand size in bits. Default 32. */
  size?: 8 | 16 | 32 | 64;
  /** F0, F2, F3 or a 66 that belongs to the opcode. */
  prefix?: number;
  /** Bytes that follow: an immediate. */
  immediate?: readonly number[];
  /** Encoded with a VEX prefix: opcode map, mandatory prefix by number, second source register. */
  vex?: { map: number; pp: number; v: number };
  /** Prefixed by LOCK. */
  lock?: boolean;
  /** The register operand is a byte register, or no general register at all. */
  kind?: "gpr" | "other";
}

export const EAX = 0, ECX = 1, EDX = 2, EBX = 3, ESP = 4, EBP = 5, ESI = 6, EDI = 7;

/** Little-endian bytes of a number. */
export function bytesOf(value: number, size: number): number[] {
  return Array.from(
    { length: size },
    (_, i) => i < 4 ? (value >> (8 * i)) & 0xff : value < 0 ? 0xff : 0,
  );
}

/** Puts code together at an address. */
export class Assembler {
  readonly bytes: number[] = [];
  bits: 16 | 32 | 64;
  private readonly fixups: {
    at: number;
    size: number;
    label: Label;
    relative: boolean;
    add: number;
  }[] = [];

  /** @param origin address of the first byte, as a signed 32-bit number: upper halves are its sign */
  constructor(readonly origin: number, bits: 16 | 32 | 64) {
    this.bits = bits;
  }

  /** Address of the next byte. */
  get here(): number {
    return (this.origin + this.bytes.length) | 0;
  }

  label(): Label {
    return { at: this.here };
  }

  bind(label: Label): void {
    label.at = this.here;
  }

  put(...bytes: number[]): void {
    for (const byte of bytes) this.bytes.push(byte & 0xff);
  }

  /** Fills up to an address with a byte. */
  fill(to: number, byte = 0x90): void {
    while (this.here !== (to | 0)) this.put(byte);
  }

  /** The address of a label, 2, 4 or 8 bytes. */
  address(label: Label, size: number, add = 0): void {
    this.fixups.push({ at: this.bytes.length, size, label, relative: false, add });
    this.put(...bytesOf(0, size));
  }

  /** The distance of a label from the next byte on, 1, 2 or 4 bytes. */
  distance(label: Label, size: number): void {
    this.fixups.push({ at: this.bytes.length, size, label, relative: true, add: 0 });
    this.put(...bytesOf(0, size));
  }

  /** Fills in what labels stand for. */
  finish(): Uint8Array<ArrayBuffer> {
    for (const { at, size, label, relative, add } of this.fixups) {
      if (label.at === undefined) throw new RangeError("a label was never bound");
      const value = relative ? label.at - ((this.origin + at + size) | 0) : (label.at + add) | 0;
      if (size === 1 && (value < -128 || value > 127)) {
        throw new RangeError("a label is too far away");
      }
      bytesOf(value, size).forEach((byte, i) => this.bytes[at + i] = byte);
    }
    return new Uint8Array(this.bytes);
  }

  /** The prefix 66 where an operand size needs it. */
  sizePrefix(size: number): void {
    if (size === (this.bits === 16 ? 32 : 16)) this.put(0x66);
  }

  /** The same with REX.W, for opcodes without ModR/M. */
  widthPrefix(size: number): void {
    this.sizePrefix(size);
    if (size === 64) this.put(0x48);
  }

  /** An instruction with ModR/M: `reg` is its register operand or opcode extension. */
  op(opcode: readonly number[], reg: number, rm: RegisterOrMemory, extras: Extras = {}): void {
    const { size = 32, prefix, immediate = [], kind = "gpr", lock, vex } = extras;
    const memory = typeof rm === "number" ? undefined : rm;
    if (memory?.segment !== undefined) this.put(memory.segment);
    if (lock === true) this.put(0xf0);
    if (kind === "gpr" && vex === undefined) this.sizePrefix(size);
    if (memory !== undefined && (this.bits === 16 || memory.short !== undefined)) this.put(0x67);
    if (prefix !== undefined) this.put(prefix);
    const base = memory === undefined ? rm as number : memory.base ?? 0, index = memory?.index ?? 0;
    let rex = (size === 64 ? 8 : 0) | (reg > 7 ? 4 : 0) | (index > 7 ? 2 : 0) | (base > 7 ? 1 : 0);
    // SPL, BPL, SIL and DIL exist only with the prefix.
    if (size === 8 && kind === "gpr" && this.bits === 64) rex |= 0x40;
    if (vex !== undefined) {
      const { map, pp, v } = vex;
      this.put(0xc4, (~(rex << 5) & 0xe0) | map, ((rex & 8) << 4) | ((~v & 15) << 3) | pp);
    } else if (rex !== 0) this.put(0x40 | rex);
    this.put(...opcode);
    const r = (reg & 7) << 3;
    if (memory === undefined) this.put(0xc0 | r | (base & 7));
    else this.memory(r, memory, immediate.length);
    this.put(...immediate);
  }

  private memory(
    r: number,
    { base, index, scale = 0, disp, relative, short }: Memory,
    behind: number,
  ): void {
    if (short !== undefined) {
      this.put(short === "disp" ? r | 6 : 0x80 | r, ...bytesOf(disp, 2));
      return;
    }
    if (relative === true) {
      this.put(r | 5, ...bytesOf((disp - (this.here + 5 + behind)) | 0, 4));
    } else if (base === undefined) {
      if (index === undefined && this.bits !== 64) this.put(r | 5);
      else this.put(r | 4, (scale << 6) | (((index ?? 4) & 7) << 3) | 5);
      this.put(...bytesOf(disp, 4));
    } else {
      const small = disp >= -128 && disp <= 127;
      const mod = disp === 0 && (base & 7) !== EBP ? 0 : small ? 0x40 : 0x80;
      if (index !== undefined || (base & 7) === ESP) {
        this.put(mod | r | 4, (scale << 6) | (((index ?? 4) & 7) << 3) | (base & 7));
      } else this.put(mod | r | (base & 7));
      if (mod !== 0) this.put(...bytesOf(disp, mod === 0x40 ? 1 : 4));
    }
  }

  /** MOV of a constant to a register; in 64-bit code sign-extended to 64 bits. */
  set(register: number, value: number): void {
    if (this.bits === 64) this.op([0xc7], 0, register, { size: 64, immediate: bytesOf(value, 4) });
    else {
      this.sizePrefix(32);
      this.put(0xb8 + register, ...bytesOf(value, 4));
    }
  }

  /** MOV of a label's address to a register. */
  setLabel(register: number, label: Label): void {
    if (this.bits === 64) {
      this.put(register > 7 ? 0x49 : 0x48, 0xc7, 0xc0 | (register & 7));
    } else this.put(0xb8 + register);
    this.address(label, 4);
  }

  /** MOV dword [address], constant; qword, sign-extended, in 64-bit code if `wide`. */
  store(address: number, value: number, wide = false): void {
    const size = wide && this.bits === 64 ? 64 : 32;
    this.op([0xc7], 0, { disp: address }, { size, immediate: bytesOf(value, 4) });
  }

  /** The same with a label's address, as wide as addresses are. */
  storeLabel(address: number, label: Label): void {
    const size = this.bits === 64 ? 64 : 32;
    this.op([0xc7], 0, { disp: address }, { size });
    this.address(label, 4);
  }

  /** JMP near. */
  jump(label: Label): void {
    this.put(0xe9);
    this.distance(label, 4);
  }

  /** JMP short, or conditional jump short. */
  short(opcode: number, label: Label): void {
    this.put(opcode);
    this.distance(label, 1);
  }

  /** Conditional jump: short where the label is bound and near enough, else near. */
  branch(condition: number, label: Label, long = false): void {
    const to = label.at;
    if (!long && to !== undefined && to - (this.here + 2) >= -128 && to <= this.here) {
      this.short(0x70 + condition, label);
    } else {
      this.put(0x0f, 0x80 + condition);
      this.distance(label, this.bits === 16 ? 2 : 4);
    }
  }

  call(label: Label): void {
    this.put(0xe8);
    this.distance(label, 4);
  }
}
