import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { HIGH_HALF, LONG0, LongTestbed } from "./long_testbed.ts";
import { CODE0, PAGES } from "./testbed.ts";

const EFER = 0xc0000080;

function wrmsr(t: LongTestbed, address: number, low: number, high = 0): unknown {
  const { R } = t;
  [R[S.RCX], R[S.RAX], R[S.RDX]] = [address, low, high];
  return t.call("wrmsr");
}

function rdmsr(t: LongTestbed, address: number): unknown {
  const { R } = t;
  R[S.RCX] = address;
  const outcome = t.call("rdmsr");
  return typeof outcome === "number" ? [R[S.RAX], R[S.RDX]] : outcome;
}

const FAULT = { vector: S.GP, error: 0 };
const SCE_LME = S.EFER_SCE | S.EFER_LME;

Deno.test("paging with LME activates long mode: compatibility mode until 64-bit code is entered", () => {
  const t = new LongTestbed(), { R } = t;
  t.succeeds("mov_to_cr", 0, R[S.CR0] | S.CR0_PG);
  assertEquals(rdmsr(t, EFER), [SCE_LME | S.EFER_LMA, 0]);
  assertEquals(R[S.LONG], 0);
  t.cpu.operandSize = 32;
  t.succeeds("jmp_far", 0x6000, LONG0);
  assertEquals([R[S.LONG], R[S.RIP], R[S.RIP + 1]], [1, 0x6000, 0]);
});

Deno.test("long mode needs PAE, and a CS without L, when paging is turned on", () => {
  const t = new LongTestbed(), { R } = t;
  R[S.CR4] = 0;
  t.faults(S.GP, 0, "mov_to_cr", 0, R[S.CR0] | S.CR0_PG);
  R[S.CR4] = S.CR4_PAE;
  t.load(S.CS, LONG0);
  t.faults(S.GP, 0, "mov_to_cr", 0, R[S.CR0] | S.CR0_PG);
});

Deno.test("compatibility mode may turn paging off, which leaves long mode; 64-bit mode may not", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.faults(S.GP, 0, "mov_to_cr", 0, R[S.CR0] & ~S.CR0_PG);
  t.faults(S.GP, 0, "mov_to_cr", 4, 0);
  t.load(S.CS, CODE0);
  assertEquals(R[S.LONG], 0);
  t.faults(S.GP, 0, "mov_to_cr", 4, 0);
  t.succeeds("mov_to_cr", 0, R[S.CR0] & ~S.CR0_PG);
  assertEquals(rdmsr(t, EFER), [SCE_LME, 0]);
  assertEquals(t.cpu.longActive, false);
});

Deno.test("EFER refuses LME under paging, reserved bits, and those of missing features; LMA ignores writes", () => {
  const t = new LongTestbed().long(0);
  assertEquals(wrmsr(t, EFER, S.EFER_SCE | S.EFER_LMA), FAULT);
  assertEquals(wrmsr(t, EFER, SCE_LME | 2), FAULT);
  assertEquals(wrmsr(t, EFER, SCE_LME, 1), FAULT);
  assertEquals(wrmsr(t, EFER, SCE_LME | S.EFER_NXE), 0);
  assertEquals(rdmsr(t, EFER), [SCE_LME | S.EFER_NXE | S.EFER_LMA, 0]);
  const u = new LongTestbed("qemu64,-nx");
  assertEquals(wrmsr(u, EFER, S.EFER_NXE), FAULT);
  const without = new LongTestbed("pentium3");
  assertEquals(rdmsr(without, EFER), FAULT);
});

