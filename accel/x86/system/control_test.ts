import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { DATA0, PAGES, Testbed } from "./testbed.ts";

const PRIVILEGED: [string, number, number][] = [
  ["mov_from_cr", 0, 0],
  ["mov_to_cr", 0, 0],
  ["lmsw", 0, 0],
  ["clts", 0, 0],
  ["hlt", 0, 0],
  ["invd", 0, 0],
  ["wbinvd", 0, 0],
  ["invlpg", 0, 0],
  ["rdmsr", 0, 0],
  ["wrmsr", 0, 0],
  ["lgdt", 0, 0],
  ["lidt", 0, 0],
  ["lldt", 0, 0],
  ["ltr", 0, 0],
  ["mov_from_dr", 0, 0],
  ["mov_to_dr", 0, 0],
];

Deno.test("privileged instructions are #GP(0) in rings 1 and 3 and in virtual-8086 mode", () => {
  for (const [name, a, b] of PRIVILEGED) {
    new Testbed().protect(1).faults(S.GP, 0, name, a, b);
    new Testbed().protect(3).faults(S.GP, 0, name, a, b);
    new Testbed().virtual8086(3).faults(S.GP, 0, name, a, b);
  }
});

Deno.test("HLT stops the processor after itself", () => {
  const bed = new Testbed().protect(0);
  bed.succeeds("hlt");
  assertEquals([bed.R[S.ACTIVITY], bed.R[S.RIP]], [1, 0x5002]);
});

Deno.test("control registers 1 and 5 to 7 are #UD in any ring, and so is CR4 on a model without extensions", () => {
  const bed = new Testbed().protect(0);
  for (const n of [1, 5, 6, 7]) {
    new Testbed().protect(3).faults(S.UD, -1, "mov_from_cr", 0, n);
    bed.faults(S.UD, -1, "mov_from_cr", 0, n);
    bed.faults(S.UD, -1, "mov_to_cr", n, 0);
  }
  const plain = new Testbed("486,-vme,-pse").protect(0);
  plain.faults(S.UD, -1, "mov_from_cr", 0, 4);
  plain.faults(S.UD, -1, "mov_to_cr", 4, 0);
});

Deno.test("CR0 refuses PG without PE and NW without CD, ignores bits that do not exist and keeps ET", () => {
  const bed = new Testbed().protect(0);
  bed.faults(S.GP, 0, "mov_to_cr", 0, S.CR0_PG);
  bed.faults(S.GP, 0, "mov_to_cr", 0, S.CR0_PE | S.CR0_NW);
  bed.succeeds("mov_to_cr", 0, 0x1ffaffc0 | S.CR0_PE);
  assertEquals(bed.succeeds("mov_from_cr", 0, 0), S.CR0_PE | S.CR0_ET | (0x1ffaffc0 & 0x50000));
});

Deno.test("clearing PE leaves segments as they were and recomputes which are flat", () => {
  const bed = new Testbed().protect(0);
  bed.segment(0x80, 0x9b);
  bed.succeeds("mov_to_sreg", S.ES, 0x80); // Flat code: not flat for data while protected.
  assertEquals(bed.R[S.SEG_FLAT + S.ES], 0);
  bed.succeeds("mov_to_cr", 0, S.CR0_ET);
  assertEquals(bed.R[S.SEG_FLAT + S.ES], 1);
  assertEquals(bed.R[S.SEG_LIMIT + S.ES], -1);
});

Deno.test("turning paging on and off, and WP, takes effect on the next access", () => {
  const bed = new Testbed().protect(0);
  bed.page();
  bed.mapPage(0x6000, 0);
  bed.succeeds("mov_to_cr", 0, S.CR0_PE);
  bed.cpu.store32(0x6000, 5);
  bed.succeeds("mov_to_cr", 0, S.CR0_PE | S.CR0_PG);
  bed.faultsIn(S.PAGE_FAULT, 2, () => bed.cpu.store32(0x6000, 5));
  bed.mapPage(0x6000, 1);
  bed.cpu.store32(0x6000, 6);
  bed.succeeds("mov_to_cr", 0, S.CR0_PE | S.CR0_PG | S.CR0_WP);
  bed.faultsIn(S.PAGE_FAULT, 3, () => bed.cpu.store32(0x6000, 7));
});

