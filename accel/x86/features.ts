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
  pclmulqdq: ["1.ecx", 1, "PCLMULQDQ"],
  ssse3: ["1.ecx", 9, "SSSE3"],
  cx16: ["1.ecx", 13, "CMPXCHG16B"],
  pcid: ["1.ecx", 17, "process-context identifiers"],
  sse4_1: ["1.ecx", 19, "SSE4.1"],
  sse4_2: ["1.ecx", 20, "SSE4.2"],
  x2apic: ["1.ecx", 21, "local APIC by MSRs"],
  movbe: ["1.ecx", 22, "MOVBE"],
  popcnt: ["1.ecx", 23, "POPCNT"],
  tsc_deadline_timer: ["1.ecx", 24, "APIC timer by time-stamp count"],
  aes: ["1.ecx", 25, "AES-NI"],
  xsave: ["1.ecx", 26, "XSAVE and XRSTOR"],
  rdrand: ["1.ecx", 30, "RDRAND, from a seeded generator"],
  hypervisor: ["1.ecx", 31, "says that this is a virtual machine, leaf 40000000h"],
  arat: ["6.eax", 2, "APIC timer that never stops"],
  fsgsbase: ["7.ebx", 0, "RDFSBASE and its kin"],
  tsc_adjust: ["7.ebx", 1, "IA32_TSC_ADJUST"],
  bmi1: ["7.ebx", 3, "bit manipulation, first set"],
  smep: ["7.ebx", 7, "supervisor-mode execution prevention"],
  bmi2: ["7.ebx", 8, "bit manipulation, second set"],
  invpcid: ["7.ebx", 10, "INVPCID"],
  rdseed: ["7.ebx", 18, "RDSEED, from a seeded generator"],
  adx: ["7.ebx", 19, "ADCX and ADOX"],
  smap: ["7.ebx", 20, "supervisor-mode access prevention"],
  clflushopt: ["7.ebx", 23, "CLFLUSHOPT"],
  clwb: ["7.ebx", 24, "CLWB"],
  sha_ni: ["7.ebx", 29, "SHA extensions"],
  umip: ["7.ecx", 2, "user-mode instruction prevention"],
  rdpid: ["7.ecx", 22, "RDPID"],
  arch_capabilities: ["7.edx", 29, "IA32_ARCH_CAPABILITIES: no speculation to defend against"],
  xsaveopt: ["d1.eax", 0, "XSAVEOPT"],
  xsavec: ["d1.eax", 1, "XSAVEC and the compacted format"],
  xgetbv1: ["d1.eax", 2, "XGETBV of the components in use"],
  syscall: ["80000001.edx", 11, "SYSCALL and SYSRET"],
  nx: ["80000001.edx", 20, "no-execute pages"],
  pdpe1gb: ["80000001.edx", 26, "1 GiB pages"],
  rdtscp: ["80000001.edx", 27, "RDTSCP"],
  lm: ["80000001.edx", 29, "long mode"],
  lahf_lm: ["80000001.ecx", 0, "LAHF and SAHF in 64-bit mode"],
  abm: ["80000001.ecx", 5, "LZCNT"],
  "3dnowprefetch": ["80000001.ecx", 8, "PREFETCHW"],
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
  pclmulqdq: ["sse2"],
  ssse3: ["sse3"],
  sse4_1: ["ssse3"],
  sse4_2: ["sse4_1"],
  aes: ["sse2"],
  sha_ni: ["sse2"],
  clflushopt: ["clflush"],
  clwb: ["clflush"],
  rdpid: ["msr"],
  cx16: ["cx8", "lm"],
  pcid: ["lm"],
  x2apic: ["apic"],
  tsc_deadline_timer: ["apic", "tsc"],
  arat: ["apic"],
  fsgsbase: ["lm"],
  tsc_adjust: ["tsc", "msr"],
  xsave: ["fxsr", "sse"],
  xsaveopt: ["xsave"],
  xsavec: ["xsave"],
  xgetbv1: ["xsave"],
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
  lzcnt: "abm",
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
