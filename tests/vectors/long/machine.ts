/**
 * The surroundings of the vectors of 64-bit code, as `recorder64.c` builds them: the arena twice in linear
 * memory, in the lowest 4 GiB and across a multiple of 4 GiB, each time with a page that cannot be written
 * behind it and nothing around.
 */
import { Prng } from "../prng.ts";

/** The arena's two addresses; the second one's middle is a multiple of 4 GiB. */
export const LOW = 0x00200000n, HIGH = 0x1234ffffe000n;
/** Where the arena lies in the guest's physical memory. */
export const PHYSICAL = 0x00200000;
export const ARENA_SIZE = 0x4000, READ_ONLY_SIZE = 0x1000;
/** Bases of FS and GS. */
export const FS_BASE: bigint = LOW + 0x100n, GS_BASE: bigint = HIGH - 0x12345n;

/** Where inputs are put, as offsets in the arena. */
export const CODE_FROM = 0x100, CODE_TO = 0x1e00, MIDDLE = 0x2000;
export const DATA_FROM = 0x2080, DATA_TO = 0x2f00, STACK_FROM = 0x3100, STACK_TO = 0x3f00;

/** What the arena and the page after it hold where a case does not say otherwise. */
export const BASE_MEMORY: Uint8Array<ArrayBuffer> = (() => {
  const bytes = new Uint8Array(ARENA_SIZE + READ_ONLY_SIZE);
  bytes.set(new Prng(0xa4e4a).bytes(bytes.length));
  return bytes;
})();
