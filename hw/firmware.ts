/** Firmware images: checking them and mapping them where a PC has its ROMs. */
import type { HostMemory } from "../core/bus/host_memory.ts";
import type { MemoryMap } from "../core/bus/memory_map.ts";
import { FirmwareError } from "./boot/image_error.ts";
import type { NamedImage } from "./boot/plan.ts";

const KIB = 1024;
/** System ROMs come in whole blocks of this size. */
const BLOCK = 64 * KIB;
/** The largest system ROM that leaves room for the chips below 4 GiB. */
const MAX_FIRMWARE = 16 * KIB * KIB;
/** The end of a system ROM is also visible below 1 MiB. */
export const ISA_BIOS_SIZE: number = 128 * KIB, ISA_BIOS_END = 0x100000;
const MAX_OPTION_ROM = 16 * KIB * KIB;
const OPTION_ROM_BLOCK = 512;

/**
 * Checks a system ROM.
 *
 * @param file named in errors
 * @throws {FirmwareError} when its size is not one that a board can map
 */
export function checkFirmware(file: string, image: Uint8Array): void {
  if (image.length === 0 || image.length % BLOCK !== 0 || image.length > MAX_FIRMWARE) {
    throw new FirmwareError(
      file,
      `it has ${image.length} bytes`,
      "a system ROM has a multiple of 64 KiB, up to 16 MiB",
    );
  }
}

/** Maps a system ROM so that it ends at 4 GiB, and its last 128 KiB also so that they end at 1 MiB. */
export function mapFirmware(
  { file, bytes: image }: NamedImage,
  memory: MemoryMap,
): void {
  checkFirmware(file, image);
  const at = placeRom(memory.host, image, image.length);
  memory.addRom("bios", 2 ** 32 - image.length, image.length, at);
  const visible = Math.min(image.length, ISA_BIOS_SIZE);
  memory.addRom("isa-bios", ISA_BIOS_END - visible, visible, at + image.length - visible);
}

/**
 * Checks an option ROM (PCI Firmware Specification, "Expansion ROM Header Format").
 *
 * @param file named in errors
 * @throws {FirmwareError} when it lacks the signature, is cut short, or is too large
 */
export function checkOptionRom(file: string, image: Uint8Array): void {
  const fail = (problem: string, expected: string): never => {
    throw new FirmwareError(file, problem, expected);
  };
  if (image.length < 3 || image[0] !== 0x55 || image[1] !== 0xaa) {
    fail("it does not begin with the option ROM signature 55h AAh", "give an option ROM image");
  }
  const stated = image[2] * OPTION_ROM_BLOCK;
  if (stated === 0 || stated > image.length) {
    fail(
      `its header tells of ${stated} bytes, the file has ${image.length}`,
      "give the whole file",
    );
  }
  if (image.length > MAX_OPTION_ROM) {
    fail(`it has ${image.length} bytes`, "an option ROM has at most 16 MiB");
  }
}

/** PCI Firmware Specification 3.0: the pointer to the PCI data structure, its signature and its class code. */
const PCI_DATA_POINTER = 0x18, PCI_DATA_SIGNATURE = "PCIR", CLASS_CODE = 0x0d;
const DISPLAY_CLASS = 0x03;

/**
 * Whether an option ROM is a display adapter's: by the class code in its PCI data structure, or, where it
 * has none, by being called `vgabios…`.
 */
export function isDisplayRom({ file, bytes }: NamedImage): boolean {
  const at = bytes.length < PCI_DATA_POINTER + 2
    ? 0
    : bytes[PCI_DATA_POINTER] | (bytes[PCI_DATA_POINTER + 1] << 8);
  const signature = String.fromCharCode(...bytes.subarray(at, at + PCI_DATA_SIGNATURE.length));
  return signature === PCI_DATA_SIGNATURE
    ? bytes[at + CLASS_CODE + 2] === DISPLAY_CLASS
    : /(^|[/\\])vgabios[^/\\]*$/i.test(file);
}

/** The size of the base address register that an option ROM needs: a power of two, at least 2 KiB. */
export function optionRomSize(image: Uint8Array): number {
  return Math.max(2 * KIB, 2 ** Math.ceil(Math.log2(image.length)));
}

/** Puts an image into host memory of its own, the rest of `size` filled with ones; returns its host offset. */
export function placeRom(host: HostMemory, image: Uint8Array, size: number): number {
  const at = host.allocate(size);
  host.bytes.fill(0xff, at, at + size);
  host.bytes.set(image, at);
  return at;
}
