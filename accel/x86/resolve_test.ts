import { assertEquals } from "@std/assert";
import { FAULTS, RESOLVED, UNRESOLVED } from "./mmu.ts";
import * as S from "./state.ts";
import { LongTestbed } from "./system/long_testbed.ts";
import { PAGES, Testbed } from "./system/testbed.ts";

const PT = PAGES + 0x1000;
const ACCESSED = 0x20, DIRTY = 0x40;
const CR2 = 0x1234;

/** Paging with page tables of 32 bits, and the place of the entry for an address. */
function paged(): { bed: Testbed; at: (linear: number) => number } {
  const bed = new Testbed().protect(0);
  bed.page();
  bed.R[S.CR2] = CR2;
  return { bed, at: (linear) => PT + (linear >>> 12) * 4 };
}

Deno.test("resolving an access enters its translation once, with the bits that the access would set", () => {
  const { bed, at } = paged(), { mmu } = bed.cpu;
  bed.write32(at(0x6000), 0x6003);
  assertEquals(mmu.resolve(0x6123, false, false), RESOLVED);
  assertEquals(bed.read32(at(0x6000)) & (ACCESSED | DIRTY), ACCESSED);
  assertEquals(mmu.resolve(0x6123, false, false), UNRESOLVED);
  // A page that is not dirty is still to be walked for its first write.
  assertEquals(mmu.resolve(0x6123, true, false), RESOLVED);
  assertEquals(bed.read32(at(0x6000)) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
  assertEquals(bed.R[S.CR2], CR2);
});

Deno.test("resolving an access that faults notes the fault and changes no table", () => {
  const { bed, at } = paged(), { cpu, R } = bed;
  bed.write32(at(0x6000), 0x6002);
  assertEquals(cpu.mmu.resolve(0x6123, true, true), FAULTS);
  assertEquals([cpu.faultVector, cpu.faultError, R[S.CR2]], [S.PAGE_FAULT, 6, 0x6123]);
  bed.write32(at(0x7000), 0x7003);
  assertEquals(cpu.mmu.resolve(0x7004, false, true), FAULTS);
  assertEquals([cpu.faultError, R[S.CR2]], [5, 0x7004]);
  assertEquals([bed.read32(at(0x6000)), bed.read32(at(0x7000))], [0x6002, 0x7003]);
});

Deno.test("what is not plain memory, or looked at by others, is not resolved", () => {
  const { bed, at } = paged(), { mmu } = bed.cpu, reads: number[] = [];
  bed.memory.addMmio("chip", 0x200000, 0x1000, {
    read: (offset) => reads.push(offset),
    write: () => {},
  }, { sizes: [4] });
  // A chip's registers, as a page and as a page table.
  bed.write32(at(0x6000), 0x200003);
  assertEquals(mmu.resolve(0x6000, false, false), UNRESOLVED);
  bed.write32(PAGES + 4, 0x200003);
  assertEquals(mmu.resolve(0x400000, false, false), UNRESOLVED);
  assertEquals([reads, bed.R[S.CR2]], [[], CR2]);
  // A watched range anywhere, a data breakpoint, and alignment checks.
  const unwatch = bed.memory.watch(0x8000, 4, { write: true }, () => {});
  assertEquals(mmu.resolve(0x7000, false, false), UNRESOLVED);
  unwatch();
  mmu.watchPages([0x9]);
  assertEquals(mmu.resolve(0x7000, false, false), UNRESOLVED);
  mmu.watchPages([]);
  mmu.setAlignmentChecks(true);
  assertEquals(mmu.resolve(0x7000, false, false), UNRESOLVED);
  mmu.setAlignmentChecks(false);
  assertEquals(mmu.resolve(0x7000, false, false), RESOLVED);
});

Deno.test("in 64-bit code resolving takes canonical addresses, and CR2 has both halves of one that faults", () => {
  const bed = new LongTestbed().long(), { mmu64 } = bed.cpu, { R } = bed;
  // PML4 entry 511 and PDPT entry 0 lead to the first 2 MiB; PDPT entry 1 to nothing.
  const high = 0xffffff80 | 0, pde = PAGES + 0x2000;
  bed.write32(pde, 0x83);
  assertEquals(mmu64.resolve(0x5008, high, true, false), RESOLVED);
  assertEquals(bed.read32(pde) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
  assertEquals(mmu64.resolve(0x5008, high, true, false), UNRESOLVED);
  assertEquals(mmu64.resolve(0x40000010, high, true, false), FAULTS);
  assertEquals([R[S.CR2], R[S.CR2 + 1], bed.cpu.faultError], [0x40000010, high, 2]);
  assertEquals(mmu64.resolve(0x5008, 0x8000, false, false), UNRESOLVED);
});
