/** Processor models: what CPUID says and which instructions exist. */
import { didYouMean } from "../../core/text.ts";
import { ALIASES, type Feature, FEATURE_NAMES, FEATURES, leafOf, withNeeds } from "./features.ts";

export type { Feature } from "./features.ts";

/** A processor model with its final set of features. */
export interface CpuModel {
  readonly name: string;
  /** CPUID leaf 0 vendor string, 12 characters. */
  readonly vendor: string;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  readonly features: ReadonlySet<Feature>;
  /** Highest basic CPUID leaf. */
  readonly maxLeaf: number;
  /** Highest extended CPUID leaf, 0 for none. */
  readonly maxExtendedLeaf: number;
  /** Brand string of leaves 80000002h to 80000004h, at most 47 characters. */
  readonly brand: string;
}

const I486: Feature[] = ["fpu", "vme", "pse"];
const PENTIUM: Feature[] = [...I486, "de", "tsc", "msr", "mce", "cx8", "mmx", "apic"];
const PENTIUM2: Feature[] = [
  ...PENTIUM,
  "pae",
  "sep",
  "mtrr",
  "pge",
  "mca",
  "cmov",
  "pat",
  "pse36",
  "fxsr",
];
const PENTIUM3: Feature[] = [...PENTIUM2, "sse"];
const QEMU32: Feature[] = [
  "fpu",
  "de",
  "pse",
  "tsc",
  "msr",
  "pae",
  "mce",
  "cx8",
  "apic",
  "sep",
  "pge",
  "cmov",
  "mmx",
  "fxsr",
  "sse",
  "sse2",
  "sse3",
  "hypervisor",
];
/** What every 64-bit processor has. */
const X86_64: Feature[] = [
  ...QEMU32,
  "mtrr",
  "mca",
  "pat",
  "pse36",
  "clflush",
  "cx16",
  "syscall",
  "nx",
  "lm",
  "lahf_lm",
];
/** x86-64-v2, and what keeps kernels from defending against what cannot happen. */
const NEHALEM: Feature[] = [
  ...X86_64,
  "vme",
  "ssse3",
  "sse4_1",
  "sse4_2",
  "popcnt",
  "arch_capabilities",
];

const WESTMERE: Feature[] = [...NEHALEM, "aes", "pclmulqdq", "arat"];

interface BaseModel extends Omit<CpuModel, "name" | "features" | "maxExtendedLeaf"> {
  features: readonly Feature[];
  about: string;
}

const INTEL = "GenuineIntel", AMD = "AuthenticAMD", BRAND = "Compy virtual CPU";

/** Names, signatures and features are those of QEMU's models; `max` is signed as QEMU's is in its translator. */
const MODELS: Record<string, BaseModel> = {
  "486": {
    about: "Intel 486 DX4",
    vendor: INTEL,
    family: 4,
    model: 8,
    stepping: 0,
    features: I486,
    maxLeaf: 1,
    brand: "",
  },
  pentium: {
    about: "Intel Pentium MMX",
    vendor: INTEL,
    family: 5,
    model: 4,
    stepping: 3,
    features: PENTIUM,
    maxLeaf: 1,
    brand: "",
  },
  pentium2: {
    about: "Intel Pentium II",
    vendor: INTEL,
    family: 6,
    model: 5,
    stepping: 2,
    features: PENTIUM2,
    maxLeaf: 2,
    brand: "",
  },
  pentium3: {
    about: "Intel Pentium III",
    vendor: INTEL,
    family: 6,
    model: 7,
    stepping: 3,
    features: PENTIUM3,
    maxLeaf: 2,
    brand: "",
  },
  qemu32: {
    about: "32 bits through SSE3",
    vendor: INTEL,
    family: 6,
    model: 6,
    stepping: 3,
    features: QEMU32,
    maxLeaf: 4,
    brand: BRAND,
  },
  qemu64: {
    about: "long mode, and little besides",
    vendor: AMD,
    family: 15,
    model: 107,
    stepping: 1,
    features: X86_64,
    maxLeaf: 13,
    brand: BRAND,
  },
  Nehalem: {
    about: "Intel Core i7 9xx",
    vendor: INTEL,
    family: 6,
    model: 26,
    stepping: 3,
    features: NEHALEM,
    maxLeaf: 11,
    brand: "Intel Core i7 9xx (Nehalem Class Core i7)",
  },
  Westmere: {
    about: "Intel Xeon E56xx, L56xx, X56xx",
    vendor: INTEL,
    family: 6,
    model: 44,
    stepping: 1,
    features: WESTMERE,
    maxLeaf: 11,
    brand: "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
  },
  max: {
    about: "everything that is emulated",
    vendor: AMD,
    family: 15,
    model: 107,
    stepping: 1,
    features: FEATURE_NAMES,
    maxLeaf: 13,
    brand: BRAND,
  },
};

/** CPUID signature: what is in EDX after reset and in EAX from leaf 1. */
export function signature(model: CpuModel): number {
  const { family, model: number, stepping } = model;
  return (Math.min(family, 15) << 8) | ((number & 0xf) << 4) | stepping |
    ((number >>> 4) << 16) | (Math.max(0, family - 15) << 20);
}

