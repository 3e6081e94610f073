/** PCI chips, storage and fw_cfg join the conformance suite here. */
import { assert } from "@std/assert";
import { BlockError } from "../../core/block/block_device.ts";
import { MemoryDevice } from "../../core/block/memory_device.ts";
import type { RegisterAccess } from "../../core/bus/port_map.ts";
import { checkState, type Chip, type State } from "../../core/chip.ts";
import { AtaDisk } from "../../hw/ata_disk.ts";
import { AtapiCdrom } from "../../hw/atapi_cdrom.ts";
import { FwCfg } from "../../hw/fw_cfg.ts";
import { I440fx, PAM_SEGMENTS } from "../../hw/i440fx.ts";
import { COMMAND, PciConfig, PciHost } from "../../hw/pci.ts";
import { Msi, Msix } from "../../hw/pci_msi.ts";
import { Piix3 } from "../../hw/piix3.ts";
import { Piix3Ide } from "../../hw/piix3_ide.ts";
import { Piix4Pm } from "../../hw/piix4_pm.ts";
import { type Bench, conformance, type Space } from "./suite.ts";

const ALL = [1, 2, 4] as const;

function configSpace(config: PciConfig): Space {
  const access: RegisterAccess = {
    read: (offset, size) => config.read(offset, size),
    write: (offset, size, value) => config.write(offset, size, value),
  };
  return { name: "config", access, count: 256, sizes: ALL };
}

/** Bus master memory over the bench's megabyte, which repeats. */
function memoryOf(bench: Bench) {
  return {
    readBlock(address: number, target: Uint8Array) {
      for (let i = 0; i < target.length; i++) target[i] = bench.memory[(address + i) & 0xfffff];
    },
    writeBlock(address: number, source: Uint8Array) {
      for (let i = 0; i < source.length; i++) bench.memory[(address + i) & 0xfffff] = source[i];
    },
  };
}

/** A range whose place and state are part of what leaves the chip. */
function rangeOf(bench: Bench, name: string) {
  return {
    move: bench.sink(`${name} base`),
    setEnabled: bench.wire(`${name} enabled`),
    setAccess: (reads: boolean, writes: boolean) => {
      bench.wire(`${name} reads`)(reads);
      bench.wire(`${name} writes`)(writes);
    },
  };
}

/** A function with both kinds of message-signalled interrupts, as a network card has. */
class MessagingFunction implements Chip {
  readonly name = "messaging";
  readonly config = new PciConfig({
    vendor: 0x1af4,
    device: 0x1000,
    classCode: 0x020000,
    interruptPin: 1,
  });
  readonly msi = new Msi(this.config, { offset: 0x40, vectors: 4 });
  readonly msix = new Msix(this.config, {
    offset: 0x60,
    vectors: 40,
    bar: 0,
    tableOffset: 0,
    pendingOffset: 0x800,
  });
  reset(): void {
    this.msix.reset();
    this.config.reset();
  }
  snapshot(): State {
    return { config: this.config.bytes.slice(), msix: this.msix.snapshot() };
  }
  restore(state: State): void {
    checkState(this.name, state, this.snapshot());
    const msix = this.msix.check(this.name, state.msix as State);
    this.config.check(this.name, state.config as Uint8Array);
    this.msix.restore(msix);
    this.config.restore(state.config as Uint8Array);
  }
}

conformance({
  name: "Msi and Msix",
  create(bench) {
    const chip = new MessagingFunction();
    chip.config.connectInterrupt(bench.wire("pin"));
    chip.config.connectMessages((address, data) => {
      bench.sink("address")(address);
      bench.sink("data")(data);
    });
    return {
      chips: [chip],
      spaces: [
        configSpace(chip.config),
        { name: "table", access: chip.msix.tableAccess, count: 0x400, sizes: [4] },
        { name: "pending", access: chip.msix.pendingAccess, count: 0x10, sizes: [4] },
      ],
      events: [
        (random) => chip.config.write(COMMAND, 2, random.int(8)),
        (random) => chip.config.write(0x42, 2, random.int(0x80)),
        (random) => chip.config.write(0x62, 2, random.int(4) << 14),
        () => chip.config.write(0x48, 4, 0),
        (random) => chip.msi.notify(random.int(4)),
        (random) => chip.msix.notify(random.int(50)),
      ],
    };
  },
});

