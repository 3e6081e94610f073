/** The board's flash chips: where they lie below 4 GiB, and how reads reach their arrays. */
import type { BlockDevice, BlockError } from "../../core/block/block_device.ts";
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import { PAGE_SHIFT } from "../../core/bus/host_memory.ts";
import { FirmwareError } from "../boot/image_error.ts";
import { ISA_BIOS_END, ISA_BIOS_SIZE } from "../firmware.ts";
import { FLASH_BLOCK_SIZE, PflashCfi01 } from "../pflash_cfi01.ts";
import { BoardError } from "./errors.ts";

/** A flash chip that is asked for. */
export interface PcFlash {
  /** What keeps its contents. The board closes it when it is disposed. */
  block: BlockDevice;
  /** Unit 0 ends at 4 GiB and is started from, unit 1 lies below it. Default the first that is free. */
  unit?: number;
}

/** Units that there may be. */
export const FLASH_UNITS = 2;
/** All chips together: below them lie the chips' registers. */
const MAX_SIZE = 8 * 2 ** 20;

/**
 * Gives every chip its unit.
 *
 * @throws {BoardError} when units are taken, out of range, or missing
 * @throws {FirmwareError} when a chip has a size that flash cannot have
 */
export function placeFlash(flash: readonly PcFlash[]): BlockDevice[] {
  const units = new Array<BlockDevice | undefined>(FLASH_UNITS).fill(undefined);
  const wrong = (problem: string): never => {
    throw new BoardError("flash", problem);
  };
  for (const { block, unit } of flash) {
    if (unit === undefined) continue;
    if (!Number.isInteger(unit) || unit < 0 || unit >= FLASH_UNITS) {
      wrong(`${block.source} is unit ${unit}: give 0 or 1`);
    }
    const there = units[unit];
    if (there !== undefined) {
      wrong(`${block.source} cannot be unit ${unit}: ${there.source} is there already`);
    }
    units[unit] = block;
  }
  for (const { block, unit } of flash) {
    if (unit !== undefined) continue;
    const free = units.indexOf(undefined);
    if (free < 0) {
      wrong(`there is no place for ${block.source}: the board has ${FLASH_UNITS} units`);
    }
    units[free] = block;
  }
  const [first, second] = units;
  if (first === undefined && second !== undefined) {
    wrong(`${second.source} is unit 1, and there is no unit 0 to start from: give that too`);
  }
  const chips = units.filter((block) => block !== undefined);
  let total = 0;
  for (const { source, size } of chips) {
    total += size;
    if (size % FLASH_BLOCK_SIZE !== 0) {
      throw new FirmwareError(
        source,
        `it has ${size} bytes`,
        `a flash chip has whole blocks of ${FLASH_BLOCK_SIZE} bytes`,
      );
    }
    if (total > MAX_SIZE) {
      throw new FirmwareError(
        source,
        `with it the flash chips have ${total} bytes`,
        `there is room for ${MAX_SIZE}`,
      );
    }
  }
  return chips;
}

/** Makes the chips and maps them, each below the one before. */
export function addFlash(
  chips: readonly BlockDevice[],
  memory: MemoryMap,
  onError?: (error: BlockError) => void,
): PflashCfi01[] {
  let end = 2 ** 32;
  return chips.map((block, unit) => {
    const { size } = block;
    const base = end - size;
    end = base;
    const name = `pflash${unit}`;
    const { host } = memory;
    const at = host.allocate(size);
    const array = host.bytes.subarray(at, at + size);
    array.set(block.read(0, size));
    // Reads of the array go to memory, and code in it runs as from ROM; all else goes to the chip.
    const rom = memory.addRom(name, base, size, at, { writes: false });
    const chip = new PflashCfi01(name, {
      array,
      block,
      arrayMode: (on) => {
        rom.setAccess(on, false);
        registers.setAccess(!on, true);
      },
      changed: (offset, length) => {
        const last = (at + offset + length - 1) >>> PAGE_SHIFT;
        for (let page = (at + offset) >>> PAGE_SHIFT; page <= last; page++) {
          if (memory.codePages[page] === 0) continue;
          const from = Math.max(at + offset, page << PAGE_SHIFT);
          const to = Math.min(at + offset + length, (page + 1) << PAGE_SHIFT);
          memory.onCodeWrite(from, to - from);
        }
      },
      onError,
    });
    const registers = memory.addMmio(`${name} registers`, base, size, chip.registers, {
      reads: false,
    });
    if (unit === 0) {
      // As with a ROM, the end is also visible below 1 MiB; the chip's registers are not.
      const visible = Math.min(size, ISA_BIOS_SIZE);
      memory.addRom("isa-bios", ISA_BIOS_END - visible, visible, at + size - visible);
    }
    return chip;
  });
}
