import { assertEquals } from "@std/assert";
import { linuxFlags } from "./linux_flags.ts";

/** What Debian's linux-image-amd64 6.1 listed on a processor of this model. */
const QEMU64 = "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx " +
  "fxsr sse sse2 syscall nx lm rep_good nopl cpuid extd_apicid pni cx16 hypervisor lahf_lm " +
  "3dnowprefetch vmmcall";

Deno.test("linuxFlags names CPUID's features as Linux does, and what Linux adds", () => {
  assertEquals(linuxFlags("qemu64", { arch: "amd64", smp: 1 }), QEMU64.split(" ").sort());
  assertEquals(
    linuxFlags("qemu64", { arch: "amd64", smp: 2 }),
    [...QEMU64.split(" "), "ht", "cmp_legacy"].sort(),
  );
});
