/**
 * Every feature that CPUID can claim is there: an instruction of it executes, a register or bit of it can be
 * written, or what it promises is seen to happen; and without the feature it is not.
 */
import { assert, assertEquals } from "@std/assert";
import { ApicBed } from "../../hw/local_apic_testing.ts";
import { type Feature, FEATURE_NAMES } from "../../accel/x86/features.ts";
import { parseCpuModel } from "../../accel/x86/models.ts";
import * as S from "../../accel/x86/state.ts";
import { cpuid } from "../../accel/x86/system/cpuid.ts";
import { LongTestbed } from "../../accel/x86/system/long_testbed.ts";
import { Testbed } from "../../accel/x86/system/testbed.ts";
import { Bed, CODE, code, DATA, LARGE, P, RW } from "../modes/bed.ts";
import { LongBed, PDPT } from "../modes/long_bed.ts";

/** Whether a feature's promise is kept by a model. */
type Evidence = (model: string) => boolean;

const CR4 = S.CR4_OSFXSR;

/** An instruction is known: it does not raise #UD. Of 32-bit code, EBX points to memory. */
function instruction(text: string): Evidence {
  return (model) => {
    const bed = new Bed(model).protect(), { R } = bed;
    R[S.CR4] |= CR4;
    R[S.MXCSR] = 0x1f80;
    R[S.RBX] = DATA;
    bed.put(CODE, [...code(text), 0xf4]);
    return bed.run()?.vector !== S.UD;
  };
}

/** The same in 64-bit code, `cr4` set. */
function wide(text: string, cr4 = 0): Evidence {
  return (model) => {
    const bed = new LongBed({ model }), { R } = bed;
    R[S.CR4] |= cr4;
    R[S.RBX] = DATA;
    bed.put(CODE, [...code(text), 0xf4]);
    return bed.runLong()?.vector !== S.UD;
  };
}

/** What an instruction leaves in EAX, from ECX, which is 1. */
function result(text: string, eax: number): Evidence {
  return (model) => {
    const bed = new Bed(model).protect();
    bed.R[S.RCX] = 1;
    bed.put(CODE, [...code(text), 0xf4]);
    return bed.run() === undefined && bed.R[S.RAX] === eax;
  };
}

function withApic(model: string): Testbed {
  return new Testbed(model, { apic: new ApicBed().apics[0] }).protect(0);
}

/** A model-specific register can be read, on a board with local APICs; x2APIC mode is on. */
function register(address: number): Evidence {
  return (model) => {
    const bed = withApic(model), { R } = bed;
    [R[S.RCX], R[S.RAX], R[S.RDX]] = [0x1b, 0xfee00d00 | 0, 0];
    bed.call("wrmsr");
    R[S.RCX] = address;
    return bed.call("rdmsr") === 0;
  };
}

/** A bit of CR4 can be set. */
function cr4(bit: number): Evidence {
  return (model) => {
    const bed = bit === S.CR4_PCIDE
      ? new LongTestbed(model).long(0)
      : new Testbed(model).protect(0);
    return bed.call("mov_to_cr", 4, bed.R[S.CR4] | bit) === 0;
  };
}

/** A bit of EFER can be set. */
function efer(bit: number): Evidence {
  return (model) => {
    const bed = new Testbed(model).protect(0), { R } = bed;
    [R[S.RCX], R[S.RAX], R[S.RDX]] = [0xc0000080, bit, 0];
    return bed.call("wrmsr") === 0;
  };
}

