/**
 * VGA: registers, their state, and what follows from them.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem" (VGA function);
 * Bochs VBE display interface: Bochs, "VBE DISPI interface", as QEMU's std VGA has it.
 */
import { StateError } from "../../core/chip.ts";
import type { Bounds } from "../bounds.ts";

// Sequencer
export const SR_RESET = 0;
export const SR_CLOCKING_MODE = 1;
export const SR_MAP_MASK = 2;
export const SR_CHARACTER_MAP_SELECT = 3;
export const SR_MEMORY_MODE = 4;
export const CLOCKING_8_DOTS = 1 << 0;
export const CLOCKING_HALF_DOT_CLOCK = 1 << 3;
export const CLOCKING_SCREEN_OFF = 1 << 5;
export const MEMORY_EXTENDED = 1 << 1;
export const MEMORY_ODD_EVEN_OFF = 1 << 2;
export const MEMORY_CHAIN_4 = 1 << 3;
/** Bits that exist, by register. */
export const SR_MASKS: readonly number[] = [0x03, 0x3d, 0x0f, 0x3f, 0x0e];

// Graphics controller
export const GR_SET_RESET = 0;
export const GR_ENABLE_SET_RESET = 1;
export const GR_COLOR_COMPARE = 2;
export const GR_DATA_ROTATE = 3;
export const GR_READ_MAP_SELECT = 4;
export const GR_MODE = 5;
export const GR_MISCELLANEOUS = 6;
export const GR_COLOR_DONT_CARE = 7;
export const GR_BIT_MASK = 8;
export const MODE_WRITE = 0x03;
export const MODE_READ_COMPARE = 1 << 3;
export const MODE_ODD_EVEN = 1 << 4;
export const MODE_SHIFT_INTERLEAVED = 1 << 5;
export const MODE_SHIFT_256 = 1 << 6;
export const MISC_GRAPHICS = 1 << 0;
export const MISC_MEMORY_MAP_SHIFT = 2;
export const GR_MASKS: readonly number[] = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];

// CRT controller
export const CR_HORIZONTAL_TOTAL = 0x00;
export const CR_HORIZONTAL_DISPLAY_END = 0x01;
export const CR_VERTICAL_TOTAL = 0x06;
export const CR_OVERFLOW = 0x07;
export const CR_PRESET_ROW_SCAN = 0x08;
export const CR_MAXIMUM_SCAN_LINE = 0x09;
export const CR_CURSOR_START = 0x0a;
export const CR_CURSOR_END = 0x0b;
export const CR_START_ADDRESS_HIGH = 0x0c;
export const CR_START_ADDRESS_LOW = 0x0d;
export const CR_CURSOR_LOCATION_HIGH = 0x0e;
export const CR_CURSOR_LOCATION_LOW = 0x0f;
export const CR_VERTICAL_RETRACE_START = 0x10;
export const CR_VERTICAL_RETRACE_END = 0x11;
export const CR_VERTICAL_DISPLAY_END = 0x12;
export const CR_OFFSET = 0x13;
export const CR_UNDERLINE_LOCATION = 0x14;
export const CR_MODE_CONTROL = 0x17;
export const CR_LINE_COMPARE = 0x18;
export const CR_COUNT = 0x19;
export const CURSOR_OFF = 1 << 5;
export const RETRACE_END_PROTECT = 1 << 7;
export const SCAN_LINE_DOUBLE = 1 << 7;
export const SCAN_LINE_COMPARE_9 = 1 << 6;
export const OVERFLOW_LINE_COMPARE_8 = 1 << 4;
/** Clear: row scan counter bit 0 replaces address bit 13, bit 1 replaces address bit 14. */
export const CONTROL_ADDRESS_13 = 1 << 0;
export const CONTROL_ADDRESS_14 = 1 << 1;
export const CONTROL_DOUBLE_VERTICAL = 1 << 2;
export const CONTROL_BYTE_MODE = 1 << 6;
export const UNDERLINE_DOUBLE_WORD = 1 << 6;

// Attribute controller
export const AR_MODE_CONTROL = 0x10;
export const AR_OVERSCAN = 0x11;
export const AR_PLANE_ENABLE = 0x12;
export const AR_PEL_PANNING = 0x13;
export const AR_COLOR_SELECT = 0x14;
export const ATTRIBUTE_MONO = 1 << 1;
export const ATTRIBUTE_LINE_GRAPHICS = 1 << 2;
export const ATTRIBUTE_BLINK = 1 << 3;
export const ATTRIBUTE_PANNING_COMPATIBLE = 1 << 5;
export const ATTRIBUTE_256 = 1 << 6;
export const ATTRIBUTE_COLOR_45 = 1 << 7;
/** Bit of the address register: the palette belongs to the picture. */
export const PALETTE_ADDRESS_SOURCE = 1 << 5;
export const AR_MASKS: readonly number[] = [
  ...Array.from({ length: 16 }, () => 0x3f),
  ...[0xef, 0xff, 0x3f, 0x0f, 0x0f],
];