/** The names of all models, simplest first. */
export const MODEL_NAMES: readonly string[] = [
  "486",
  "pentium",
  "pentium2",
  "pentium3",
  "qemu32",
  "qemu64",
  "Nehalem",
  "Westmere",
  "max",
];

/** A name without what its spellings differ in: `SSE4.1`, `sse4-1` and `sse4_1` are one. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[._-]/g, "");
}

const FEATURES_BY_SPELLING = new Map<string, Feature>([
  ...FEATURE_NAMES.map((name): [string, Feature] => [plain(name), name]),
  ...Object.entries(ALIASES).map(([name, feature]): [string, Feature] => [plain(name), feature]),
]);

function parseFeature(text: string): Feature {
  const known = FEATURES_BY_SPELLING.get(plain(text));
  if (known !== undefined) return known;
  throw new RangeError(
    `unknown CPU feature ${JSON.stringify(text)}${
      didYouMean(text.toLowerCase(), [...FEATURE_NAMES, ...Object.keys(ALIASES)])
    }; known features: ${FEATURE_NAMES.join(" ")}`,
  );
}

/** What one `+name`, `-name`, `name=on` or `name=off` asks for. */
function parseSwitch(text: string): { feature: Feature; on: boolean } {
  const signed = /^([+-])(.*)$/.exec(text), assigned = /^([^=]*)=(.*)$/.exec(text);
  if (signed !== null) return { feature: parseFeature(signed[2]), on: signed[1] === "+" };
  if (assigned !== null && /^(on|off)$/.test(assigned[2])) {
    return { feature: parseFeature(assigned[1]), on: assigned[2] === "on" };
  }
  throw new RangeError(
    `cannot read ${
      JSON.stringify(text)
    } in a CPU model: write +feature, -feature, feature=on or feature=off`,
  );
}

/**
 * Reads a model with feature switches, as `-cpu` takes it: `pentium3`, `pentium3,+sse2,-mtrr`.
 *
 * A feature that is switched on brings what it needs; one that is switched off takes along what needs it.
 * Where two switches contradict each other in this way neither wins: that is an error. Of two switches for
 * the same feature the later counts.
 *
 * @throws {RangeError} for an unknown model or feature, naming the nearest, and for contradictions
 */
export function parseCpuModel(text: string): CpuModel {
  const [given, ...switches] = text.split(",").map((part) => part.trim());
  const name = MODEL_NAMES.find((known) => known.toLowerCase() === given.toLowerCase());
  if (name === undefined) {
    throw new RangeError(
      `unknown CPU model ${JSON.stringify(given)}${didYouMean(given, MODEL_NAMES)}; known models: ${
        MODEL_NAMES.join(" ")
      }`,
    );
  }
  const { features: base, about: _, ...rest } = MODELS[name];
  const asked = new Map<Feature, boolean>();
  for (const { feature, on } of switches.map(parseSwitch)) {
    asked.set(feature, on);
  }
  const features = new Set(base);
  for (const [feature, on] of asked) {
    if (on) { for (const needed of withNeeds(feature)) features.add(needed); }
  }
  for (const [feature, on] of asked) {
    if (on) continue;
    for (const [other, wanted] of asked) {
      if (wanted && withNeeds(other).includes(feature)) {
        throw new RangeError(
          `CPU model ${JSON.stringify(text)} contradicts itself: ${other} needs ${feature}`,
        );
      }
    }
    for (const other of [...features]) {
      if (withNeeds(other).includes(feature)) features.delete(other);
    }
  }
  return withLeaves({
    name,
    ...rest,
    features,
    maxExtendedLeaf: rest.brand === "" ? 0 : 0x80000004,
  });
}

/** The model with leaves enough for what it has. */
function withLeaves(model: CpuModel): CpuModel {
  let { maxLeaf, maxExtendedLeaf } = model;
  for (const feature of model.features) {
    const leaf = feature === "xsave" ? 0xd : leafOf(FEATURES[feature][0]);
    if (leaf < 0x80000000) maxLeaf = Math.max(maxLeaf, leaf);
    // With any of the extended features come the sizes of addresses.
    else maxExtendedLeaf = 0x80000008;
  }
  return { ...model, maxLeaf, maxExtendedLeaf };
}

/**
 * The model as it is on a board: without what needs a local APIC where there is none.
 */
export function onBoard(model: CpuModel, hasApic: boolean): CpuModel {
  if (hasApic) return model;
  const features = [...model.features].filter((name) => !withNeeds(name).includes("apic"));
  return { ...model, features: new Set(features) };
}

/** The text of `-cpu help`. */
export function cpuHelp(): string {
  const width = Math.max(...FEATURE_NAMES.map((name) => name.length));
  const models = MODEL_NAMES.map((name) => `  ${name.padEnd(width)} ${MODELS[name].about}`);
  const features = FEATURE_NAMES
    .map((name) => `  ${name.padEnd(width)} ${FEATURES[name][2]}`);
  return [
    "Models:",
    ...models,
    "",
    "Features, switched as in pentium3,+sse2,-mtrr:",
    ...features,
    "",
  ].join("\n");
}
