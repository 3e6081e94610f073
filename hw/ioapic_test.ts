import { assertEquals, assertThrows } from "@std/assert";
import { type ApicMessage, BROADCAST } from "./apic_bus.ts";
import { IoApic } from "./ioapic.ts";
import { ApicBed } from "./local_apic_testing.ts";

const LEVEL = 1 << 15, MASK = 1 << 16, LOW = 1 << 13, REMOTE_IRR = 1 << 14;

class Bed {
  readonly sent: ApicMessage[] = [];
  taken = true;
  readonly ioapic = new IoApic({
    send: (message) => {
      this.sent.push(message);
      return this.taken;
    },
  });

  get(index: number): number {
    this.ioapic.registers.write(0, 4, index);
    return this.ioapic.registers.read(0x10, 4);
  }
  set(index: number, value: number): void {
    this.ioapic.registers.write(0, 4, index);
    this.ioapic.registers.write(0x10, 4, value >>> 0);
  }
  entry(pin: number, low: number, destination = 0): void {
    this.set(0x11 + 2 * pin, destination << 24);
    this.set(0x10 + 2 * pin, low);
  }
  low(pin: number): number {
    return this.get(0x10 + 2 * pin);
  }
}

Deno.test("IoApic says that it has 24 inputs, all masked after a reset", () => {
  const bed = new Bed();
  assertEquals(bed.get(1), 0x00170020);
  for (let pin = 0; pin < 24; pin++) assertEquals(bed.low(pin), MASK);
  assertEquals([bed.get(0x40), bed.get(0x0f), bed.get(0xff)], [0, 0, 0]);
  bed.set(0, 0xff000000);
  assertEquals([bed.get(0), bed.get(2)], [0x0f000000, 0x0f000000]);
  assertThrows(() => bed.ioapic.setPin(24, true), RangeError, "input 24");
});

Deno.test("IoApic sends a message for each edge", () => {
  const bed = new Bed();
  bed.entry(4, 0x931, 2); // lowest priority, logical
  bed.ioapic.setPin(4, true);
  bed.ioapic.setPin(4, true);
  bed.ioapic.setPin(4, false);
  bed.ioapic.setPin(4, true);
  assertEquals(
    bed.sent,
    [1, 2].map(() => (
      { mode: 1, vector: 0x31, level: false, logical: true, destination: 2 }
    )),
  );
});

Deno.test("IoApic sends its widest physical destination to everybody", () => {
  const bed = new Bed();
  bed.entry(1, 0x31, 0xff);
  bed.ioapic.setPin(1, true);
  assertEquals(bed.sent[0].destination, BROADCAST);
});

Deno.test("IoApic forgets edges on masked inputs and finds levels there when they are opened", () => {
  const bed = new Bed();
  bed.entry(4, MASK | 0x31);
  bed.entry(5, MASK | LEVEL | 0x32);
  bed.ioapic.setPin(4, true);
  bed.ioapic.setPin(5, true);
  bed.entry(4, 0x31);
  bed.entry(5, LEVEL | 0x32);
  assertEquals(bed.sent.map(({ vector }) => vector), [0x32]);
});

Deno.test("IoApic sends a level again when its interrupt has ended and it still stands", () => {
  const bed = new Bed();
  bed.entry(9, LEVEL | 0x40);
  bed.ioapic.setPin(9, true);
  bed.ioapic.setPin(9, false);
  bed.ioapic.setPin(9, true);
  assertEquals([bed.sent.length, bed.low(9)], [1, REMOTE_IRR | LEVEL | 0x40]);
  bed.ioapic.endOfInterrupt(0x41);
  assertEquals(bed.sent.length, 1);
  bed.ioapic.endOfInterrupt(0x40);
  assertEquals(bed.sent.length, 2);
  bed.ioapic.setPin(9, false);
  bed.ioapic.registers.write(0x40, 4, 0x40);
  assertEquals([bed.sent.length, bed.low(9)], [2, LEVEL | 0x40]);
});

Deno.test("IoApic drops remote IRR when an entry becomes edge-triggered", () => {
  const bed = new Bed();
  bed.entry(9, LEVEL | 0x40);
  bed.ioapic.setPin(9, true);
  bed.entry(9, MASK | 0x40);
  bed.entry(9, MASK | LEVEL | 0x40);
  assertEquals(bed.low(9), MASK | LEVEL | 0x40);
});

Deno.test("IoApic takes a low line as active where the entry says so", () => {
  const bed = new Bed();
  bed.ioapic.setPin(10, true);
  bed.entry(10, LOW | LEVEL | 0x40);
  bed.entry(11, LOW | 0x41);
  assertEquals(bed.sent, []);
  bed.ioapic.setPin(10, false);
  bed.ioapic.setPin(11, true);
  assertEquals(bed.sent.map(({ vector }) => vector), [0x40]);
  bed.ioapic.setPin(11, false);
  assertEquals(bed.sent.map(({ vector }) => vector), [0x40, 0x41]);
});

Deno.test("IoApic keeps a level that nobody took for later", () => {
  const bed = new Bed();
  bed.taken = false;
  bed.entry(9, LEVEL | 0x40);
  bed.ioapic.setPin(9, true);
  assertEquals(bed.low(9), LEVEL | 0x40);
  bed.taken = true;
  bed.entry(9, LEVEL | 0x40);
  assertEquals(bed.low(9), REMOTE_IRR | LEVEL | 0x40);
});

Deno.test("IoApic and LocalApic hand a level-triggered interrupt back and forth", () => {
  const bed = new ApicBed().enable();
  const ioapic = new IoApic({ send: (message) => bed.bus.send(message) });
  bed.bus.listen(ioapic);
  ioapic.registers.write(0, 4, 0x10 + 2 * 11);
  ioapic.registers.write(0x10, 4, LEVEL | 0x51);
  ioapic.setPin(11, true);
  for (let i = 0; i < 3; i++) {
    assertEquals(bed.intr[0], true);
    assertEquals(bed.apics[0].acknowledge(), 0x51);
    assertEquals(bed.intr[0], false);
    bed.write("eoi", 0);
  }
  bed.apics[0].acknowledge();
  ioapic.setPin(11, false);
  bed.write("eoi", 0);
  assertEquals(bed.intr[0], false);
});

Deno.test("A write into the window for message-signalled interrupts is an interrupt", () => {
  const bed = new ApicBed(2).enable();
  bed.write("ldr", 0x02000000, 1);
  bed.bus.messages.write(0x01000, 4, 0x41); // APIC 1
  assertEquals(bed.intr, [false, true]);
  bed.bus.messages.write(0x00000, 4, 0x42); // APIC 0
  assertEquals(bed.apics[0].acknowledge(), 0x42);
  bed.bus.messages.write(0x0200c, 4, 0x143); // logical, lowest priority
  assertEquals(bed.apics[1].acknowledge(), 0x43);
  bed.bus.messages.write(0xff000, 4, 0x400); // NMI to all
  assertEquals(bed.events, ["0 nmi", "1 nmi"]);
});
