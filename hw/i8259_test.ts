import { assertEquals, assertThrows } from "@std/assert";
import { I8259 } from "./i8259.ts";

/** A pair as a BIOS leaves it: vectors 08h and 70h, everything unmasked. */
function pc({ icw1 = 0x11, icw4 = 0x01 } = {}) {
  const intr: boolean[] = [];
  const pic = new I8259({ intr: (level) => intr.push(level) });
  const { master, slave } = pic;
  for (const [chip, base, icw3] of [[master, 0x08, 4], [slave, 0x70, 2]] as const) {
    chip.write(0, 1, icw1);
    chip.write(1, 1, base);
    chip.write(1, 1, icw3);
    if (icw1 & 1) chip.write(1, 1, icw4);
    chip.write(1, 1, 0);
  }
  const readIrr = (chip = master) => (chip.write(0, 1, 0x0a), chip.read(0, 1));
  const readIsr = (chip = master) => (chip.write(0, 1, 0x0b), chip.read(0, 1));
  return { pic, master, slave, intr, readIrr, readIsr };
}

Deno.test("I8259 raises INTR on an edge and answers with base plus line", () => {
  const { pic, readIrr, readIsr, intr } = pc();
  pic.setIrq(1, true);
  assertEquals(pic.intr, true);
  assertEquals(readIrr(), 0x02);
  assertEquals(pic.acknowledge(), 0x09);
  assertEquals([readIrr(), readIsr(), pic.intr], [0, 0x02, false]);
  assertEquals(intr, [true, false]);
});

Deno.test("I8259 needs a new edge for a second interrupt in edge mode", () => {
  const { pic, master } = pc();
  pic.setIrq(1, true);
  pic.acknowledge();
  master.write(0, 1, 0x20);
  assertEquals(pic.intr, false);
  pic.setIrq(1, true);
  assertEquals(pic.intr, false);
  pic.setIrq(1, false);
  pic.setIrq(1, true);
  assertEquals(pic.intr, true);
});

Deno.test("I8259 keeps an edge latched when the line falls before the acknowledge", () => {
  const { pic } = pc();
  pic.setIrq(4, true);
  pic.setIrq(4, false);
  assertEquals(pic.acknowledge(), 0x0c);
});

Deno.test("I8259 answers the highest priority first and nests only higher ones", () => {
  const { pic, master } = pc();
  pic.setIrq(5, true);
  pic.setIrq(3, true);
  assertEquals(pic.acknowledge(), 0x0b);
  assertEquals(pic.intr, false);
  pic.setIrq(0, true);
  assertEquals(pic.intr, true);
  assertEquals(pic.acknowledge(), 0x08);
  master.write(0, 1, 0x20);
  assertEquals(pic.intr, false);
  master.write(0, 1, 0x20);
  assertEquals(pic.acknowledge(), 0x0d);
});

Deno.test("I8259 cascades the slave through line 2 and needs both EOIs", () => {
  const { pic, master, slave, readIsr } = pc();
  pic.setIrq(14, true);
  assertEquals(pic.acknowledge(), 0x76);
  assertEquals([readIsr(master), readIsr(slave)], [0x04, 0x40]);
  pic.setIrq(8, true);
  // Higher on the slave, but the master still serves its line 2.
  assertEquals(pic.intr, false);
  master.write(0, 1, 0x20);
  assertEquals(pic.intr, true);
  assertEquals(pic.acknowledge(), 0x70);
});

Deno.test("I8259 lets a higher slave line interrupt in special fully nested mode", () => {
  const { pic } = pc({ icw4: 0x11 });
  pic.setIrq(14, true);
  pic.acknowledge();
  pic.setIrq(8, true);
  assertEquals(pic.intr, true);
  assertEquals(pic.acknowledge(), 0x70);
});

Deno.test("I8259 hears of slave lines that stay pending while it serves others", () => {
  const { pic, master, slave } = pc();
  pic.setIrq(8, true);
  pic.setIrq(12, true);
  assertEquals(pic.acknowledge(), 0x70);
  slave.write(0, 1, 0x20);
  master.write(0, 1, 0x20);
  assertEquals(pic.acknowledge(), 0x74);
});

Deno.test("I8259 answers spurious vectors without a service bit", () => {
  const { pic, master, slave, readIsr } = pc();
  assertEquals(pic.acknowledge(), 0x0f);
  assertEquals(readIsr(master), 0);
  pic.setIrq(10, true);
  slave.write(1, 1, 0xff);
  // The slave has withdrawn its request, the master has latched it.
  assertEquals(pic.intr, true);
  assertEquals(pic.acknowledge(), 0x77);
  assertEquals([readIsr(master), readIsr(slave)], [0x04, 0]);
});

Deno.test("I8259 masks with IMR but still latches", () => {
  const { pic, master, readIrr } = pc();
  master.write(1, 1, 0x10);
  pic.setIrq(4, true);
  assertEquals([pic.intr, readIrr(), master.read(1, 1)], [false, 0x10, 0x10]);
  master.write(1, 1, 0);
  assertEquals(pic.intr, true);
});

