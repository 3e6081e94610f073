/** The map of physical memory that firmware hands to an operating system (ACPI specification, "INT 15H, E820H"). */

/** Types of address ranges. */
export const E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4;

/** One range of the map. */
export interface E820Entry {
  base: number;
  length: number;
  type: number;
}

/** First byte of the extended BIOS data area, which ends where video memory begins. */
export const EBDA_BASE = 0x9fc00;
/** Where the legacy hole begins: video memory, option ROMs, system BIOS. */
export const LOW_MEMORY_END = 0xa0000;
/** The area that is searched for the ACPI root pointer, and where the board's tables lie. */
export const BIOS_AREA = 0xe0000;
/** Where RAM continues above the legacy hole. */
export const HIGH_MEMORY = 0x100000;

/** The map of a machine with `ramSize` bytes in one piece from 0, as the board leaves it for a kernel without firmware. */
export function e820Map(ramSize: number): E820Entry[] {
  const map: E820Entry[] = [
    { base: 0, length: EBDA_BASE, type: E820_RAM },
    { base: EBDA_BASE, length: LOW_MEMORY_END - EBDA_BASE, type: E820_RESERVED },
    { base: BIOS_AREA, length: HIGH_MEMORY - BIOS_AREA, type: E820_RESERVED },
  ];
  if (ramSize > HIGH_MEMORY) {
    map.push({ base: HIGH_MEMORY, length: ramSize - HIGH_MEMORY, type: E820_RAM });
  }
  return map;
}

/** The map as BIOS and boot protocols store it: 8 bytes base, 8 bytes length, 4 bytes type each. */
export function encodeE820(map: readonly E820Entry[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(map.length * 20);
  const view = new DataView(bytes.buffer);
  map.forEach(({ base, length, type }, i) => {
    view.setBigUint64(i * 20, BigInt(base), true);
    view.setBigUint64(i * 20 + 8, BigInt(length), true);
    view.setUint32(i * 20 + 16, type, true);
  });
  return bytes;
}