// Miscellaneous output and input status
export const MISC_COLOR = 1 << 0;
export const MISC_CLOCK_28 = 1 << 2;
export const MISC_MASK = 0xef;
export const STATUS_1_DISPLAY_OFF = 1 << 0;
export const STATUS_1_VERTICAL_RETRACE = 1 << 3;
export const FEATURE_MASK = 0x10;

// Bochs VBE display interface
export const DISPI_ID = 0;
export const DISPI_XRES = 1;
export const DISPI_YRES = 2;
export const DISPI_BPP = 3;
export const DISPI_ENABLE = 4;
export const DISPI_BANK = 5;
export const DISPI_VIRT_WIDTH = 6;
export const DISPI_VIRT_HEIGHT = 7;
export const DISPI_X_OFFSET = 8;
export const DISPI_Y_OFFSET = 9;
export const DISPI_VIDEO_MEMORY_64K = 10;
export const DISPI_COUNT = 10;
export const DISPI_ID0 = 0xb0c0;
export const DISPI_ID5 = 0xb0c5;
export const DISPI_ENABLED = 0x01;
export const DISPI_GETCAPS = 0x02;
export const DISPI_8BIT_DAC = 0x20;
export const DISPI_LFB_ENABLED = 0x40;
export const DISPI_NOCLEARMEM = 0x80;
export const DISPI_MAX_XRES = 16000;
export const DISPI_MAX_YRES = 12000;
export const DISPI_MAX_BPP = 32;

/** All registers. */
export type VgaState = {
  /** Miscellaneous output. */
  MISC: number;
  /** Feature control. */
  FCR: number;
  SR_INDEX: number;
  SR: Uint8Array;
  GR_INDEX: number;
  GR: Uint8Array;
  CR_INDEX: number;
  CR: Uint8Array;
  /** Address register of the attribute controller, with PALETTE_ADDRESS_SOURCE. */
  AR_INDEX: number;
  AR: Uint8Array;
  /** The next write to the attribute controller is data. */
  arData: boolean;
  PEL_MASK: number;
  /** Colours: red, green and blue of 256 entries, in 6 or 8 bits. */
  DAC: Uint8Array;
  dacRead: number;
  dacWrite: number;
  /** Component that comes next: 0 red, 1 green, 2 blue. */
  dacComponent: number;
  /** 0 after the write address was set, 3 after the read address. */
  DAC_STATE: number;
  /** Red and green of an entry whose blue has not come yet. */
  dacPending: Uint8Array;
  /** The four planes' latches: plane 0 in the lowest byte. */
  latch: number;
  DISPI_INDEX: number;
  DISPI: number[];
};

/** The state after a reset. */
export function initialState(): VgaState {
  const DISPI = new Array(DISPI_COUNT).fill(0);
  DISPI[DISPI_ID] = DISPI_ID5;
  return {
    MISC: 0,
    FCR: 0,
    SR_INDEX: 0,
    SR: new Uint8Array(SR_MASKS.length),
    GR_INDEX: 0,
    GR: new Uint8Array(GR_MASKS.length),
    CR_INDEX: 0,
    CR: new Uint8Array(CR_COUNT),
    AR_INDEX: 0,
    AR: new Uint8Array(AR_MASKS.length),
    arData: false,
    PEL_MASK: 0xff,
    DAC: new Uint8Array(768),
    dacRead: 0,
    dacWrite: 0,
    dacComponent: 0,
    DAC_STATE: 0,
    dacPending: new Uint8Array(2),
    latch: 0,
    DISPI_INDEX: 0,
    DISPI,
  };
}

/** Bounds of the numbers in a {@linkcode VgaState}. */
export const STATE_BOUNDS: Bounds = {
  MISC: MISC_MASK,
  FCR: FEATURE_MASK,
  SR_INDEX: 0x07,
  GR_INDEX: 0x0f,
  CR_INDEX: 0xff,
  AR_INDEX: 0x3f,
  PEL_MASK: 0xff,
  dacRead: 0xff,
  dacWrite: 0xff,
  dacComponent: 2,
  DAC_STATE: 3,
  latch: 0xffffffff,
  DISPI_INDEX: 0xffff,
  DISPI: { items: 0xffff, most: DISPI_COUNT, least: DISPI_COUNT },
};

/**
 * Checks what bounds cannot tell of a state.
 *
 * @throws {StateError} when bits are set that no register has, or a VBE mode that the memory cannot hold
 */
export function checkRegisters(chip: string, state: VgaState, vramSize: number): void {
  const masks: [string, Uint8Array, readonly number[]][] = [
    ["SR", state.SR, SR_MASKS],
    ["GR", state.GR, GR_MASKS],
    ["AR", state.AR, AR_MASKS],
  ];
  for (const [name, bytes, mask] of masks) {
    const at = bytes.findIndex((byte, i) => (byte & ~mask[i]) !== 0);
    if (at >= 0) throw new StateError(chip, `${name}[${at}] cannot be ${bytes[at]}`);
  }
  if ((state.MISC & ~MISC_MASK) !== 0 || (state.FCR & ~FEATURE_MASK) !== 0) {
    throw new StateError(chip, "MISC or FCR has bits that do not exist");
  }
  const { DISPI } = state;
  if (DISPI[DISPI_BANK] > bankMask(vramSize)) {
    throw new StateError(chip, `bank ${DISPI[DISPI_BANK]} does not exist`);
  }
  const fixed = [...DISPI];
  fixMode(fixed, vramSize);
  if (vbeEnabled(DISPI) && fixed.some((value, i) => value !== DISPI[i])) {
    throw new StateError(chip, "the VBE mode does not exist or does not fit the memory");
  }
}

