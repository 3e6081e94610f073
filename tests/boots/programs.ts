/** Programs for firmware to boot, and the images that carry them. */
import { abs16, assemble, type Code, dword, label, rel16, rel8, word } from "./assemble.ts";

export const SECTOR = 512;
/** Where a BIOS puts a boot sector. */
const ORIGIN = 0x7c00;

/** Prints the text that follows the call, which ends in 0, on the screen and on COM1. */
const print = (text: string): Code => [0xe8, rel16("print"), text, 0]; // call print; db text, 0
/** Prints AL as two hexadecimal digits. */
const PRINT_HEX: Code = [0xe8, rel16("hex")]; // call hex

/** Segments 0, a stack below the program, the boot drive remembered, an empty screen. */
const START: Code = [
  0xfa, // cli
  ...[0x31, 0xc0], // xor ax, ax
  ...[0x8e, 0xd8], // mov ds, ax
  ...[0x8e, 0xc0], // mov es, ax
  ...[0x8e, 0xd0], // mov ss, ax
  ...[0xbc, word(ORIGIN)], // mov sp, 0x7c00
  0xfb, // sti
  ...[0x88, 0x16, abs16("drive")], // mov [drive], dl
  ...[0xb8, word(3)], // mov ax, 3: set video mode 3
  ...[0xcd, 0x10], // int 0x10
];

const ROUTINES: Code = [
  label("print"), // the text lies where the caller would go on
  0x5e, // pop si
  label("print next"),
  0xac, // lodsb
  ...[0x84, 0xc0], // test al, al
  ...[0x74, rel8("print end")], // jz
  ...[0xe8, rel16("put")], // call put
  ...[0xeb, rel8("print next")], // jmp
  label("print end"),
  ...[0xff, 0xe6], // jmp si

  label("hex"),
  0x50, // push ax
  ...[0xc0, 0xe8, 4], // shr al, 4
  ...[0xe8, rel16("digit")], // call digit
  0x58, // pop ax
  label("digit"),
  ...[0x24, 0x0f], // and al, 15
  ...[0x3c, 0x0a], // cmp al, 10
  ...[0x1c, 0x69], // sbb al, 0x69
  0x2f, // das: an old trick, now AL is "0" to "9" or "A" to "F"
  label("put"),
  0x60, // pusha
  0x50, // push ax
  ...[0xb4, 0x0e], // mov ah, 0x0e: teletype output
  ...[0xbb, word(7)], // mov bx, 7
  ...[0xcd, 0x10], // int 0x10
  ...[0xba, word(0x3fd)], // mov dx, COM1's line status
  label("put wait"),
  0xec, // in al, dx
  ...[0xa8, 0x20], // test al, THRE
  ...[0x74, rel8("put wait")], // jz
  0x58, // pop ax
  ...[0xba, word(0x3f8)], // mov dx, COM1
  0xee, // out dx, al
  0x61, // popa
  0xc3, // ret

  label("stop"),
  0xfb, // sti
  0xf4, // hlt
  ...[0xeb, rel8("stop")], // jmp

  label("drive"),
  0,
];

const SIGNATURE: Code = [{ fill: SECTOR - 2 }, 0x55, 0xaa];

/** The sector in which {@linkcode exerciser} finds a text, and the one that it writes by LBA. */
export const TEXT_SECTOR = 300, WRITTEN_BY_LBA = 301;
/** Head and sector (counted from 1) that it writes in cylinder 0. */
export const WRITTEN_HEAD = 1, WRITTEN_CHS_SECTOR = 5;

/** A disk address packet for one sector at 0x9000. */
const packet = (lba: number): Code => [16, 0, word(1), word(0x9000), word(0), dword(lba), dword(0)];

/** Issues INT 13h for the boot drive, and stops with the status when it fails. */
const DISK: Code = [
  ...[0x8a, 0x16, abs16("drive")], // mov dl, [drive]
  ...[0xcd, 0x13], // int 0x13
  ...[0x0f, 0x82, rel16("failed")], // jc failed
];

/**
 * A program of two sectors that uses firmware's services: it reads its second sector (INT 13h, AH=02h) and
 * the sector 300 (AH=42h), prints the text there, asks for a line on the keyboard (INT 16h), and writes it
 * to the sector 301 (AH=43h) and by cylinder, head and sector (AH=03h).
 */
