import { assertEquals } from "@std/assert";
import { Debugcon } from "./debugcon.ts";

Deno.test("Debugcon gives bytes to the host and tells that it is there", () => {
  const bytes: number[] = [];
  const chip = new Debugcon({ byte: (value) => bytes.push(value) });
  for (const byte of [0x68, 0x69]) chip.register.write(0, 1, byte);
  assertEquals([bytes, chip.register.read(0, 1)], [[0x68, 0x69], 0xe9]);
});
