/**
 * The surroundings in which every vector runs: what lies where in linear memory, and the descriptors. The
 * recorder builds the same on the host with mmap and modify_ldt; an engine's adapter builds it with tables.
 *
 * Linear memory of user mode: `ARENA_SIZE` bytes that can be read, written and executed, then one page
 * that cannot be written, and nothing around them.
 */
import { Prng } from "./prng.ts";

export const ARENA = 0x00200000;
export const ARENA_SIZE = 0x10000;
export const READ_ONLY_SIZE = 0x1000;

/** Where inputs are put, as offsets in the arena. */
export const CODE_FROM = 0x1000, CODE_TO = 0x3f00;
export const DATA_FROM = 0x4000, DATA_TO = 0xb800;
export const STACK_FROM = 0xc800, STACK_TO = 0xe800;

/** Flat selectors of 32-bit Linux processes. */
export const USER_CS = 0x23, USER_DS = 0x2b;

/** One descriptor of the LDT; the selector is `index * 8 + 7`. */
export interface Descriptor {
  base: number;
  /** In bytes, granularity not applied. */
  limit: number;
  /** Access byte and, in bits 12 to 15, AVL, L, D/B and G: the descriptor's bits 40 to 55 without the limit. */
  attributes: number;
}

const D32 = 0x4000, G = 0x8000;

/** In recorder.c's order. The accessed bit is set: Linux does that. */
export const LDT: readonly Descriptor[] = [
  { base: ARENA, limit: 0xfffff, attributes: D32 | G | 0xf3 },
  { base: ARENA, limit: 0xffff, attributes: 0xfb },
  { base: ARENA, limit: 0xffff, attributes: 0xf3 },
  { base: ARENA + 0x8000, limit: 0x0fff, attributes: D32 | 0xf3 },
  { base: ARENA, limit: 0x7fff, attributes: D32 | 0xf7 },
  { base: ARENA, limit: 0xffff, attributes: D32 | 0xf1 },
  { base: ARENA, limit: 0xffff, attributes: D32 | 0x73 },
  { base: ARENA, limit: 0xffff, attributes: D32 | 0xfb },
  { base: ARENA, limit: 0xffff, attributes: D32 | 0xf9 },
  { base: ARENA, limit: 0xffff, attributes: D32 | 0x7b },
  { base: ARENA, limit: 0x7fff, attributes: 0xf7 },
];

/** Selectors of {@linkcode LDT}. */
export const SEL_DATA = 0x07,
  SEL_CODE16 = 0x0f,
  SEL_DATA16 = 0x17,
  SEL_SMALL = 0x1f,
  SEL_DOWN = 0x27,
  SEL_READ_ONLY = 0x2f,
  SEL_ABSENT = 0x37,
  SEL_CODE32 = 0x3f,
  SEL_EXECUTE = 0x47,
  SEL_ABSENT_CODE = 0x4f,
  SEL_DOWN16 = 0x57;

/** What the arena and the page after it hold where a case does not say otherwise. */
export const BASE_MEMORY: Uint8Array<ArrayBuffer> = (() => {
  const bytes = new Uint8Array(ARENA_SIZE + READ_ONLY_SIZE);
  bytes.set(new Prng(0xa4e4a).bytes(bytes.length));
  return bytes;
})();

/** The three kinds of code that vectors run in. */
export type Env =
  /** 32-bit code, all segments flat. */
  | "flat"
  /** 32-bit code, flat CS; DS, ES and SS start at the arena, so that 16-bit addresses reach it. */
  | "based"
  /** 16-bit code, data and stack, all starting at the arena. */
  | "seg16";

/** ES, CS, SS, DS, FS, GS in encoding order. */
export const SEGMENTS: Record<Env, readonly number[]> = {
  flat: [USER_DS, USER_CS, USER_DS, USER_DS, SEL_DATA, SEL_SMALL],
  based: [SEL_DATA, USER_CS, SEL_DATA, SEL_DATA, USER_DS, SEL_SMALL],
  seg16: [SEL_DATA16, SEL_CODE16, SEL_DATA16, SEL_DATA16, USER_DS, SEL_SMALL],
};

/** Base address of what a selector names; 0 for flat and unusable ones. */
export function selectorBase(selector: number): number {
  const local = (selector & 4) !== 0 ? LDT[selector >> 3] : undefined;
  return local?.base ?? 0;
}
