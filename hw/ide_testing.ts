/** A small board for the tests of IDE chips: controller, memory and a clock moved by hand. */
import { HostMemory } from "../core/bus/host_memory.ts";
import { MemoryMap } from "../core/bus/memory_map.ts";
import { PortMap } from "../core/bus/port_map.ts";
import { VirtualClock } from "../core/machine/clock.ts";
import { Piix3Ide } from "./piix3_ide.ts";

/** Base of the primary channel's command block. */
export const IDE = 0x1f0;
/** Where the tests put the bus master's ports. */
export const BUS_MASTER = 0xc000;

/** A controller with its ports claimed and enabled, as firmware leaves it. */
export class IdeBoard {
  readonly clock = new VirtualClock();
  readonly ports = new PortMap();
  readonly memory = new MemoryMap(new HostMemory(1 << 20));
  readonly irqs: boolean[] = [false, false];
  readonly ide: Piix3Ide;

  constructor() {
    this.memory.addRam("ram", 0, 1 << 20, this.memory.host.allocate(1 << 20));
    const irq = (channel: number) => (level: boolean) => {
      this.irqs[channel] = level;
    };
    this.ide = new Piix3Ide({ irqs: [irq(0), irq(1)], memory: this.memory });
    const { ide, ports } = this;
    const off = { enabled: false };
    for (const [channel, base] of [[0, IDE], [1, 0x170]] as const) {
      const { command, control } = ide.ports[channel];
      ide.connectPorts(
        channel,
        ports.claim(`ide${channel}`, base, 8, command, { sizes: [1, 2, 4], ...off }),
        ports.claim(`ide${channel} control`, base + 0x206, 1, control, off),
      );
    }
    const sizes = [1, 2, 4] as const;
    ide.config.connectBar(4, ports.claim("bus master", 0, 16, ide.busMaster, { sizes, ...off }));
    ide.config.write(0x20, 4, BUS_MASTER);
    ide.config.write(0x40, 4, 0x80008000);
    ide.config.write(4, 2, 5);
  }

  /** Lets virtual time pass until no alarm is set. */
  settle(): void {
    for (let i = 0; i < 1e6 && this.clock.next !== Infinity; i++) {
      this.clock.skipTo(this.clock.next);
      this.clock.fireDue();
    }
  }

  /** Writes registers 1 to 7 from left to right, leaving out those undefined, and waits for the result. */
  command(...registers: (number | undefined)[]): void {
    registers.forEach((value, i) => {
      if (value !== undefined) this.ports.write(IDE + 1 + i, 1, value);
    });
    this.settle();
  }

  register(offset: number): number {
    return this.ports.read(IDE + offset, 1);
  }

  get alternateStatus(): number {
    return this.ports.read(0x3f6, 1);
  }

  /** Reads bytes from the data port by words. */
  readData(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 2) {
      const word = this.ports.read(IDE, 2);
      bytes[i] = word;
      if (i + 1 < length) bytes[i + 1] = word >>> 8;
    }
    return bytes;
  }

  /** Writes bytes to the data port by words. */
  writeData(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 2) {
      this.ports.write(IDE, 2, bytes[i] | (bytes[i + 1] ?? 0) << 8);
    }
  }

  /** Makes a descriptor table at 0x1000 and starts the primary channel's bus master. */
  startDma(toMemory: boolean, descriptors: readonly (readonly [address: number, count: number])[]) {
    descriptors.forEach(([address, count], i) => {
      this.memory.write(0x1000 + 8 * i, 4, address);
      const last = i === descriptors.length - 1 ? 0x80000000 : 0;
      this.memory.write(0x1004 + 8 * i, 4, (count & 0xffff | last) >>> 0);
    });
    this.ports.write(BUS_MASTER + 4, 4, 0x1000);
    this.ports.write(BUS_MASTER + 2, 1, 6);
    this.ports.write(BUS_MASTER, 1, toMemory ? 9 : 1);
    this.settle();
  }

  get busMasterStatus(): number {
    return this.ports.read(BUS_MASTER + 2, 1);
  }
}
