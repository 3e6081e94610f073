import { assertEquals, assertThrows } from "@std/assert";
import { StateError } from "../core/chip.ts";
import { Piix3, pirqOfSlot } from "./piix3.ts";

function board() {
  const lines: boolean[] = new Array(16).fill(false);
  const chip = new Piix3({ irqs: lines.map((_, i) => (level: boolean) => lines[i] = level) });
  const active = () => lines.flatMap((level, i) => level ? [i] : []);
  return { chip, active };
}

Deno.test("Piix3 identifies itself as a multifunction ISA bridge", () => {
  const { config } = board().chip;
  assertEquals(config.read(0, 4), 0x70008086);
  assertEquals(config.read(8, 4), 0x06010000);
  assertEquals(config.read(0x0c, 4), 0x00800000);
  assertEquals(config.read(0x60, 4), 0x80808080);
  assertEquals(config.read(0x4c, 4), 0x0003004d);
});

Deno.test("Piix3 routes each PIRQ to the interrupt its register names", () => {
  const { chip, active } = board();
  const wires = [0, 1, 2, 3].map((i) => chip.pirq(i));
  wires[0](true);
  assertEquals(active(), []);
  chip.config.write(0x60, 4, 0x0b0b0a0a);
  assertEquals(active(), [10]);
  wires[2](true);
  assertEquals(active(), [10, 11]);
  chip.config.write(0x60, 1, 5);
  assertEquals(active(), [5, 11]);
  chip.config.write(0x62, 1, 0x8b);
  assertEquals(active(), [5]);
});

Deno.test("Piix3 keeps a shared interrupt active until the last source lets go", () => {
  const { chip, active } = board();
  const a = chip.pirq(0), b = chip.pirq(0), c = chip.pirq(3);
  chip.config.write(0x60, 4, 0x0b0a0a0b);
  a(true);
  b(true);
  c(true);
  a(false);
  a(false);
  assertEquals(active(), [11]);
  b(false);
  assertEquals(active(), [11]);
  c(false);
  assertEquals(active(), []);
});

Deno.test("Piix3 routes nothing to reserved interrupts", () => {
  const { chip, active } = board();
  chip.pirq(0)(true);
  for (const irq of [0, 1, 2, 8, 13]) {
    chip.config.write(0x60, 1, irq);
    assertEquals(active(), []);
  }
});

Deno.test("Piix3 drops interrupts on reset and drives them again on restore", () => {
  const { chip, active } = board();
  const wire = chip.pirq(1);
  chip.config.write(0x61, 1, 9);
  wire(true);
  const state = chip.snapshot();
  chip.reset();
  assertEquals(active(), []);
  chip.restore(state);
  assertEquals(active(), [9]);
  assertThrows(() => chip.restore({ ...state, levels: [] }), StateError, "1 sources");
  assertThrows(() => chip.restore({ ...state, levels: [2] }), StateError);
  assertThrows(() => chip.pirq(4), RangeError);
});

Deno.test("Slots' interrupt pins are swizzled over the PIRQ lines", () => {
  assertEquals([1, 2, 3, 4, 5].map((device) => pirqOfSlot(device, 1)), [0, 1, 2, 3, 0]);
  assertEquals([1, 2, 3, 4].map((pin) => pirqOfSlot(3, pin)), [2, 3, 0, 1]);
});
