import { assertEquals, assertThrows } from "@std/assert";
import { StateError } from "../../../core/chip.ts";
import * as S from "../state.ts";
import { initState, resetState } from "./reset.ts";
import { Testbed } from "./testbed.ts";

function write(bed: Testbed, address: number, low: number, high = 0) {
  bed.R[S.RCX] = address;
  bed.R[S.RAX] = low;
  bed.R[S.RDX] = high;
  return bed.call("wrmsr");
}
function read(bed: Testbed, address: number) {
  bed.R[S.RCX] = address;
  const outcome = bed.call("rdmsr");
  return outcome === 0 ? [bed.R[S.RAX] >>> 0, bed.R[S.RDX] >>> 0] : outcome;
}
const GP0 = { vector: S.GP, error: 0 };

Deno.test("unknown MSRs are #GP(0) to read and write and change nothing", () => {
  const bed = new Testbed("pentium3").protect(0);
  for (const address of [0x02, 0x3a, 0xc0000080, 0x20f + 1]) {
    bed.R[S.RCX] = address;
    bed.faults(S.GP, 0, "rdmsr");
    bed.faults(S.GP, 0, "wrmsr");
  }
});

Deno.test("a P6 says in its APIC base register that no local APIC is enabled", () => {
  const bed = new Testbed().protect(0);
  assertEquals(read(bed, 0x1b), [0xfee00100, 0]);
});

Deno.test("each model has the MSRs of its features", () => {
  const pentium = new Testbed("pentium").protect(0);
  assertEquals(read(pentium, 0x11), [0, 0]);
  assertEquals(read(pentium, 0x277), GP0);
  assertEquals(read(pentium, 0x174), GP0);
  assertEquals(read(pentium, 0x1b), GP0);
  assertEquals(read(new Testbed("pentium3").protect(0), 0x1a0), GP0);
  assertEquals(read(new Testbed("max").protect(0), 0x1a0), [1, 0]);
  const plain = new Testbed("pentium3,-mtrr,-sep,-tsc").protect(0);
  for (const address of [0x10, 0xfe, 0x174, 0x200, 0x277]) {
    assertEquals(read(plain, address), GP0);
    assertEquals(write(plain, address, 0), GP0);
  }
});

Deno.test("SYSENTER registers are those that the instruction uses", () => {
  const bed = new Testbed().protect(0);
  write(bed, 0x174, 0x60);
  write(bed, 0x175, 0x89abcdef);
  write(bed, 0x176, 0x1234);
  assertEquals([bed.R[S.SYSENTER_CS], bed.R[S.SYSENTER_EIP]], [0x60, 0x1234]);
  assertEquals(read(bed, 0x175), [0x89abcdef, 0]);
});

Deno.test("MTRRs and PAT take valid memory types and addresses only", () => {
  const bed = new Testbed("pentium3").protect(0);
  assertEquals(read(bed, 0xfe), [0x508, 0]);
  assertEquals(write(bed, 0xfe, 0x508), GP0);
  assertEquals(write(bed, 0x200, 0xc0000006 | 0, 0xf), 0);
  assertEquals(read(bed, 0x200), [0xc0000006, 0xf]);
  assertEquals(write(bed, 0x200, 2), GP0); // A reserved type.
  assertEquals(write(bed, 0x200, 0x100), GP0); // A reserved bit.
  assertEquals(write(bed, 0x200, 0, 0x10), GP0); // Beyond MAXPHYADDR.
  assertEquals(write(bed, 0x201, 0xc0000800 | 0, 0xf), 0);
  assertEquals(write(bed, 0x201, 0x400), GP0);
  assertEquals(write(bed, 0x210, 0), GP0); // There are eight pairs.
  assertEquals(write(bed, 0x250, 0x06060606, 0x00010405), 0);
  assertEquals(write(bed, 0x26f, 0, 0x07000000), GP0);
  assertEquals(write(bed, 0x2ff, 0xc06), 0);
  assertEquals(write(bed, 0x2ff, 0x1c06), GP0);
  assertEquals(write(bed, 0x2ff, 2), GP0);
  assertEquals(read(bed, 0x277), [0x00070406, 0x00070406]);
  assertEquals(write(bed, 0x277, 0x07060504, 0x00010106), 0);
  assertEquals(write(bed, 0x277, 2), GP0);
});

