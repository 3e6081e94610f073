/** The memory of a board `pc`: RAM around the legacy hole, and the shadow RAM in it that the host bridge switches. */
import { HostMemory } from "../../core/bus/host_memory.ts";
import { MemoryMap, type MemoryRange } from "../../core/bus/memory_map.ts";
import { ABOVE_4G, HIGH_MEMORY, LOW_MEMORY_END, ramBelow4G } from "../boot/e820.ts";
import { PAM_SEGMENTS, SMRAM_WINDOW } from "../i440fx.ts";
import { MemorySizeError } from "./errors.ts";

const KIB = 1024, MIB = 2 ** 20;
/** Memory sizes count in what CMOS memory can tell. */
const GRANULE = 64 * KIB;
/** What the addresses above 4 GiB that firmware knows of, and one buffer of the host, are made for. */
const LARGEST = 4096 * MIB;
/** Shadow RAM lies over whatever else answers in the legacy hole. */
const SHADOW_PRIORITY = 2;

/** First address above RAM that PCI devices get, as SeaBIOS chooses it on the i440FX. */
export function pciMemoryFirst(ramSize: number): number {
  const below = ramBelow4G(ramSize);
  return below <= 0x80000000 ? 0x80000000 : below <= 0xc0000000 ? 0xc0000000 : 0xe0000000;
}

/** The I/O APIC and the system ROM lie above the PCI devices. */
export const PCI_MEMORY_LAST = 0xfebfffff;

/** A map with RAM in it. */
export interface PcMemory {
  memory: MemoryMap;
  /** One range for each of `PAM_SEGMENTS`. */
  pam: MemoryRange[];
  smram: MemoryRange;
}

function inMib(bytes: number): string {
  return Number.isInteger(bytes) && bytes >= 0 ? `${bytes / MIB} MiB` : `${bytes} bytes`;
}

/**
 * Makes a memory map with `ramSize` bytes of RAM.
 *
 * @param reserved bytes of host memory that ROMs and video memory will take
 * @throws {MemorySizeError} when the board cannot have so much or so little
 */
export function createPcMemory(ramSize: number, reserved: number): PcMemory {
  if (!Number.isInteger(ramSize) || ramSize < MIB || ramSize > LARGEST) {
    throw new MemorySizeError(
      ramSize,
      `memory of ${inMib(ramSize)} is out of range: the board takes 1 MiB to ${inMib(LARGEST)}`,
    );
  }
  if (ramSize % GRANULE !== 0) {
    throw new MemorySizeError(
      ramSize,
      `memory of ${ramSize} bytes is not a multiple of 64 KiB: give ${
        Math.ceil(ramSize / GRANULE) * GRANULE
      }`,
    );
  }
  const host = new HostMemory(ramSize + reserved);
  const below = ramBelow4G(ramSize), above = ramSize - below;
  // Engines are fastest in the first 2 GiB of host memory, and operating systems use first what lies above
  // 4 GiB, so that comes first.
  const highRam = host.allocateRam(above), ram = host.allocateRam(below);
  const memory = new MemoryMap(host, ABOVE_4G + above);
  memory.addRam("ram", 0, LOW_MEMORY_END, ram);
  if (below > HIGH_MEMORY) {
    memory.addRam("ram-high", HIGH_MEMORY, below - HIGH_MEMORY, ram + HIGH_MEMORY);
  }
  if (above > 0) memory.addRam("ram-above-4g", ABOVE_4G, above, highRam);
  const pam = PAM_SEGMENTS.map(({ base, size }) =>
    memory.addRam(`pam-${base.toString(16)}`, base, size, ram + base, {
      priority: SHADOW_PRIORITY,
      reads: false,
      writes: false,
    })
  );
  const smram = memory.addRam(
    "smram",
    SMRAM_WINDOW.base,
    SMRAM_WINDOW.size,
    ram + SMRAM_WINDOW.base,
    {
      priority: SHADOW_PRIORITY,
      enabled: false,
    },
  );
  return { memory, pam, smram };
}

/**
 * Puts bytes into RAM as if they had always been there: engines hear of it, watchers do not.
 *
 * @throws {RangeError} when a page is not memory
 */
export function loadBytes(memory: MemoryMap, address: number, bytes: Uint8Array): void {
  const PAGE = 4 * KIB;
  for (let done = 0; done < bytes.length;) {
    const at = address + done;
    const length = Math.min(bytes.length - done, PAGE - at % PAGE);
    const host = memory.hostOffset(at);
    if (host < 0) throw new RangeError(`there is no memory at 0x${at.toString(16)}`);
    memory.host.bytes.set(bytes.subarray(done, done + length), host);
    memory.host.touch(host);
    if (memory.codePages[Math.floor(host / PAGE)] !== 0) memory.onCodeWrite(host, length);
    done += length;
  }
}
