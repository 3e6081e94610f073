/** Processor models: what CPUID says and which instructions exist. */
import { didYouMean } from "../../core/text.ts";

/** Names of features as Linux's `/proc/cpuinfo` and QEMU's `-cpu` spell them. */
export type Feature =
  | "fpu"
  | "vme"
  | "de"
  | "pse"
  | "tsc"
  | "msr"
  | "pae"
  | "mce"
  | "cx8"
  | "apic"
  | "sep"
  | "mtrr"
  | "pge"
  | "mca"
  | "cmov"
  | "pat"
  | "pse36"
  | "clflush"
  | "mmx"
  | "fxsr"
  | "sse"
  | "sse2"
  | "sse3"
  | "cx16"
  | "fsgsbase"
  | "smep"
  | "smap"
  | "umip"
  | "syscall"
  | "nx"
  | "pdpe1gb"
  | "rdtscp"
  | "lm"
  | "lahf_lm";

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
  /** Brand string of leaves 80000002h to 80000004h, at most 47 characters; empty for models without these leaves. */
  readonly brand: string;
}

/** Feature names with what they stand for, in the order of their CPUID bits. */
const FEATURES: Record<Feature, string> = {
  fpu: "x87 floating point",
  vme: "virtual-8086 mode enhancements",
  de: "debugging extensions",
  pse: "4 MiB pages",
  tsc: "time-stamp counter",
  msr: "RDMSR and WRMSR",
  pae: "physical address extension",
  mce: "machine-check exception",
  cx8: "CMPXCHG8B",
  apic: "local APIC",
  sep: "SYSENTER and SYSEXIT",
  mtrr: "memory type range registers",
  pge: "global pages",
  mca: "machine-check architecture",
  cmov: "CMOVcc, FCMOVcc and FCOMI",
  pat: "page attribute table",
  pse36: "36-bit addresses of 4 MiB pages",
  clflush: "CLFLUSH",
  mmx: "MMX",
  fxsr: "FXSAVE and FXRSTOR",
  sse: "SSE",
  sse2: "SSE2",
  sse3: "SSE3",
  cx16: "CMPXCHG16B",
  fsgsbase: "RDFSBASE and its kin",
  smep: "supervisor-mode execution prevention",
  smap: "supervisor-mode access prevention",
  umip: "user-mode instruction prevention",
  syscall: "SYSCALL and SYSRET",
  nx: "no-execute pages",
  pdpe1gb: "1 GiB pages",
  rdtscp: "RDTSCP",
  lm: "long mode",
  lahf_lm: "LAHF and SAHF in 64-bit mode",
};

/** What each feature cannot be without. */
const NEEDS: Partial<Record<Feature, Feature[]>> = {
  sep: ["msr"],
  apic: ["msr"],
  mtrr: ["msr"],
  pat: ["mtrr"],
  mca: ["mce", "msr"],
  pse36: ["pse"],
  mmx: ["fpu"],
  fxsr: ["fpu"],
  sse: ["fxsr", "mmx"],
  sse2: ["sse"],
  sse3: ["sse2"],
  cx16: ["cx8", "lm"],
  fsgsbase: ["lm"],
  smep: ["lm"],
  smap: ["lm"],
  syscall: ["msr"],
  nx: ["pae", "msr"],
  pdpe1gb: ["lm"],
  rdtscp: ["tsc", "msr"],
  lm: ["pae", "pge", "msr", "cx8", "cmov", "sse2", "syscall"],
  lahf_lm: ["lm"],
};

/** Other spellings of features. */
const ALIASES: Record<string, Feature> = { pni: "sse3", clfsh: "clflush", cmpxchg8b: "cx8" };

const I486: Feature[] = ["fpu", "vme", "pse"];
const PENTIUM: Feature[] = [...I486, "de", "tsc", "msr", "mce", "cx8", "mmx"];
const PENTIUM3: Feature[] = [
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
  "sse",
];
/** QEMU's, but for the local APIC and virtual machines. */
const QEMU64: Feature[] = [
  "fpu",
  "de",
  "pse",
  "tsc",
  "msr",
  "pae",
  "mce",
  "cx8",
  "sep",
  "mtrr",
  "pge",
  "mca",
  "cmov",
  "pat",
  "pse36",
  "clflush",
  "mmx",
  "fxsr",
  "sse",
  "sse2",
  "sse3",
  "cx16",
  "syscall",
  "nx",
  "lm",
  "lahf_lm",
];
const MAX: Feature[] = [...PENTIUM3, "clflush", "sse2", "sse3"];

