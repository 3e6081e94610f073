/**
 * The interrupt controllers of the board `pc`, and how they are joined: every ISA line goes to the pair of
 * 8259s and to the I/O APIC, the 8259s' INTR to LINT0 of the bootstrap processor's local APIC.
 */
import type { MemoryMap, MemoryRange } from "../../core/bus/memory_map.ts";
import type { PortMap } from "../../core/bus/port_map.ts";
import type { Chip, Wire } from "../../core/chip.ts";
import type { Clock } from "../../core/machine/clock.ts";
import type { Cpu } from "../../core/machine/cpu.ts";
import { ApicBus, MSI_BASE, MSI_SIZE } from "../apic_bus.ts";
import { I8259 } from "../i8259.ts";
import { IoApic, IOAPIC_BASE, IOAPIC_PINS, IOAPIC_SIZE } from "../ioapic.ts";
import { LOCAL_APIC_BASE, LOCAL_APIC_SIZE, LocalApic } from "../local_apic.ts";
import { OrLine } from "./or_line.ts";

/** I/O APIC input of the timer: input 0 is the 8259's in other boards, and open here. */
export const TIMER_INPUT = 2;
/** Local APICs lie over the window for message-signalled interrupts. */
const LOCAL_APIC_PRIORITY = 1;

/** What the controllers are joined to. */
export interface InterruptWires {
  memory: MemoryMap;
  ports: PortMap;
  clock: Clock;
  /** The pins of a processor; undefined until it is made. */
  processor(index: number): Cpu | undefined;
  /** The processor that is executing: its local APIC answers at the address that they share. */
  current(): number;
}

/** Whether the ISA bus has this interrupt: line 2 is the cascade. */
export function hasLine(irq: number): boolean {
  return Number.isInteger(irq) && irq >= 0 && irq < 16 && irq !== 2;
}

/** The interrupt controllers of a board. */
export class PcInterrupts {
  readonly pic: I8259;
  readonly ioapic: IoApic;
  readonly bus: ApicBus = new ApicBus();
  /** One a processor. */
  readonly local: readonly LocalApic[];
  /** I/O APIC inputs, which may have several sources, and ISA lines. */
  private readonly inputs: OrLine[];
  private readonly lines: (OrLine | undefined)[];

  /** @param count processors of the board */
  constructor(private readonly wires: InterruptWires, count: number) {
    const { memory, ports } = wires;
    this.local = Array.from({ length: count }, (_, index) => this.addLocal(index));
    this.pic = new I8259({ intr: this.local[0].lint(0) });
    ports.claim("pic master", 0x20, 2, this.pic.master);
    ports.claim("pic slave", 0xa0, 2, this.pic.slave);
    ports.claim("elcr", 0x4d0, 2, this.pic.elcr);
    this.ioapic = new IoApic({ send: (message) => this.bus.send(message) });
    this.bus.listen(this.ioapic);
    memory.addMmio("ioapic", IOAPIC_BASE, IOAPIC_SIZE, this.ioapic.registers, { sizes: [4] });
    memory.addMmio("msi", MSI_BASE, MSI_SIZE, this.bus.messages, { sizes: [4] });
    this.inputs = Array.from(
      { length: IOAPIC_PINS },
      (_, pin) => new OrLine(this.ioapic.pin(pin)),
    );
    this.lines = Array.from(
      { length: 16 },
      (_, irq) => hasLine(irq) ? this.line(irq) : undefined,
    );
  }

  private line(irq: number): OrLine {
    const pic = this.pic.irq(irq), input = this.input(irq === 0 ? TIMER_INPUT : irq);
    return new OrLine((level) => {
      pic(level);
      input(level);
    });
  }

  private addLocal(index: number): LocalApic {
    const { memory, clock, processor } = this.wires;
    const range: { at?: MemoryRange } = {};
    const apic = new LocalApic({
      clock,
      bus: this.bus,
      processor: {
        intr: (level) => processor(index)?.setIntr(level),
        nmi: () => processor(index)?.nmi(),
        init: () => processor(index)?.init(),
        startup: (vector) => processor(index)?.startup(vector),
      },
      acknowledge: () => this.pic.acknowledge(),
      decode: (base) => {
        if (base !== undefined && base < 2 ** 32) range.at?.move(base);
        range.at?.setEnabled(base !== undefined && base < 2 ** 32);
      },
    }, { index });
    this.bus.attach(apic);
    // All pages may lie at one address: whichever is asked, the executing processor's answers.
    const answering = (): LocalApic | undefined => {
      const own = this.local[this.wires.current()];
      return own.base === range.at!.base ? own : undefined;
    };
    range.at = memory.addMmio(apic.name, LOCAL_APIC_BASE, LOCAL_APIC_SIZE, {
      read: (offset, size) => answering()?.registers.read(offset, size) ?? 0xffffffff,
      write: (offset, size, value) => {
        // The first registers do not exist: what is written there is a message for APIC 0.
        if (offset < 0x10) this.bus.messages.write(offset, size, value);
        else answering()?.registers.write(offset, size, value);
      },
    }, { sizes: [4], priority: LOCAL_APIC_PRIORITY });
    return apic;
  }

  /** One more output on the line of an ISA interrupt; undefined for a number without one. */
  source(irq: number): Wire | undefined {
    return hasLine(irq) ? this.lines[irq]!.source() : undefined;
  }

  /** One more output on an I/O APIC input, 0 to 23, that the 8259s do not see. */
  input(pin: number): Wire {
    return this.inputs[pin].source();
  }

  /** A non-maskable interrupt from the board, for all processors that listen to their LINT1. */
  nmi(): void {
    for (const apic of this.local) {
      const pin = apic.lint(1);
      pin(true);
      pin(false);
    }
  }

  /**
   * Whether no interrupt can reach a processor before one of them executes something: the 8259s and the I/O
   * APIC have everything masked, and the local APICs are disabled by software.
   */
  get closed(): boolean {
    return this.pic.closed && this.ioapic.closed && this.local.every(({ enabled }) => !enabled);
  }

  /** The chips in the order of snapshots. */
  get chips(): Chip[] {
    return [this.pic, this.ioapic, ...this.local];
  }
}
