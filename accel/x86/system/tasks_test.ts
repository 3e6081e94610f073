import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { checkInstructionBreakpoint, hasDebugWork } from "./debug.ts";
import { deliverFault } from "./interrupts.ts";
import { TSS32_BUSY } from "./segments.ts";
import { enterTask } from "./tasks.ts";
import {
  absent,
  CODE,
  CODE0,
  CODE3,
  CONFORMING,
  DATA,
  DATA0,
  DATA3,
  dpl,
  EXECUTE_ONLY,
  FREE,
  GDT,
  LDT_SEL,
  PAGES,
  READ_ONLY,
  STACK0,
  TASK_A,
  TASK_B,
  TASK_C16,
  TASK_D16,
  Testbed,
  TSS_A,
  TSS_B,
  TSS_C16,
  TSS_D16,
} from "./testbed.ts";

const GATE = FREE + 0x40, TASK_GATE = 0x85, INT32 = 0x8e;
const LINK = 0, CR3 = 0x1c, EIP = 0x20, EFLAGS = 0x24, EAX = 0x28, ESP = 0x38;
const ES = 0x48, CS = 0x4c, SS = 0x50, DS = 0x54, FS = 0x58, GS = 0x5c, LDT = 0x60, T = 0x64;

/** What task B holds: ring 0, all segments flat. */
function taskB(bed: Testbed, changes: Record<number, number> = {}): void {
  const fields: Record<number, number> = {
    [CR3]: bed.R[S.CR3],
    [EIP]: 0x6666,
    [EFLAGS]: S.CF | 2,
    [ESP]: 0x8800,
    [ES]: DATA0,
    [CS]: CODE0,
    [SS]: DATA0,
    [DS]: DATA0,
    [FS]: DATA0,
    [GS]: 0,
    [LDT]: 0,
    [T]: 0x680000,
  };
  for (let n = 0; n < 8; n++) if (n !== 4) fields[EAX + n * 4] = 0x1000 + n;
  Object.assign(fields, changes);
  for (const [at, value] of Object.entries(fields)) bed.write32(TSS_B + Number(at), value);
}

function ready(ring: 0 | 3 = 0, changes: Record<number, number> = {}): Testbed {
  const bed = new Testbed().protect(ring);
  taskB(bed, changes);
  return bed;
}

const where = (bed: Testbed) => [bed.R[S.SEG_SEL + S.CS], bed.R[S.RIP], bed.R[S.CPL]];

Deno.test("a jump to a TSS saves the old task and loads the new one", () => {
  const bed = ready();
  for (let n = 0; n < 8; n++) if (n !== 4) bed.R[n * 2] = 0x2000 + n;
  S.setArithFlags(bed.R, S.ZF);
  bed.R[S.DR7] |= 0x3ff;
  bed.succeeds("jmp_far", 0, TASK_B);
  assertEquals(where(bed), [CODE0, 0x6666, 0]);
  assertEquals(S.readEflags(bed.R), S.CF | 2);
  for (let n = 0; n < 8; n++) {
    assertEquals(bed.R[n * 2], n === 4 ? 0x8800 : 0x1000 + n);
    assertEquals(bed.read32(TSS_A + EAX + n * 4), n === 4 ? STACK0 : 0x2000 + n);
  }
  assertEquals(bed.read32(TSS_A + EIP), 0x5002);
  assertEquals(bed.read32(TSS_A + EFLAGS), S.ZF | 2);
  const saved = [ES, CS, SS, DS, FS, GS].map((at) => bed.read16(TSS_A + at));
  assertEquals(saved, [DATA0, CODE0, DATA0, DATA0, DATA0, DATA0]);
  assertEquals([bed.access(TASK_A), bed.access(TASK_B)], [0x89, 0x8b]);
  assertEquals(bed.R[S.SEG_SEL + S.TR], TASK_B);
  assertEquals(bed.R[S.SEG_BASE + S.TR], TSS_B);
  assertEquals(bed.R[S.SEG_ATTR + S.TR] & 0xf, TSS32_BUSY);
  assertEquals(bed.R[S.CR0] & S.CR0_TS, S.CR0_TS);
  assertEquals(bed.R[S.DR7] & 0x3ff, 0x2aa);
  assertEquals(bed.R[S.SEG_ATTR + S.GS], 0);
  assertEquals(bed.R[S.SEG_ATTR + S.LDTR], 0);
  assertEquals(bed.read16(TSS_B + LINK), 0);
});