Deno.test("a CR3 load forgets translations, but not those of global pages", () => {
  const bed = new Testbed().protect(0);
  bed.page();
  bed.succeeds("mov_to_cr", 4, S.CR4_PGE);
  bed.mapPage(0x7000, 0x103); // Global.
  bed.cpu.load32(0x6000);
  bed.cpu.load32(0x7000);
  for (const page of [0x6000, 0x7000]) bed.write32(PAGES + 0x1000 + (page >>> 12) * 4, 0);
  bed.cpu.load32(0x6000);
  bed.succeeds("mov_to_cr", 3, PAGES);
  bed.faultsIn(S.PAGE_FAULT, 0, () => {
    bed.cpu.load32(0x6000);
  });
  bed.cpu.load32(0x7000);
  bed.succeeds("mov_to_cr", 4, 0);
  bed.faultsIn(S.PAGE_FAULT, 0, () => {
    bed.cpu.load32(0x7000);
  });
});

Deno.test("INVLPG forgets one page, addressed through its segment", () => {
  const bed = new Testbed().protect(0);
  bed.page();
  bed.cpu.load32(0x6000);
  bed.cpu.load32(0x7000);
  for (const page of [0x6000, 0x7000]) bed.write32(PAGES + 0x1000 + (page >>> 12) * 4, 0);
  bed.R[S.INSN_SEG] = S.DS;
  bed.R[S.SEG_BASE + S.DS] = 0x1000;
  bed.succeeds("invlpg", 0x5123);
  bed.faultsIn(S.PAGE_FAULT, 0, () => {
    bed.cpu.load32(0x6000);
  });
  bed.cpu.load32(0x7000);
});

Deno.test("INVLPG of one page, however often, leaves the others known until CR3 is loaded", () => {
  const bed = new Testbed().protect(0), { cpu } = bed;
  bed.page();
  cpu.load32(0x7000);
  bed.write32(PAGES + 0x1000 + 7 * 4, 0);
  for (let n = 0; n < 40_000; n++) {
    cpu.mmu.flushPage(0x6000);
    cpu.load32(0x6000);
  }
  cpu.load32(0x7000);
  bed.succeeds("mov_to_cr", 3, PAGES);
  bed.faultsIn(S.PAGE_FAULT, 0, () => {
    cpu.load32(0x7000);
  });
});

Deno.test("a page that was global before INVLPG is forgotten with a new CR3", () => {
  const bed = new Testbed().protect(0), { cpu } = bed;
  const entry = PAGES + 0x1000 + 6 * 4, GLOBAL = 0x100;
  bed.page();
  bed.succeeds("mov_to_cr", 4, S.CR4_PGE);
  bed.write32(entry, 0x6003 | GLOBAL);
  cpu.load32(0x6000);
  cpu.mmu.flushPage(0x6000);
  bed.write32(entry, 0x6003);
  cpu.load32(0x6000);
  bed.write32(entry, 0);
  bed.succeeds("mov_to_cr", 3, PAGES);
  bed.faultsIn(S.PAGE_FAULT, 0, () => {
    cpu.load32(0x6000);
  });
});