Deno.test("machine-check banks can be cleared, not filled", () => {
  const bed = new Testbed().protect(0);
  assertEquals(read(bed, 0x179), [0x105, 0]);
  assertEquals(write(bed, 0x179, 0), GP0);
  assertEquals(write(bed, 0x17a, 7), 0);
  assertEquals(write(bed, 0x17a, 8), GP0);
  assertEquals(write(bed, 0x400, -1, -1), 0);
  assertEquals(write(bed, 0x401, 0), 0);
  assertEquals(write(bed, 0x401, 1), GP0);
  assertEquals(write(bed, 0x414, 0), GP0);
});

Deno.test("microcode updates are accepted, their trigger cannot be read", () => {
  const bed = new Testbed().protect(0);
  assertEquals(write(bed, 0x79, 0x1234), 0);
  assertEquals(read(bed, 0x79), GP0);
});

Deno.test("the time-stamp counter follows virtual time from where it was set", () => {
  const bed = new Testbed().protect(0);
  bed.clock.skipTo(2 ** 33 + 5);
  bed.succeeds("rdtsc");
  assertEquals([bed.R[S.RAX], bed.R[S.RDX]], [5, 2]);
  write(bed, 0x10, 0xfffffff0, 7);
  bed.clock.skipTo(2 ** 33 + 5 + 0x20);
  assertEquals(read(bed, 0x10), [0x10, 8]);
  // The Pentium III clears the high half on a write.
  const old = new Testbed("pentium3").protect(0);
  old.clock.skipTo(1000);
  write(old, 0x10, 3, 7);
  assertEquals(read(old, 0x10), [3, 0]);
});

Deno.test("RDTSC is #GP(0) outside ring 0 with CR4.TSD", () => {
  const bed = new Testbed().protect(3);
  bed.succeeds("rdtsc");
  bed.R[S.CR4] |= S.CR4_TSD;
  bed.faults(S.GP, 0, "rdtsc");
  bed.enter(0);
  bed.succeeds("rdtsc");
});

Deno.test("RDPMC needs CR4.PCE or ring 0 and one of two counters; a Pentium has none", () => {
  const bed = new Testbed().protect(3);
  bed.R[S.RCX] = 0;
  bed.faults(S.GP, 0, "rdpmc");
  bed.R[S.CR4] |= S.CR4_PCE;
  bed.succeeds("rdpmc");
  bed.R[S.RCX] = 2;
  bed.faults(S.GP, 0, "rdpmc");
  bed.R[S.RCX] = 0x277 - 0xc1; // Not a way to other registers.
  bed.faults(S.GP, 0, "rdpmc");
  const bare = new Testbed("pentium3,-msr").protect(0);
  bare.faults(S.GP, 0, "rdpmc");
  bed.enter(0);
  write(bed, 0xc2, 0x80000001 | 0);
  bed.R[S.RCX] = 1;
  bed.succeeds("rdpmc");
  assertEquals([bed.R[S.RAX] >>> 0, bed.R[S.RDX]], [0x80000001, 0xff]);
  new Testbed("pentium").protect(0).faults(S.UD, -1, "rdpmc");
});

Deno.test("MSRs survive INIT, a snapshot and nothing else", () => {
  const bed = new Testbed().protect(0);
  write(bed, 0x200, 6);
  write(bed, 0x174, 0x60);
  const state = bed.cpu.msrs.snapshot();
  initState(bed.cpu);
  assertEquals([read(bed, 0x200), read(bed, 0x174)], [[6, 0], [0x60, 0]]);
  resetState(bed.cpu);
  assertEquals([read(bed, 0x200), read(bed, 0x174)], [[0, 0], [0, 0]]);
  bed.cpu.msrs.restore(state);
  assertEquals(read(bed, 0x200), [6, 0]);
  const error = assertThrows(() => new Testbed("pentium").cpu.msrs.restore(state), StateError);
  assertEquals(error.message.includes("another model"), true);
  assertThrows(() => bed.cpu.msrs.restore({ words: [] }), StateError);
  assertThrows(() => bed.cpu.msrs.restore({}), StateError);
});
