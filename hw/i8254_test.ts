import { assert, assertEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "../core/machine/clock.ts";
import { I8254, PIT_HZ } from "./i8254.ts";
import { Ticks } from "./ticks.ts";

const ticks = new Ticks(PIT_HZ);

/** A timer, the edges of IRQ 0 in ticks, and a clock that moves in ticks. */
function timer() {
  const clock = new VirtualClock(0);
  const edges: [level: boolean, tick: number][] = [];
  const pit = new I8254({
    clock,
    irq: (level) => edges.push([level, ticks.at(clock.now())]),
  });
  const io = pit.registers;
  const tick = () => ticks.at(clock.now());
  /** Moves to a tick, stopping at every alarm on the way. */
  const to = (target: number) => {
    const end = ticks.time(target);
    while (clock.next <= end) {
      clock.skipTo(clock.next);
      clock.fireDue();
    }
    clock.skipTo(end);
  };
  const program = (counter: number, mode: number, value: number, bcd = 0) => {
    io.write(3, 1, (counter << 6) | 0x30 | (mode << 1) | bcd);
    io.write(counter, 1, value & 0xff);
    io.write(counter, 1, value >> 8);
  };
  const count = (counter: number) => {
    io.write(3, 1, counter << 6);
    return io.read(counter, 1) | (io.read(counter, 1) << 8);
  };
  const status = (counter: number) => {
    io.write(3, 1, 0xe0 | (2 << counter));
    return io.read(counter, 1);
  };
  to(100);
  edges.length = 0;
  return { clock, pit, io, edges, to, tick, program, count, status };
}

Deno.test("I8254 mode 0 raises OUT one tick and N counts after the count was written", () => {
  const { program, to, edges, count } = timer();
  program(0, 0, 5);
  assertEquals(edges, [[false, 100]]);
  to(101);
  assertEquals(count(0), 5);
  to(105);
  assertEquals(count(0), 1);
  to(200);
  assertEquals(edges, [[false, 100], [true, 106]]);
  // It goes on counting through zero.
  assertEquals(count(0), 0x10000 + 5 - 99);
});

Deno.test("I8254 mode 0 lowers OUT at the first byte of a new count", () => {
  const { program, to, edges, io } = timer();
  program(0, 0, 5);
  to(120);
  io.write(0, 1, 3);
  assertEquals(edges.at(-1), [false, 120]);
  to(150);
  io.write(0, 1, 0);
  to(200);
  assertEquals(edges.at(-1), [true, 154]);
});

Deno.test("I8254 mode 0 stops while the gate is low", () => {
  const { pit, program, to, count } = timer();
  pit.setGate(2, true);
  program(2, 0, 10);
  to(105);
  assertEquals(count(2), 6);
  pit.setGate(2, false);
  to(150);
  assertEquals(count(2), 6);
  pit.setGate(2, true);
  to(155);
  assertEquals([count(2), pit.out(2)], [1, false]);
  to(156);
  assertEquals(pit.out(2), true);
});

Deno.test("I8254 mode 1 makes a retriggerable pulse at each rise of the gate", () => {
  const { pit, program, to, count } = timer();
  program(2, 1, 4);
  to(150);
  assertEquals(pit.out(2), true);
  pit.setGate(2, true);
  assertEquals(pit.out(2), true);
  to(151);
  assertEquals([pit.out(2), count(2)], [false, 4]);
  to(153);
  pit.setGate(2, false);
  pit.setGate(2, true);
  to(157);
  assertEquals(pit.out(2), false);
  to(158);
  assertEquals(pit.out(2), true);
});

Deno.test("I8254 mode 2 is low for the last tick of each period", () => {
  const { program, to, edges } = timer();
  program(0, 2, 4);
  to(113);
  assertEquals(edges, [[false, 104], [true, 105], [false, 108], [true, 109], [false, 112], [
    true,
    113,
  ]]);
});

Deno.test("I8254 mode 2 takes a new count at the end of the period", () => {
  const { program, io, to, edges, status } = timer();
  program(0, 2, 10);
  to(103);
  assertEquals(status(0) & 0x40, 0);
  io.write(0, 1, 3);
  io.write(0, 1, 0);
  assertEquals(status(0) & 0x40, 0x40);
  to(115);
  assertEquals(edges.map(([, at]) => at), [110, 111, 113, 114]);
  assertEquals(status(0) & 0x40, 0);
});

Deno.test("I8254 mode 2 holds OUT high while the gate is low and starts over at its rise", () => {
  const { pit, program, to, count } = timer();
  pit.setGate(2, true);
  program(2, 2, 5);
  to(105);
  assertEquals([pit.out(2), count(2)], [false, 1]);
  pit.setGate(2, false);
  assertEquals(pit.out(2), true);
  to(300);
  assertEquals(pit.out(2), true);
  pit.setGate(2, true);
  to(301);
  assertEquals(count(2), 5);
  to(305);
  assertEquals(pit.out(2), false);
});

Deno.test("I8254 mode 3 makes a square wave and counts by two", () => {
  const { program, to, edges, count } = timer();
  program(0, 3, 6);
  const seen: number[] = [];
  for (let t = 101; t < 113; t++) {
    to(t);
    seen.push(count(0));
  }
  assertEquals(seen, [6, 4, 2, 6, 4, 2, 6, 4, 2, 6, 4, 2]);
  assertEquals(edges.map(([, at]) => at), [104, 107, 110]);
});

Deno.test("I8254 mode 3 is high one tick longer than low for odd counts", () => {
  const { program, to, edges, count } = timer();
  program(0, 3, 5);
  const seen: number[] = [];
  for (let t = 101; t < 111; t++) {
    to(t);
    seen.push(count(0));
  }
  assertEquals(seen, [4, 2, 0, 4, 2, 4, 2, 0, 4, 2]);
  assertEquals(edges, [[false, 104], [true, 106], [false, 109]]);
});

Deno.test("I8254 mode 3 takes a new count at the end of the half period", () => {
  const { program, io, to, edges } = timer();
  program(0, 3, 20);
  to(105);
  io.write(0, 1, 4);
  io.write(0, 1, 0);
  to(116);
  assertEquals(edges.map(([, at]) => at), [111, 113, 115]);
});

Deno.test("I8254 mode 4 strobes once for one tick after N counts, again after a rewrite", () => {
  const { program, io, to, edges } = timer();
  program(0, 4, 3);
  to(150);
  assertEquals(edges, [[false, 104], [true, 105]]);
  io.write(0, 1, 7);
  io.write(0, 1, 0);
  to(70_000);
  assertEquals(edges.slice(2), [[false, 158], [true, 159]]);
});

Deno.test("I8254 mode 5 strobes N counts after the gate rises", () => {
  const { pit, program, to } = timer();
  program(2, 5, 3);
  to(200);
  assertEquals(pit.out(2), true);
  pit.setGate(2, true);
  to(204);
  assertEquals(pit.out(2), false);
  to(205);
  assertEquals(pit.out(2), true);
});

Deno.test("I8254 counts in BCD, and zero means ten thousand", () => {
  const { program, to, count } = timer();
  program(2, 0, 0x1234, 1);
  to(101);
  // The gate is low: loaded, but not counting.
  assertEquals(count(2), 0x1234);
  program(0, 2, 0, 1);
  to(103);
  assertEquals(count(0), 0x9999);
});

Deno.test("I8254 reads and writes single bytes as the control word says", () => {
  const { io, to, pit } = timer();
  pit.setGate(2, true);
  io.write(3, 1, 0xa0);
  io.write(2, 1, 0x12);
  to(102);
  assertEquals(io.read(2, 1), 0x11);
  io.write(3, 1, 0x90);
  io.write(2, 1, 0x34);
  to(104);
  assertEquals([io.read(2, 1), io.read(2, 1)], [0x33, 0x33]);
});

Deno.test("I8254 holds a latched count until it has been read", () => {
  const { io, program, to } = timer();
  program(0, 2, 0x4321);
  to(101);
  io.write(3, 1, 0x00);
  to(500);
  io.write(3, 1, 0x00);
  assertEquals([io.read(0, 1), io.read(0, 1)], [0x21, 0x43]);
  assertEquals(io.read(0, 1), (0x4321 - 399) & 0xff);
});

Deno.test("I8254 reads back status first, then the count", () => {
  const { io, program, to, status } = timer();
  io.write(3, 1, 0x34);
  assertEquals(status(0), 0x80 | 0x40 | 0x30 | 0x04);
  program(0, 2, 0x1000);
  assertEquals(status(0), 0x80 | 0x30 | 0x04);
  to(110);
  io.write(3, 1, 0xc2);
  assertEquals([io.read(0, 1), io.read(0, 1), io.read(0, 1)], [0xb4, 0x1000 - 9 & 0xff, 0x0f]);
});

Deno.test("I8254 shows the count that the bus cycle before has written, however short an instruction is", () => {
  const { io, program, to, status, count } = timer();
  program(0, 2, 0x4321);
  assertEquals(count(0), 0x4321);
  to(101);
  assertEquals(count(0), 0x4321);
  // Counter 2's gate is low: it is loaded, and does not count.
  program(2, 0, 0x1234);
  assertEquals([count(2), status(2)], [0x1234, 0x30]);
  to(200);
  assertEquals(count(2), 0x1234);
  // A periodic counter takes a new count only at the end of its period.
  io.write(0, 1, 0x00);
  io.write(0, 1, 0x10);
  assertEquals([count(0), status(0)], [0x4321 - 99, 0x80 | 0x40 | 0x30 | 0x04]);
});

Deno.test("I8254 counter 0 does not drift from the crystal over hours", () => {
  const { clock, program, to, edges } = timer();
  program(0, 2, 11_932);
  const day = 36_000;
  to(101 + 11_932 * day);
  assertEquals(edges.filter(([level]) => level).length, day);
  assertEquals(edges.at(-1), [true, 101 + 11_932 * day]);
  assert(clock.next > clock.now());
});

Deno.test("I8254 keeps every rise of OUT when its alarm comes late", () => {
  const { clock, program, to, edges } = timer();
  program(0, 2, 5);
  clock.skipTo(ticks.time(105) + 900);
  clock.fireDue();
  assertEquals(edges.map(([level]) => level), [false, true]);
  to(110);
  clock.skipTo(ticks.time(10_000));
  clock.fireDue();
  assertEquals(edges.filter(([level]) => level).length > 3, true);
});

Deno.test("I8254 shows the state of OUT without changing anything", () => {
  const { pit, to, program } = timer();
  program(0, 3, 100);
  to(130);
  const before = pit.snapshot();
  pit.out(0);
  assertEquals(pit.snapshot(), before);
  assertThrows(() => pit.out(3), RangeError);
});
