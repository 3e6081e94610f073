/** Cylinders, heads and sectors of a disk image, as QEMU tells them to its guests. */
import { SECTOR_SIZE } from "../core/block/block_device.ts";

/** Cylinders, heads and sectors a track. */
export interface Geometry {
  cylinders: number;
  heads: number;
  sectors: number;
}

/** How the firmware translates between the disk's geometry and that of interrupt 13h; the numbers are SeaBIOS's CMOS values. */
export const TRANSLATION_NONE = 0;
export const TRANSLATION_LBA = 1;
export const TRANSLATION_LARGE = 2;

/** A disk's geometry and the translation that goes with it. */
export interface DiskGeometry extends Geometry {
  translation: number;
}

const MAX_CYLINDERS = 16383;

/**
 * The geometry of a disk of `size` bytes. A partition table in the first sector that was made under
 * another geometry of at most 16 heads wins over the usual one of 16 heads and 63 sectors.
 */
export function diskGeometry(size: number, firstSector?: Uint8Array): DiskGeometry {
  const total = Math.floor(size / SECTOR_SIZE);
  const cylinders = Math.max(2, Math.min(MAX_CYLINDERS, Math.floor(total / (16 * 63))));
  const usual = { cylinders, heads: 16, sectors: 63 };
  const large = cylinders * 16 <= 131072 ? TRANSLATION_LARGE : TRANSLATION_LBA;
  const table = firstSector && partitionGeometry(total, firstSector);
  if (table === undefined) {
    return { ...usual, translation: cylinders <= 1024 ? TRANSLATION_NONE : large };
  }
  // More heads than a drive can have: the table was made through a translation of the usual geometry.
  if (table.heads > 16) return { ...usual, translation: large };
  return { ...table, translation: TRANSLATION_NONE };
}

/** The geometry that the ends of the partitions imply. */
function partitionGeometry(total: number, sector: Uint8Array): Geometry | undefined {
  if (sector.length < SECTOR_SIZE || sector[510] !== 0x55 || sector[511] !== 0xaa) return undefined;
  const view = new DataView(sector.buffer, sector.byteOffset, sector.length);
  for (let entry = 0x1be; entry < 0x1fe; entry += 16) {
    const heads = sector[entry + 5] + 1;
    const sectors = sector[entry + 6] & 63;
    if (view.getUint32(entry + 12, true) === 0 || heads === 1 || sectors === 0) continue;
    const cylinders = Math.floor(total / (heads * sectors));
    if (cylinders >= 1 && cylinders <= MAX_CYLINDERS) return { cylinders, heads, sectors };
  }
  return undefined;
}