export function exerciser(): Uint8Array<ArrayBuffer> {
  return assemble(ORIGIN, [
    START,
    print("boot sector, drive "),
    ...[0xa0, abs16("drive")], // mov al, [drive]
    PRINT_HEX,
    print("\r\n"),
    ...[0xb8, word(0x0201)], // mov ax, 0x0201: read one sector
    ...[0xbb, word(ORIGIN + SECTOR)], // mov bx, 0x7e00
    ...[0xb9, word(2)], // mov cx, 2: cylinder 0, sector 2
    ...[0xb6, 0], // mov dh, 0
    DISK,
    ...[0xe9, rel16("second")], // jmp second
    label("failed"),
    print("INT 13h failed, status "),
    ...[0x88, 0xe0], // mov al, ah
    PRINT_HEX,
    ...[0xeb, rel8("stop")], // jmp stop
    ROUTINES,
    SIGNATURE,

    label("second"),
    print("second sector\r\n"),
    ...[0xb4, 0x41], // mov ah, 0x41: are there extensions?
    ...[0xbb, word(0x55aa)], // mov bx, 0x55aa
    DISK,
    ...[0xbe, abs16("read packet")], // mov si, packet
    ...[0xb4, 0x42], // mov ah, 0x42: extended read
    DISK,
    ...[0xbe, word(0x9000)], // mov si, 0x9000
    label("copy"),
    0xac, // lodsb
    ...[0x84, 0xc0], // test al, al
    ...[0x74, rel8("copied")], // jz
    ...[0xe8, rel16("put")], // call put
    ...[0xeb, rel8("copy")], // jmp
    label("copied"),
    print("\r\nkeys: "),
    ...[0xbf, word(0x9000)], // mov di, 0x9000
    label("key"),
    ...[0x30, 0xe4], // xor ah, ah: read a key
    ...[0xcd, 0x16], // int 0x16
    ...[0x3c, 0x0d], // cmp al, Enter
    ...[0x74, rel8("entered")], // je
    0xaa, // stosb
    ...[0xe8, rel16("put")], // call put
    ...[0xeb, rel8("key")], // jmp
    label("entered"),
    ...[0x30, 0xc0], // xor al, al
    0xaa, // stosb
    ...[0xbe, abs16("write packet")], // mov si, packet
    ...[0xb8, word(0x4300)], // mov ax, 0x4300: extended write
    DISK,
    ...[0xb8, word(0x0301)], // mov ax, 0x0301: write one sector
    ...[0xbb, word(0x9000)], // mov bx, 0x9000
    ...[0xb9, word(WRITTEN_CHS_SECTOR)], // mov cx, sector
    ...[0xb6, WRITTEN_HEAD], // mov dh, head
    DISK,
    print("\r\nwritten\r\n"),
    ...[0xe9, rel16("stop")], // jmp stop
    label("read packet"),
    packet(TEXT_SECTOR),
    label("write packet"),
    packet(WRITTEN_BY_LBA),
    { fill: 2 * SECTOR },
  ]);
}

/**
 * A boot sector that prints a name, the equipment word (INT 11h), how many hard disks the BIOS has found, and
 * what resetting the first diskette drive says (INT 13h: carry and status).
 */
export function namesItself(name: string): Uint8Array<ArrayBuffer> {
  return assemble(ORIGIN, [
    START,
    print(`I am ${name}; drive `),
    ...[0xa0, abs16("drive")], // mov al, [drive]
    PRINT_HEX,
    print(", equipment "),
    ...[0xcd, 0x11], // int 0x11
    0x50, // push ax
    ...[0x88, 0xe0], // mov al, ah
    PRINT_HEX,
    0x58, // pop ax
    PRINT_HEX,
    print(", hard disks "),
    ...[0xa0, word(0x475)], // mov al, [0x475]
    PRINT_HEX,
    print(", diskette "),
    ...[0xb8, word(0x0201)], // mov ax, 0x0201: read one sector
    ...[0xbb, word(0x9000)], // mov bx, 0x9000
    ...[0xb9, word(1)], // mov cx, 1
    ...[0x31, 0xd2], // xor dx, dx: drive 0
    ...[0xcd, 0x13], // int 0x13
    ...[0x18, 0xc0], // sbb al, al: ff with carry
    PRINT_HEX,
    print("\r\n"),
    ...[0xe9, rel16("stop")], // jmp stop
    ROUTINES,
    SIGNATURE,
  ]);
}

/** A disk image that begins with a program. */
export function disk(program: Uint8Array, sectors = 2048): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(sectors * SECTOR);
  image.set(program);
  return image;
}

/** An image of a CD-ROM that boots a program without emulating a disk (El Torito, version 1.0). */
export function bootableCd(program: Uint8Array): Uint8Array<ArrayBuffer> {
  const BLOCK = 2048, DESCRIPTORS = 16, CATALOG = 19, PROGRAM = 20;
  const image = new Uint8Array((PROGRAM + Math.ceil(program.length / BLOCK)) * BLOCK);
  const view = new DataView(image.buffer);
  const put = (at: number, text: string): void => image.set(new TextEncoder().encode(text), at);
  // Volume descriptors: primary, boot record, terminator (ISO 9660, 8)
  [1, 0, 255].forEach((type, i) => {
    const at = (DESCRIPTORS + i) * BLOCK;
    image[at] = type;
    put(at + 1, "CD001");
    image[at + 6] = 1;
  });
  const bootRecord = (DESCRIPTORS + 1) * BLOCK;
  put(bootRecord + 7, "EL TORITO SPECIFICATION");
  view.setUint32(bootRecord + 0x47, CATALOG, true);
  // Validation entry: its words add up to 0
  const catalog = CATALOG * BLOCK;
  image[catalog] = 1;
  view.setUint16(catalog + 30, 0xaa55, true);
  view.setUint16(catalog + 28, -(1 + 0xaa55) & 0xffff, true);
  // Initial entry: bootable, no emulation, one sector to the default segment
  image[catalog + 32] = 0x88;
  view.setUint16(catalog + 38, Math.ceil(program.length / SECTOR), true);
  view.setUint32(catalog + 40, PROGRAM, true);
  image.set(program, PROGRAM * BLOCK);
  return image;
}