Deno.test("a call to a TSS nests: link, NT, both busy; IRET goes back", () => {
  const bed = ready();
  bed.succeeds("call_far", 0, TASK_B);
  assertEquals(bed.read16(TSS_B + LINK), TASK_A);
  assertEquals(bed.R[S.EFLAGS] & S.NT, S.NT);
  assertEquals([bed.access(TASK_A), bed.access(TASK_B)], [0x8b, 0x8b]);
  bed.R[S.NEXT_IP] = 0x6667;
  bed.write16(TSS_A + LDT, LDT_SEL);
  bed.succeeds("iret");
  assertEquals(where(bed), [CODE0, 0x5002, 0]);
  assertEquals(bed.R[S.EFLAGS] & S.NT, 0);
  assertEquals([bed.access(TASK_A), bed.access(TASK_B)], [0x8b, 0x89]);
  assertEquals(bed.read32(TSS_B + EIP), 0x6667);
  assertEquals(bed.read32(TSS_B + EFLAGS) & S.NT, 0);
  assertEquals(bed.R[S.SEG_SEL + S.LDTR], LDT_SEL);
});

Deno.test("task gates in the GDT and the IDT switch tasks", () => {
  const bed = ready(3);
  bed.gate(GATE, dpl(TASK_GATE, 3), TASK_B, 0);
  bed.succeeds("call_far", 0, GATE);
  assertEquals(where(bed), [CODE0, 0x6666, 0]);
  const jump = ready(3);
  jump.gate(GATE, dpl(TASK_GATE, 3), TASK_B, 0);
  jump.succeeds("jmp_far", 0, GATE);
  assertEquals(where(jump), [CODE0, 0x6666, 0]);
  const software = ready(3);
  software.interruptGate(0x30, dpl(TASK_GATE, 3), TASK_B, 0);
  software.succeeds("int", 0x30);
  assertEquals(where(software), [CODE0, 0x6666, 0]);
  assertEquals(software.read32(TSS_A + EIP), 0x5002);
});

Deno.test("a fault through a task gate saves its own address and RF and pushes the error code in the new task", () => {
  const bed = ready(3);
  bed.interruptGate(S.GP, TASK_GATE, TASK_B, 0);
  bed.attempt(() => bed.cpu.raise(S.GP, 0x1234));
  deliverFault(bed.cpu);
  assertEquals(where(bed), [CODE0, 0x6666, 0]);
  assertEquals(bed.read32(TSS_A + EIP), 0x5000);
  assertEquals(bed.read32(TSS_A + EFLAGS) & S.RF, S.RF);
  assertEquals(bed.R[S.RSP], 0x87fc);
  assertEquals(bed.read32(0x87fc), 0x1234);
});

