/**
 * Puts hand-assembled code together: bytes, text, and references to labels. The tests' boot sectors are
 * written with it, so that each instruction's bytes stand beside its mnemonic and no offset is counted by hand.
 */

/** A piece of code: bytes, ASCII text, a label or a reference to one, or several pieces. */
export type Code =
  | number
  | string
  | readonly Code[]
  | { label: string }
  | { rel8: string }
  | { rel16: string }
  | { rel32: string }
  | { abs16: string }
  /** Zeros up to this many bytes from the beginning. */
  | { fill: number };

/** This place gets a name. */
export const label = (name: string): Code => ({ label: name });
/** Distance of a label from the next byte on, for short jumps. */
export const rel8 = (name: string): Code => ({ rel8: name });
/** Distance of a label from the next byte on, for near jumps and calls. */
export const rel16 = (name: string): Code => ({ rel16: name });
/** Distance of a label from the next byte on, for near jumps and calls of 32-bit code. */
export const rel32 = (name: string): Code => ({ rel32: name });
/** Address of a label. */
export const abs16 = (name: string): Code => ({ abs16: name });
/** A little-endian word. */
export const word = (value: number): Code => [value & 0xff, (value >>> 8) & 0xff];
/** A little-endian double word. */
export const dword = (value: number): Code => [word(value), word(value >>> 16)];

/** Bytes of references. */
const SIZES = { rel8: 1, rel16: 2, rel32: 4, abs16: 2 } as const;

/**
 * The bytes of a program.
 *
 * @param origin address of its first byte
 * @throws {RangeError} for a label that is missing, twice there or out of reach
 */
export function assemble(origin: number, program: Code): Uint8Array<ArrayBuffer> {
  const labels = new Map<string, number>();
  const bytes: number[] = [];
  const references: { at: number; kind: keyof typeof SIZES; name: string }[] = [];
  const reserve = (kind: keyof typeof SIZES, name: string): void => {
    references.push({ at: bytes.length, kind, name });
    bytes.push(...new Array(SIZES[kind]).fill(0));
  };
  const add = (code: Code): void => {
    if (typeof code === "number") bytes.push(code & 0xff);
    else if (typeof code === "string") bytes.push(...new TextEncoder().encode(code));
    else if (Array.isArray(code)) code.forEach(add);
    else if ("label" in code) {
      if (labels.has(code.label)) throw new RangeError(`label ${code.label} is there twice`);
      labels.set(code.label, bytes.length);
    } else if ("fill" in code) {
      if (bytes.length > code.fill) {
        throw new RangeError(`${bytes.length} bytes, where ${code.fill} were to be filled`);
      }
      while (bytes.length < code.fill) bytes.push(0);
    } else if ("rel8" in code) reserve("rel8", code.rel8);
    else if ("rel16" in code) reserve("rel16", code.rel16);
    else if ("rel32" in code) reserve("rel32", code.rel32);
    else if ("abs16" in code) reserve("abs16", code.abs16);
  };
  add(program);
  for (const { at, kind, name } of references) {
    const target = labels.get(name);
    if (target === undefined) throw new RangeError(`there is no label ${name}`);
    const size = SIZES[kind];
    const value = kind === "abs16" ? origin + target : target - (at + size);
    if (kind === "rel8" && (value < -128 || value > 127)) {
      throw new RangeError(`${name} is too far away`);
    }
    for (let i = 0; i < size; i++) bytes[at + i] = (value >> (8 * i)) & 0xff;
  }
  return new Uint8Array(bytes);
}
