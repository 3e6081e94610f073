/** Booting a flat image: bytes at an address and a place to start, for boot sectors and bare test programs. */
import { EBDA_BASE, HIGH_MEMORY } from "./e820.ts";
import { hex, KernelError } from "./image_error.ts";
import type { BootPlan, EntryRegisters } from "./plan.ts";

/** How a flat image is loaded and entered. */
export interface FlatOptions {
  /** Named in errors. */
  file: string;
  image: Uint8Array;
  /** Physical address of the first byte. Default 0x7c00. */
  address?: number;
  /** `real` starts as a BIOS starts a boot sector, `protected` in flat 32-bit segments. Default `real`. */
  mode?: "real" | "protected";
  /** Real mode: segment and offset to start at. Default 0 and the load address. */
  cs?: number;
  ip?: number;
  /** Protected mode: linear address to start at. Default the load address. */
  eip?: number;
  /** General registers at the start; default 0. ESP is 0x7000 unless given. */
  registers?: EntryRegisters;
  ramSize: number;
}

/** Where a BIOS loads and enters a boot sector. */
const BOOT_SECTOR = 0x7c00;
const STACK = 0x7000;

function segmentNumber(file: string, name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff) return value;
  throw new KernelError(file, `${name} ${hex(value)} is not a 16-bit number`, "give 0 to 0xffff");
}

/**
 * Makes the plan that starts a flat image.
 *
 * @throws {KernelError} when it is empty, does not fit RAM, or cannot be reached
 */
export function planFlat(options: FlatOptions): BootPlan {
  const { file, image, address = BOOT_SECTOR, mode = "real", ramSize } = options;
  if (image.length === 0) throw new KernelError(file, "it is empty", "give at least one byte");
  const end = address + image.length;
  const fits = Number.isInteger(address) && address >= 0 &&
    (end <= EBDA_BASE || (address >= HIGH_MEMORY && end <= ramSize));
  if (!fits) {
    throw new KernelError(
      file,
      `its ${image.length} bytes from ${hex(address)} are not in RAM`,
      `RAM is from 0 to ${hex(EBDA_BASE)} and from ${hex(HIGH_MEMORY)} to ${hex(ramSize)}`,
    );
  }
  const registers = { esp: STACK, ...options.registers };
  const blobs = [{ what: `image ${file}`, address, bytes: image }];
  if (mode === "protected") {
    return { blobs, entry: { mode, eip: options.eip ?? address, registers } };
  }
  if (options.ip === undefined && options.cs === undefined && address > 0xffff) {
    throw new KernelError(
      file,
      `real mode does not reach its address ${hex(address)} in segment 0`,
      "give cs and ip, or start in protected mode",
    );
  }
  const cs = segmentNumber(file, "cs", options.cs ?? 0);
  const ip = segmentNumber(file, "ip", options.ip ?? address - cs * 16);
  return { blobs, entry: { mode, cs, ip, ds: 0, registers } };
}
