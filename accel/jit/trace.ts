/** What tracing is told of a region. Linear addresses are known only when it is entered. */
import type { TranslatedBlock, TranslatedRegion } from "../../core/machine/cpu.ts";
import { type Block, type Discovery, offsetOf } from "./discover.ts";
import type { RegionText } from "./region.ts";

/** A region by offsets in its page. */
export type UntoldRegion = Omit<TranslatedRegion, "page">;

function ending({ ending }: Block): TranslatedBlock["ending"] {
  const { kind } = ending;
  switch (kind) {
    case "branch":
      return { kind, targets: [ending.taken, ending.to].map(offsetOf) };
    case "call":
      return { kind, targets: [ending.to, ending.back].map(offsetOf) };
    case "indirect":
      return { kind, targets: [] };
    default:
      return { kind, targets: [offsetOf(ending.to)] };
  }
}

/** Describes a region as it was translated from `memory`, by offsets in its page. */
export function untoldRegion(
  { blocks }: Discovery,
  { entries, body }: RegionText,
  memory: Uint8Array,
  { hosts, ...region }: Omit<UntoldRegion, "entries" | "blocks" | "text"> & {
    /** Host page by number of pages from the first. */
    hosts: ReadonlyMap<number, number>;
  },
): UntoldRegion {
  const at = (offset: number) => hosts.get(offset >> 12)! * 0x1000 + (offset & 0xfff);
  return {
    ...region,
    entries,
    blocks: [...blocks.values()].map((block) => ({
      address: offsetOf(block.start),
      instructions: block.insns.map(({ insn, offset }) => ({
        address: offset,
        bytes: memory.slice(at(offset), at(offset) + insn.length),
      })),
      ending: ending(block),
    })).sort((a, b) => a.address - b.address),
    text: body,
  };
}

/**
 * Gives a region's offsets the addresses that they have where it is entered.
 *
 * @param low low half of the page's linear address, and `high` its signed high half in 64-bit code
 */
export function tellRegion(region: UntoldRegion, low: number, high: number): TranslatedRegion {
  const page = high * 0x100000000 + (low >>> 0);
  const at = (offset: number) => region.bits === 64 ? page + offset : (page + offset) >>> 0;
  return {
    ...region,
    page,
    entries: region.entries.map(at),
    blocks: region.blocks.map(({ address, instructions, ending: { kind, targets } }) => ({
      address: at(address),
      instructions: instructions.map((one) => ({ ...one, address: at(one.address) })),
      ending: { kind, targets: targets.map(at) },
    })),
  };
}
