import { assertEquals } from "@std/assert";
import type { LocalApicPort } from "../../../core/machine/cpu.ts";
import * as S from "../state.ts";
import { Testbed } from "./testbed.ts";

/** Registers behind the port, and what was asked of it. */
class Apic implements LocalApicPort {
  base = { low: 0xfee00900 | 0, high: 0 };
  deadline = { low: 0, high: 0 };
  taskPriority = 0;
  readonly registers = new Map<number, { low: number; high: number }>();
  readBase() {
    return this.base;
  }
  writeBase(low: number, high: number): boolean {
    if (high !== 0) return false;
    this.base = { low, high };
    return true;
  }
  readMsr(index: number) {
    return this.registers.get(index);
  }
  writeMsr(index: number, low: number, high: number): boolean {
    if (!this.registers.has(index)) return false;
    this.registers.set(index, { low, high });
    return true;
  }
  readDeadline() {
    return this.deadline;
  }
  writeDeadline(low: number, high: number) {
    this.deadline = { low, high };
  }
}

function withApic(model = "max"): { bed: Testbed; apic: Apic } {
  const apic = new Apic();
  return { bed: new Testbed(model, { apic }).protect(0), apic };
}

function write(bed: Testbed, address: number, low: number, high = 0) {
  [bed.R[S.RCX], bed.R[S.RAX], bed.R[S.RDX]] = [address, low, high];
  return bed.call("wrmsr");
}
function read(bed: Testbed, address: number) {
  bed.R[S.RCX] = address;
  const outcome = bed.call("rdmsr");
  return outcome === 0 ? [bed.R[S.RAX], bed.R[S.RDX]] : outcome;
}
const GP0 = { vector: S.GP, error: 0 };

Deno.test("IA32_APIC_BASE is the local APIC's, and CPUID shows the APIC as long as it is enabled", () => {
  const { bed, apic } = withApic(), { R } = bed;
  const visible = () => {
    R[S.RAX] = 1;
    bed.succeeds("cpuid");
    return (R[S.RDX] & (1 << 9)) !== 0;
  };
  assertEquals(read(bed, 0x1b), [0xfee00900 | 0, 0]);
  assertEquals(visible(), true);
  assertEquals(write(bed, 0x1b, 0xfee00100 | 0), 0);
  assertEquals(apic.base.low, 0xfee00100 | 0);
  assertEquals(visible(), false);
  assertEquals(write(bed, 0x1b, 0xfee00900 | 0, 1), GP0);
});

Deno.test("x2APIC registers are the local APIC's to answer or to refuse", () => {
  const { bed, apic } = withApic();
  assertEquals(read(bed, 0x802), GP0);
  apic.registers.set(0x808, { low: 0, high: 0 });
  assertEquals(write(bed, 0x808, 0x20), 0);
  assertEquals(read(bed, 0x808), [0x20, 0]);
  assertEquals(write(bed, 0x809, 0x20), GP0);
  const without = withApic("max,-x2apic");
  without.apic.registers.set(0x808, { low: 0, high: 0 });
  assertEquals(read(without.bed, 0x808), GP0);
});

Deno.test("a processor without a local APIC has none of its registers and says so", () => {
  const bed = new Testbed("max").protect(0), { R } = bed;
  for (const address of [0x808, 0x6e0]) assertEquals(read(bed, address), GP0);
  R[S.RAX] = 1;
  bed.succeeds("cpuid");
  assertEquals(R[S.RDX] & (1 << 9), 0);
  assertEquals(R[S.RCX] & ((1 << 21) | (1 << 24)), 0);
});

Deno.test("the deadline of the APIC's timer is a count of the time-stamp counter, wherever that was set", () => {
  const { bed, apic } = withApic();
  assertEquals(write(bed, 0x6e0, 5000), 0);
  assertEquals(apic.deadline, { low: 5000, high: 0 });
  // The counter jumps ahead: the deadline comes sooner.
  assertEquals(write(bed, 0x10, 4000), 0);
  assertEquals(apic.deadline, { low: 1000, high: 0 });
  assertEquals(read(bed, 0x6e0), [5000, 0]);
  assertEquals(write(bed, 0x10, 0, 1), 0);
  assertEquals(apic.deadline, { low: 1, high: 0 }); // Long past.
  assertEquals(write(bed, 0x6e0, 0), 0);
  assertEquals([apic.deadline, read(bed, 0x6e0)], [{ low: 0, high: 0 }, [0, 0]]);
});

Deno.test("IA32_TSC_ADJUST moves the time-stamp counter and is moved by writes to it", () => {
  const bed = new Testbed("max").protect(0);
  assertEquals(read(bed, 0x3b), [0, 0]);
  assertEquals(write(bed, 0x10, 100), 0);
  assertEquals(read(bed, 0x3b), [100, 0]);
  assertEquals(write(bed, 0x3b, -1, -1), 0);
  assertEquals(read(bed, 0x10), [-1, -1]);
  assertEquals(write(bed, 0x3b, 7, 3), 0);
  assertEquals([read(bed, 0x10), read(bed, 0x3b)], [[7, 3], [7, 3]]);
  assertEquals(read(new Testbed("qemu64").protect(0), 0x3b), GP0);
});

Deno.test("CR8 is the local APIC's task priority where there is one", () => {
  const { bed, apic } = withApic(), { R } = bed;
  R[S.LONG] = 1;
  bed.succeeds("mov_to_cr", 8, 9);
  assertEquals(apic.taskPriority, 9);
  apic.taskPriority = 4;
  assertEquals([bed.succeeds("mov_from_cr", 0, 8), R[S.HIGH]], [4, 0]);
  bed.faults(S.GP, 0, "mov_to_cr", 8, 16);
});

Deno.test("a processor without x2APIC mode cannot enter it", () => {
  const { bed, apic } = withApic("max,-x2apic");
  assertEquals(write(bed, 0x1b, 0xfee00d00 | 0), GP0);
  assertEquals(apic.base.low, 0xfee00900 | 0);
  const able = withApic();
  assertEquals(write(able.bed, 0x1b, 0xfee00d00 | 0), 0);
});