Deno.test("control registers are 64 bits wide in 64-bit mode", () => {
  const t = new LongTestbed().long(0), { R } = t;
  R[S.ARG_HI + 1] = 0x12;
  t.succeeds("mov_to_cr", 3, PAGES);
  assertEquals([t.succeeds("mov_from_cr", 0, 3), R[S.HIGH]], [PAGES, 0x12]);
  R[S.ARG_HI + 1] = 0x100; // Above the physical address.
  t.faults(S.GP, 0, "mov_to_cr", 3, PAGES);
  R[S.ARG_HI + 1] = HIGH_HALF;
  t.succeeds("mov_to_cr", 2, 0x1234);
  assertEquals([t.succeeds("mov_from_cr", 0, 2), R[S.HIGH]], [0x1234, HIGH_HALF]);
  t.faults(S.GP, 0, "mov_to_cr", 0, R[S.CR0]);
  t.faults(S.GP, 0, "mov_to_cr", 4, R[S.CR4]);
  t.faults(S.GP, 0, "mov_to_cr", 8, 3);
  R[S.ARG_HI + 1] = 0;
  t.succeeds("mov_to_cr", 8, 0xe);
  assertEquals([t.succeeds("mov_from_cr", 0, 8), R[S.HIGH]], [0xe, 0]);
  t.faults(S.GP, 0, "mov_to_cr", 8, 0x10);
  t.faults(S.UD, -1, "mov_to_cr", 7, 0);
});

Deno.test("debug registers are 64 bits wide in 64-bit mode", () => {
  const t = new LongTestbed().long(0), { R } = t;
  R[S.ARG_HI + 1] = HIGH_HALF;
  t.succeeds("mov_to_dr", 1, 0x5000);
  assertEquals([t.succeeds("mov_from_dr", 0, 1), R[S.HIGH]], [0x5000, HIGH_HALF]);
  t.faults(S.GP, 0, "mov_to_dr", 7, 0x400);
  t.faults(S.GP, 0, "mov_to_dr", 6, 0);
});

Deno.test("the registers of SYSCALL and the bases take canonical values only", () => {
  const t = new LongTestbed().long(0), { R } = t;
  for (
    const address of [0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102, 0x175, 0x176]
  ) {
    assertEquals(wrmsr(t, address, 1, 0x7fff), 0);
    assertEquals(wrmsr(t, address, 1, 0x8000), FAULT, address.toString(16));
    assertEquals(wrmsr(t, address, 2, 0xffff8000 | 0), 0);
    assertEquals(rdmsr(t, address), [2, 0xffff8000 | 0]);
  }
  assertEquals([R[S.SEG_BASE + S.FS], R[S.SEG_BASE_HI + S.FS]], [2, 0xffff8000 | 0]);
  assertEquals(wrmsr(t, 0xc0000084, 1, 1), FAULT);
  assertEquals(wrmsr(t, 0xc0000103, 7), 0);
  assertEquals(rdmsr(t, 0x1a0), [1, 0]);
});

Deno.test("RDTSCP gives TSC_AUX and clears the high halves", () => {
  const t = new LongTestbed().long(3), { R } = t;
  t.cpu.msrs.set(0xc0000103, 5, 0);
  R.fill(-1, 0, 8);
  t.succeeds("rdtscp");
  assertEquals([R[S.RCX], R[S.RCX + 1], R[S.RAX + 1], R[S.RDX + 1]], [5, 0, 0, 0]);
  R[S.CR4] |= S.CR4_TSD;
  t.faults(S.GP, 0, "rdtscp");
});

Deno.test("SWAPGS exchanges GS's base and KERNEL_GS_BASE in ring 0", () => {
  const t = new LongTestbed().long(0);
  assertEquals(wrmsr(t, 0xc0000101, 0x1000, 0x7f), 0);
  assertEquals(wrmsr(t, 0xc0000102, 0x2000, HIGH_HALF), 0);
  t.succeeds("swapgs");
  assertEquals(rdmsr(t, 0xc0000101), [0x2000, HIGH_HALF]);
  assertEquals(rdmsr(t, 0xc0000102), [0x1000, 0x7f]);
  new LongTestbed().long(3).faults(S.GP, 0, "swapgs");
});

Deno.test("RDFSBASE and its kin need CR4.FSGSBASE", () => {
  const t = new LongTestbed().long(3), { R } = t;
  t.faults(S.UD, -1, "rdfsbase");
  t.faults(S.UD, -1, "wrgsbase", 1);
  R[S.CR4] |= S.CR4_FSGSBASE;
  R[S.ARG_HI] = 0x7f;
  t.succeeds("wrfsbase", 0x1000);
  assertEquals([t.succeeds("rdfsbase"), R[S.HIGH]], [0x1000, 0x7f]);
  t.cpu.operandSize = 32;
  t.succeeds("wrgsbase", -1);
  assertEquals([t.succeeds("rdgsbase"), R[S.HIGH]], [-1, 0]);
  t.cpu.operandSize = 64;
  R[S.ARG_HI] = 0x8000;
  t.faults(S.GP, 0, "wrgsbase", 1);
});