/** Highest number of a 64 KiB bank. */
export function bankMask(vramSize: number): number {
  return (vramSize >>> 16) - 1;
}

/** Whether a VBE mode is on. */
export function vbeEnabled(dispi: readonly number[]): boolean {
  return (dispi[DISPI_ENABLE] & DISPI_ENABLED) !== 0;
}

/** Bits that a pixel takes in memory: 15-bit colours take 16. */
export function storedBits(dispi: readonly number[]): number {
  return dispi[DISPI_BPP] === 15 ? 16 : dispi[DISPI_BPP];
}

/** Bytes from one row of a VBE mode to the next. In a mode of 4 bits the four planes together. */
export function vbePitch(dispi: readonly number[]): number {
  return dispi[DISPI_VIRT_WIDTH] * storedBits(dispi) / 8;
}

/** Offset of the first byte on screen in a VBE mode. */
export function vbeStart(dispi: readonly number[]): number {
  return (dispi[DISPI_X_OFFSET] * storedBits(dispi) >>> 3) +
    dispi[DISPI_Y_OFFSET] * vbePitch(dispi);
}

const clamp = (value: number, least: number, most: number) =>
  Math.max(least, Math.min(most, value));

/** Turns what the guest asked for in a VBE mode that is on into a mode that exists and fits the memory, as QEMU does. */
export function fixMode(dispi: number[], vramSize: number): void {
  if (!vbeEnabled(dispi)) return;
  if (![4, 8, 15, 16, 24, 32].includes(dispi[DISPI_BPP])) dispi[DISPI_BPP] = 8;
  dispi[DISPI_XRES] = clamp(dispi[DISPI_XRES] & ~7, 8, DISPI_MAX_XRES);
  dispi[DISPI_VIRT_WIDTH] = clamp(
    dispi[DISPI_VIRT_WIDTH] & ~7,
    dispi[DISPI_XRES],
    DISPI_MAX_XRES,
  );
  const pitch = vbePitch(dispi);
  const rows = Math.floor(vramSize / pitch);
  dispi[DISPI_YRES] = clamp(dispi[DISPI_YRES], 1, Math.min(rows, DISPI_MAX_YRES));
  dispi[DISPI_X_OFFSET] = Math.min(dispi[DISPI_X_OFFSET], DISPI_MAX_XRES);
  dispi[DISPI_Y_OFFSET] = Math.min(dispi[DISPI_Y_OFFSET], DISPI_MAX_YRES);
  const fits = () => vbeStart(dispi) + dispi[DISPI_YRES] * pitch <= vramSize;
  if (!fits()) dispi[DISPI_Y_OFFSET] = 0;
  if (!fits()) dispi[DISPI_X_OFFSET] = 0;
  dispi[DISPI_VIRT_HEIGHT] = Math.min(rows, 0xffff);
}

/** How the CRT controller makes a picture of memory. Counts of scan lines are those of the monitor. */
export interface Raster {
  /** Characters, of 8 or 9 dots, in a row. */
  columns: number;
  /** Scan lines of the picture. */
  height: number;
  /** Row scan counts in a character row. */
  rowScans: number;
  /** Scan lines for one row scan count. */
  repeat: number;
  /** The scan line after which the address starts from 0. */
  lineCompare: number;
  /** Address of the first character, in planar memory. */
  start: number;
  /** Addresses from one character row to the next. */
  pitch: number;
}

/** Works the raster out. */
export function rasterOf({ CR }: VgaState): Raster {
  const overflow = CR[CR_OVERFLOW], scan = CR[CR_MAXIMUM_SCAN_LINE];
  const factor = (CR[CR_MODE_CONTROL] & CONTROL_DOUBLE_VERTICAL) !== 0 ? 2 : 1;
  const end = CR[CR_VERTICAL_DISPLAY_END] | ((overflow & 0x02) << 7) | ((overflow & 0x40) << 3);
  const compare = CR[CR_LINE_COMPARE] | ((overflow & OVERFLOW_LINE_COMPARE_8) << 4) |
    ((scan & SCAN_LINE_COMPARE_9) << 3);
  return {
    columns: CR[CR_HORIZONTAL_DISPLAY_END] + 1,
    height: (end + 1) * factor,
    rowScans: (scan & 0x1f) + 1,
    repeat: (scan & SCAN_LINE_DOUBLE) !== 0 ? 2 : 1,
    lineCompare: compare * factor,
    start: (CR[CR_START_ADDRESS_HIGH] << 8) | CR[CR_START_ADDRESS_LOW],
    pitch: CR[CR_OFFSET] * 2,
  };
}
