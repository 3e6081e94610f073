/** Where the parts of an executable and what is handed to it go in memory, the same for every protocol. */
import { EBDA_BASE, HIGH_MEMORY, LOW_MEMORY_END } from "./e820.ts";
import { hex } from "./image_error.ts";

/** Size of a page, to which modules are aligned. */
export const PAGE = 0x1000;

/** Where the information block is put, if the kernel leaves room there. */
const INFO_FIRST = 0x10000, INFO_LAST = EBDA_BASE;

/** A part of the kernel in memory. */
export interface Piece {
  address: number;
  bytes: Uint8Array;
  /** Bytes in memory, zeroes behind `bytes` included. */
  size: number;
}

/** Makes the protocol's error of a problem and what would be right. */
export type Refusal = (problem: string, expected: string) => Error;

/** Refuses pieces outside of RAM; returns the first free address behind the kernel. */
export function checkPieces(pieces: readonly Piece[], ramSize: number, refusal: Refusal): number {
  let end = HIGH_MEMORY;
  for (const { address, size } of pieces) {
    const low = address < LOW_MEMORY_END;
    const limit = low ? EBDA_BASE : ramSize;
    if (!low && address < HIGH_MEMORY) {
      throw refusal(
        `it wants to be loaded at ${hex(address)}, where there is no RAM`,
        `link it below ${hex(EBDA_BASE)} or from ${hex(HIGH_MEMORY)} on`,
      );
    }
    if (address + size > limit) {
      throw refusal(
        `it takes memory from ${hex(address)} to ${
          hex(address + size)
        }, beyond the RAM that ends at ${hex(limit)}`,
        low ? `link it at ${hex(HIGH_MEMORY)}` : "give the machine more memory",
      );
    }
    end = Math.max(end, address + size);
  }
  return end;
}

/** The bytes of a piece as they lie in memory. */
export function fullBytes({ bytes, size }: Piece): Uint8Array {
  const whole = new Uint8Array(size);
  whole.set(bytes);
  return whole;
}

/** A place for the information block below the EBDA that no piece of the kernel covers. */
export function placeInfo(size: number, pieces: readonly Piece[], refusal: Refusal): number {
  for (let at = INFO_FIRST; at + size <= INFO_LAST; at += PAGE) {
    if (!pieces.some((p) => p.address < at + size && p.address + p.size > at)) return at;
  }
  throw refusal(
    `it leaves no ${size} bytes free for the boot information between ${hex(INFO_FIRST)} and ${
      hex(INFO_LAST)
    }`,
    `link it at ${hex(HIGH_MEMORY)}, or shorten the command line`,
  );
}

/** Text with the zero behind it that C wants. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** An information structure and all it points to, as one block. */
export class InfoBlock {
  private readonly parts: { at: number; bytes: Uint8Array }[] = [];
  private used: number;
  /** The structure, with which the block begins. */
  readonly info: DataView<ArrayBuffer>;

  /**
   * @param infoSize bytes of the structure
   * @param alignment of what is added
   */
  constructor(infoSize: number, private readonly alignment: number) {
    this.used = infoSize;
    this.info = new DataView(new ArrayBuffer(infoSize));
  }

  /** Sets bytes aside; returns their offset in the block. */
  add(bytes: Uint8Array): number {
    const at = Math.ceil(this.used / this.alignment) * this.alignment;
    this.parts.push({ at, bytes });
    this.used = at + bytes.length;
    return at;
  }

  get size(): number {
    return this.used;
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.used);
    all.set(new Uint8Array(this.info.buffer));
    for (const { at, bytes } of this.parts) all.set(bytes, at);
    return all;
  }
}