Deno.test("the privilege and presence of TSS descriptors and task gates are checked before the switch", () => {
  for (const name of ["jmp_far", "call_far"]) {
    const bed = ready(3);
    bed.faults(S.GP, TASK_B, name, 0, TASK_B); // DPL < CPL.
    bed.gate(GATE, TASK_GATE, TASK_B, 0);
    bed.faults(S.GP, GATE, name, 0, GATE);
    bed.gate(GATE, dpl(absent(TASK_GATE), 3), TASK_B, 0);
    bed.faults(S.NP, GATE, name, 0, GATE);
    const through = (selector: number) => bed.gate(GATE, dpl(TASK_GATE, 3), selector, 0);
    through(0);
    bed.faults(S.GP, 0, name, 0, GATE);
    through(0x14);
    bed.faults(S.GP, 0x14, name, 0, GATE); // In the LDT.
    through(0x800);
    bed.faults(S.GP, 0x800, name, 0, GATE);
    through(TASK_A);
    bed.faults(S.GP, TASK_A, name, 0, GATE); // Busy.
    through(DATA0);
    bed.faults(S.GP, DATA0, name, 0, GATE);
    const inner = ready(0);
    inner.faults(S.GP, TASK_B, name, 0, TASK_B + 3); // DPL < RPL.
    inner.faults(S.GP, TASK_A, name, 0, TASK_A); // Busy.
    inner.gate(GATE, TASK_GATE, TASK_B, 0);
    inner.faults(S.GP, GATE, name, 0, GATE + 1);
    inner.segment(TASK_B, 0x09, { base: TSS_B, limit: 0x67, flags: 0 });
    inner.faults(S.NP, TASK_B, name, 0, TASK_B);
    inner.segment(TASK_B, 0x89, { base: TSS_B, limit: 0x66, flags: 0 });
    inner.faults(S.TS, TASK_B, name, 0, TASK_B);
    inner.segment(TASK_C16, 0x81, { base: TSS_C16, limit: 0x2a, flags: 0 });
    inner.faults(S.TS, TASK_C16, name, 0, TASK_C16);
    inner.segment(0x14, 0x89, { base: TSS_B, limit: 0x67, flags: 0 });
    inner.faults(S.GP, 0x14, name, 0, 0x14); // A TSS in the LDT.
  }
});

Deno.test("a current TSS too small to save into is #TS", () => {
  const bed = ready();
  bed.R[S.SEG_LIMIT + S.TR] = 0x5e;
  bed.faults(S.TS, TASK_B, "jmp_far", 0, TASK_B);
});

Deno.test("page faults on either TSS or its descriptor come before anything is saved", () => {
  const bed = ready();
  bed.page();
  bed.write32(TSS_B + CR3, PAGES);
  bed.segment(TASK_B, 0x89, { base: 0x20000 - 0x30, limit: 0x67, flags: 0 });
  bed.mapPage(0x20000, 0);
  bed.faults(S.PAGE_FAULT, 0, "jmp_far", 0, TASK_B);
  bed.mapPage(0x20000, 7);
  bed.mapPage(TSS_A, 5);
  bed.faults(S.PAGE_FAULT, 3, "jmp_far", 0, TASK_B);
  bed.mapPage(TSS_A, 7);
  bed.mapPage(GDT, 5);
  bed.faults(S.PAGE_FAULT, 3, "jmp_far", 0, TASK_B);
  assertEquals(bed.read32(TSS_A + EIP), 0);
});

Deno.test("IRET with NT set raises #TS for a link that is no busy TSS, #NP for an absent one", () => {
  const bed = ready();
  bed.R[S.EFLAGS] |= S.NT;
  bed.segment(0, 0x8b, { base: TSS_B, limit: 0x67, flags: 0 });
  bed.segment(0x14, 0x8b, { base: TSS_B, limit: 0x67, flags: 0 });
  const refuse = (vector: number, link: number) => {
    bed.write16(TSS_A + LINK, link);
    bed.faults(vector, link, "iret");
  };
  refuse(S.TS, 0);
  refuse(S.TS, 0x14);
  refuse(S.TS, 0x800);
  refuse(S.TS, DATA0);
  refuse(S.TS, TASK_B); // Available.
  bed.segment(TASK_B, 0x0b, { base: TSS_B, limit: 0x67, flags: 0 });
  refuse(S.NP, TASK_B);
  bed.segment(TASK_B, 0x8b, { base: TSS_B, limit: 0x66, flags: 0 });
  refuse(S.TS, TASK_B);
});

