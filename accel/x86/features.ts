/**
 * The features of processors: their names, where CPUID says them, and what they need.
 *
 * Names are those of Linux's `/proc/cpuinfo` and of QEMU's `-cpu`; where the two differ the other is in
 * {@linkcode ALIASES}. `max` has every feature of this table, so a line here is a claim: add it together
 * with what it claims.
 */

/** Registers of CPUID leaves that hold feature bits, by leaf and register; `d1` is leaf 0Dh, subleaf 1. */
export type FeatureWord =
  | "1.edx"
  | "1.ecx"
  | "6.eax"
  | "7.ebx"
  | "7.ecx"
  | "7.edx"
  | "d1.eax"
  | "80000001.edx"
  | "80000001.ecx"
  | "80000007.edx";

/** Word, bit, and what it stands for. */
type Entry = readonly [word: FeatureWord, bit: number, about: string];

const TABLE = {
  fpu: ["1.edx", 0, "x87 floating point"],
  vme: ["1.edx", 1, "virtual-8086 mode enhancements"],
  de: ["1.edx", 2, "debugging extensions"],
  pse: ["1.edx", 3, "4 MiB pages"],
  tsc: ["1.edx", 4, "time-stamp counter"],
  msr: ["1.edx", 5, "RDMSR and WRMSR"],
  pae: ["1.edx", 6, "physical address extension"],
  mce: ["1.edx", 7, "machine-check exception"],
  cx8: ["1.edx", 8, "CMPXCHG8B"],
  apic: ["1.edx", 9, "local APIC"],
  sep: ["1.edx", 11, "SYSENTER and SYSEXIT"],
  mtrr: ["1.edx", 12, "memory type range registers"],
  pge: ["1.edx", 13, "global pages"],
  mca: ["1.edx", 14, "machine-check architecture"],
  cmov: ["1.edx", 15, "CMOVcc, FCMOVcc and FCOMI"],
  pat: ["1.edx", 16, "page attribute table"],
  pse36: ["1.edx", 17, "36-bit addresses of 4 MiB pages"],
  clflush: ["1.edx", 19, "CLFLUSH"],
  mmx: ["1.edx", 23, "MMX"],
  fxsr: ["1.edx", 24, "FXSAVE and FXRSTOR"],
  sse: ["1.edx", 25, "SSE"],
  sse2: ["1.edx", 26, "SSE2"],
  sse3: ["1.ecx", 0, "SSE3"],
  cx16: ["1.ecx", 13, "CMPXCHG16B"],
  x2apic: ["1.ecx", 21, "local APIC by MSRs"],
  tsc_deadline_timer: ["1.ecx", 24, "APIC timer by time-stamp count"],
  hypervisor: ["1.ecx", 31, "says that this is a virtual machine, leaf 40000000h"],
  arat: ["6.eax", 2, "APIC timer that never stops"],
  fsgsbase: ["7.ebx", 0, "RDFSBASE and its kin"],
  tsc_adjust: ["7.ebx", 1, "IA32_TSC_ADJUST"],
  smep: ["7.ebx", 7, "supervisor-mode execution prevention"],
  smap: ["7.ebx", 20, "supervisor-mode access prevention"],
  umip: ["7.ecx", 2, "user-mode instruction prevention"],
  arch_capabilities: ["7.edx", 29, "IA32_ARCH_CAPABILITIES: no speculation to defend against"],
  syscall: ["80000001.edx", 11, "SYSCALL and SYSRET"],
  nx: ["80000001.edx", 20, "no-execute pages"],
  pdpe1gb: ["80000001.edx", 26, "1 GiB pages"],
  rdtscp: ["80000001.edx", 27, "RDTSCP"],
  lm: ["80000001.edx", 29, "long mode"],
  lahf_lm: ["80000001.ecx", 0, "LAHF and SAHF in 64-bit mode"],
  invtsc: ["80000007.edx", 8, "a time-stamp counter of constant rate"],
} satisfies Record<string, Entry>;

/** Name of a feature. */
export type Feature = keyof typeof TABLE;

/** Where CPUID says each feature, and what it stands for. */
export const FEATURES: Readonly<Record<Feature, Entry>> = TABLE;

/** All features, in the order of their bits. */
export const FEATURE_NAMES = Object.keys(TABLE) as readonly Feature[];

/** What each feature cannot be without. */
export const NEEDS: Readonly<Partial<Record<Feature, readonly Feature[]>>> = {
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
  x2apic: ["apic"],
  tsc_deadline_timer: ["apic", "tsc"],
  arat: ["apic"],
  fsgsbase: ["lm"],
  tsc_adjust: ["tsc", "msr"],
  arch_capabilities: ["msr"],
  syscall: ["msr"],
  nx: ["pae", "msr"],
  pdpe1gb: ["lm"],
  rdtscp: ["tsc", "msr"],
  lm: ["pae", "pge", "msr", "cx8", "cmov", "sse2", "syscall"],
  lahf_lm: ["lm"],
  invtsc: ["tsc"],
};

/** Other spellings of features, beside a dot or a hyphen for an underscore. */
export const ALIASES: Readonly<Record<string, Feature>> = {
  pni: "sse3",
  clfsh: "clflush",
  cmpxchg8b: "cx8",
  cmpxchg16b: "cx16",
  tsc_deadline: "tsc_deadline_timer",
};

/** The CPUID leaf that a word belongs to. */
export function leafOf(word: FeatureWord): number {
  const [leaf] = word.split(".");
  return leaf === "d1" ? 0xd : parseInt(leaf, 16);
}

/** A feature and everything it needs, directly or not. */
export function withNeeds(feature: Feature): Feature[] {
  return [feature, ...(NEEDS[feature] ?? []).flatMap(withNeeds)];
}
