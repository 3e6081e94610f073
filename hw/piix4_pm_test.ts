import { assertEquals, assertThrows } from "@std/assert";
import { PortMap } from "../core/bus/port_map.ts";
import { StateError } from "../core/chip.ts";
import { VirtualClock } from "../core/machine/clock.ts";
import { Piix4Pm, type Piix4PmOptions, ticksAt, timeOfTick } from "./piix4_pm.ts";

const PM = 0x600, SMBUS = 0x700, GPE = 0xafe0;

function board(options?: Piix4PmOptions) {
  const clock = new VirtualClock(0);
  const ports = new PortMap();
  const seen = { sci: false, off: 0 };
  const chip = new Piix4Pm({
    clock,
    sci: (level) => seen.sci = level,
    powerOff: () => seen.off++,
  }, options);
  const sizes = [1, 2, 4] as const;
  chip.connectPorts(
    ports.claim("pm", 0, 64, chip.pm, { sizes, enabled: false }),
    ports.claim("smbus", 0, 16, chip.smbus, { enabled: false }),
  );
  ports.claim("apm", 0xb2, 2, chip.apm);
  ports.claim("gpe", GPE, 4, chip.gpe, { sizes });
  chip.config.write(0x40, 4, PM);
  chip.config.write(0x80, 1, 1);
  chip.config.write(0x90, 4, SMBUS);
  chip.config.write(0xd2, 1, 9);
  const pass = (ns: number) => {
    clock.skipTo(clock.now() + ns);
    clock.fireDue();
  };
  return { clock, ports, chip, seen, pass };
}

Deno.test("Piix4Pm identifies itself and presets APMC_EN", () => {
  const { config } = board().chip;
  assertEquals(config.read(0, 4), 0x71138086);
  assertEquals(config.read(8, 4), 0x06800003);
  assertEquals(config.read(0x3c, 2), 0x0100);
  assertEquals(config.read(0x58, 4), 0x02000000);
  assertEquals(config.read(0x40, 4), PM | 1);
});

Deno.test("Piix4Pm decodes its ports where and when the guest says", () => {
  const { chip, ports } = board();
  assertEquals(ports.read(PM + 4, 2), 0);
  chip.config.write(0x80, 1, 0);
  assertEquals(ports.read(PM + 4, 2), 0xffff);
  chip.config.write(0x40, 4, 0xb000);
  chip.config.write(0x80, 1, 1);
  assertEquals([ports.read(PM + 4, 2), ports.read(0xb004, 2)], [0xffff, 0]);
  assertEquals(ports.read(SMBUS, 1), 0);
  chip.config.write(0xd2, 1, 0);
  assertEquals(ports.read(SMBUS, 1), 0xff);
});

Deno.test("Piix4Pm counts 3,579,545 ticks a second in 24 bits", () => {
  const { ports, pass } = board();
  assertEquals(ports.read(PM + 8, 4), 0);
  pass(1e9);
  assertEquals(ports.read(PM + 8, 4), 3579545);
  pass(9e9);
  assertEquals(ports.read(PM + 8, 4), 35795450 % 2 ** 24);
  pass(3600e9);
  assertEquals(ports.read(PM + 8, 4), (3610 * 3579545) % 2 ** 24);
});

Deno.test("Ticks and times of the timer invert each other exactly", () => {
  for (const tick of [1, 2, 3579544, 3579545, 2 ** 23, 2 ** 30 + 12345, 3579545 * 86400 * 100]) {
    assertEquals(ticksAt(timeOfTick(tick)), tick);
    assertEquals(ticksAt(timeOfTick(tick) - 1), tick - 1);
  }
});

Deno.test("Piix4Pm sets TMROF_STS each time bit 23 changes and interrupts by it", () => {
  const { ports, pass, seen, clock } = board();
  const half = timeOfTick(2 ** 23);
  pass(half - 1);
  assertEquals(ports.read(PM, 2), 0);
  pass(1);
  assertEquals(ports.read(PM, 2), 1);
  ports.write(PM, 2, 1);
  assertEquals(ports.read(PM, 2), 0);
  ports.write(PM + 2, 2, 1);
  ports.write(PM + 4, 2, 1);
  assertEquals([seen.sci, clock.next], [false, timeOfTick(2 ** 24)]);
  pass(half);
  assertEquals([seen.sci, ports.read(PM, 2)], [true, 1]);
  ports.write(PM, 2, 1);
  assertEquals([seen.sci, clock.next], [false, timeOfTick(3 * 2 ** 23)]);
  ports.write(PM + 2, 2, 0);
  assertEquals(clock.next, Infinity);
});

