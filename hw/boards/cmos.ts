/**
 * What a board leaves in CMOS memory for firmware: memory sizes, equipment, drives, boot order.
 *
 * The addresses are those of the IBM AT where it had them, and QEMU's where it had none.
 */
import { ramBelow4G } from "../boot/e820.ts";
import { TRANSLATION_NONE } from "../disk_geometry.ts";

/** A disk as firmware's CMOS drive tables describe it. */
export interface CmosDisk {
  cylinders: number;
  heads: number;
  sectors: number;
  translation: number;
}

/** What the contents follow from. */
export interface CmosOptions {
  ramSize: number;
  /** Drive letters in order of preference: `a` floppy, `c` hard disk, `d` CD-ROM, `n` network. */
  bootOrder: string;
  /** By position: 0 and 1 are master and slave of the first channel, 2 and 3 of the second. */
  disks: readonly (CmosDisk | undefined)[];
  mouse: boolean;
  processors: number;
}

const DISK_TYPES = 0x12,
  EQUIPMENT = 0x14,
  BASE_MEMORY = 0x15,
  EXTENDED_MEMORY = 0x17,
  DISK_TYPE_EXTENDED = 0x19,
  DISK_0 = 0x1b,
  DISK_1 = 0x24,
  EXTENDED_MEMORY_POST = 0x30,
  MEMORY_ABOVE_16M = 0x34,
  BOOT_ORDER_3 = 0x38,
  DISK_TRANSLATION = 0x39,
  BOOT_ORDER_12 = 0x3d,
  MEMORY_ABOVE_4G = 0x5b,
  CPUS_BUT_ONE = 0x5f;
const EQUIPMENT_FPU = 1 << 1, EQUIPMENT_MOUSE = 1 << 2;
/** Type 15 says: see the extended type byte, where 47 says: see the table. */
const DISK_TYPE_USER = 47, DISK_TYPE_EXTENDED_MARK = 15;
/** Control byte of a table: more than 8 heads. */
const MORE_THAN_8_HEADS = 1 << 3, DISABLE_RETRIES = 0xc0;
const SKIP_FLOPPY_CHECK = 1 << 0;

const BOOT_CODES: { readonly [letter: string]: number } = { a: 1, c: 2, d: 3, n: 4 };
/** Letters that {@linkcode CmosOptions.bootOrder} may have. */
export const BOOT_LETTERS: readonly string[] = Object.keys(BOOT_CODES);

const KIB = 1024, MIB = 2 ** 20;

/** Addresses and values, in the order in which they are set. */
export function cmosContents(options: CmosOptions): [address: number, value: number][] {
  const { bootOrder, disks, mouse, processors } = options;
  const ramSize = ramBelow4G(options.ramSize), above = options.ramSize - ramSize;
  const contents: [number, number][] = [];
  const put = (address: number, value: number, bytes: number): void => {
    for (let i = 0; i < bytes; i++) contents.push([address + i, (value >>> (8 * i)) & 0xff]);
  };
  const extended = Math.min((ramSize - MIB) / KIB, 0xffff);
  put(BASE_MEMORY, Math.min(ramSize / KIB, 640), 2);
  put(EXTENDED_MEMORY, extended, 2);
  put(EXTENDED_MEMORY_POST, extended, 2);
  put(MEMORY_ABOVE_16M, Math.min(Math.max(0, ramSize - 16 * MIB) / (64 * KIB), 0xffff), 2);
  put(MEMORY_ABOVE_4G, above / (64 * KIB), 3);
  put(CPUS_BUT_ONE, processors - 1, 1);
  put(EQUIPMENT, EQUIPMENT_FPU | (mouse ? EQUIPMENT_MOUSE : 0), 1);
  const codes = [...bootOrder].map((letter) => BOOT_CODES[letter] ?? 0);
  put(BOOT_ORDER_12, (codes[0] ?? 0) | ((codes[1] ?? 0) << 4), 1);
  put(BOOT_ORDER_3, ((codes[2] ?? 0) << 4) | SKIP_FLOPPY_CHECK, 1);

  let types = 0, translations = 0;
  disks.forEach((disk, i) => {
    if (disk === undefined) return;
    const translation = disk.translation ?? TRANSLATION_NONE;
    translations |= translation << (2 * i);
    if (i > 1) return;
    types |= DISK_TYPE_EXTENDED_MARK << (i === 0 ? 4 : 0);
    put(DISK_TYPE_EXTENDED + i, DISK_TYPE_USER, 1);
    const table = i === 0 ? DISK_0 : DISK_1;
    put(table, disk.cylinders, 2);
    put(table + 2, disk.heads, 1);
    // No write precompensation.
    put(table + 3, 0xffff, 2);
    put(table + 5, DISABLE_RETRIES | (disk.heads > 8 ? MORE_THAN_8_HEADS : 0), 1);
    put(table + 6, disk.cylinders, 2);
    put(table + 8, disk.sectors, 1);
  });
  put(DISK_TYPES, types, 1);
  put(DISK_TRANSLATION, translations, 1);
  return contents;
}