interface BaseModel extends Omit<CpuModel, "name" | "features"> {
  features: Feature[];
  about: string;
}

const VENDOR = "GenuineIntel";

/** Signatures of all but `max` are those of QEMU's models of the same names; `max` has that of a Core Duo, the last of the line without long mode. */
const MODELS: Record<string, BaseModel> = {
  "486": {
    about: "Intel 486 DX4",
    vendor: VENDOR,
    family: 4,
    model: 8,
    stepping: 0,
    features: I486,
    maxLeaf: 1,
    brand: "",
  },
  pentium: {
    about: "Intel Pentium MMX",
    vendor: VENDOR,
    family: 5,
    model: 4,
    stepping: 3,
    features: PENTIUM,
    maxLeaf: 1,
    brand: "",
  },
  pentium3: {
    about: "Intel Pentium III",
    vendor: VENDOR,
    family: 6,
    model: 7,
    stepping: 3,
    features: PENTIUM3,
    maxLeaf: 2,
    brand: "",
  },
  max: {
    about: "everything that is emulated, through SSE3",
    vendor: VENDOR,
    family: 6,
    model: 14,
    stepping: 8,
    features: MAX,
    maxLeaf: 4,
    brand: "Compy virtual CPU",
  },
  qemu64: {
    about: "long mode, as QEMU's model of this name",
    vendor: "AuthenticAMD",
    family: 15,
    model: 107,
    stepping: 1,
    features: QEMU64,
    maxLeaf: 7,
    brand: "Compy virtual CPU",
  },
};

/** CPUID signature: what is in EDX after reset and in EAX from leaf 1. */
export function signature(model: CpuModel): number {
  const { family, model: number, stepping } = model;
  return (Math.min(family, 15) << 8) | ((number & 0xf) << 4) | stepping |
    ((number >>> 4) << 16) | (Math.max(0, family - 15) << 20);
}

/** The names of all models, simplest first. */
export const MODEL_NAMES: readonly string[] = ["486", "pentium", "pentium3", "max", "qemu64"];

function parseFeature(text: string): Feature {
  const word = text.toLowerCase();
  if (Object.hasOwn(FEATURES, word)) return word as Feature;
  if (Object.hasOwn(ALIASES, word)) return ALIASES[word];
  throw new RangeError(
    `unknown CPU feature ${JSON.stringify(text)}${
      didYouMean(text, [...Object.keys(FEATURES), ...Object.keys(ALIASES)])
    }; known features: ${Object.keys(FEATURES).join(" ")}`,
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

/** A feature and everything it needs, directly or not. */
function withNeeds(feature: Feature): Feature[] {
  return [feature, ...(NEEDS[feature] ?? []).flatMap(withNeeds)];
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
  const name = given.toLowerCase();
  if (!Object.hasOwn(MODELS, name)) {
    throw new RangeError(
      `unknown CPU model ${JSON.stringify(given)}${didYouMean(given, MODEL_NAMES)}; known models: ${
        MODEL_NAMES.join(" ")
      }`,
    );
  }
  const { features: base, about: _, ...rest } = MODELS[name];
  const asked = new Map<Feature, boolean>();
  for (const { feature, on } of switches.map(parseSwitch)) {
    if (feature === "apic" && on) {
      throw new RangeError("CPU feature apic cannot be switched on: the board has no local APIC");
    }
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
  return { name, ...rest, features };
}

/** The text of `-cpu help`. */
export function cpuHelp(): string {
  const models = MODEL_NAMES.map((name) => `  ${name.padEnd(10)}${MODELS[name].about}`);
  const features = Object.entries(FEATURES)
    .map(([name, about]) => `  ${name.padEnd(10)}${about}`);
  return [
    "Models:",
    ...models,
    "",
    "Features, switched as in pentium3,+sse2,-mtrr:",
    ...features,
    "",
  ].join("\n");
}
