/** Small images of every kind that a machine starts, right but for what a test changes in them. */
import { assemble, type Code, dword } from "../boots/assemble.ts";

/** Where the kernels here are loaded. */
export const BASE = 0x100000;
const MULTIBOOT_MAGIC = 0x1badb002;
/** Flag 16: the header says where the file belongs. */
const HAS_ADDRESSES = 1 << 16;
/** Bytes of a header with address fields. */
const HEADER = 32;

/** Changes something in an image. */
export type Patch = (view: DataView) => void;

function patched(bytes: Uint8Array<ArrayBuffer>, patch: Patch): Uint8Array<ArrayBuffer> {
  patch(new DataView(bytes.buffer));
  return bytes;
}

/** A Multiboot kernel without ELF: its header with addresses, then code for 32-bit protected mode. */
export function multiboot(code: Code, patch: Patch = () => {}): Uint8Array<ArrayBuffer> {
  const header = [
    MULTIBOOT_MAGIC,
    HAS_ADDRESSES,
    -(MULTIBOOT_MAGIC + HAS_ADDRESSES),
    BASE, // header_addr
    BASE, // load_addr
    0, // load_end_addr: all of the file
    0, // bss_end_addr: none
    BASE + HEADER, // entry_addr
  ];
  return patched(assemble(BASE, [header.map(dword), code]), patch);
}

/** A 32-bit executable with a Multiboot header and one segment, which is the whole file. */
export function elf(patch: Patch = () => {}): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(0x100);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true); // e_type: executable
  view.setUint16(18, 3, true); // e_machine: 386
  view.setUint32(20, 1, true); // e_version
  view.setUint32(24, BASE + 0x80, true); // e_entry
  view.setUint32(28, 52, true); // e_phoff
  view.setUint16(40, 52, true); // e_ehsize
  view.setUint16(42, 32, true); // e_phentsize
  view.setUint16(44, 1, true); // e_phnum
  const program = [1, 0, BASE, BASE, 0x100, 0x200, 7, 0x1000];
  program.forEach((word, i) => view.setUint32(52 + 4 * i, word, true));
  const header = [MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC];
  header.forEach((word, i) => view.setUint32(0x60 + 4 * i, word >>> 0, true));
  bytes.set([0xfa, 0xf4], 0x80); // cli; hlt
  return patched(bytes, patch);
}

/** A bzImage of boot protocol 2.15 that halts. */
export function bzImage(patch: Patch = () => {}): Uint8Array<ArrayBuffer> {
  const SETUP = 5 * 512, CODE = 0x4000;
  const bytes = new Uint8Array(SETUP + CODE);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, 4); // setup_sects
  view.setUint32(0x1f4, CODE / 16, true); // syssize
  view.setUint16(0x1fe, 0xaa55, true); // boot_flag
  view.setUint16(0x200, 0x6aeb, true); // jump
  view.setUint32(0x202, 0x53726448, true); // header: "HdrS"
  view.setUint16(0x206, 0x20f, true); // version
  view.setUint8(0x211, 1); // loadflags: LOADED_HIGH
  view.setUint32(0x214, BASE, true); // code32_start
  view.setUint32(0x22c, 0x37ffffff, true); // initrd_addr_max
  view.setUint32(0x230, 0x1000, true); // kernel_alignment
  view.setUint8(0x234, 1); // relocatable_kernel
  view.setUint32(0x238, 255, true); // cmdline_size
  view.setBigUint64(0x258, BigInt(BASE), true); // pref_address
  view.setUint32(0x260, 0x100000, true); // init_size
  bytes.set([0xfa, 0xf4], SETUP); // cli; hlt
  return patched(bytes, patch);
}
