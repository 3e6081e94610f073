/** A test bench of local APICs on a bus, whose processors' pins are written down. */
import { VirtualClock } from "../core/machine/clock.ts";
import { ApicBus } from "./apic_bus.ts";
import { LocalApic } from "./local_apic.ts";

/** Offsets of registers in the page of a local APIC. */
export const AT = {
  id: 0x20,
  version: 0x30,
  tpr: 0x80,
  apr: 0x90,
  ppr: 0xa0,
  eoi: 0xb0,
  ldr: 0xd0,
  dfr: 0xe0,
  svr: 0xf0,
  isr: 0x100,
  tmr: 0x180,
  irr: 0x200,
  esr: 0x280,
  icrLow: 0x300,
  icrHigh: 0x310,
  timer: 0x320,
  lint0: 0x350,
  lint1: 0x360,
  error: 0x370,
  initial: 0x380,
  current: 0x390,
  divide: 0x3e0,
} as const;
/** Names in {@linkcode AT}. */
export type Register = keyof typeof AT;

/** Several local APICs. */
export class ApicBed {
  readonly clock = new VirtualClock(0);
  readonly bus = new ApicBus();
  readonly apics: LocalApic[];
  /** INTR of each processor. */
  readonly intr: boolean[] = [];
  /** What else reached the processors. */
  readonly events: string[] = [];
  /** Where each APIC's registers are. */
  readonly base: (number | undefined)[] = [];
  /** What the 8259 answers. */
  picVector = 0x08;

  constructor(count = 1) {
    this.apics = Array.from({ length: count }, (_, index) => {
      const apic = new LocalApic({
        clock: this.clock,
        bus: this.bus,
        processor: {
          intr: (level) => this.intr[index] = level,
          nmi: () => this.events.push(`${index} nmi`),
          init: () => this.events.push(`${index} init`),
          startup: (vector) => this.events.push(`${index} startup ${vector}`),
        },
        acknowledge: () => this.picVector,
        decode: (base) => this.base[index] = base,
      }, { index });
      this.bus.attach(apic);
      apic.reset();
      return apic;
    });
  }

  read(register: Register, index = 0): number {
    return this.apics[index].registers.read(AT[register], 4);
  }

  write(register: Register, value: number, index = 0): void {
    this.apics[index].registers.write(AT[register], 4, value >>> 0);
  }

  /** Switches APICs on as an operating system does: all of them, or one. */
  enable(index?: number): this {
    const all = index === undefined ? this.apics.map((_, i) => i) : [index];
    for (const i of all) this.write("svr", 0x1ff, i);
    return this;
  }

  /** Lets time pass, ringing what is due on the way. */
  pass(ns: number): void {
    const end = this.clock.now() + ns;
    while (this.clock.next <= end) {
      this.clock.skipTo(this.clock.next);
      this.clock.fireDue();
    }
    this.clock.skipTo(end);
  }

  /** A fixed interrupt from a device to APIC 0. */
  interrupt(vector: number, level = false): boolean {
    return this.bus.send({ mode: 0, vector, level, logical: false, destination: 0 });
  }
}