Deno.test("CR4 refuses the bits of features that the model lacks", () => {
  const bits: [number, string][] = [
    [S.CR4_VME, "vme"],
    [S.CR4_PVI, "vme"],
    [S.CR4_TSD, "tsc"],
    [S.CR4_DE, "de"],
    [S.CR4_PSE, "pse"],
    [S.CR4_PAE, "pae"],
    [S.CR4_MCE, "mce"],
    [S.CR4_PGE, "pge"],
    [S.CR4_OSFXSR, "fxsr"],
    [S.CR4_OSXMMEXCPT, "sse"],
  ];
  for (const [bit, feature] of bits) {
    const bed = new Testbed("max").protect(0);
    bed.succeeds("mov_to_cr", 4, bit);
    assertEquals(bed.succeeds("mov_from_cr", 0, 4), bit);
    new Testbed(`max,-${feature}`).protect(0).faults(S.GP, 0, "mov_to_cr", 4, bit);
  }
  new Testbed("pentium").protect(0).faults(S.GP, 0, "mov_to_cr", 4, S.CR4_PCE);
  // UMIP.
  new Testbed("qemu64").protect(0).faults(S.GP, 0, "mov_to_cr", 4, 1 << 11);
});

/** A PDPT at 0x15000 that maps everything with one 2 MiB page, and a bad one at 0x17000. */
function pae(): Testbed {
  const bed = new Testbed().protect(0);
  bed.write32(0x15000, 0x16001);
  bed.write32(0x16000, 0xe7);
  bed.write32(0x17000, 0x16003);
  return bed;
}

Deno.test("reserved bits in the PDPTEs are #GP(0) when PAE paging begins and when CR3 is loaded", () => {
  const bed = pae();
  const on = S.CR0_PE | S.CR0_PG;
  bed.succeeds("mov_to_cr", 4, S.CR4_PAE);
  bed.succeeds("mov_to_cr", 3, 0x17000); // Not looked at yet.
  bed.faults(S.GP, 0, "mov_to_cr", 0, on);
  bed.succeeds("mov_to_cr", 3, 0x15000);
  bed.succeeds("mov_to_cr", 0, on);
  assertEquals(bed.cpu.load32(0x15000), 0x16001);
  bed.faults(S.GP, 0, "mov_to_cr", 3, 0x17000);
  bed.write32(0x15000, 0x16003);
  bed.faults(S.GP, 0, "mov_to_cr", 0, on | S.CR0_CD);
  assertEquals(bed.cpu.load32(0x16000), 0xe7);
  const late = pae();
  late.page();
  late.write32(PAGES, 0x11003);
  late.faults(S.GP, 0, "mov_to_cr", 4, S.CR4_PAE);
});

Deno.test("LMSW sets the low four bits and cannot clear PE, SMSW reads CR0, CLTS clears TS", () => {
  const bed = new Testbed().real();
  bed.succeeds("lmsw", 0xfff0 | S.CR0_TS | S.CR0_EM);
  assertEquals(bed.R[S.CR0] & 0xf, S.CR0_TS | S.CR0_EM);
  bed.succeeds("lmsw", S.CR0_PE);
  bed.succeeds("lmsw", S.CR0_TS);
  assertEquals(bed.succeeds("smsw") & 0xf, S.CR0_TS | S.CR0_PE);
  bed.succeeds("clts");
  assertEquals(bed.R[S.CR0] & 0xf, S.CR0_PE);
});

Deno.test("CR0.AM turns alignment checks of ring 3 on", () => {
  const bed = new Testbed().protect(0);
  bed.R[S.EFLAGS] |= S.AC;
  bed.succeeds("mov_to_cr", 0, S.CR0_PE | S.CR0_AM);
  bed.cpu.load32(0x6001);
  bed.enter(3);
  bed.faultsIn(S.AC_FAULT, 0, () => {
    bed.cpu.load16(0x6001);
  });
  bed.cpu.sysLoad32(0x6001);
});

Deno.test("CR2 and CR3 read back what was written", () => {
  const bed = new Testbed().protect(0);
  for (const n of [2, 3]) {
    bed.succeeds("mov_to_cr", n, DATA0 << 16);
    assertEquals(bed.succeeds("mov_from_cr", 0, n), DATA0 << 16);
  }
});

Deno.test("UD2 and RSM are #UD", () => {
  new Testbed().protect(0).faults(S.UD, -1, "ud");
});
