/** Makes what UEFI boots from a drive: a program, and a FAT file system with it where firmware looks. */
import { assemble, type Code, dword, label, rel32, word } from "./assemble.ts";

const CODE = 0x1000, FILE_ALIGNMENT = 0x200;

/** Text as UEFI has it: 16-bit characters, a zero behind. */
const utf16 = (text: string): Code => [...[...text].map((c) => word(c.charCodeAt(0))), word(0)];

/**
 * A UEFI program for 64-bit PCs that prints a line and returns: a PE32+ image (PE Format, Microsoft) with
 * one section. Its entry gets the system table in RDX (UEFI specification, sections 2.3.4 and 4.3).
 */
export function efiProgram(line: string): Uint8Array<ArrayBuffer> {
  const code = assemble(0, [
    [0x48, 0x83, 0xec, 0x28], // sub rsp, 0x28
    [0x48, 0x8b, 0x4a, 0x40], // mov rcx, [rdx+0x40]: ConOut
    [0x48, 0x8d, 0x15, rel32("text")], // lea rdx, [text]
    [0xff, 0x51, 0x08], // call [rcx+8]: OutputString
    [0x31, 0xc0], // xor eax, eax
    [0x48, 0x83, 0xc4, 0x28, 0xc3], // add rsp, 0x28; ret
    [label("text"), utf16(`${line}\r\n`)],
  ]);
  const size = Math.ceil(code.length / FILE_ALIGNMENT) * FILE_ALIGNMENT;
  const quad = (value: number): Code => [dword(value), dword(0)];
  return assemble(0, [
    ["MZ", { fill: 0x3c }, dword(0x40)],
    ["PE\0\0", word(0x8664), word(1), dword(0), dword(0), dword(0), word(0xf0), word(0x22)],
    [word(0x20b), word(0), dword(size), dword(0), dword(0), dword(CODE), dword(CODE)],
    [quad(0), dword(0x1000), dword(FILE_ALIGNMENT)], // image base, alignments
    [dword(0), dword(0), dword(0), dword(0)], // versions
    [dword(CODE + 0x1000), dword(FILE_ALIGNMENT), dword(0)], // sizes of image and headers, checksum
    [word(10), word(0)], // subsystem: EFI application
    [quad(0), quad(0), quad(0), quad(0), dword(0), dword(16), new Array(16).fill(quad(0))],
    [".text\0\0\0", dword(code.length), dword(CODE), dword(size), dword(FILE_ALIGNMENT)],
    [dword(0), dword(0), dword(0), dword(0x60000020)],
    { fill: FILE_ALIGNMENT },
    [...code],
    { fill: FILE_ALIGNMENT + size },
  ]);
}

const SECTOR = 512, SECTORS = 2880, FAT_SECTORS = 9, ROOT_ENTRIES = 224;
const FIRST_FAT = 1, ROOT = FIRST_FAT + 2 * FAT_SECTORS;
const DATA = ROOT + ROOT_ENTRIES * 32 / SECTOR;
const DIRECTORY = 0x10, FILE = 0x20;

/**
 * An image of 1440 KiB with a FAT12 file system that has the program as \EFI\BOOT\BOOTX64.EFI (FAT: General
 * Overview of On-Disk Format, Microsoft). Clusters are sectors, and each thing lies in one piece.
 */
export function efiDisk(program: Uint8Array): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(SECTORS * SECTOR), view = new DataView(image.buffer);
  image.set([0xeb, 0x3c, 0x90, ...new TextEncoder().encode("COMPY   ")]);
  view.setUint16(11, SECTOR, true);
  image.set([1, FIRST_FAT, 0, 2], 13); // sectors a cluster, reserved sectors, FATs
  view.setUint16(17, ROOT_ENTRIES, true);
  view.setUint16(19, SECTORS, true);
  image[21] = 0xf0; // medium
  view.setUint16(22, FAT_SECTORS, true);
  image.set([18, 0, 2, 0], 24); // sectors a track, heads
  image[38] = 0x29;
  image.set(new TextEncoder().encode("NO NAME    FAT12   "), 43);
  view.setUint16(510, 0xaa55, true);

  let next = 2;
  const link = (cluster: number, value: number): void => {
    for (const fat of [FIRST_FAT, FIRST_FAT + FAT_SECTORS]) {
      const at = fat * SECTOR + Math.floor(cluster * 3 / 2);
      const pair = view.getUint16(at, true);
      const bits = cluster % 2 === 0 ? (pair & 0xf000) | value : (pair & 0x000f) | (value << 4);
      view.setUint16(at, bits, true);
    }
  };
  link(0, 0xff0);
  link(1, 0xfff);
  /** Takes clusters for so many bytes; returns the first. */
  const allocate = (bytes: number): number => {
    const first = next;
    next += Math.ceil(bytes / SECTOR);
    for (let c = first; c < next; c++) link(c, c + 1 === next ? 0xfff : c + 1);
    return first;
  };
  const place = (cluster: number): number => (DATA + cluster - 2) * SECTOR;
  const entry = (at: number, name: string, attributes: number, cluster: number, size = 0): void => {
    image.set(new TextEncoder().encode(name.padEnd(11)), at);
    image[at + 11] = attributes;
    view.setUint16(at + 26, cluster, true);
    view.setUint32(at + 28, size, true);
  };
  const directory = (parent: number): number => {
    const cluster = allocate(SECTOR);
    entry(place(cluster), ".", DIRECTORY, cluster);
    entry(place(cluster) + 32, "..", DIRECTORY, parent);
    return cluster;
  };
  const efi = directory(0), boot = directory(efi), file = allocate(program.length);
  entry(ROOT * SECTOR, "EFI", DIRECTORY, efi);
  entry(place(efi) + 64, "BOOT", DIRECTORY, boot);
  entry(place(boot) + 64, "BOOTX64 EFI", FILE, file, program.length);
  image.set(program, place(file));
  return image;
}
