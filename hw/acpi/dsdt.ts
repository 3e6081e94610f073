/** The differentiated system description table of the board `pc`: the devices that an operating system cannot find by itself. */
import { HPET_BASE, HPET_SIZE } from "../hpet.ts";
import {
  type Aml,
  and,
  arg,
  byteField,
  createDWordField,
  device,
  eisaId,
  integer,
  method,
  name,
  operationRegion,
  or,
  packageOf,
  path,
  PCI_CONFIG,
  returns,
  scope,
  store,
  string,
  when,
} from "./aml.ts";
import {
  busNumbers,
  dma,
  fixedMemory,
  INTERRUPT_NUMBER,
  io,
  ioWindow,
  irq,
  memoryWindow,
  resourceTemplate,
  sharedInterrupt,
} from "./resources.ts";

/** A serial port: first I/O port and interrupt. */
export interface SerialResource {
  base: number;
  irq: number;
}

/** What the table has to know of the board. */
export interface DsdtOptions {
  /** PCI address of the ISA bridge and of the power management function, as `device << 16 | function`. */
  isaBridge: number;
  /** Slot whose INTA# is wired to the system control interrupt instead of a PIRQ: the south bridge's. */
  southBridgeSlot: number;
  serial: readonly SerialResource[];
  /** First and last address of the window for PCI memory. */
  pciMemory: { first: number; last: number };
  /** Base of the power management ports, reserved for no driver to take. */
  pmBase: number;
  smbusBase: number;
  /** Further ports of the power management function: first port and count. */
  pmPorts: readonly (readonly [base: number, count: number])[];
  sciInterrupt: number;
  /** Interrupts that a PIRQ may be routed to. */
  pciInterrupts: readonly number[];
  /** Number of processors. */
  processors: number;
  /** Whether there is an HPET. */
  hpet: boolean;
}

const PIRQS = ["LNKA", "LNKB", "LNKC", "LNKD"], SCI_LINK = "LNKS";
/** PIRQRC registers of the PIIX3 in the configuration space of the ISA bridge, and their disable bit. */
const PIRQRCA = 0x60, IRQ_ROUTING_DISABLE = 0x80;

/** Bits of _STA: present, enabled, shown, functioning. */
const STA_PRESENT = 0x0b, STA_DISABLED = 0x09;

function isaDevice(label: string, id: string, ...resources: Aml[]): Aml {
  return device(
    label,
    name("_HID", eisaId(id)),
    name("_CRS", resourceTemplate(...resources)),
  );
}

function linkDevice(index: number, pciInterrupts: readonly number[]): Aml {
  const register = path(`\\_SB.PCI0.ISA.PRQ${index}`);
  return device(
    PIRQS[index],
    name("_HID", eisaId("PNP0C0F")),
    name("_UID", integer(index + 1)),
    name("_PRS", resourceTemplate(sharedInterrupt(...pciInterrupts))),
    method(
      "_STA",
      {},
      when(and(register, integer(IRQ_ROUTING_DISABLE)), returns(integer(STA_DISABLED))),
      returns(integer(STA_PRESENT)),
    ),
    method("_DIS", {}, or(register, integer(IRQ_ROUTING_DISABLE), register)),
    method(
      "_CRS",
      { serialized: true },
      name("BUF0", resourceTemplate(sharedInterrupt(0))),
      createDWordField(path("BUF0"), INTERRUPT_NUMBER, "IRQ0"),
      store(and(register, integer(0x0f)), path("IRQ0")),
      returns(path("BUF0")),
    ),
    method(
      "_SRS",
      { args: 1 },
      createDWordField(arg(0), INTERRUPT_NUMBER, "IRQ1"),
      store(path("IRQ1"), register),
    ),
  );
}

/** The link device of the system control interrupt, which is wired where it is. */
function fixedLink(interrupt: number): Aml {
  const resource = resourceTemplate(sharedInterrupt(interrupt));
  return device(
    SCI_LINK,
    name("_HID", eisaId("PNP0C0F")),
    name("_UID", integer(0)),
    name("_STA", integer(STA_PRESENT)),
    name("_PRS", resource),
    name("_CRS", resource),
    method("_DIS", {}),
    method("_SRS", { args: 1 }),
  );
}

