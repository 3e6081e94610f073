/** Every chip joins the conformance suite here. */
import { assertEquals } from "@std/assert";
import { ApicBus, MSI_SIZE } from "../../hw/apic_bus.ts";
import { MemoryDevice } from "../../core/block/memory_device.ts";
import { Debugcon } from "../../hw/debugcon.ts";
import { Hpet, HPET_SIZE } from "../../hw/hpet.ts";
import { I8042 } from "../../hw/i8042.ts";
import { I8237 } from "../../hw/i8237.ts";
import { I8254 } from "../../hw/i8254.ts";
import { I8259 } from "../../hw/i8259.ts";
import { IoApic, IOAPIC_PINS, IOAPIC_SIZE } from "../../hw/ioapic.ts";
import { IsaDebugExit } from "../../hw/isa_debug_exit.ts";
import { LOCAL_APIC_SIZE, LocalApic } from "../../hw/local_apic.ts";
import { Mc146818 } from "../../hw/mc146818.ts";
import { PcSpeaker } from "../../hw/pc_speaker.ts";
import { PcTestdev, TESTDEV_IOMEM_SIZE, TESTDEV_IRQ_LINES } from "../../hw/pc_testdev.ts";
import { PflashCfi01 } from "../../hw/pflash_cfi01.ts";
import { Port80 } from "../../hw/port80.ts";
import { Port92 } from "../../hw/port92.ts";
import { Ps2Keyboard } from "../../hw/ps2_keyboard.ts";
import { Ps2Mouse } from "../../hw/ps2_mouse.ts";
import { ResetControl } from "../../hw/reset_control.ts";
import { KEY_NAMES } from "../../hw/scan_codes.ts";
import { Uart16550 } from "../../hw/uart16550.ts";
import { conformance } from "./suite.ts";

conformance({
  name: "I8259",
  persistent: ["master.lines", "slave.lines"],
  create(bench) {
    const pic = new I8259({ intr: bench.wire("intr") });
    return {
      chips: [pic],
      spaces: [
        { name: "master", access: pic.master, count: 2 },
        { name: "slave", access: pic.slave, count: 2 },
        { name: "elcr", access: pic.elcr, count: 2 },
      ],
      events: [
        (random) => pic.setIrq(random.pick([0, 1, 3, 4, 5, 6, 7, 8, 9, 12, 15]), random.bool()),
        () => pic.acknowledge(),
      ],
      invariants: () => assertEquals(bench.levels.get("intr") ?? false, pic.intr),
    };
  },
});

conformance({
  name: "LocalApic",
  persistent: ["lint0", "lint1"],
  create(bench) {
    const bus = new ApicBus();
    const apics = [0, 1].map((index) => {
      const apic = new LocalApic({
        clock: bench.clock,
        bus,
        processor: {
          intr: bench.wire(`intr${index}`),
          nmi: bench.sink(`nmi${index}`),
          init: bench.sink(`init${index}`),
          startup: bench.sink(`startup${index}`),
        },
        acknowledge: () => 8,
        decode: (base) => bench.sink(`base${index}`)(base),
      }, { index });
      bus.attach(apic);
      return apic;
    });
    return {
      chips: apics,
      spaces: [
        ...apics.map((apic) => ({
          name: apic.name,
          access: apic.registers,
          count: LOCAL_APIC_SIZE,
          sizes: [4] as const,
        })),
        { name: "messages", access: bus.messages, count: MSI_SIZE, sizes: [4] },
      ],
      events: [
        // The common registers, which random offsets seldom hit.
        (random) => {
          const offset = random.pick([0x80, 0xb0, 0xf0, 0x300, 0x320, 0x350, 0x380, 0x3e0]);
          random.pick(apics).registers.write(offset, 4, random.next());
        },
        (random) => random.pick(apics).lint(random.pick([0, 1] as const))(random.bool()),
        (random) => {
          const apic = random.pick(apics);
          return apic.intr ? apic.acknowledge() : 0;
        },
        (random) => random.pick(apics).writeBase(random.next() & 0xfffffd00, 0) ? 1 : 0,
        (random) => random.pick(apics).readMsr(0x800 + random.int(0x40))?.low ?? -1,
        (random) => {
          const low = random.oneIn(2) ? random.int(0x200) : random.next();
          return random.pick(apics).writeMsr(0x800 + random.int(0x40), low, random.int(2)) ? 1 : 0;
        },
        (random) => random.pick(apics).writeDeadline(random.next(), random.int(3)),
        (random) => random.pick(apics).readDeadline().low,
        (random) => {
          random.pick(apics).taskPriority = random.int(16);
        },
      ],
      invariants: () =>
        apics.forEach((apic, i) => assertEquals(bench.levels.get(`intr${i}`) ?? false, apic.intr)),
    };
  },
});

