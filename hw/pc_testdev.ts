/**
 * QEMU's `pc-testdev`, which kvm-unit-tests are written for: ports that remember what was written, interrupt
 * lines under the guest's control, and 64 KiB of memory that is reached by bus accesses only.
 *
 * On a PC: `ioport` at E0h, `flush` at E4h, `ioportByte` at E8h, `irqLines` at 2000h, `iomem` at FF000000h.
 */
import type { AccessSize, RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State } from "../core/chip.ts";
import { checkedState } from "./bounds.ts";

/** Bytes of `iomem`. */
export const TESTDEV_IOMEM_SIZE = 0x10000;
/** Ports of `irqLines`. */
export const TESTDEV_IRQ_LINES = 24;

/** The test device. */
export class PcTestdev implements Chip {
  readonly name = "pc_testdev";
  private state = resetState();

  /** Four bytes that read as they were written; accesses of 1, 2 and 4 bytes. */
  readonly ioport: RegisterAccess = {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= this.state.data[(offset + i) & 3] << (8 * i);
      return value >>> 0;
    },
    write: (offset, size, value) => {
      for (let i = 0; i < size; i++) this.state.data[(offset + i) & 3] = value >>> (8 * i);
    },
  };

  /** The same four bytes, for a range that is claimed byte by byte. */
  readonly ioportByte: RegisterAccess = this.ioport;

  /**
   * A physical address written here makes a hypervisor drop its mapping of that page, which no guest
   * can see. There is none to drop.
   */
  readonly flush: RegisterAccess = { read: () => 0, write: () => {} };

  /** One port a line: 0 lowers it, any other byte raises it. */
  readonly irqLines: RegisterAccess = {
    read: () => 0,
    write: (offset, _size, value) => {
      const level = value !== 0, bit = 1 << offset;
      this.state.lines = level ? this.state.lines | bit : this.state.lines & ~bit;
      this.wires.irq(offset, level);
    },
  };

  /** Memory; accesses of 1, 2 and 4 bytes. */
  readonly iomem: RegisterAccess = {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) {
        value |= this.state.iomem[(offset + i) % TESTDEV_IOMEM_SIZE] << (8 * i);
      }
      return value >>> 0;
    },
    write: (offset, size: AccessSize, value) => {
      for (let i = 0; i < size; i++) {
        this.state.iomem[(offset + i) % TESTDEV_IOMEM_SIZE] = value >>> (8 * i);
      }
    },
  };

  /** `irq` drives one of 24 interrupt lines; a board ignores those it does not have. */
  constructor(private readonly wires: { irq: (line: number, level: boolean) => void }) {}

  /** Drives the lines that are high or were. The others belong to other chips. */
  private drive(before: number): void {
    for (let line = 0; line < TESTDEV_IRQ_LINES; line++) {
      const level = (this.state.lines & (1 << line)) !== 0;
      if (level || (before & (1 << line)) !== 0) this.wires.irq(line, level);
    }
  }

  reset(): void {
    const before = this.state.lines;
    this.state = resetState();
    this.drive(before);
  }

  snapshot(): State {
    const { data, lines, iomem } = this.state;
    return { data: data.slice(), lines, iomem: iomem.slice() };
  }

  restore(state: State): void {
    const before = this.state.lines;
    this.state = checkedState(this.name, state, resetState(), {
      lines: 2 ** TESTDEV_IRQ_LINES - 1,
    });
    this.drive(before);
  }
}

function resetState(): { data: Uint8Array; lines: number; iomem: Uint8Array } {
  return { data: new Uint8Array(4), lines: 0, iomem: new Uint8Array(TESTDEV_IOMEM_SIZE) };
}