/** Switches to a task B that does not pass, and asserts that the fault belongs to B. `nullAccess` is what a null selector would find. */
function refused(
  vector: number,
  error: number,
  changes: Record<number, number>,
  nullAccess = 0,
): void {
  const bed = ready(0, changes);
  bed.segment(0, nullAccess);
  bed.segment(0x14, 0x82);
  bed.segment(FREE, absent(CODE));
  bed.segment(FREE + 8, absent(DATA));
  bed.segment(FREE + 0x10, READ_ONLY);
  bed.segment(FREE + 0x18, dpl(CONFORMING, 3));
  bed.segment(FREE + 0x20, EXECUTE_ONLY);
  bed.segment(FREE + 0x28, CODE, { limit: 0x6665, flags: 4 });
  bed.segment(FREE + 0x30, 0x02, { base: 0x4000, limit: 0xff, flags: 0 });
  const outcome = bed.attempt(() => enterTask(bed.cpu, TASK_B, "jump"));
  assertEquals(outcome, { vector, error }, JSON.stringify(changes));
  assertEquals(bed.R[S.SEG_SEL + S.TR], TASK_B);
  assertEquals(bed.R[S.RIP], 0x6666);
  assertEquals(bed.R[S.RAX], 0x1000);
  assertEquals(bed.access(TASK_A), 0x89);
}

Deno.test("segments that do not pass fault in the new task with their selectors", () => {
  refused(S.TS, 0x14, { [LDT]: 0x14 }); // In the LDT.
  refused(S.TS, 0x800, { [LDT]: 0x800 });
  refused(S.TS, DATA0, { [LDT]: DATA0 });
  refused(S.TS, FREE + 0x30, { [LDT]: FREE + 0x30 }); // Absent.
  refused(S.TS, 0, { [CS]: 0 }, CODE);
  refused(S.TS, 0x800, { [CS]: 0x800 });
  refused(S.TS, DATA0, { [CS]: DATA0 });
  refused(S.TS, CODE0, { [CS]: CODE0 + 3 }); // DPL != RPL.
  refused(S.TS, FREE + 0x18, { [CS]: FREE + 0x18 }); // Conforming, DPL > RPL.
  refused(S.NP, FREE, { [CS]: FREE });
  refused(S.TS, 0, { [SS]: 0 }, DATA);
  refused(S.TS, 0x800, { [SS]: 0x800 });
  refused(S.TS, CODE0, { [SS]: CODE0 });
  refused(S.TS, FREE + 0x10, { [SS]: FREE + 0x10 }); // Read-only.
  refused(S.TS, DATA0, { [SS]: DATA0 + 3 }); // RPL != CPL.
  refused(S.TS, DATA3 & ~3, { [SS]: DATA3 & ~3 }); // DPL != CPL.
  refused(S.SS_FAULT, FREE + 8, { [SS]: FREE + 8 });
  for (const at of [ES, DS, FS, GS]) {
    refused(S.TS, 0x800, { [at]: 0x800 });
    refused(S.TS, LDT_SEL, { [at]: LDT_SEL });
    refused(S.TS, FREE + 0x20, { [at]: FREE + 0x20 }); // Execute-only.
    refused(S.TS, DATA0, { [at]: DATA0 + 3 }); // RPL > DPL.
    refused(S.NP, FREE + 8, { [at]: FREE + 8 });
  }
  refused(S.TS, DATA0, { [CS]: CODE3, [SS]: DATA3, [ES]: DATA0 }); // CPL > DPL.
  refused(S.GP, 0, { [CS]: FREE + 0x28 }); // EIP beyond the limit.
});

