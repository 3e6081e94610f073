/** What `/proc/cpuinfo` must list of a processor: what CPUID claims, and what Linux adds by itself. */
import { type CpuModel, type Feature, parseCpuModel } from "../../accel/x86/models.ts";
import type { GuestArch } from "./guests.ts";

/** Features that Linux prints under other names. */
const NAMES: Partial<Record<Feature, readonly string[]>> = {
  sse3: ["pni"],
  // Linux draws two conclusions from the one bit.
  invtsc: ["constant_tsc", "nonstop_tsc"],
};

/** A guest's processors and kernel. */
export interface FlagsOptions {
  arch: GuestArch;
  /** How many processors there are. */
  smp: number;
}

/**
 * What Linux 6.1 sets without a CPUID bit (`arch/x86/kernel/cpu/` in its source: `common.c`, `amd.c`,
 * `intel.c`, `topology.c`), where `when` holds.
 */
const SYNTHETIC: readonly {
  flag: string;
  source: string;
  when: (model: CpuModel, options: FlagsOptions) => boolean;
}[] = [
  { flag: "cpuid", source: "common.c: there is CPUID", when: ({ family }) => family > 4 },
  {
    flag: "nopl",
    source: "common.c, detect_nopl: taken for granted in 64-bit kernels",
    when: (_, { arch }) => arch === "amd64",
  },
  {
    flag: "rep_good",
    source: "amd.c, init_amd_k8: revision E and later",
    when: ({ vendor, family }) => vendor === AMD && family === 15,
  },
  {
    flag: "rep_good",
    source: "intel.c, init_intel: family 6 in 64-bit kernels",
    when: ({ vendor, family }, { arch }) => vendor !== AMD && arch === "amd64" && family === 6,
  },
  {
    flag: "constant_tsc",
    source: "intel.c, early_init_intel: family 6 from model 14 on",
    when: ({ vendor, family, model }) => vendor !== AMD && family === 6 && model >= 14,
  },
  {
    flag: "xtopology",
    source: "topology.c, detect_extended_topology_early: leaf 0Bh has a level of threads",
    when: ({ vendor, maxLeaf }) => vendor !== AMD && maxLeaf >= 0xb,
  },
  {
    flag: "extd_apicid",
    source:
      "amd.c, early_init_amd: family 15 whose northbridge says so; without one all ones are read",
    when: ({ vendor, features }) => vendor === AMD && features.has("apic"),
  },
  {
    flag: "vmmcall",
    source: "amd.c, early_init_amd: always",
    when: ({ vendor }) => vendor === AMD,
  },
  {
    flag: "3dnowprefetch",
    source: "amd.c, init_amd: with long mode",
    when: ({ vendor, features }) => vendor === AMD && features.has("lm"),
  },
  {
    flag: "invpcid_single",
    source: "common.c, setup_pcid: 64-bit kernels with PCID and INVPCID",
    when: ({ features }, { arch }) =>
      arch === "amd64" && features.has("pcid") && features.has("invpcid"),
  },
  { flag: "ht", source: "CPUID says so of several processors", when: (_, { smp }) => smp > 1 },
  {
    flag: "cmp_legacy",
    source: "CPUID says so of several processors on AMD's",
    when: ({ vendor }, { smp }) => vendor === AMD && smp > 1,
  },
];

const AMD = "AuthenticAMD";

/** The flags that Debian's kernel must list for a `-cpu` text, sorted. */
export function linuxFlags(cpu: string, options: FlagsOptions): string[] {
  const model = parseCpuModel(cpu);
  const flags = new Set([...model.features].flatMap((name) => NAMES[name] ?? [name]));
  // common.c, early_identify_cpu: 32-bit kernels clear it.
  if (options.arch === "i386") flags.delete("pcid");
  for (const { flag, when } of SYNTHETIC) if (when(model, options)) flags.add(flag);
  return [...flags].sort();
}
