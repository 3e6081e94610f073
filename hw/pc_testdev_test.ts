import { assertEquals } from "@std/assert";
import { PcTestdev } from "./pc_testdev.ts";

Deno.test("PcTestdev remembers its port bytes in all sizes", () => {
  const chip = new PcTestdev({ irq: () => {} });
  chip.ioport.write(0, 4, 0xfedcba98);
  assertEquals(chip.ioport.read(0, 4), 0xfedcba98);
  chip.ioport.write(1, 1, 0x11);
  assertEquals([chip.ioport.read(0, 2), chip.ioportByte.read(3, 1)], [0x1198, 0xfe]);
});

Deno.test("PcTestdev drives interrupt lines, and lowers at reset only its own", () => {
  const log: [number, boolean][] = [];
  const chip = new PcTestdev({ irq: (line, level) => log.push([line, level]) });
  chip.irqLines.write(14, 1, 1);
  chip.irqLines.write(9, 1, 1);
  chip.irqLines.write(9, 1, 0);
  chip.reset();
  assertEquals(log, [[14, true], [9, true], [9, false], [14, false]]);
});

Deno.test("PcTestdev has 64 KiB of memory behind the bus", () => {
  const chip = new PcTestdev({ irq: () => {} });
  chip.iomem.write(0xfffc, 4, 0x89abcdef);
  assertEquals([chip.iomem.read(0xfffc, 4), chip.iomem.read(0xffff, 1)], [0x89abcdef, 0x89]);
  chip.reset();
  assertEquals(chip.iomem.read(0xfffc, 4), 0);
});
