/** What CPUID answers (SDM vol. 2, CPUID). */
import { type CpuModel, signature } from "../models.ts";
import type { Feature } from "../models.ts";

/** Bits of EDX in leaf 1. */
const EDX: [Feature, number][] = [
  ["fpu", 0],
  ["vme", 1],
  ["de", 2],
  ["pse", 3],
  ["tsc", 4],
  ["msr", 5],
  ["pae", 6],
  ["mce", 7],
  ["cx8", 8],
  ["apic", 9],
  ["sep", 11],
  ["mtrr", 12],
  ["pge", 13],
  ["mca", 14],
  ["cmov", 15],
  ["pat", 16],
  ["pse36", 17],
  ["clflush", 19],
  ["mmx", 23],
  ["fxsr", 24],
  ["sse", 25],
  ["sse2", 26],
];
/** Bits of ECX in leaf 1. */
const ECX: [Feature, number][] = [["sse3", 0], ["cx16", 13]];
/** Leaf 7: EBX and ECX. */
const EBX7: [Feature, number][] = [["fsgsbase", 0], ["smep", 7], ["smap", 20]];
const ECX7: [Feature, number][] = [["umip", 2]];
/** Leaf 80000001h: EDX and ECX. */
const EXTENDED_EDX: [Feature, number][] = [
  ["syscall", 11],
  ["nx", 20],
  ["pdpe1gb", 26],
  ["rdtscp", 27],
  ["lm", 29],
];
const EXTENDED_ECX: [Feature, number][] = [["lahf_lm", 0]];
/** Bits of leaf 1 that AMD's processors repeat in leaf 80000001h. */
const AMD_REPEATED = 0x0183f3ff;

const EXTENDED = 0x80000000;

function bits(model: CpuModel, table: [Feature, number][]): number {
  return table.reduce((all, [name, bit]) => model.features.has(name) ? all | (1 << bit) : all, 0);
}

/** Four characters from `at`, as CPUID packs them. */
function characters(text: string, at: number): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word |= (text.charCodeAt(at + i) || 0) << (8 * i);
  return word;
}

/** Cache descriptors of leaf 2: what the named processors report. */
function cacheDescriptors(model: CpuModel): [number, number, number, number] {
  // Pentium III: TLBs, 16 KiB of each L1, 512 KiB of L2. Later: 32 KiB of each L1, 2 MiB of L2.
  return model.model < 13
    ? [0x03020101, 0, 0, 0x0c040843]
    : [0x02b3b001, 0x000000f0, 0, 0x2c04307d];
}

/** The caches of leaf 4: type, level, ways, sets; 64-byte lines. Types: 1 data, 2 instructions, 3 unified. */
const CACHES = [[1, 1, 8, 64], [2, 1, 8, 64], [3, 2, 8, 4096]];

function cacheParameters(subleaf: number): [number, number, number, number] {
  if (subleaf >>> 0 >= CACHES.length) return [0, 0, 0, 0];
  const [type, level, ways, sets] = CACHES[subleaf];
  // Self-initializing; line size, partitions, ways and sets are given minus one.
  return [type | (level << 5) | (1 << 8), ((ways - 1) << 22) | (64 - 1), sets - 1, 0];
}

/** Leaves 80000005h to 80000008h: 64 KiB of each L1, 512 KiB of L2, nothing about power, 40 physical and 48 linear address bits. */
const EXTENDED_CACHES: [number, number, number, number][] = [
  [0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140],
  [0, 0x42004200, 0x02008140, 0],
  [0, 0, 0, 0],
  [0x3028, 0, 0, 0],
];

function extendedFeatures(model: CpuModel, long: boolean): [number, number, number, number] {
  const repeated = model.vendor === "AuthenticAMD" ? bits(model, EDX) & AMD_REPEATED : 0;
  return [
    long ? signature(model) : 0,
    0,
    bits(model, EXTENDED_ECX),
    bits(model, EXTENDED_EDX) | repeated,
  ];
}

/** EAX, EBX, ECX and EDX for a leaf. One beyond the highest is answered with the highest basic one, as Intel's do. */
export function cpuid(
  model: CpuModel,
  leaf: number,
  subleaf: number,
): [eax: number, ebx: number, ecx: number, edx: number] {
  leaf >>>= 0;
  const long = model.features.has("lm"), highest = EXTENDED + (long ? 8 : 4);
  if (leaf >= EXTENDED && leaf <= highest && model.brand !== "") {
    if (leaf === EXTENDED) return [highest | 0, 0, 0, 0];
    if (leaf === EXTENDED + 1) return extendedFeatures(model, long);
    if (leaf > EXTENDED + 4) return EXTENDED_CACHES[leaf - EXTENDED - 5];
    const at = (leaf - EXTENDED - 2) * 16, text = model.brand.padEnd(48, "\0");
    return [
      characters(text, at),
      characters(text, at + 4),
      characters(text, at + 8),
      characters(text, at + 12),
    ];
  }
  switch (Math.min(leaf, model.maxLeaf)) {
    case 0: {
      const { vendor } = model;
      return [
        model.maxLeaf,
        characters(vendor, 0),
        characters(vendor, 8),
        characters(vendor, 4),
      ];
    }
    case 1:
      return [
        signature(model),
        // Cache line in units of 8 bytes.
        model.features.has("clflush") ? 8 << 8 : 0,
        bits(model, ECX),
        bits(model, EDX),
      ];
    case 2:
      return cacheDescriptors(model);
    case 4:
      return cacheParameters(subleaf);
    case 7:
      return subleaf === 0 ? [0, bits(model, EBX7), bits(model, ECX7), 0] : [0, 0, 0, 0];
    default:
      return [0, 0, 0, 0];
  }
}
