import { assertEquals } from "@std/assert";
import { Port92 } from "./port92.ts";

Deno.test("Port92 drives A20 with bit 1 and resets on a rise of bit 0", () => {
  const a20: boolean[] = [];
  let resets = 0;
  const chip = new Port92({ a20: (level) => a20.push(level), reset: () => resets++ });
  assertEquals(chip.register.read(0, 1), 0x02);
  chip.register.write(0, 1, 0x00);
  chip.register.write(0, 1, 0x03);
  chip.register.write(0, 1, 0x03);
  assertEquals([a20, resets, chip.register.read(0, 1)], [[false, true, true], 1, 0x03]);
  chip.register.write(0, 1, 0x02);
  chip.register.write(0, 1, 0x03);
  assertEquals(resets, 2);
  chip.reset();
  assertEquals([chip.register.read(0, 1), a20.at(-1)], [0x02, true]);
});