conformance({
  name: "Hpet",
  create(bench) {
    const hpet = new Hpet({
      clock: bench.clock,
      isa: [bench.wire("irq0"), bench.wire("irq8")],
      input2: bench.wire("input2"),
      replaces: bench.wire("replaces"),
    });
    return {
      chips: [hpet],
      spaces: [{ name: "registers", access: hpet.registers, count: HPET_SIZE, sizes: [4] }],
      events: [
        (random) => hpet.registers.write(0x10, 4, random.int(4)),
        (random) => hpet.registers.write(0x20, 4, random.int(8)),
        // Near matches, which random comparators seldom are.
        (random) => {
          const timer = 0x100 + 0x20 * random.int(3);
          hpet.registers.write(timer, 4, random.int(0x200) | (random.bool() ? 0x400 : 0));
          const soon = hpet.registers.read(0xf0, 4) + random.int(100_000);
          hpet.registers.write(timer + 8, 4, soon >>> 0);
          hpet.registers.write(timer + 12, 4, hpet.registers.read(0xf4, 4));
          hpet.registers.write(timer + 8, 4, 1 + random.int(10_000));
        },
        (random) => hpet.registers.read(random.pick([0xf0, 0xf4, 0x108, 0x128, 0x148]), 4),
      ],
    };
  },
});

conformance({
  name: "IoApic",
  persistent: ["lines"],
  create(bench) {
    const ioapic = new IoApic({
      send: ({ vector, destination }) => {
        bench.sink("message")(vector);
        return destination < 0x80;
      },
    });
    return {
      chips: [ioapic],
      spaces: [
        { name: "registers", access: ioapic.registers, count: IOAPIC_SIZE, sizes: [4] },
      ],
      events: [
        (random) => ioapic.setPin(random.int(IOAPIC_PINS), random.bool()),
        (random) => {
          ioapic.registers.write(0, 4, 0x10 + random.int(2 * IOAPIC_PINS));
          ioapic.registers.write(0x10, 4, random.next());
        },
        (random) => ioapic.endOfInterrupt(random.int(256)),
      ],
    };
  },
});

conformance({
  name: "I8254",
  persistent: ["counter2.gate"],
  create(bench) {
    const pit = new I8254({ clock: bench.clock, irq: bench.wire("irq0") });
    return {
      chips: [pit],
      spaces: [{ name: "registers", access: pit.registers, count: 4 }],
      events: [
        (random) => pit.setGate(2, random.bool()),
        (random) => pit.out(random.int(3)) ? 1 : 0,
      ],
    };
  },
});

conformance({
  name: "I8237",
  persistent: ["dreq"],
  create(bench) {
    const dma = new I8237({
      memory: {
        read: (address) => bench.memory[address & 0xfffff],
        write: (address, value) => {
          bench.memory[address & 0xfffff] = value;
        },
      },
    });
    return {
      chips: [dma],
      spaces: [
        { name: "master", access: dma.master, count: 16 },
        { name: "slave", access: dma.slave, count: 32 },
        { name: "pages", access: dma.pages, count: 15 },
      ],
      events: [
        (random) => dma.setRequest(random.pick([0, 1, 2, 3, 5, 6, 7]), random.bool()),
        (random) => {
          const buffer = Uint8Array.from({ length: random.int(64) }, () => random.next());
          return dma.transfer(random.pick([0, 1, 2, 3, 5, 6, 7]), buffer).bytes;
        },
      ],
    };
  },
});

conformance({
  name: "Mc146818",
  // The battery keeps them.
  persistent: ["cmos", "origin", "seen"],
  create(bench) {
    const rtc = new Mc146818({
      clock: bench.clock,
      irq: bench.wire("irq8"),
      nmiMask: bench.wire("nmiMask"),
    });
    return {
      chips: [rtc],
      spaces: [{ name: "registers", access: rtc.registers, count: 2 }],
      events: [
        (random) => {
          // Most traffic should hit the clock's own registers.
          rtc.registers.write(0, 1, random.int(14));
        },
      ],
      invariants() {
        const flagged = (rtc.getCmos(12) & 0x80) !== 0;
        assertEquals(bench.levels.get("irq8"), flagged);
      },
    };
  },
});

conformance({
  name: "PcSpeaker",
  create(bench) {
    const speaker = new PcSpeaker({
      clock: bench.clock,
      gate2: bench.wire("gate2"),
      out2: () => bench.clock.now() % 3 === 0,
      speaker: bench.wire("speaker"),
    });
    return {
      chips: [speaker],
      spaces: [{ name: "register", access: speaker.register, count: 1 }],
    };
  },
});

conformance({
  name: "Port92",
  create(bench) {
    const port = new Port92({ a20: bench.wire("a20"), reset: bench.sink("reset") });
    return { chips: [port], spaces: [{ name: "register", access: port.register, count: 1 }] };
  },
});

conformance({
  name: "ResetControl",
  create(bench) {
    const control = new ResetControl({
      hardReset: bench.sink("hard"),
      softReset: bench.sink("soft"),
    });
    return { chips: [control], spaces: [{ name: "register", access: control.register, count: 1 }] };
  },
});

