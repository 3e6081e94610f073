/**
 * An assembler for the ACPI Machine Language (ACPI specification 6.3, chapter 20 "AML Specification").
 *
 * Each function returns the bytes of one term; terms nest by passing them on.
 */

/** The bytes of a term. */
export type Aml = readonly number[];

const EXT_OP_PREFIX = 0x5b, DUAL_NAME_PREFIX = 0x2e, MULTI_NAME_PREFIX = 0x2f;

/** The integers 0, 1 and all ones have opcodes of their own. */
const ZERO_OP = 0x00, ONE_OP = 0x01;
const BYTE_PREFIX = 0x0a, WORD_PREFIX = 0x0b, DWORD_PREFIX = 0x0c, STRING_PREFIX = 0x0d;

/** Address spaces of operation regions. */
export const SYSTEM_MEMORY = 0, SYSTEM_IO = 1, PCI_CONFIG = 2;

/** `count` bytes of a number, lowest first. */
export function littleEndian(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}

function ascii(text: string): number[] {
  return [...text].map((c) => c.charCodeAt(0));
}

/** A path such as `\_SB.PCI0` or `^LNKA`; short segments are padded with underscores. */
export function path(text: string): Aml {
  const [, prefix, rest] = /^(\\|\^*)(.*)$/.exec(text)!;
  const segments = rest === "" ? [] : rest.split(".");
  for (const segment of segments) {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) {
      throw new RangeError(
        `ACPI name ${JSON.stringify(text)} has the malformed segment "${segment}"`,
      );
    }
  }
  const names = segments.flatMap((s) => ascii(s.padEnd(4, "_")));
  if (segments.length === 0) return [...ascii(prefix), 0];
  if (segments.length === 1) return [...ascii(prefix), ...names];
  if (segments.length === 2) return [...ascii(prefix), DUAL_NAME_PREFIX, ...names];
  return [...ascii(prefix), MULTI_NAME_PREFIX, segments.length, ...names];
}

/** PkgLength for a value that is what it is: the number of bits of a field. */
function plainLength(length: number): number[] {
  if (length < 0x40) return [length];
  const extra = length < 0x1000 ? 1 : length < 0x100000 ? 2 : 3;
  return [(extra << 6) | (length & 0xf), ...littleEndian(Math.floor(length / 16), extra)];
}

/** PkgLength of a term: it counts itself. */
function packageLength(content: number): number[] {
  let encoded = plainLength(content + 1);
  while (plainLength(content + encoded.length).length !== encoded.length) {
    encoded = plainLength(content + encoded.length);
  }
  return plainLength(content + encoded.length);
}

function block(opcode: readonly number[], content: readonly number[]): Aml {
  return [...opcode, ...packageLength(content.length), ...content];
}

function flat(terms: readonly Aml[]): number[] {
  return terms.flatMap((t) => [...t]);
}

/** An integer below 2^32, in its shortest form. */
export function integer(value: number): Aml {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new RangeError(`${value} is not an integer from 0 to 2^32-1`);
  }
  if (value === 0) return [ZERO_OP];
  if (value === 1) return [ONE_OP];
  if (value < 0x100) return [BYTE_PREFIX, value];
  if (value < 0x10000) return [WORD_PREFIX, ...littleEndian(value, 2)];
  return [DWORD_PREFIX, ...littleEndian(value, 4)];
}

/** A string of ASCII characters. */
export function string(text: string): Aml {
  return [STRING_PREFIX, ...ascii(text), 0];
}

/** A plug-and-play identifier such as `PNP0A03`, compressed to 32 bits. */
export function eisaId(id: string): Aml {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) throw new RangeError(`malformed EISA ID "${id}"`);
  const [a, b, c] = ascii(id).map((letter) => letter - 0x40);
  const product = parseInt(id.slice(3), 16);
  // The compressed form is big-endian.
  return [DWORD_PREFIX, (a << 2) | (b >> 3), ((b & 7) << 5) | c, product >> 8, product & 0xff];
}

/** Name (path, value) */
export function name(where: string, value: Aml): Aml {
  return [0x08, ...path(where), ...value];
}

/** Scope (path) { … } */
export function scope(where: string, ...body: Aml[]): Aml {
  return block([0x10], [...path(where), ...flat(body)]);
}

/** Device (path) { … } */
export function device(where: string, ...body: Aml[]): Aml {
  return block([EXT_OP_PREFIX, 0x82], [...path(where), ...flat(body)]);
}

/** Method (path, arguments, NotSerialized or Serialized) { … } */
export function method(
  where: string,
  { args = 0, serialized = false }: { args?: number; serialized?: boolean },
  ...body: Aml[]
): Aml {
  return block([0x14], [...path(where), args | (serialized ? 8 : 0), ...flat(body)]);
}

/** Package () { … } */
export function packageOf(...elements: Aml[]): Aml {
  return block([0x12], [elements.length, ...flat(elements)]);
}

/** Buffer () { … } */
export function buffer(bytes: readonly number[]): Aml {
  return block([0x11], [...integer(bytes.length), ...bytes]);
}

/** OperationRegion (path, space, offset, length) */
export function operationRegion(
  where: string,
  space: number,
  { offset, length }: { offset: number; length: number },
): Aml {
  return [EXT_OP_PREFIX, 0x80, ...path(where), space, ...integer(offset), ...integer(length)];
}

/** Field (region, ByteAcc, NoLock, Preserve) of names with their widths in bits; the empty name skips bits. */
export function byteField(region: string, ...fields: [name: string, bits: number][]): Aml {
  const BYTE_ACC = 1;
  const list = fields.flatMap(([field, bits]) => [
    ...(field === "" ? [0] : path(field)),
    ...plainLength(bits),
  ]);
  return block([EXT_OP_PREFIX, 0x81], [...path(region), BYTE_ACC, ...list]);
}

/** ArgX */
export function arg(n: number): Aml {
  return [0x68 + n];
}

/** LocalX */
export function local(n: number): Aml {
  return [0x60 + n];
}

/** Return (value) */
export function returns(value: Aml): Aml {
  return [0xa4, ...value];
}

/** Store (value, target) */
export function store(value: Aml, target: Aml): Aml {
  return [0x70, ...value, ...target];
}

/** And (a, b, target); without a target only the value counts. */
export function and(a: Aml, b: Aml, target: Aml = [ZERO_OP]): Aml {
  return [0x7b, ...a, ...b, ...target];
}

/** Or (a, b, target); without a target only the value counts. */
export function or(a: Aml, b: Aml, target: Aml = [ZERO_OP]): Aml {
  return [0x7d, ...a, ...b, ...target];
}

/** If (condition) { … } */
export function when(condition: Aml, ...body: Aml[]): Aml {
  return block([0xa0], [...condition, ...flat(body)]);
}

/** CreateDWordField (buffer, byte offset, name) */
export function createDWordField(source: Aml, offset: number, field: string): Aml {
  return [0x8a, ...source, ...integer(offset), ...path(field)];
}