/**
 * _PRT: which link device each pin of each slot is wired to. It holds for the 8259s and for the I/O APIC,
 * whose inputs are the ISA interrupts of the same numbers, so that there is no need of a _PIC method.
 */
function routing({ southBridgeSlot }: DsdtOptions): Aml {
  const ALL_FUNCTIONS = 0xffff;
  const rows: Aml[] = [];
  for (let slot = 1; slot < 32; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      const address = integer(slot * 0x10000 + ALL_FUNCTIONS);
      const sci = slot === southBridgeSlot && pin === 0;
      const link = sci ? SCI_LINK : PIRQS[(slot - 1 + pin) & 3];
      rows.push(packageOf(address, integer(pin), path(link), integer(0)));
    }
  }
  return name("_PRT", packageOf(...rows));
}

function isaBridge(options: DsdtOptions): Aml {
  const serial = options.serial.map(({ base, irq: line }, i) =>
    device(
      `COM${i + 1}`,
      name("_HID", eisaId("PNP0501")),
      name("_UID", integer(i + 1)),
      name("_CRS", resourceTemplate(io(base, 8), irq(line))),
    )
  );
  return device(
    "ISA",
    name("_ADR", integer(options.isaBridge)),
    operationRegion("PIRQ", PCI_CONFIG, { offset: PIRQRCA, length: 4 }),
    byteField("PIRQ", ["PRQ0", 8], ["PRQ1", 8], ["PRQ2", 8], ["PRQ3", 8]),
    isaDevice("PIC", "PNP0000", io(0x20, 2), io(0xa0, 2), io(0x4d0, 2), irq(2)),
    isaDevice("TMR", "PNP0100", io(0x40, 4), irq(0)),
    isaDevice("DMAC", "PNP0200", io(0x00, 16), io(0x81, 15), io(0xc0, 32), dma(4)),
    isaDevice("RTC", "PNP0B00", io(0x70, 2), irq(8)),
    isaDevice("SPKR", "PNP0800", io(0x61, 1)),
    isaDevice("FPU", "PNP0C04", io(0xf0, 16), irq(13)),
    isaDevice("KBD", "PNP0303", io(0x60, 1), io(0x64, 1), irq(1)),
    isaDevice("MOU", "PNP0F13", irq(12)),
    ...serial,
    isaDevice(
      "MBRS",
      "PNP0C02",
      io(0x80, 1),
      io(0x92, 1),
      io(options.pmBase, 0x40),
      io(options.smbusBase, 0x10),
      ...options.pmPorts.map(([base, count]) => io(base, count)),
    ),
  );
}

/** A processor by the number that the MADT knows it by. */
function processor(index: number): Aml {
  return device(
    `CP${index.toString(16).toUpperCase().padStart(2, "0")}`,
    name("_HID", string("ACPI0007")),
    name("_UID", integer(index)),
  );
}

function hpetDevice(): Aml {
  return device(
    "HPET",
    name("_HID", eisaId("PNP0103")),
    name("_UID", integer(0)),
    name("_CRS", resourceTemplate(fixedMemory(HPET_BASE, HPET_SIZE))),
  );
}

/** The definition block, without the table header. */
export function dsdtBody(options: DsdtOptions): Aml {
  const { first, last } = options.pciMemory;
  const zero = integer(0);
  return [
    // SLP_TYP of the PIIX4: 0 is soft off. There are no sleeping states.
    ...name("\\_S5", packageOf(zero, zero, zero, zero)),
    ...scope(
      "\\_SB",
      device(
        "PCI0",
        name("_HID", eisaId("PNP0A03")),
        name("_UID", zero),
        name(
          "_CRS",
          resourceTemplate(
            busNumbers(0, 0xff),
            io(0xcf8, 8),
            ioWindow(0x0000, 0x0cf7),
            ioWindow(0x0d00, 0xffff),
            memoryWindow(0xa0000, 0xbffff, { cacheable: true }),
            memoryWindow(first, last),
          ),
        ),
        routing(options),
        isaBridge(options),
      ),
      ...PIRQS.map((_, i) => linkDevice(i, options.pciInterrupts)),
      fixedLink(options.sciInterrupt),
      ...(options.hpet ? [hpetDevice()] : []),
      ...Array.from({ length: options.processors }, (_, index) => processor(index)),
    ),
  ];
}
