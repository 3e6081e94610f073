/** The display adapter of a board: where its registers and its memory lie, and which option ROM is its own. */
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../../core/bus/host_memory.ts";
import type { PortMap } from "../../core/bus/port_map.ts";
import type { NamedImage } from "../boot/plan.ts";
import { optionRomSize, placeRom } from "../firmware.ts";
import { DEFAULT_VRAM, FRAME_BUFFER_BAR, MMIO_BAR, Vga, VGA_MMIO_SIZE } from "../vga/vga.ts";
import { WINDOW_BASE, WINDOW_SIZE } from "../vga/window.ts";
import type { Properties } from "./devices.ts";
import { BoardError, DeviceError } from "./errors.ts";

const MIB = 2 ** 20;
/** QEMU takes as much. */
const MAX_VRAM_MIB = 256;
const ANY_SIZE = { sizes: [1, 2, 4] } as const;
const FLOATING = { ...ANY_SIZE, enabled: false };
const DISPI_PORTS = 0x1ce;

/** What a board is to have. */
export interface DisplayPlan {
  /** Bytes of video memory. */
  vramSize: number;
  /** The VGA BIOS that sits behind the adapter's expansion ROM register. */
  rom?: NamedImage;
}

/** Where the pointer to the PCI data structure lies in an option ROM, and what it begins with. */
const PCI_DATA_POINTER = 0x18;
const PCI_DATA = [..."PCIR"].map((letter) => letter.charCodeAt(0));

/** Whether an option ROM is the one of the adapter: its PCI data structure names 1234:1111. */
export function isVgaBios({ bytes }: NamedImage): boolean {
  if (bytes.length < PCI_DATA_POINTER + 2) return false;
  const at = bytes[PCI_DATA_POINTER] | (bytes[PCI_DATA_POINTER + 1] << 8);
  const identity = [...PCI_DATA, 0x34, 0x12, 0x11, 0x11];
  return at > 0 && identity.every((byte, i) => bytes[at + i] === byte);
}

/**
 * Works out what the board's options say of the display adapter.
 *
 * @param vga `std` (default) or `none`
 * @returns undefined for a board without one
 * @throws {BoardError} when they contradict each other or make no sense
 */
export function planDisplay(
  vga: string | undefined,
  requests: readonly Properties[],
  optionRoms: readonly NamedImage[],
): DisplayPlan | undefined {
  if (vga !== undefined && vga !== "std" && vga !== "none") {
    throw new BoardError("vga", `vga ${JSON.stringify(vga)} is none of std, none`);
  }
  const devices = requests.filter(({ driver }) => driver === "VGA");
  if (devices.length > 1) throw new DeviceError("VGA", "the board takes only one VGA");
  // As with QEMU, a device given is there although the board's own is switched off.
  if (vga === "none" && devices.length === 0) return undefined;
  const mib = devices[0]?.integer("vgamem_mb", 1, MAX_VRAM_MIB) ?? DEFAULT_VRAM / MIB;
  return {
    vramSize: 2 ** Math.ceil(Math.log2(mib)) * MIB,
    rom: optionRoms.find(isVgaBios),
  };
}

/** Bytes of host memory that the adapter takes. */
export function displayMemory(plan: DisplayPlan | undefined): number {
  if (plan === undefined) return 0;
  return plan.vramSize + (plan.rom === undefined ? 0 : romSizeOf(plan.rom));
}

/** Expansion ROMs are mapped in whole pages. */
function romSizeOf({ bytes }: NamedImage): number {
  return Math.max(1 << PAGE_SHIFT, optionRomSize(bytes));
}

/** Makes the adapter and joins it to the buses; the board puts `config` on the PCI bus. */
export function addDisplay(
  { vramSize, rom }: DisplayPlan,
  { memory, ports, clock }: { memory: MemoryMap; ports: PortMap; clock: { now(): number } },
): Vga {
  const { host, codePages } = memory;
  const base = host.allocate(vramSize);
  const vga = new Vga({
    clock,
    vram: host.bytes.subarray(base, base + vramSize),
    vramWritten: (offset, length) => {
      const last = Math.floor((base + offset + length - 1) / PAGE_SIZE);
      for (let page = Math.floor((base + offset) / PAGE_SIZE); page <= last; page++) {
        if (codePages[page] !== 0) memory.onCodeWrite(page * PAGE_SIZE, PAGE_SIZE);
      }
    },
  }, { romSize: rom && romSizeOf(rom) });
  for (const { base: port, count, access } of vga.ports) {
    ports.claim(`vga ${port.toString(16)}`, port, count, access);
  }
  ports.claim("vbe", DISPI_PORTS, 4, vga.dispi, { sizes: [2] });
  memory.addMmio("vga window", WINDOW_BASE, WINDOW_SIZE, vga.window, ANY_SIZE);
  const { config } = vga;
  // The place is the registers' to choose; until then the ranges are off.
  const floating = 0;
  config.connectBar(
    FRAME_BUFFER_BAR,
    memory.addRam("vga frame buffer", floating, vramSize, base, { enabled: false, priority: -1 }),
  );
  config.connectBar(
    MMIO_BAR,
    memory.addMmio("vga registers", floating, VGA_MMIO_SIZE, vga.mmio, {
      ...FLOATING,
      priority: -1,
    }),
  );
  if (rom !== undefined) {
    const size = romSizeOf(rom);
    const at = placeRom(host, rom.bytes, size);
    config.connectBar(
      "rom",
      memory.addRom("vga rom", floating, size, at, { enabled: false, priority: -1 }),
    );
  }
  return vga;
}
