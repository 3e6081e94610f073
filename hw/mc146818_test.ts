import { assertEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "../core/machine/clock.ts";
import { Mc146818, type Mc146818Options } from "./mc146818.ts";

const SECOND = 1e9;

function rtc(options?: Mc146818Options) {
  const clock = new VirtualClock(0);
  const irqs: [level: boolean, ns: number][] = [];
  const nmi: boolean[] = [];
  const chip = new Mc146818({
    clock,
    irq: (level) => {
      if (level !== (irqs.at(-1)?.[0] ?? false)) irqs.push([level, clock.now()]);
    },
    nmiMask: (level) => nmi.push(level),
  }, options);
  const read = (index: number) => {
    chip.registers.write(0, 1, index);
    return chip.registers.read(1, 1);
  };
  const write = (index: number, value: number) => {
    chip.registers.write(0, 1, index);
    chip.registers.write(1, 1, value);
  };
  const to = (ns: number) => {
    while (clock.next <= ns) {
      clock.skipTo(clock.next);
      clock.fireDue();
    }
    clock.skipTo(ns);
  };
  /** Year, month, date, day of week, hours, minutes, seconds as the guest reads them. */
  const time = () => [9, 8, 7, 6, 4, 2, 0].map(read);
  const setTime = (...bytes: number[]) => {
    write(11, read(11) | 0x80);
    [9, 8, 7, 6, 4, 2, 0].forEach((index, i) => write(index, bytes[i]));
    write(11, read(11) & 0x7f);
  };
  return { clock, chip, irqs, nmi, read, write, to, time, setTime };
}

Deno.test("Mc146818 starts at a fixed date and advances with virtual time", () => {
  const { time, to, read } = rtc();
  assertEquals(time(), [0x26, 0x01, 0x01, 5, 0, 0, 0]);
  assertEquals(read(0x32), 0x20);
  to(SECOND - 1);
  assertEquals(read(0), 0);
  to(SECOND);
  assertEquals(read(0), 1);
  to((86_400 + 3_600 * 13 + 60 * 45 + 59) * SECOND);
  assertEquals(time(), [0x26, 0x01, 0x02, 6, 0x13, 0x45, 0x59]);
});

Deno.test("Mc146818 starts where the board says, to the fraction of a second", () => {
  const { time, to } = rtc({ start: Date.UTC(1999, 11, 31, 23, 59, 59, 750) });
  assertEquals(time(), [0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59]);
  to(0.26 * SECOND);
  assertEquals(time(), [0x00, 0x01, 0x01, 7, 0, 0, 0]);
  assertThrows(() => rtc({ start: NaN }), RangeError);
  assertThrows(() => rtc({ start: 1e18 }), RangeError);
});

Deno.test("Mc146818 knows leap years and counts the century", () => {
  const { time, read, write, setTime, to } = rtc();
  setTime(0x24, 0x02, 0x28, 4, 0x23, 0x59, 0x59);
  to(SECOND);
  assertEquals(time(), [0x24, 0x02, 0x29, 5, 0, 0, 0]);
  setTime(0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59);
  write(0x32, 0x20);
  to(2 * SECOND);
  assertEquals([...time(), read(0x32)], [0, 1, 1, 6, 0, 0, 0, 0x21]);
});

Deno.test("Mc146818 counts in binary and in twelve hours", () => {
  const { time, write, setTime, to } = rtc();
  write(11, 0x04);
  setTime(26, 11, 30, 2, 0x80 | 11, 59, 59);
  to(SECOND);
  assertEquals(time(), [26, 12, 1, 3, 12, 0, 0]);
  write(11, 0x00);
  setTime(0x26, 0x12, 0x01, 3, 0x11, 0x59, 0x59);
  to(2 * SECOND);
  assertEquals(time(), [0x26, 0x12, 0x01, 3, 0x92, 0, 0]);
  to(3602 * SECOND);
  assertEquals(time()[4], 0x81);
});

Deno.test("Mc146818 stands still while SET is on, and drops UIE", () => {
  const { read, write, to } = rtc();
  write(11, 0x92);
  assertEquals(read(11), 0x82);
  to(10 * SECOND);
  assertEquals(read(0), 0);
  write(11, 0x02);
  to(11 * SECOND);
  assertEquals(read(0), 1);
});

Deno.test("Mc146818 starts half a second before an update when the divider is let go", () => {
  const { read, write, to } = rtc();
  to(0.3 * SECOND);
  write(10, 0x76);
  to(5 * SECOND);
  assertEquals(read(0), 0);
  write(10, 0x26);
  to(5.49 * SECOND);
  assertEquals(read(0), 0);
  to(5.51 * SECOND);
  assertEquals(read(0), 1);
});

Deno.test("Mc146818 shows UIP for 2.2 milliseconds before each update", () => {
  const { read, write, to } = rtc();
  to(0.9975 * SECOND);
  assertEquals(read(10), 0x26);
  to(0.9985 * SECOND);
  assertEquals(read(10), 0xa6);
  write(11, 0x82);
  assertEquals(read(10), 0x26);
  write(11, 0x02);
  to(SECOND);
  assertEquals(read(10), 0x26);
});

Deno.test("Mc146818 raises IRQ 8 at each update when UIE is on, until C is read", () => {
  const { irqs, read, write, to } = rtc();
  write(11, 0x12);
  to(2.5 * SECOND);
  assertEquals(irqs, [[true, SECOND]]);
  // PF comes along at 1,024 Hz.
  assertEquals([read(12), read(12)], [0xd0, 0]);
  to(3 * SECOND);
  assertEquals(irqs.slice(1), [[false, 2.5 * SECOND], [true, 3 * SECOND]]);
});

Deno.test("Mc146818 sets the flags also without interrupts", () => {
  const { irqs, read, to } = rtc();
  to(1.5 * SECOND);
  // The periodic flag at 1,024 Hz, and the update flag.
  assertEquals(read(12), 0x50);
  assertEquals(irqs, []);
});

Deno.test("Mc146818 interrupts periodically at the chosen rate", () => {
  const { irqs, read, write, to } = rtc();
  write(10, 0x2f);
  write(11, 0x42);
  to(0.5 * SECOND);
  assertEquals(irqs, [[true, 0.5 * SECOND]]);
  assertEquals(read(12), 0xc0);
  to(SECOND);
  assertEquals(irqs.at(-1), [true, SECOND]);
  read(12);
  write(10, 0x26);
  const before = irqs.length;
  for (let i = 0; i < 1024; i++) {
    to(SECOND + Math.ceil((i + 1) * SECOND / 1024));
    read(12);
  }
  assertEquals((irqs.length - before) / 2, 1024);
});

Deno.test("Mc146818 raises an alarm at the time set", () => {
  const { irqs, read, write, to } = rtc();
  write(1, 0x30);
  write(3, 0x02);
  write(5, 0x01);
  write(11, 0x22);
  to(86_400 * SECOND);
  assertEquals(irqs, [[true, (3600 + 150) * SECOND]]);
  assertEquals(read(12) & 0xa0, 0xa0);
  to(2 * 86_400 * SECOND);
  assertEquals(irqs.at(-1), [true, (86_400 + 3600 + 150) * SECOND]);
});

Deno.test("Mc146818 matches every value of an alarm byte that is don't care", () => {
  const { irqs, read, write, to } = rtc();
  write(1, 0x05);
  write(3, 0xff);
  write(5, 0xc0);
  write(11, 0x22);
  to(30 * SECOND);
  read(12);
  to(90 * SECOND);
  assertEquals(irqs.filter(([level]) => level).map(([, ns]) => ns / SECOND), [5, 65]);
  write(1, 0x7f);
  read(12);
  to(200 * SECOND);
  assertEquals(irqs.length, 4);
});

Deno.test("Mc146818 keeps memory and time through reset but clears the interrupt enables", () => {
  const { chip, read, write, to, irqs } = rtc();
  chip.setCmos(0x34, 0xab);
  write(11, 0x7a);
  to(5.5 * SECOND);
  chip.reset();
  assertEquals([read(0x34), read(0), read(11), read(12)], [0xab, 5, 0x02, 0]);
  assertEquals(irqs.at(-1)?.[0], false);
});

Deno.test("Mc146818 masks NMI with bit 7 of the index port", () => {
  const { chip, nmi } = rtc();
  chip.registers.write(0, 1, 0x8f);
  assertEquals([chip.nmiMasked, nmi], [true, [true]]);
  chip.registers.write(1, 1, 0x5a);
  chip.registers.write(0, 1, 0x0f);
  assertEquals([chip.nmiMasked, chip.registers.read(1, 1), chip.registers.read(0, 1)], [
    false,
    0x5a,
    0xff,
  ]);
});

Deno.test("Mc146818 has a valid bit and read-only C and D", () => {
  const { read, write } = rtc();
  write(13, 0);
  write(12, 0xff);
  assertEquals([read(13), read(12)], [0x80, 0]);
});

Deno.test("Mc146818 refuses CMOS indices and values out of range", () => {
  const { chip } = rtc();
  assertThrows(() => chip.setCmos(128, 0), RangeError);
  assertThrows(() => chip.setCmos(0x10, 256), RangeError);
  assertThrows(() => chip.getCmos(-1), RangeError);
  chip.setCmos(0x10, 0x40);
  assertEquals(chip.getCmos(0x10), 0x40);
});
