/** What CPUID answers (SDM vol. 2, CPUID; AMD64 manual vol. 3, appendix E). */
import { FEATURE_NAMES, FEATURES, type FeatureWord } from "../features.ts";
import { type CpuModel, signature } from "../models.ts";
import { AREA_BYTES, COMPONENTS } from "./xsave.ts";

/** What an answer depends on besides the model. */
export interface Circumstances {
  /** The processor's number, which is its APIC ID. */
  index?: number;
  /** How many processors the package has, each with one thread. */
  count?: number;
  /** IA32_APIC_BASE bit 11; without it there is no local APIC to be seen. */
  apicEnabled?: boolean;
  /** CR4.OSXSAVE. */
  osxsave?: boolean;
}

/** EAX, EBX, ECX and EDX. */
type Answer = [eax: number, ebx: number, ecx: number, edx: number];

const EXTENDED = 0x80000000, HYPERVISOR = 0x40000000;
/** Leaf 1: EDX says that there are several logical processors. */
const HTT = 1 << 28;
/** Leaf 80000001h: ECX says that these are cores, not threads. */
const CMP_LEGACY = 1 << 1;
const APIC = 1 << 9, OSXSAVE = 1 << 27;
/** Bits of leaf 1 that AMD's processors repeat in leaf 80000001h. */
const AMD_REPEATED = 0x0183f3ff;
/** Says who emulates, in leaf 40000000h. */
const HYPERVISOR_SIGNATURE = "CompyCompyPC";
/** Level types of leaf 0Bh. */
const LEVEL_SMT = 1 << 8, LEVEL_CORE = 2 << 8;

function isAmd(model: CpuModel): boolean {
  return model.vendor === "AuthenticAMD";
}

/** The feature bits of one register. */
export function featureWord(model: CpuModel, word: FeatureWord): number {
  let bits = 0;
  for (const name of FEATURE_NAMES) {
    const [at, bit] = FEATURES[name];
    if (at === word && model.features.has(name)) bits |= 1 << bit;
  }
  return bits;
}

/** Four characters from `at`, as CPUID packs them. */
function characters(text: string, at: number): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word |= (text.charCodeAt(at + i) || 0) << (8 * i);
  return word;
}

/** Cache descriptors of leaf 2: what the named processors report. */
function cacheDescriptors(model: CpuModel): Answer {
  if (isAmd(model)) return [0, 0, 0, 0];
  // Pentium II and III: TLBs, 16 KiB of each L1, 512 KiB of L2. Later: 32 KiB of each L1, 2 MiB of L2.
  return model.model < 13
    ? [0x03020101, 0, 0, 0x0c040843]
    : [0x02b3b001, 0x000000f0, 0, 0x2c04307d];
}

/** The caches of leaf 4: type, level, ways, sets; 64-byte lines. Types: 1 data, 2 instructions, 3 unified. */
const CACHES = [[1, 1, 8, 64], [2, 1, 8, 64], [3, 2, 8, 4096]];

/** Bits of an APIC ID that tell the processors of the package apart. */
function coreBits(count: number): number {
  return Math.ceil(Math.log2(count));
}

function cacheParameters(model: CpuModel, subleaf: number, count: number): Answer {
  if (isAmd(model) || subleaf >>> 0 >= CACHES.length) return [0, 0, 0, 0];
  const [type, level, ways, sets] = CACHES[subleaf];
  const cores = (1 << coreBits(count)) - 1;
  // Self-initializing; cores, line size, partitions, ways and sets are given minus one.
  return [
    type | (level << 5) | (1 << 8) | (cores << 26),
    ((ways - 1) << 22) | (64 - 1),
    sets - 1,
    0,
  ];
}

/** Leaf 0Bh: one thread in each core, all cores in one package. */
function topology(subleaf: number, index: number, count: number): Answer {
  if (subleaf === 0) return [0, 1, LEVEL_SMT, index];
  if (subleaf === 1) return [coreBits(count), count, 1 | LEVEL_CORE, index];
  return [0, 0, subleaf & 0xff, index];
}

function basicFeatures(
  model: CpuModel,
  { index, count, apicEnabled, osxsave }: Required<Circumstances>,
) {
  let edx = featureWord(model, "1.edx");
  if (!apicEnabled) edx &= ~APIC;
  if (count > 1) edx |= HTT;
  // Cache line in units of 8 bytes.
  const line = model.features.has("clflush") ? 8 << 8 : 0;
  const logical = count > 1 ? count << 16 : 0;
  return [
    signature(model),
    line | logical | (model.features.has("apic") ? index << 24 : 0),
    featureWord(model, "1.ecx") | (osxsave ? OSXSAVE : 0),
    edx,
  ] as Answer;
}

