/**
 * The part of the BIOS area that a kernel searches for the tables of a board without firmware: SMBIOS and
 * MultiProcessor Specification. (ACPI's lie in RAM, where a kernel may write.)
 */
import { mpTables, type PciInterrupt } from "../mp_table.ts";
import { INTERRUPT_PIN, type PciFunction } from "../pci.ts";
import { pirqOfSlot } from "../piix3.ts";
import { linkSmbios, type Smbios } from "../smbios.ts";
import { TIMER_INPUT } from "./interrupts.ts";
import { PIRQ_INTERRUPTS, SCI_INTERRUPT } from "./pci_setup.ts";

/** Where it lies: all searches cover the segment F000h. */
export const TABLE_ROM_BASE = 0xf0000, TABLE_ROM_SIZE = 0x2000;

/** What the tables tell. */
export interface TableFacts {
  smbios: Smbios;
  /** Whether the processors have local APICs: the MP tables are about those. */
  localApics: boolean;
  processors: number;
  functions: readonly PciFunction[];
  /** Device whose function 3 has the system control interrupt instead of a PIRQ#. */
  southBridge: number;
}

/** The ROM. */
export function tableRom(
  { smbios, localApics, processors, functions, southBridge }: TableFacts,
): Uint8Array<ArrayBuffer> {
  const pci = functions.flatMap(({ device, config }): PciInterrupt[] => {
    const pin = config.get8(INTERRUPT_PIN);
    if (pin === 0) return [];
    const input = device === southBridge ? SCI_INTERRUPT : PIRQ_INTERRUPTS[pirqOfSlot(device, pin)];
    return [{ device, pin, input }];
  });
  const rom = new Uint8Array(TABLE_ROM_SIZE).fill(0xff);
  let at = 0;
  const place = (bytes: Uint8Array): void => {
    rom.set(bytes, at);
    at += Math.ceil(bytes.length / 16) * 16;
  };
  const anchorSize = Math.ceil(smbios.anchor.length / 16) * 16;
  place(linkSmbios(smbios, TABLE_ROM_BASE + anchorSize));
  place(smbios.tables);
  if (localApics) {
    place(mpTables({ processors, timerInput: TIMER_INPUT, pci }, TABLE_ROM_BASE + at));
  }
  return rom;
}
