import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { checkIo } from "./io.ts";
import { TASK_C16, Testbed, TSS_A } from "./testbed.ts";

Deno.test("IN and OUT reach the bus with their size", () => {
  const bed = new Testbed().protect(0);
  assertEquals(bed.succeeds("in_byte", 0, 0x60), 0x12345678);
  bed.succeeds("in_imm", 0, -1);
  bed.cpu.operandSize = 16;
  bed.succeeds("in_dx", 0, 0xcf8);
  bed.succeeds("in_byte_dx", 0, 0x3f8);
  bed.succeeds("out_byte", 0x80, 0x1234);
  bed.succeeds("out_imm", 0x80, -1);
  bed.succeeds("out_byte_dx", 0x3f8, -1);
  bed.cpu.operandSize = 32;
  bed.succeeds("out_dx", 0xcfc, -1);
  assertEquals(bed.ports, [
    { port: 0x60, size: 1, value: -1 },
    { port: 0xff, size: 4, value: -1 },
    { port: 0xcf8, size: 2, value: -1 },
    { port: 0x3f8, size: 1, value: -1 },
    { port: 0x80, size: 1, value: 0x34 },
    { port: 0x80, size: 2, value: 0xffff },
    { port: 0x3f8, size: 1, value: 0xff },
    { port: 0xcfc, size: 4, value: 0xffffffff },
  ]);
});

/** The map begins at 0x88; ports 0 to 0x3ff lie within a limit of 0x109. */
function mapped(bed: Testbed): Testbed {
  bed.R[S.SEG_LIMIT + S.TR] = 0x109;
  return bed;
}

Deno.test("above IOPL every bit of the permission map counts", () => {
  for (const bed of [mapped(new Testbed().protect(3)), mapped(new Testbed().virtual8086(3))]) {
    bed.succeeds("in_byte_dx", 0, 0x3ff);
    bed.write8(TSS_A + 0x88 + (0x60 >> 3), 1 << 3); // Port 0x63.
    bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0x63, 1));
    bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0x62, 2));
    bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0x60, 4));
    for (const [port, size] of [[0x62, 1], [0x60, 2], [0x64, 4]]) checkIo(bed.cpu, port, size);
    bed.write8(TSS_A + 0x88 + (0x68 >> 3), 1);
    bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0x67, 2)); // Across two bytes of the map.
    checkIo(bed.cpu, 0x67, 1);
    assertEquals(bed.ports.length, 1);
  }
});

Deno.test("IN and OUT that are not permitted are #GP(0) and do not reach the bus", () => {
  const bed = mapped(new Testbed().protect(3));
  bed.write8(TSS_A + 0x88 + 0x10, 0xff);
  for (const name of ["in_byte", "in_imm", "in_byte_dx", "in_dx"]) {
    bed.faults(S.GP, 0, name, 0, 0x80);
  }
  for (const name of ["out_byte", "out_imm", "out_byte_dx", "out_dx"]) {
    bed.faults(S.GP, 0, name, 0x80, 0);
  }
  assertEquals(bed.ports, []);
});

Deno.test("a port beyond the map, a TSS without a map and a 286 TSS permit nothing", () => {
  const bed = mapped(new Testbed().protect(3));
  bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0x408, 1));
  bed.R[S.SEG_LIMIT + S.TR] = 0x67;
  bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0, 1));
  bed.R[S.SEG_LIMIT + S.TR] = 0x66;
  bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0, 1));
  bed.load(S.TR, TASK_C16);
  bed.R[S.SEG_LIMIT + S.TR] = 0xffff;
  bed.faultsIn(S.GP, 0, () => checkIo(bed.cpu, 0, 1));
});

Deno.test("IOPL and real mode permit every port", () => {
  const bed = new Testbed().protect(3);
  bed.R[S.EFLAGS] |= S.IOPL;
  checkIo(bed.cpu, 0xffff, 4);
  checkIo(new Testbed().real().cpu, 0xffff, 4);
});