function extended(model: CpuModel, leaf: number, count: number): Answer {
  const amd = isAmd(model), long = model.features.has("lm");
  switch (leaf - EXTENDED) {
    case 0:
      return [
        model.maxExtendedLeaf | 0,
        ...(amd ? vendorWords(model) : [0, 0, 0]) as [number, number, number],
      ];
    case 1: {
      const repeated = amd ? featureWord(model, "1.edx") & AMD_REPEATED : 0;
      return [
        long ? signature(model) : 0,
        0,
        featureWord(model, "80000001.ecx") | (amd && count > 1 ? CMP_LEGACY : 0),
        featureWord(model, "80000001.edx") | repeated,
      ];
    }
    case 2:
    case 3:
    case 4: {
      const at = (leaf - EXTENDED - 2) * 16, text = model.brand.padEnd(48, "\0");
      return [0, 4, 8, 12].map((i) => characters(text, at + i)) as Answer;
    }
    case 5:
      // 64 KiB of each L1, and their TLBs.
      return amd ? [0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140] : [0, 0, 0, 0];
    case 6:
      // L2: 512 KiB, 16 ways; Intel's 2 MiB, 8 ways, as in leaf 4.
      return amd ? [0, 0x42004200, 0x02008140, 0] : [0, 0, 0x08006040, 0];
    case 7:
      return [0, 0, 0, featureWord(model, "80000007.edx")];
    default:
      // Physical and linear address bits; cores minus one and the APIC ID's bits for them.
      return [
        long ? 0x3028 : 0x2024,
        0,
        amd && count > 1 ? (count - 1) | (coreBits(count) << 12) : 0,
        0,
      ];
  }
}

/** Leaf 0Dh: what XSAVE saves, and how. The size is that of the two components that are always there. */
function stateComponents(model: CpuModel, subleaf: number): Answer {
  if (!model.features.has("xsave") || subleaf >>> 0 > 1) return [0, 0, 0, 0];
  if (subleaf === 0) return [COMPONENTS, AREA_BYTES, AREA_BYTES, 0];
  const kinds = featureWord(model, "d1.eax");
  return [kinds, model.features.has("xsavec") ? AREA_BYTES : 0, 0, 0];
}

function vendorWords({ vendor }: CpuModel): [number, number, number] {
  return [characters(vendor, 0), characters(vendor, 8), characters(vendor, 4)];
}

/** EAX, EBX, ECX and EDX for a leaf. One beyond the highest is answered with the highest basic one by Intel's, with zeros by AMD's. */
export function cpuid(
  model: CpuModel,
  leaf: number,
  subleaf: number,
  { index = 0, count = 1, apicEnabled = true, osxsave = false }: Circumstances = {},
): Answer {
  leaf >>>= 0;
  if (leaf >= EXTENDED && leaf <= model.maxExtendedLeaf) return extended(model, leaf, count);
  if (leaf === HYPERVISOR && model.features.has("hypervisor")) {
    const text = HYPERVISOR_SIGNATURE;
    return [HYPERVISOR, characters(text, 0), characters(text, 4), characters(text, 8)];
  }
  if (leaf > model.maxLeaf) {
    if (isAmd(model)) return [0, 0, 0, 0];
    leaf = model.maxLeaf;
  }
  switch (leaf) {
    case 0:
      return [model.maxLeaf, ...vendorWords(model)];
    case 1:
      return basicFeatures(model, { index, count, apicEnabled, osxsave });
    case 2:
      return cacheDescriptors(model);
    case 4:
      return cacheParameters(model, subleaf, count);
    case 6:
      return [featureWord(model, "6.eax"), 0, 0, 0];
    case 7:
      return subleaf === 0
        ? [
          0,
          featureWord(model, "7.ebx"),
          featureWord(model, "7.ecx"),
          featureWord(model, "7.edx"),
        ]
        : [0, 0, 0, 0];
    case 0xb:
      return topology(subleaf, index, count);
    case 0xd:
      return stateComponents(model, subleaf);
    default:
      return [0, 0, 0, 0];
  }
}
