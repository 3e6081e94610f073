import { assertEquals } from "@std/assert";
import { Port80 } from "./port80.ts";

Deno.test("Port80 shows the last code and reads back", () => {
  const chip = new Port80();
  chip.register.write(0, 1, 0x31);
  assertEquals([chip.code, chip.register.read(0, 1)], [0x31, 0x31]);
  chip.reset();
  assertEquals(chip.code, 0);
});