const EVIDENCE: Record<Feature, Evidence> = {
  fpu: instruction("d9 e8 ; fld1"),
  vme: cr4(S.CR4_VME),
  de: cr4(S.CR4_DE),
  pse: cr4(S.CR4_PSE),
  tsc: instruction("0f 31 ; rdtsc"),
  msr: instruction("31 c9 ; xor ecx,ecx\n 0f 32 ; rdmsr"),
  pae: cr4(S.CR4_PAE),
  mce: cr4(S.CR4_MCE),
  cx8: instruction("0f c7 0b ; cmpxchg8b [ebx]"),
  apic: (model) => {
    const bed = withApic(model), { R } = bed;
    R[S.RCX] = 0x1b;
    bed.succeeds("rdmsr");
    return (R[S.RAX] & 0x800) !== 0;
  },
  sep: instruction("0f 34 ; sysenter"),
  mtrr: register(0xfe),
  pge: cr4(S.CR4_PGE),
  mca: register(0x179),
  cmov: instruction("0f 44 c1 ; cmovz eax,ecx"),
  pat: register(0x277),
  // With it bits 39:32 of a 4 MiB page lie in the entry; memory there is none.
  pse36: (model) => {
    const bed = new Bed(model).protect().page();
    bed.write32(0x30000 + 8, 0x2000 | P | RW | LARGE);
    bed.write32(0, 0x600df00d);
    bed.R[S.RBX] = 0x800000;
    bed.put(CODE, code("8b 03 ; mov eax,[ebx]\n f4"));
    return bed.run() === undefined && bed.R[S.RAX] === -1;
  },
  clflush: instruction("0f ae 3b ; clflush [ebx]"),
  mmx: instruction("0f 77 ; emms"),
  fxsr: instruction("0f ae 03 ; fxsave [ebx]"),
  sse: instruction("0f 58 c1 ; addps xmm0,xmm1"),
  sse2: instruction("66 0f 58 c1 ; addpd xmm0,xmm1"),
  sse3: instruction("f2 0f 7c c1 ; haddps xmm0,xmm1"),
  pclmulqdq: instruction("66 0f 3a 44 c1 00 ; pclmulqdq xmm0,xmm1,0"),
  ssse3: instruction("66 0f 38 00 c1 ; pshufb xmm0,xmm1"),
  cx16: wide("48 0f c7 0b ; cmpxchg16b [rbx]"),
  pcid: cr4(S.CR4_PCIDE),
  sse4_1: instruction("66 0f 38 17 c1 ; ptest xmm0,xmm1"),
  sse4_2: instruction("66 0f 38 37 c1 ; pcmpgtq xmm0,xmm1"),
  x2apic: register(0x802),
  movbe: instruction("0f 38 f0 03 ; movbe eax,[ebx]"),
  popcnt: instruction("f3 0f b8 c1 ; popcnt eax,ecx"),
  tsc_deadline_timer: register(0x6e0),
  aes: instruction("66 0f 38 dc c1 ; aesenc xmm0,xmm1"),
  xsave: cr4(S.CR4_OSXSAVE),
  rdrand: instruction("0f c7 f0 ; rdrand eax"),
  hypervisor: (model) => (cpuid(parseCpuModel(model), 0x40000000, 0)[0] >>> 0) === 0x40000000,
  // The timer counts while nothing executes.
  arat: (model) => {
    if (!withApic(model).cpu.model.features.has("arat")) return false;
    const bed = new ApicBed().enable();
    bed.write("divide", 0xb);
    bed.write("timer", 0x40);
    bed.write("initial", 1000);
    bed.pass(1_000_000);
    return bed.intr[0];
  },
  fsgsbase: cr4(S.CR4_FSGSBASE),
  tsc_adjust: register(0x3b),
  bmi1: instruction("c4 e2 70 f2 c2 ; andn eax,ecx,edx"),
  smep: cr4(S.CR4_SMEP),
  bmi2: instruction("c4 e2 68 f5 c1 ; bzhi eax,ecx,edx"),
  invpcid: instruction("31 ff ; xor edi,edi\n 66 0f 38 82 3b ; invpcid edi,[ebx]"),
  rdseed: instruction("0f c7 f8 ; rdseed eax"),
  adx: instruction("66 0f 38 f6 c1 ; adcx eax,ecx"),
  smap: instruction("0f 01 cb ; stac"),
  clflushopt: instruction("66 0f ae 3b ; clflushopt [ebx]"),
  clwb: instruction("66 0f ae 33 ; clwb [ebx]"),
  sha_ni: instruction("0f 38 c8 c1 ; sha1nexte xmm0,xmm1"),
  umip: cr4(S.CR4_UMIP),
  rdpid: instruction("f3 0f c7 f8 ; rdpid eax"),
  arch_capabilities: register(0x10a),
  xsaveopt: wide("0f ae 33 ; xsaveopt [rbx]", S.CR4_OSXSAVE),
  xsavec: wide("0f c7 23 ; xsavec [rbx]", S.CR4_OSXSAVE),
  xgetbv1: (model) => {
    const bed = new LongTestbed(model).long(0), { R } = bed;
    R[S.CR4] |= S.CR4_OSXSAVE;
    R[S.RCX] = 1;
    return bed.call("xgetbv") === 0;
  },
  syscall: efer(S.EFER_SCE),
  nx: efer(S.EFER_NXE),
  pdpe1gb: (model) => {
    const bed = new LongBed({ model });
    bed.write64(PDPT + 8, P | RW | LARGE);
    bed.R[S.RBX] = 0x40000000;
    bed.put(CODE, code("8b 03 ; mov eax,[rbx]\n f4"));
    return bed.runLong() === undefined;
  },
  rdtscp: wide("0f 01 f9 ; rdtscp"),
  lm: efer(S.EFER_LME),
  lahf_lm: wide("9f ; lahf"),
  abm: result("f3 0f bd c1 ; lzcnt eax,ecx", 31),
  "3dnowprefetch": (model) =>
    instruction("0f 0d 0b ; prefetchw [ebx]")(model) &&
    parseCpuModel(model).features.has("3dnowprefetch"),
  // The counter follows the clock through what the processor sleeps.
  invtsc: (model) => {
    const bed = new Testbed(model).protect(0), { R } = bed;
    bed.succeeds("rdtsc");
    const before = R[S.RAX];
    bed.clock.skipTo(bed.clock.now() + 12345);
    bed.succeeds("rdtsc");
    return R[S.RAX] - before === 12345 && parseCpuModel(model).features.has("invtsc");
  },
};

for (const feature of FEATURE_NAMES) {
  Deno.test(`a processor with ${feature} does what that stands for, one without does not`, () => {
    assert(EVIDENCE[feature]("max"), "max lacks it");
    const without = `max,-${feature}`, { features } = parseCpuModel(without);
    assertEquals(features.has(feature), false);
    assertEquals(EVIDENCE[feature](without), false, "a model without it has it");
  });
}
