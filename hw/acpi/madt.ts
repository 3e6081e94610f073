/** The tables of interrupt controllers and timers (ACPI specification 6.3, sections 5.2.12 and 5.2.6; HPET specification 1.0a, section 3.2.4). */
import { HPET_BASE, HPET_ID } from "../hpet.ts";
import { IOAPIC_BASE } from "../ioapic.ts";
import { LOCAL_APIC_BASE } from "../local_apic.ts";
import { littleEndian } from "./aml.ts";

/** Flags of the table: there are two 8259s too. */
const PCAT_COMPAT = 1;
/** Types of interrupt controller structures. */
const LOCAL_APIC = 0, IO_APIC = 1, SOURCE_OVERRIDE = 2, LOCAL_APIC_NMI = 4;
const ENABLED = 1;
/** MPS INTI flags: as the bus has it, or active high and level-triggered. */
const CONFORMING = 0, HIGH_LEVEL = 0x0d;
const ISA = 0, ALL_PROCESSORS = 0xff, LINT1 = 1;

/** Interrupts of the ISA bus that differ from what the bus is known for. */
export interface InterruptRouting {
  /** Number of processors. */
  processors: number;
  /** I/O APIC input of ISA interrupt 0. */
  timerInput: number;
  /** ISA interrupts that PCI devices share, and so are level-triggered. */
  levelInterrupts: readonly number[];
}

/** MADT, revision 1. */
export function madtBody(
  { processors, timerInput, levelInterrupts }: InterruptRouting,
): number[] {
  const u32 = (n: number): number[] => littleEndian(n, 4);
  const override = (irq: number, input: number, flags: number): number[] => [
    SOURCE_OVERRIDE,
    10,
    ISA,
    irq,
    ...u32(input),
    ...littleEndian(flags, 2),
  ];
  const ids = Array.from({ length: processors }, (_, id) => id);
  return [
    ...u32(LOCAL_APIC_BASE),
    ...u32(PCAT_COMPAT),
    // Processor UIDs are those of the DSDT; they are the APIC IDs too.
    ...ids.flatMap((id) => [LOCAL_APIC, 8, id, id, ...u32(ENABLED)]),
    ...[IO_APIC, 12, 0, 0, ...u32(IOAPIC_BASE), ...u32(0)],
    ...override(0, timerInput, CONFORMING),
    ...levelInterrupts.flatMap((irq) => override(irq, irq, HIGH_LEVEL)),
    ...[LOCAL_APIC_NMI, 6, ALL_PROCESSORS, ...littleEndian(CONFORMING, 2), LINT1],
  ];
}

/** The HPET's table. */
export function hpetBody(): number[] {
  const SYSTEM_MEMORY = 0, FIRST = 0;
  return [
    ...littleEndian(HPET_ID, 4),
    ...[SYSTEM_MEMORY, 0, 0, 0, ...littleEndian(HPET_BASE, 8)],
    FIRST,
    ...littleEndian(0, 2), // minimum tick in periodic mode: none
    0, // no page protection
  ];
}