conformance({
  name: "Port80",
  create() {
    const port = new Port80();
    return { chips: [port], spaces: [{ name: "register", access: port.register, count: 1 }] };
  },
});

conformance({
  name: "PflashCfi01",
  persistent: ["locks"],
  create(bench) {
    // The array is guest memory, which the suite carries over by itself.
    const size = 0x4000, array = bench.memory.subarray(0, size);
    const flash = new PflashCfi01("pflash0", {
      array,
      block: new MemoryDevice(new Uint8Array(size)),
      arrayMode: bench.wire("array"),
      changed: bench.sink("changed"),
    });
    flash.reset();
    return {
      chips: [flash],
      spaces: [{ name: "registers", access: flash.registers, count: size }],
      events: [
        (random) => {
          // Commands and confirmations, which chance seldom makes.
          const offset = random.int(size);
          const commands = [0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xe8, 0xff];
          flash.registers.write(offset, 1, random.pick(commands));
          flash.registers.write(offset, 1, random.pick([0, 1, 0xd0, random.int(256)]));
        },
        (random) => array[random.int(size)],
      ],
    };
  },
});

conformance({
  name: "Debugcon",
  create(bench) {
    const console = new Debugcon({ byte: bench.sink("byte") });
    return { chips: [console], spaces: [{ name: "register", access: console.register, count: 1 }] };
  },
});

conformance({
  name: "IsaDebugExit",
  create(bench) {
    const exit = new IsaDebugExit({ exit: bench.sink("exit") });
    return {
      chips: [exit],
      spaces: [{ name: "register", access: exit.register, count: 4, sizes: [1, 2, 4] }],
    };
  },
});

conformance({
  name: "PcTestdev",
  create(bench) {
    const wires = Array.from({ length: TESTDEV_IRQ_LINES }, (_, line) => bench.wire(`irq${line}`));
    const testdev = new PcTestdev({ irq: (line, level) => wires[line](level) });
    const sizes = [1, 2, 4] as const;
    return {
      chips: [testdev],
      spaces: [
        { name: "ioport", access: testdev.ioport, count: 4, sizes },
        { name: "ioportByte", access: testdev.ioportByte, count: 4 },
        { name: "flush", access: testdev.flush, count: 4, sizes },
        { name: "irqLines", access: testdev.irqLines, count: TESTDEV_IRQ_LINES },
        { name: "iomem", access: testdev.iomem, count: TESTDEV_IOMEM_SIZE, sizes },
      ],
    };
  },
});

conformance({
  name: "Uart16550",
  persistent: ["lines"],
  create(bench) {
    const uart = new Uart16550({ irq: bench.wire("irq4"), clock: bench.clock });
    uart.onTransmit = bench.sink("transmit");
    uart.onCanReceive = bench.sink("canReceive");
    return {
      chips: [uart],
      spaces: [{ name: "registers", access: uart.registers, count: 8 }],
      events: [
        (random) => {
          const room = uart.canReceive();
          if (room || random.oneIn(4)) uart.receive(random.int(256));
          return room ? 1 : 0;
        },
        () => uart.receiveBreak(),
        (random) =>
          uart.setModemLines({ cts: random.bool(), dsr: random.bool(), ri: random.bool() }),
      ],
    };
  },
});

conformance({
  name: "I8042 with Ps2Keyboard and Ps2Mouse",
  // Keys and buttons that are held down.
  persistent: ["modifiers", "buttons"],
  create(bench) {
    const keyboard = new Ps2Keyboard();
    const mouse = new Ps2Mouse();
    const i8042 = new I8042({
      irq1: bench.wire("irq1"),
      irq12: bench.wire("irq12"),
      a20: bench.wire("a20"),
      reset: bench.sink("reset"),
      keyboard,
      mouse,
    });
    keyboard.onIdle = bench.sink("idle");
    return {
      chips: [keyboard, mouse, i8042],
      spaces: [
        { name: "data", access: i8042.data, count: 1 },
        { name: "command", access: i8042.command, count: 1 },
      ],
      events: [
        (random) => keyboard.keyDown(random.pick(KEY_NAMES)),
        (random) => keyboard.keyUp(random.pick(KEY_NAMES)),
        (random) => mouse.move(random.int(600) - 300, random.int(600) - 300, random.int(5) - 2),
        (random) => mouse.button(random.int(5), random.bool()),
        (random) => {
          // A command to the mouse, which chance seldom makes.
          i8042.command.write(0, 1, 0xd4);
          i8042.data.write(0, 1, 0xe6 + random.int(26));
        },
        (random) => i8042.data.write(0, 1, 0xed + random.int(19)),
      ],
      invariants() {
        const status = i8042.command.read(0, 1);
        if (bench.levels.get("irq1")) assertEquals(status & 0x21, 0x01);
        if (bench.levels.get("irq12")) assertEquals(status & 0x21, 0x21);
      },
    };
  },
});