Deno.test("a fault of the new task is delivered in it and returns to its first instruction", () => {
  const switches: [string, (bed: Testbed) => void][] = [
    ["jmp_far", () => {}],
    ["call_far", () => {}],
    ["int", (bed) => bed.interruptGate(0x30, TASK_GATE, TASK_B, 0)],
    ["iret", (bed) => {
      bed.segment(TASK_B, 0x8b, { base: TSS_B, limit: 0x67, flags: 0 });
      bed.write16(TSS_A + LINK, TASK_B);
      bed.R[S.EFLAGS] |= S.NT;
    }],
  ];
  for (const [name, prepare] of switches) {
    const bed = ready(0, { [DS]: 0x800 });
    bed.interruptGate(S.TS, INT32, CODE0, 0x777);
    prepare(bed);
    bed.succeeds(name, name === "int" ? 0x30 : 0, TASK_B);
    assertEquals(where(bed), [CODE0, 0x777, 0], name);
    assertEquals([bed.read32(0x8800 - 16), bed.read32(0x8800 - 12)], [0x800, 0x6666]);
    assertEquals(bed.R[S.SEG_SEL + S.DS], 0x800);
    assertEquals(bed.R[S.SEG_ATTR + S.DS], 0);
  }
});

Deno.test("an error code that does not fit on the new task's stack is #SS with EXT", () => {
  const bed = ready(0, { [ESP]: 0x8802 });
  bed.segment(FREE, 0x97, { limit: 0x87ff, flags: 4 });
  bed.write32(TSS_B + SS, FREE);
  bed.interruptGate(S.GP, TASK_GATE, TASK_B, 0);
  bed.interruptGate(S.DOUBLE_FAULT, INT32, CODE0, 0x888);
  bed.attempt(() => bed.cpu.raise(S.GP, 0x1234));
  deliverFault(bed.cpu);
  // #GP and #SS are both contributory; the double fault finds no room either.
  assertEquals(bed.R[S.ACTIVITY], 2);
  assertEquals(bed.R[S.SEG_SEL + S.TR], TASK_B);
});

Deno.test("a task may be in virtual-8086 mode", () => {
  const bed = ready(0, { [EFLAGS]: S.VM | S.IF | 2, [CS]: 0x1234, [SS]: 0x2000, [DS]: 0xffff });
  bed.succeeds("jmp_far", 0, TASK_B);
  assertEquals(where(bed), [0x1234, 0x6666, 3]);
  assertEquals(bed.R[S.SEG_BASE + S.DS], 0xffff0);
  assertEquals(bed.cpu.v86Mode, true);
});

Deno.test("a task may run in ring 3 with its own LDT", () => {
  const bed = ready(0, {
    [LDT]: LDT_SEL,
    [CS]: 0x17,
    [SS]: DATA3,
    [DS]: DATA3,
    [ES]: 0,
    [FS]: 0,
  });
  bed.segment(0x14, dpl(CODE & ~1, 3));
  bed.succeeds("jmp_far", 0, TASK_B);
  assertEquals(where(bed), [0x17, 0x6666, 3]);
  assertEquals(bed.access(0x14), dpl(CODE, 3));
});

Deno.test("with paging on, the new task brings its page directory", () => {
  const bed = ready();
  bed.page();
  const other = 0x14000;
  for (let at = 0; at < 0x1000; at += 4) bed.write32(other + at, bed.read32(PAGES + at));
  bed.write32(TSS_B + CR3, other);
  bed.succeeds("jmp_far", 0, TASK_B);
  assertEquals(bed.R[S.CR3], other);
});

Deno.test("with PAE, a page directory pointer table with reserved bits is #GP(0) in the old task", () => {
  const bed = ready();
  bed.page();
  // One 2 MiB page maps everything.
  bed.write32(0x15000, 0x16001);
  bed.write32(0x15004, 0);
  bed.write32(0x16000, 0xe7);
  bed.write32(0x16004, 0);
  bed.R[S.CR3] = 0x15000;
  bed.R[S.CR4] |= S.CR4_PAE;
  bed.cpu.mmu.loadPdptes(0x15000);
  bed.cpu.mmu.flushAll();
  bed.write32(0x17000, 0x16003); // R/W is reserved in a PDPTE.
  bed.write32(TSS_B + CR3, 0x17000);
  bed.faults(S.GP, 0, "jmp_far", 0, TASK_B);
});

