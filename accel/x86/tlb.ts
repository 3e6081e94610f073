/**
 * What an entry of a software TLB is, and the text of the accesses that generated code makes with it.
 *
 * An entry is 0 for "take the slow path" (not walked yet, chips' registers, watched pages, ROM and code for
 * writes), else the offset of the page in host memory, as the bits of an int32. V8 inlines accesses of a
 * DataView with a nonnegative int32 index only, so host memory has one view for its first 2 GiB and one for
 * the next: an entry above zero belongs to the first, one below to the second. What lies beyond 4 GiB of
 * host memory has no entry.
 *
 * Where host memory ends below 2 GiB ("narrow") no entry is negative, and the text does not ask.
 */
import type { HostMemory } from "../../core/bus/host_memory.ts";

/** Entry of a page that must take the slow path. */
export const SLOW = 0;

/** Offsets of the four tables in {@linkcode Mmu.tlb} of `mmu.ts`. */
export const TLB_READ = 0, TLB_WRITE = 1 << 20, TLB_USER = 2 << 20;

/**
 * Offsets of the tables in {@linkcode LongMmu.tlb} of `long_mmu.ts`: reads, writes, fetches, and the same for
 * user accesses. Each has 2^14 entries of four words: low half of the page's address, high half, and what
 * an entry is here, which is not 0 where the address matches.
 */
export const LONG_READ = 0, LONG_WRITE = 1 << 16, LONG_FETCH = 2 << 16, LONG_USER = 3 << 16;

/** Text of an expression. */
type Expr = string;
/** Bits of an access that one text makes. */
type Width = 8 | 16 | 32;

const VIEW_SIZE = 2 ** 31;
/** Bits of an entry's offset within the second view. */
const HIGH_MASK = 0x7fffffff;

/** Whether entries may be negative. */
export function hasNegativeEntries(host: HostMemory): boolean {
  return host.buffer.byteLength > VIEW_SIZE;
}

/** Entry for a host offset: {@linkcode SLOW} for what lies beyond 4 GiB. */
export function entryOf(hostOffset: number): number {
  return hostOffset < 2 * VIEW_SIZE ? hostOffset | 0 : SLOW;
}

/** Host offset of an entry's page; negative for {@linkcode SLOW}. */
export function hostOffsetOf(entry: number): number {
  return entry === SLOW ? -1 : entry >>> 0;
}

/** Names that the text below uses, with their values. */
export function tlbScope(host: HostMemory): Record<string, unknown> {
  const { view, highView } = host;
  return {
    DV: view,
    high8: (at: number) => highView.getUint8(at & HIGH_MASK),
    high16: (at: number) => highView.getUint16(at & HIGH_MASK, true),
    high32: (at: number) => highView.getInt32(at & HIGH_MASK, true),
    setHigh8: (at: number, value: number) => highView.setInt8(at & HIGH_MASK, value),
    setHigh16: (at: number, value: number) => highView.setInt16(at & HIGH_MASK, value, true),
    setHigh32: (at: number, value: number) => highView.setInt32(at & HIGH_MASK, value, true),
  };
}

/** Whether an access may use an entry: it leads to memory, and the access stays in the page. Both are names. */
export function hitText(entry: Expr, offset: Expr, bytes: number): Expr {
  return bytes === 1 ? `${entry}!==0` : `${entry}!==0&&${offset}<${4097 - bytes}`;
}

/** The value at an offset in an entry's page; unsigned but for 32 bits. `entry` is a name or a number's text. */
export function readText(wide: boolean, width: Width, entry: Expr, offset: Expr): Expr {
  const at = `${entry}|${offset}`;
  const low = width === 32
    ? `DV.getInt32(${at},true)`
    : width === 16
    ? `DV.getUint16(${at},true)`
    : `DV.getUint8(${at})`;
  return wide ? `(${entry}>0?${low}:high${width}(${at}))` : low;
}

/** A statement, without its semicolon, that stores a value at an offset in an entry's page. */
export function writeText(
  wide: boolean,
  width: Width,
  entry: Expr,
  offset: Expr,
  value: Expr,
): string {
  const at = `${entry}|${offset}`;
  const low = width === 32
    ? `DV.setInt32(${at},${value},true)`
    : width === 16
    ? `DV.setInt16(${at},${value},true)`
    : `DV.setInt8(${at},${value})`;
  return wide ? `${entry}>0?${low}:setHigh${width}(${at},${value})` : low;
}
