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

/** Where RAM goes on that has no room below the PCI devices. */
export const ABOVE_4G: number = 2 ** 32;
/** RAM that reaches so far up goes on above 4 GiB, and ends below at the second: as QEMU's `pc` has it. */
const TOO_MUCH_BELOW = 0xe0000000, LAST_BELOW = 0xc0000000;

/** Bytes of a machine's RAM that lie below the PCI devices; the rest lies from 4 GiB on. */
export function ramBelow4G(ramSize: number): number {
  return ramSize >= TOO_MUCH_BELOW ? LAST_BELOW : ramSize;
}

/** The pieces that RAM lies in, the legacy hole left aside. */
export function ramPieces(ramSize: number): { base: number; length: number }[] {
  const below = ramBelow4G(ramSize);
  const pieces = [{ base: 0, length: below }];
  if (ramSize > below) pieces.push({ base: ABOVE_4G, length: ramSize - below });
  return pieces;
}

/** The map of a machine with `ramSize` bytes, as the board leaves it for a kernel without firmware. */
export function e820Map(ramSize: number): E820Entry[] {
  const map: E820Entry[] = [
    { base: 0, length: EBDA_BASE, type: E820_RAM },
    { base: EBDA_BASE, length: LOW_MEMORY_END - EBDA_BASE, type: E820_RESERVED },
    { base: BIOS_AREA, length: HIGH_MEMORY - BIOS_AREA, type: E820_RESERVED },
  ];
  const [below, ...above] = ramPieces(ramSize);
  if (below.length > HIGH_MEMORY) {
    map.push({ base: HIGH_MEMORY, length: below.length - HIGH_MEMORY, type: E820_RAM });
  }
  for (const piece of above) map.push({ ...piece, type: E820_RAM });
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