Deno.test("the T bit traps before the first instruction of the new task", () => {
  const bed = ready(0, { [T]: 0x680001 });
  bed.interruptGate(S.DB, INT32, CODE0, 0x777);
  bed.succeeds("jmp_far", 0, TASK_B);
  assertEquals(hasDebugWork(bed.cpu), true);
  assertEquals(checkInstructionBreakpoint(bed.cpu, 0x6666), true);
  assertEquals(where(bed), [CODE0, 0x777, 0]);
  assertEquals(bed.R[S.DR6] & (1 << 15), 1 << 15);
  assertEquals(bed.read32(0x8800 - 12), 0x6666);
});

Deno.test("286 task-state segments hold words and no FS, GS or CR3", () => {
  const bed = ready();
  const fill = (base: number, ip: number) => {
    const values = [ip, S.CF | 2, 1, 2, 3, 4, 0x8000, 6, 7, 8, DATA0, CODE0, DATA0, DATA0, 0];
    values.forEach((value, i) => bed.write16(base + 0x0e + i * 2, value));
  };
  fill(TSS_C16, 0x6666);
  fill(TSS_D16, 0x7777);
  bed.succeeds("call_far", 0, TASK_C16);
  assertEquals(where(bed), [CODE0, 0x6666, 0]);
  assertEquals(bed.R[S.RAX], 0xffff0001 | 0);
  assertEquals(bed.R[S.RSP], 0xffff8000 | 0);
  assertEquals(S.readEflags(bed.R), S.NT | S.CF | 2);
  assertEquals([bed.R[S.SEG_SEL + S.FS], bed.R[S.SEG_ATTR + S.FS]], [0, 0]);
  assertEquals(bed.R[S.SEG_ATTR + S.TR] & 0xf, 3);
  assertEquals(bed.access(TASK_C16), 0x83);
  bed.R[S.RAX] = 0x12345678;
  bed.R[S.NEXT_IP] = 0x6669;
  bed.succeeds("jmp_far", 0, TASK_D16);
  assertEquals(where(bed), [CODE0, 0x7777, 0]);
  assertEquals([bed.read16(TSS_C16 + 0x0e), bed.read16(TSS_C16 + 0x12)], [0x6669, 0x5678]);
  assertEquals(bed.access(TASK_C16), 0x81);
});

Deno.test("an error code is pushed as a word on the stack of a 286 task", () => {
  const bed = ready(3);
  [0x6666, 2, 1, 2, 3, 4, 0x8000, 6, 7, 8, DATA0, CODE0, DATA0, DATA0, 0]
    .forEach((value, i) => bed.write16(TSS_C16 + 0x0e + i * 2, value));
  bed.segment(FREE, DATA, { limit: 0xffff, flags: 0 });
  bed.write16(TSS_C16 + 0x26, FREE);
  bed.interruptGate(S.GP, TASK_GATE, TASK_C16, 0);
  bed.attempt(() => bed.cpu.raise(S.GP, 0x1234));
  deliverFault(bed.cpu);
  assertEquals(bed.R[S.RSP] & 0xffff, 0x7ffe);
  assertEquals(bed.read16(0x7ffe), 0x1234);
});

Deno.test("an inner stack comes from a 286 TSS as words", () => {
  const bed = ready(3);
  bed.write16(TSS_C16 + 2, 0x8000);
  bed.write16(TSS_C16 + 4, DATA0);
  bed.load(S.TR, TASK_C16);
  bed.interruptGate(0x30, dpl(INT32, 3), CODE0, 0x777);
  bed.succeeds("int", 0x30);
  assertEquals(bed.R[S.RSP], 0x8000 - 20);
  assertEquals(bed.R[S.SEG_SEL + S.SS], DATA0);
});
