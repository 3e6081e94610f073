import { assertEquals } from "@std/assert";
import { VirtualClock } from "../core/machine/clock.ts";
import { Hpet } from "./hpet.ts";

const CONF = 0x10, STATUS = 0x20, COUNTER = 0xf0;
const ENABLE = 1, LEGACY = 2;
const LEVEL = 2, ENB = 4, PERIODIC = 8, VAL_SET = 0x40, NARROW = 0x100, INPUT2 = 2 << 9;

class Bed {
  readonly clock = new VirtualClock(0);
  /** Rising edges, with the time. */
  readonly edges: string[] = [];
  readonly levels: Record<string, boolean> = {};
  readonly hpet = new Hpet({
    clock: this.clock,
    isa: [this.wire("irq0"), this.wire("irq8")],
    input2: this.wire("input2"),
    replaces: this.wire("replaces"),
  });

  private wire(name: string) {
    return (level: boolean) => {
      if (level && !this.levels[name]) this.edges.push(`${this.clock.now()} ${name}`);
      this.levels[name] = level;
    };
  }
  read(offset: number): number {
    return this.hpet.registers.read(offset, 4);
  }
  write(offset: number, value: number): void {
    this.hpet.registers.write(offset, 4, value);
  }
  /** Programs a timer: configuration, comparator, and perhaps a period. */
  timer(n: number, conf: number, comparator: number, period?: number): void {
    const at = 0x100 + 0x20 * n;
    this.write(at, conf);
    this.write(at + 8, comparator);
    if ((conf & NARROW) === 0) {
      if ((conf & VAL_SET) !== 0) this.write(at, conf);
      this.write(at + 12, 0);
    }
    if (period !== undefined) this.write(at + 8, period);
  }
  pass(ns: number): void {
    const end = this.clock.now() + ns;
    while (this.clock.next <= end) {
      this.clock.skipTo(this.clock.next);
      this.clock.fireDue();
    }
    this.clock.skipTo(end);
  }
}

Deno.test("Hpet says what it is: Intel's, three timers, 64 bits, legacy replacement, 10 ns", () => {
  const bed = new Bed();
  assertEquals([bed.read(0), bed.read(4)], [0x8086a201, 10_000_000]);
  for (let n = 0; n < 3; n++) {
    const at = 0x100 + 0x20 * n;
    assertEquals([bed.read(at), bed.read(at + 4)], [0x30, 4]);
    assertEquals([bed.read(at + 8), bed.read(at + 12)], [0xffffffff, 0xffffffff]);
  }
  assertEquals([bed.read(0x160), bed.read(0x3fc), bed.read(0x08)], [0, 0, 0]);
});

Deno.test("Hpet counts only while enabled, and carries into the upper half", () => {
  const bed = new Bed();
  bed.pass(1000);
  assertEquals(bed.read(COUNTER), 0);
  bed.write(COUNTER, 0xfffffff0);
  bed.write(COUNTER + 4, 7);
  bed.write(CONF, ENABLE);
  bed.pass(159);
  assertEquals([bed.read(COUNTER), bed.read(COUNTER + 4)], [0xffffffff, 7]);
  bed.pass(1);
  assertEquals([bed.read(COUNTER), bed.read(COUNTER + 4)], [0, 8]);
  bed.write(CONF, 0);
  bed.pass(1000);
  assertEquals([bed.read(COUNTER), bed.read(COUNTER + 4)], [0, 8]);
});

Deno.test("Hpet pulses its line once when the counter reaches a comparator", () => {
  const bed = new Bed();
  bed.timer(0, ENB | INPUT2, 100);
  bed.write(CONF, ENABLE);
  bed.pass(5000);
  assertEquals(bed.edges, ["1000 input2"]);
  assertEquals(bed.clock.next, Infinity);
});

Deno.test("Hpet matches again in every round of 32 bits in 32-bit mode", () => {
  const bed = new Bed();
  bed.timer(0, ENB | NARROW | INPUT2, 100);
  bed.write(CONF, ENABLE);
  bed.pass(2 ** 32 * 10 + 5000);
  assertEquals(bed.edges, ["1000 input2", `${2 ** 32 * 10 + 1000} input2`]);
});

Deno.test("Hpet repeats by the value written last in periodic mode", () => {
  const bed = new Bed();
  bed.timer(0, ENB | PERIODIC | VAL_SET | INPUT2, 100, 50);
  bed.write(CONF, ENABLE);
  bed.pass(2100);
  assertEquals(bed.edges, ["1000 input2", "1500 input2", "2000 input2"]);
  assertEquals(bed.read(0x108), 250);
});

Deno.test("Hpet moves a periodic comparator on while nobody listens", () => {
  const bed = new Bed();
  bed.timer(0, PERIODIC | VAL_SET | INPUT2, 100, 50);
  bed.write(CONF, ENABLE);
  assertEquals(bed.clock.next, Infinity);
  bed.pass(2100);
  assertEquals(bed.read(0x108), 250);
  bed.write(0x100, ENB | PERIODIC | INPUT2);
  bed.pass(900);
  assertEquals(bed.edges, ["2500 input2", "3000 input2"]);
});

Deno.test("Hpet holds a level until its status bit is cleared", () => {
  const bed = new Bed();
  bed.timer(2, LEVEL | ENB | INPUT2, 100);
  bed.write(CONF, ENABLE);
  bed.pass(1500);
  assertEquals([bed.levels.input2, bed.read(STATUS)], [true, 4]);
  bed.write(STATUS, 3);
  assertEquals(bed.levels.input2, true);
  bed.write(STATUS, 4);
  assertEquals([bed.levels.input2, bed.read(STATUS)], [false, 0]);
});

Deno.test("Hpet notes a level-triggered match that may not interrupt", () => {
  const bed = new Bed();
  bed.timer(1, LEVEL | INPUT2, 100);
  bed.write(CONF, ENABLE);
  bed.pass(1500);
  assertEquals([bed.levels.input2, bed.read(STATUS)], [false, 2]);
});

Deno.test("Hpet replaces the 8254 and the real-time clock when told to", () => {
  const bed = new Bed();
  bed.timer(0, ENB | PERIODIC | VAL_SET, 100, 100);
  bed.timer(1, ENB | PERIODIC | VAL_SET, 150, 100);
  bed.timer(2, ENB, 170);
  bed.write(CONF, ENABLE | LEGACY);
  assertEquals(bed.levels.replaces, true);
  bed.pass(2000);
  assertEquals(bed.edges.slice(1), ["1000 irq0", "1500 irq8", "2000 irq0"]);
  bed.write(CONF, ENABLE);
  assertEquals(bed.levels.replaces, false);
});

Deno.test("Hpet takes no route that it does not have", () => {
  const bed = new Bed();
  bed.write(0x100, ENB | (11 << 9));
  assertEquals(bed.read(0x100), ENB | 0x30);
  bed.write(0x100, ENB | INPUT2);
  assertEquals(bed.read(0x100), ENB | INPUT2 | 0x30);
});

Deno.test("Hpet clips comparators to 32 bits in 32-bit mode", () => {
  const bed = new Bed();
  bed.write(0x100, NARROW);
  assertEquals([bed.read(0x108), bed.read(0x10c)], [0xffffffff, 0]);
  bed.write(0x10c, 5);
  assertEquals(bed.read(0x10c), 0);
});
