import { assertEquals, assertThrows } from "@std/assert";
import { IsaDebugExit } from "./isa_debug_exit.ts";

Deno.test("IsaDebugExit hands over the value written", () => {
  const values: number[] = [];
  const chip = new IsaDebugExit({ exit: (value) => values.push(value) });
  chip.register.write(0, 1, 0x10);
  chip.register.write(0, 4, 0x80000001);
  assertEquals([values, chip.register.read(0, 1)], [[0x10, 0x80000001], 0]);
});

Deno.test("IsaDebugExit lies at 501h and is two ports wide unless told otherwise", () => {
  const wires = { exit: () => {} };
  const { iobase, iosize } = new IsaDebugExit(wires);
  assertEquals([iobase, iosize], [0x501, 2]);
  assertEquals(new IsaDebugExit(wires, { iobase: 0xf4, iosize: 4 }).iobase, 0xf4);
  assertThrows(() => new IsaDebugExit(wires, { iosize: 5 }), RangeError);
  assertThrows(() => new IsaDebugExit(wires, { iobase: 0xffff }), RangeError);
});