Deno.test("STAC and CLAC set and clear AC in ring 0", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.succeeds("stac");
  assertEquals(R[S.EFLAGS] & S.AC, S.AC);
  t.succeeds("clac");
  assertEquals(R[S.EFLAGS] & S.AC, 0);
  new LongTestbed().long(3).faults(S.UD, -1, "stac");
});

Deno.test("SMAP, SMEP, UMIP and FSGSBASE exist in CR4 with their features only", () => {
  const bits = S.CR4_SMAP | S.CR4_SMEP | S.CR4_UMIP | S.CR4_FSGSBASE;
  const t = new LongTestbed().long(0);
  t.succeeds("mov_to_cr", 4, S.CR4_PAE | bits);
  const u = new LongTestbed("qemu64").long(0);
  for (const bit of [S.CR4_SMAP, S.CR4_SMEP, S.CR4_UMIP, S.CR4_FSGSBASE]) {
    u.faults(S.GP, 0, "mov_to_cr", 4, S.CR4_PAE | bit);
  }
});

Deno.test("UMIP keeps ring 3 from reading system registers", () => {
  const t = new LongTestbed().long(3);
  t.R[S.INSN_SEG] = S.DS;
  t.succeeds("sgdt", 0x5000);
  t.R[S.CR4] |= S.CR4_UMIP;
  for (const name of ["sgdt", "sidt", "sldt", "str", "smsw"]) t.faults(S.GP, 0, name, 0x5000);
});

Deno.test("INVLPG drops a translation and ignores addresses that are not canonical", () => {
  const t = new LongTestbed().long(0), { R, cpu } = t;
  R[S.INSN_SEG] = S.DS;
  assertEquals(cpu.load32(0x5000), 0);
  t.write32(PAGES + 0x2000, 0);
  R[S.ARG_HI] = 0x8000;
  t.succeeds("invlpg", 0x5000);
  R[S.ARG_HI] = 0;
  t.succeeds("invlpg", 0x5000);
  t.faultsIn(S.PAGE_FAULT, 0, () => cpu.load32(0x5000));
});

Deno.test("compatibility mode reads through the tables of long mode, in the lowest 4 GiB", () => {
  const t = new LongTestbed().long(3, false), { R, cpu } = t;
  t.write32(0x5000, 0x12345678);
  R[S.SEG_BASE + S.DS] = 0x6000;
  R[S.SEG_LIMIT + S.DS] = -1;
  R[S.SEG_FLAT + S.DS] = 0;
  assertEquals(cpu.linear(S.DS, -0x1000, 4, false), 0x5000);
  assertEquals(cpu.load32(cpu.linear(S.DS, -0x1000, 4, false)), 0x12345678);
  t.faultsIn(S.PAGE_FAULT, 4, () => cpu.load8(-1));
  assertEquals(t.pair(S.CR2), [-1, 0]);
});

Deno.test("in long mode too INVLPG of one page leaves the others known until CR3 is loaded", () => {
  const t = new LongTestbed().long(), { cpu } = t, table = PAGES + 0x3000;
  for (let n = 0; n < 512; n++) t.write64(table + n * 8, (n << 12) | 7, 0);
  t.write64(PAGES + 0x2000, table | 7, 0);
  cpu.mmu64.flushAll();
  cpu.load32(0x7000);
  t.write64(table + 7 * 8, 0, 0);
  for (let n = 0; n < 20_000; n++) {
    cpu.mmu64.flushPage(0x6000);
    cpu.load32(0x6000);
  }
  cpu.load32(0x7000);
  t.succeeds("mov_to_cr", 3, PAGES);
  t.faultsIn(S.PAGE_FAULT, 0, () => {
    cpu.load32(0x7000);
  });
});