conformance({
  name: "PciHost",
  create(bench) {
    const host = new PciHost();
    const bridge = new Piix3({ irqs: [] });
    const pm = new Piix4Pm({
      clock: bench.clock,
      sci: bench.wire("sci"),
      powerOff: bench.sink("off"),
    });
    host.attach(1, 0, bridge.config);
    host.attach(1, 3, pm.config);
    return {
      chips: [host, bridge, pm],
      spaces: [
        { name: "address", access: host.address, count: 4, sizes: [4] },
        { name: "data", access: host.data, count: 4, sizes: ALL },
      ],
      events: [(random) => {
        const place = random.pick([0, 0x0800, 0x0b00]) | random.int(64) << 2;
        host.address.write(0, 4, (0x80000000 | place) >>> 0);
      }],
    };
  },
});

conformance({
  name: "I440fx",
  create(bench) {
    const pam = PAM_SEGMENTS.map((_, i) => rangeOf(bench, `pam${i}`));
    const chip = new I440fx({ pam, smram: rangeOf(bench, "smram") });
    return { chips: [chip], spaces: [configSpace(chip.config)] };
  },
});

conformance({
  name: "Piix3",
  persistent: ["levels"],
  create(bench) {
    const chip = new Piix3({ irqs: Array.from({ length: 16 }, (_, i) => bench.wire(`irq${i}`)) });
    const sources = [0, 1, 2, 3, 0, 3].map((i) => chip.pirq(i));
    return {
      chips: [chip],
      spaces: [configSpace(chip.config)],
      events: [
        (random) => random.pick(sources)(random.bool()),
        (random) => chip.config.write(0x60 + random.int(4), 1, random.int(16)),
      ],
    };
  },
});

conformance({
  name: "Piix4Pm",
  create(bench) {
    const chip = new Piix4Pm({
      clock: bench.clock,
      sci: bench.wire("sci"),
      powerOff: bench.sink("power off"),
    });
    chip.connectPorts(rangeOf(bench, "pm"), rangeOf(bench, "smbus"));
    return {
      chips: [chip],
      spaces: [
        configSpace(chip.config),
        { name: "pm", access: chip.pm, count: 64, sizes: ALL },
        { name: "smbus", access: chip.smbus, count: 16 },
        { name: "apm", access: chip.apm, count: 2 },
        { name: "gpe", access: chip.gpe, count: 4, sizes: ALL },
      ],
      events: [() => chip.pressPowerButton(), (random) => chip.raiseGpe(random.int(16))],
    };
  },
});

conformance({
  name: "FwCfg",
  create(bench) {
    const chip = new FwCfg({ memory: memoryOf(bench) });
    chip.addNumber(5, 2, 1);
    chip.addFile("etc/readable", new Uint8Array(100).fill(7));
    chip.addFile("etc/writable", new Uint8Array(300), {
      onWrite: (offset, length) => bench.sink("written")(offset * 1000 + length),
    });
    return {
      chips: [chip],
      spaces: [
        { name: "ports", access: chip.ports, count: 2, sizes: [1, 2] },
        { name: "dma", access: chip.dma, count: 8, sizes: ALL },
      ],
      events: [
        (random) => chip.ports.write(0, 2, random.pick([0, 1, 5, 0x19, 0x20, 0x21, 0x22])),
        (random) => {
          const view = new DataView(bench.memory.buffer, 0x5000, 16);
          view.setUint32(0, random.pick([0, 0x20, 0x21, 0x77]) << 16 | random.int(32));
          view.setUint32(4, random.oneIn(16) ? random.next() : random.int(400));
          view.setUint32(8, 0);
          view.setUint32(12, random.int(1 << 20));
          chip.dma.write(0, 4, 0);
          chip.dma.write(4, 4, 0x00500000);
          return view.getUint32(0);
        },
      ],
    };
  },
});

/** A backend whose sectors in one place are bad, and which stays as it is: the twin of a test has the same. */
class Bench512 extends MemoryDevice {
  override read(offset: number, length: number): Uint8Array {
    this.check(offset, length);
    return super.read(offset, length);
  }
  override write(offset: number, bytes: Uint8Array): void {
    this.check(offset, bytes.length);
  }
  private check(offset: number, length: number) {
    if (offset <= 300 * 512 && offset + length > 300 * 512) {
      throw new BlockError("io", this.source, "sector 300 is bad");
    }
  }
}