Deno.test("I8259 follows level-triggered lines set in ELCR, where a PC allows them", () => {
  const { pic, master, slave } = pc();
  pic.elcr.write(0, 1, 0xff);
  pic.elcr.write(1, 1, 0xff);
  assertEquals([pic.elcr.read(0, 1), pic.elcr.read(1, 1)], [0xf8, 0xde]);
  pic.setIrq(11, true);
  assertEquals(pic.acknowledge(), 0x73);
  slave.write(0, 1, 0x20);
  master.write(0, 1, 0x20);
  // Still high: it interrupts again.
  assertEquals(pic.acknowledge(), 0x73);
  pic.setIrq(11, false);
  slave.write(0, 1, 0x20);
  master.write(0, 1, 0x20);
  assertEquals(pic.intr, false);
});

Deno.test("I8259 forgets edges at ICW1 and wants the line to rise again", () => {
  const { pic, master, readIrr } = pc();
  pic.setIrq(1, true);
  master.write(0, 1, 0x11);
  master.write(1, 1, 0x20);
  master.write(1, 1, 0x04);
  master.write(1, 1, 0x01);
  assertEquals([pic.intr, readIrr()], [false, 0]);
  pic.setIrq(1, true);
  assertEquals(pic.intr, false);
  pic.setIrq(1, false);
  pic.setIrq(1, true);
  assertEquals(pic.acknowledge(), 0x21);
});

Deno.test("I8259 ends service automatically with AEOI, and rotates on it", () => {
  const { pic, master, readIsr } = pc({ icw4: 0x03 });
  pic.setIrq(3, true);
  assertEquals(pic.acknowledge(), 0x0b);
  assertEquals(readIsr(), 0);
  master.write(0, 1, 0x80);
  pic.setIrq(4, true);
  assertEquals(pic.acknowledge(), 0x0c);
  // Line 5 is now the highest: 4 comes last.
  for (const line of [4, 3]) pic.setIrq(line, false);
  for (const line of [4, 3, 6]) pic.setIrq(line, true);
  assertEquals(pic.acknowledge(), 0x0e);
  master.write(0, 1, 0x00);
});

Deno.test("I8259 makes no interrupt lost when the slave ends service automatically", () => {
  const { pic, master } = pc({ icw4: 0x03 });
  pic.setIrq(9, true);
  pic.setIrq(10, true);
  assertEquals(pic.acknowledge(), 0x71);
  assertEquals(pic.acknowledge(), 0x72);
  assertEquals([pic.intr, master.read(0, 1)], [false, 0]);
});

Deno.test("I8259 rotates priorities by OCW2", () => {
  const { pic, master } = pc();
  // Set priority: line 4 becomes the lowest, 5 the highest.
  master.write(0, 1, 0xc4);
  pic.setIrq(4, true);
  pic.setIrq(0, true);
  pic.setIrq(6, true);
  assertEquals(pic.acknowledge(), 0x0e);
  master.write(0, 1, 0xa0);
  assertEquals(pic.acknowledge(), 0x08);
  // Rotate on specific EOI of line 0: line 1 is the highest.
  master.write(0, 1, 0xe0);
  pic.setIrq(0, false);
  pic.setIrq(0, true);
  assertEquals(pic.acknowledge(), 0x0c);
});

Deno.test("I8259 ends a specific line's service", () => {
  const { pic, master, readIsr } = pc();
  pic.setIrq(5, true);
  pic.acknowledge();
  pic.setIrq(3, true);
  pic.acknowledge();
  master.write(0, 1, 0x65);
  assertEquals(readIsr(), 0x08);
});

Deno.test("I8259 lets lower lines through in special mask mode", () => {
  const { pic, master } = pc();
  pic.setIrq(1, true);
  pic.acknowledge();
  pic.setIrq(6, true);
  assertEquals(pic.intr, false);
  master.write(1, 1, 0x02);
  assertEquals(pic.intr, false);
  master.write(0, 1, 0x68);
  assertEquals(pic.acknowledge(), 0x0e);
  master.write(0, 1, 0x48);
});

Deno.test("I8259 answers a poll like an acknowledge", () => {
  const { pic, master, readIsr } = pc();
  pic.setIrq(6, true);
  master.write(0, 1, 0x0c);
  assertEquals(master.read(0, 1), 0x86);
  assertEquals(readIsr(), 0x40);
  master.write(0, 1, 0x0c);
  assertEquals(master.read(0, 1), 0);
});

Deno.test("I8259 skips ICW3 in single mode and ICW4 when not announced", () => {
  const { pic, master } = pc();
  master.write(0, 1, 0x12);
  master.write(1, 1, 0x40);
  master.write(1, 1, 0x55);
  assertEquals(master.read(1, 1), 0x55);
  master.write(1, 1, 0);
  pic.setIrq(7, true);
  assertEquals(pic.acknowledge(), 0x47);
});

Deno.test("I8259 refuses lines that do not exist", () => {
  const { pic } = pc();
  for (const line of [2, 16, -1, 1.5]) assertThrows(() => pic.setIrq(line, true), RangeError);
});