Deno.test("Piix4Pm interrupts for the power button when enabled and SCI_EN is set", () => {
  const { ports, chip, seen } = board();
  chip.pressPowerButton();
  assertEquals([ports.read(PM, 2), seen.sci], [0x100, false]);
  ports.write(PM + 2, 2, 0xffff);
  assertEquals([ports.read(PM + 2, 2), seen.sci], [0x521, false]);
  ports.write(0xb2, 1, 0xf1);
  assertEquals([ports.read(PM + 4, 2), seen.sci], [1, true]);
  ports.write(PM + 1, 1, 1);
  assertEquals([ports.read(PM, 2), seen.sci], [0, false]);
  ports.write(0xb2, 1, 0xf0);
  assertEquals([ports.read(PM + 4, 2), ports.read(0xb2, 1)], [0, 0xf0]);
  ports.write(0xb3, 1, 0x55);
  assertEquals(ports.read(0xb3, 1), 0x55);
});

Deno.test("Piix4Pm has SCI_EN from reset for tables without SMI_CMD", () => {
  const { ports, chip } = board({ acpiFromReset: true });
  assertEquals(ports.read(PM + 4, 2), 1);
  chip.reset();
  assertEquals(chip.pm.read(4, 2), 1);
});

Deno.test("Piix4Pm switches off by SUS_EN with the type of soft-off and nothing else", () => {
  const { ports, seen } = board();
  ports.write(PM + 4, 2, 0x0400);
  ports.write(PM + 4, 2, 0x2401);
  assertEquals([seen.off, ports.read(PM + 4, 2)], [0, 0x0401]);
  ports.write(PM + 4, 2, 0x2001);
  assertEquals([seen.off, ports.read(PM + 4, 2)], [1, 1]);
  ports.write(PM + 5, 1, 0x20);
  assertEquals(seen.off, 2);
});

Deno.test("Piix4Pm keeps general purpose events until cleared", () => {
  const { ports, chip, seen } = board();
  ports.write(PM + 4, 2, 1);
  ports.write(GPE + 2, 2, 0x0102);
  chip.raiseGpe(1);
  assertEquals([ports.read(GPE, 4), seen.sci], [0x01020002, true]);
  ports.write(GPE, 2, 2);
  assertEquals([ports.read(GPE, 2), seen.sci], [0, false]);
});

Deno.test("Piix4Pm finds nobody on its SMBus", () => {
  const { ports, seen, pass } = board();
  ports.write(SMBUS + 4, 1, 0xa1);
  ports.write(SMBUS + 2, 1, 0x49);
  assertEquals([ports.read(SMBUS, 1), seen.sci], [1, false]);
  pass(100_000);
  assertEquals([ports.read(SMBUS, 1), ports.read(SMBUS + 2, 1), seen.sci], [4, 9, true]);
  ports.write(SMBUS, 1, 0xff);
  assertEquals([ports.read(SMBUS, 1), seen.sci], [0, false]);
  ports.write(SMBUS + 2, 1, 0x40);
  ports.write(SMBUS + 2, 1, 2);
  assertEquals(ports.read(SMBUS, 1), 0x10);
  ports.write(SMBUS, 1, 0x10);
  for (const byte of [1, 2, 3]) ports.write(SMBUS + 7, 1, byte);
  ports.read(SMBUS + 2, 1);
  assertEquals([0, 1, 2].map(() => ports.read(SMBUS + 7, 1)), [1, 2, 3]);
});

Deno.test("Piix4Pm restores its alarms and its interrupt", () => {
  const first = board();
  first.ports.write(PM + 2, 2, 0x101);
  first.ports.write(PM + 4, 2, 1);
  first.chip.pressPowerButton();
  first.ports.write(SMBUS + 2, 1, 0x40);
  const state = first.chip.snapshot();
  const second = board();
  second.chip.restore(state);
  assertEquals(second.seen.sci, true);
  assertEquals(second.clock.pending(), first.clock.pending());
  assertEquals(second.ports.read(PM + 2, 2), 0x101);
  const registers = structuredClone(state.registers) as { overflow: number };
  registers.overflow++;
  assertThrows(() => second.chip.restore({ ...state, registers }), StateError, "overflow");
});