const DISK_COMMANDS = [
  ...[0x00, 0x10, 0x20, 0x24, 0x25, 0x27, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x42, 0x70, 0x90],
  ...[0x91, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe0, 0xe1, 0xe5, 0xe6, 0xe7, 0xec, 0xef, 0xf8, 0xff],
];
const PACKETS = [
  ...[0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43, 0x46, 0x4a, 0x51, 0x5a],
  ...[0xa8, 0xad, 0xbb, 0xbd, 0xbe, 0xff],
];

conformance({
  name: "Piix3Ide with a disk and a CD-ROM",
  persistent: ["open"],
  operations: 100_000,
  create(bench) {
    const ide = new Piix3Ide({
      irqs: [bench.wire("irq14"), bench.wire("irq15")],
      memory: memoryOf(bench),
    });
    const content = Uint8Array.from({ length: 1000 * 512 }, (_, i) => (i >> 9) + i);
    const onError = () => bench.sink("error")();
    const disk = new AtaDisk({ clock: bench.clock, block: new Bench512(content), onError });
    const medium = new Bench512(content.slice());
    const onTray = (open: boolean) => bench.sink("tray")(open ? 1 : 0);
    const cdrom = new AtapiCdrom({ clock: bench.clock, medium, onError, onTray });
    ide.attach(0, 0, disk);
    ide.attach(0, 1, cdrom);
    ide.connectPorts(0, rangeOf(bench, "command"), rangeOf(bench, "control"));
    ide.config.connectBar(4, rangeOf(bench, "bus master"));
    const { command, control } = ide.ports[0];
    const write = (offset: number, value: number) => command.write(offset, 1, value);
    return {
      chips: [ide, disk, cdrom],
      spaces: [
        configSpace(ide.config),
        { name: "command", access: command, count: 8, sizes: ALL },
        { name: "control", access: control, count: 1 },
        { name: "bus master", access: ide.busMaster, count: 16, sizes: ALL },
      ],
      events: [
        (random) => {
          write(2, random.pick([0, 1, 2, 16, random.int(256)]));
          write(3, random.int(256));
          write(4, random.int(4));
          write(5, random.oneIn(8) ? 1 : 0);
          write(6, random.pick([0xe0, 0xa0, 0xa5]));
          write(7, random.pick(DISK_COMMANDS));
          bench.clock.advance(200_000, true);
        },
        (random) => {
          write(1, random.int(2));
          write(4, random.int(256));
          write(5, random.pick([0, 8, 0xff]));
          write(6, 0xb0);
          write(7, random.oneIn(8) ? random.pick([0xa1, 0x08, 0xec]) : 0xa0);
          bench.clock.advance(200_000, true);
          for (let i = 0; i < 6; i++) {
            const cdb = i === 0 ? random.pick(PACKETS) | random.int(4) << 8 : random.int(64) << 8;
            command.write(0, 2, random.oneIn(4) ? random.int(65536) : cdb);
          }
          bench.clock.advance(200_000, true);
        },
        (random) => {
          let sum = 0;
          for (let i = random.int(512); i > 0; i--) sum = (sum + command.read(0, 2)) | 0;
          for (let i = random.int(512); i > 0; i--) command.write(0, 2, i);
          return sum;
        },
        (random) => {
          const view = new DataView(bench.memory.buffer, 0x1000, 16);
          view.setUint32(0, random.next() & 0xfffff, true);
          view.setUint32(4, random.int(2048), true);
          view.setUint32(8, random.next() & 0xfffff, true);
          view.setUint32(12, (0x80000000 | random.int(65536)) >>> 0, true);
          ide.config.write(4, 2, 5);
          ide.busMaster.write(4, 4, 0x1000);
          ide.busMaster.write(0, 1, 0);
          ide.busMaster.write(0, 1, random.pick([1, 9]));
        },
        (random) => {
          if (!random.oneIn(20)) return;
          control.write(0, 1, 4);
          control.write(0, 1, 0);
          bench.clock.advance(200_000, true);
        },
      ],
      invariants: () => assert((control.read(0, 1) & 0x88) !== 0x88, "BSY and DRQ at once"),
    };
  },
});
