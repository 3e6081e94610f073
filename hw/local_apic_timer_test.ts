import { assertEquals } from "@std/assert";
import { ApicBed } from "./local_apic_testing.ts";

const MASK = 0x10000, PERIODIC = 0x20000, DEADLINE = 0x40000;

/** Acknowledges and ends what waits; answers its vector, or 0. */
function serve(bed: ApicBed): number {
  if (!bed.intr[0]) return 0;
  const vector = bed.apics[0].acknowledge();
  bed.write("eoi", 0);
  return vector;
}

Deno.test("LocalApicTimer counts down once, by the divisor of the bus clock", () => {
  const bed = new ApicBed().enable();
  bed.write("divide", 0b0011); // by 16
  bed.write("timer", 0x40);
  bed.write("initial", 100);
  bed.pass(799);
  assertEquals([bed.read("current"), bed.intr[0]], [51, false]);
  bed.pass(800);
  assertEquals([bed.read("current"), bed.intr[0]], [1, false]);
  bed.pass(1);
  assertEquals([bed.read("current"), serve(bed)], [0, 0x40]);
  bed.pass(10_000);
  assertEquals(serve(bed), 0);
});

Deno.test("LocalApicTimer knows all divisors", () => {
  const bed = new ApicBed().enable();
  const divisors = [[0, 2], [1, 4], [2, 8], [3, 16], [8, 32], [9, 64], [10, 128], [11, 1]];
  for (const [code, divisor] of divisors) {
    bed.write("divide", code);
    bed.write("initial", 1000);
    bed.pass(10 * divisor);
    assertEquals(bed.read("current"), 990, `code ${code}`);
  }
  assertEquals(bed.read("divide"), 11);
});

Deno.test("LocalApicTimer starts over by itself in periodic mode", () => {
  const bed = new ApicBed().enable();
  bed.write("divide", 11);
  bed.write("timer", PERIODIC | 0x41);
  bed.write("initial", 1000);
  for (let i = 0; i < 3; i++) {
    bed.pass(999);
    assertEquals([bed.read("current"), serve(bed)], [1, 0]);
    bed.pass(1);
    assertEquals([bed.read("current"), serve(bed)], [1000, 0x41]);
  }
  bed.write("initial", 0);
  bed.pass(5000);
  assertEquals([bed.read("current"), serve(bed)], [0, 0]);
});

Deno.test("LocalApicTimer counts on while masked, and what it would have asked for is lost", () => {
  const bed = new ApicBed().enable();
  bed.write("divide", 11);
  bed.write("timer", MASK | PERIODIC | 0x41);
  bed.write("initial", 1000);
  assertEquals(bed.clock.next, Infinity);
  bed.pass(1500);
  assertEquals(bed.read("current"), 500);
  bed.write("timer", PERIODIC | 0x41);
  assertEquals(serve(bed), 0);
  bed.pass(500);
  assertEquals(serve(bed), 0x41);
});

Deno.test("LocalApicTimer goes on from its count when the divisor changes", () => {
  const bed = new ApicBed().enable();
  bed.write("divide", 11);
  bed.write("timer", 0x41);
  bed.write("initial", 1000);
  bed.pass(600);
  bed.write("divide", 0);
  assertEquals(bed.read("current"), 400);
  bed.pass(799);
  assertEquals([bed.read("current"), serve(bed)], [1, 0]);
  bed.pass(1);
  assertEquals(serve(bed), 0x41);
});

Deno.test("LocalApicTimer rings at a deadline, which then reads 0", () => {
  const bed = new ApicBed().enable();
  const [apic] = bed.apics;
  apic.writeDeadline(500, 0);
  assertEquals(apic.readDeadline(), { low: 0, high: 0 });
  bed.write("timer", DEADLINE | 0x42);
  bed.write("initial", 7);
  assertEquals([bed.read("initial"), bed.read("current")], [0, 0]);
  apic.writeDeadline(500, 0);
  bed.pass(499);
  assertEquals([serve(bed), apic.readDeadline()], [0, { low: 500, high: 0 }]);
  bed.pass(1);
  assertEquals([serve(bed), apic.readDeadline()], [0x42, { low: 0, high: 0 }]);
  apic.writeDeadline(400, 0);
  assertEquals([serve(bed), apic.readDeadline()], [0x42, { low: 0, high: 0 }]);
  apic.writeDeadline(900, 0);
  apic.writeDeadline(0, 0);
  bed.pass(1000);
  assertEquals(serve(bed), 0);
});

Deno.test("LocalApicTimer holds a deadline beyond all time without ringing", () => {
  const bed = new ApicBed().enable();
  bed.write("timer", DEADLINE | 0x42);
  bed.apics[0].writeDeadline(-1, -1);
  assertEquals(bed.apics[0].readDeadline(), { low: 0xffffffff, high: 0xffffffff });
  assertEquals(bed.clock.next, Infinity);
});

Deno.test("LocalApicTimer is disarmed by a change to or from deadline mode", () => {
  const bed = new ApicBed().enable();
  bed.write("divide", 11);
  bed.write("timer", 0x41);
  bed.write("initial", 1000);
  bed.write("timer", DEADLINE | 0x42);
  bed.apics[0].writeDeadline(2000, 0);
  bed.write("timer", 0x43);
  bed.pass(5000);
  assertEquals([bed.read("current"), serve(bed)], [0, 0]);
});
