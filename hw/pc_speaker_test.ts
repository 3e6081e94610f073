import { assertEquals } from "@std/assert";
import { VirtualClock } from "../core/machine/clock.ts";
import { I8254 } from "./i8254.ts";
import { PcSpeaker } from "./pc_speaker.ts";

function speaker() {
  const clock = new VirtualClock(0);
  const pit = new I8254({ clock, irq: () => {} });
  const sound: boolean[] = [];
  const chip = new PcSpeaker({
    clock,
    gate2: (level) => pit.setGate(2, level),
    out2: () => pit.out(2),
    speaker: (level) => sound.push(level),
  });
  return { clock, pit, chip, sound, io: chip.register };
}

Deno.test("PcSpeaker gates timer 2 and shows its output", () => {
  const { clock, pit, io, sound } = speaker();
  pit.registers.write(3, 1, 0xb0);
  pit.registers.write(2, 1, 0x9b);
  pit.registers.write(2, 1, 0x2e);
  // 11,931 ticks are 10 milliseconds.
  io.write(0, 1, 0x01);
  clock.skipTo(9_900_000);
  assertEquals(io.read(0, 1) & 0x2f, 0x01);
  clock.skipTo(10_100_000);
  assertEquals(io.read(0, 1) & 0x2f, 0x21);
  io.write(0, 1, 0xff);
  assertEquals([io.read(0, 1) & 0x0f, sound], [0x0f, [false, true]]);
});

Deno.test("PcSpeaker toggles its refresh bit every 15 microseconds", () => {
  const { clock, io } = speaker();
  let toggles = 0, last = io.read(0, 1) & 0x10;
  for (let us = 0; us < 15_085; us++) {
    clock.skipTo(us * 1000);
    const bit = io.read(0, 1) & 0x10;
    if (bit !== last) toggles++;
    last = bit;
  }
  assertEquals(toggles, 999);
});
