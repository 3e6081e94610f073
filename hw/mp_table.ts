/**
 * The tables of processors and interrupts for systems that know no ACPI: Intel MultiProcessor
 * Specification, version 1.4, chapter 4. The entries are those of SeaBIOS on the same board.
 */
import { IOAPIC_BASE } from "./ioapic.ts";
import { LOCAL_APIC_BASE } from "./local_apic.ts";

/** A PCI function's interrupt. */
export interface PciInterrupt {
  device: number;
  /** 1 to 4 for INTA# to INTD#. */
  pin: number;
  /** I/O APIC input, which is the ISA interrupt of that number. */
  input: number;
}

/** What the tables tell. */
export interface MpFacts {
  processors: number;
  /** I/O APIC input of ISA interrupt 0. */
  timerInput: number;
  pci: readonly PciInterrupt[];
}

const PROCESSOR = 0, BUS = 1, IO_APIC = 2, IO_INTERRUPT = 3, LOCAL_INTERRUPT = 4;
const LOCAL_APIC_VERSION = 0x14, IO_APIC_VERSION = 0x20;
/** A P6 with FPU and APIC: what is said of processors that cannot be asked. */
const SIGNATURE = 0x600, FEATURES = 0x201;
const ENABLED = 1, BOOTSTRAP = 2;
const INT = 0, NMI = 1, EXTINT = 3;
const CONFORMING = 0, HIGH_LEVEL = 0x0d;
const PCI_BUS = 0, ISA_BUS = 1, IO_APIC_ID = 0, ALL = 0xff;
const CASCADE = 2, ISA_INTERRUPTS = 16;
const HEADER_SIZE = 44, POINTER_SIZE = 16, REVISION = 4;

function number(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}

function ascii(text: string, length: number): number[] {
  return [...new TextEncoder().encode(text.padEnd(length))];
}

/** The byte that makes everything add up to 0. */
function complement(bytes: readonly number[]): number {
  return -bytes.reduce((a, b) => a + b, 0) & 0xff;
}

function entries({ processors, timerInput, pci }: MpFacts): number[][] {
  const routed = new Set(pci.map(({ input }) => input));
  const isa = Array.from({ length: ISA_INTERRUPTS }, (_, irq) => irq)
    .filter((irq) => irq !== CASCADE && !routed.has(irq));
  return [
    ...Array.from({ length: processors }, (_, id) => [
      PROCESSOR,
      id,
      LOCAL_APIC_VERSION,
      ENABLED | (id === 0 ? BOOTSTRAP : 0),
      ...number(SIGNATURE, 4),
      ...number(FEATURES, 4),
      ...number(0, 8),
    ]),
    [BUS, PCI_BUS, ...ascii("PCI", 6)],
    [BUS, ISA_BUS, ...ascii("ISA", 6)],
    [IO_APIC, IO_APIC_ID, IO_APIC_VERSION, ENABLED, ...number(IOAPIC_BASE, 4)],
    ...pci.map(({ device, pin, input }) => [
      ...[IO_INTERRUPT, INT, HIGH_LEVEL, 0],
      ...[PCI_BUS, (device << 2) | (pin - 1), IO_APIC_ID, input],
    ]),
    ...isa.map((irq) => [
      ...[IO_INTERRUPT, INT, CONFORMING, 0],
      ...[ISA_BUS, irq, IO_APIC_ID, irq === 0 ? timerInput : irq],
    ]),
    [LOCAL_INTERRUPT, EXTINT, CONFORMING, 0, ISA_BUS, 0, 0, 0],
    [LOCAL_INTERRUPT, NMI, CONFORMING, 0, ISA_BUS, 0, ALL, 1],
  ];
}

/** The floating pointer with the configuration table behind it, for `address`, a multiple of 16. */
export function mpTables(facts: MpFacts, address: number): Uint8Array<ArrayBuffer> {
  const list = entries(facts), body = list.flat();
  const CHECKSUM = 7, POINTER_CHECKSUM = 10;
  const table = [
    ...ascii("PCMP", 4),
    ...number(HEADER_SIZE + body.length, 2),
    REVISION,
    0,
    ...ascii("COMPY", 8),
    ...ascii("PC", 12),
    ...number(0, 6),
    ...number(list.length, 2),
    ...number(LOCAL_APIC_BASE, 4),
    ...number(0, 4),
    ...body,
  ];
  table[CHECKSUM] = complement(table);
  const PARAGRAPHS = POINTER_SIZE / 16, TABLE_PRESENT = 0;
  const pointer = [
    ...ascii("_MP_", 4),
    ...number(address + POINTER_SIZE, 4),
    PARAGRAPHS,
    REVISION,
    0,
    TABLE_PRESENT,
    // No IMCR: the 8259s always reach the local APIC.
    ...number(0, 4),
  ];
  pointer[POINTER_CHECKSUM] = complement(pointer);
  return new Uint8Array([...pointer, ...table]);
}
