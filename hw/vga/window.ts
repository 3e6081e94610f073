/**
 * Video memory as the processor sees it through the window at 0xa0000: planes, latches, and the data
 * path of the graphics controller.
 *
 * Video memory keeps the four planes side by side: byte 4a + p is plane p at planar address a. Chained
 * addresses are then plain offsets, and a text cell k has its character at 4k and its attribute at 4k + 1.
 */
import type { AccessSize, RegisterAccess } from "../../core/bus/port_map.ts";
import {
  bankMask,
  DISPI_BANK,
  DISPI_BPP,
  GR_BIT_MASK,
  GR_COLOR_COMPARE,
  GR_COLOR_DONT_CARE,
  GR_DATA_ROTATE,
  GR_ENABLE_SET_RESET,
  GR_MISCELLANEOUS,
  GR_MODE,
  GR_READ_MAP_SELECT,
  GR_SET_RESET,
  MEMORY_CHAIN_4,
  MEMORY_EXTENDED,
  MEMORY_ODD_EVEN_OFF,
  MISC_MEMORY_MAP_SHIFT,
  MODE_ODD_EVEN,
  MODE_READ_COMPARE,
  MODE_WRITE,
  SR_MAP_MASK,
  SR_MEMORY_MODE,
  vbeEnabled,
  type VgaState,
} from "./registers.ts";

/** First address and size of the legacy window. */
export const WINDOW_BASE = 0xa0000, WINDOW_SIZE = 0x20000;

/** Four bits as four bytes of zeros or ones: what a plane mask selects in a word of all planes. */
export const PLANE_BYTES: Int32Array = Int32Array.from(
  { length: 16 },
  (_, bits) =>
    (bits & 1 ? 0xff : 0) | (bits & 2 ? 0xff00 : 0) | (bits & 4 ? 0xff0000 : 0) |
    (bits & 8 ? 0xff000000 : 0),
);

/** Offset and size of what each value of the memory map select opens. */
const MEMORY_MAPS = [[0, 0x20000], [0, 0x10000], [0x10000, 0x8000], [0x18000, 0x8000]] as const;

const PLANAR = 0, ODD_EVEN = 1, CHAINED = 2, LINEAR = 3;
type Addressing = typeof PLANAR | typeof ODD_EVEN | typeof CHAINED | typeof LINEAR;

/** The window at 0xa0000. */
export class Window implements RegisterAccess {
  private readonly words: Int32Array;
  // What the registers say, worked out by `configure`.
  private first = 0;
  private size = 0;
  private bank = 0;
  private planarMask = 0;
  private forReads: Addressing = PLANAR;
  private forWrites: Addressing = PLANAR;
  /** Data passes unchanged. */
  private plain = false;

  /**
   * @param written called after bytes of video memory changed through the window, with offset and length
   */
  constructor(
    private readonly state: VgaState,
    private readonly vram: Uint8Array,
    private readonly written: (offset: number, length: number) => void,
  ) {
    this.words = new Int32Array(vram.buffer, vram.byteOffset, vram.length >>> 2);
    this.configure();
  }

  /** Follows a change of the registers. */
  configure(): void {
    const { GR, SR, DISPI } = this.state;
    const vbe = vbeEnabled(DISPI);
    const map = (GR[GR_MISCELLANEOUS] >> MISC_MEMORY_MAP_SHIFT) & 3;
    [this.first, this.size] = MEMORY_MAPS[map];
    this.bank = vbe && map === 1 ? (DISPI[DISPI_BANK] & bankMask(this.vram.length)) << 16 : 0;
    const mode = SR[SR_MEMORY_MODE];
    if (vbe && DISPI[DISPI_BPP] !== 4) this.forReads = this.forWrites = LINEAR;
    else if ((mode & MEMORY_CHAIN_4) !== 0) this.forReads = this.forWrites = CHAINED;
    else {
      this.forReads = (GR[GR_MODE] & MODE_ODD_EVEN) !== 0 ? ODD_EVEN : PLANAR;
      this.forWrites = (mode & MEMORY_ODD_EVEN_OFF) === 0 ? ODD_EVEN : PLANAR;
    }
    // A VGA has 64 KiB a plane, and half-equipped memory 16 KiB; a VBE mode has all there is.
    const planar = vbe ? this.words.length : (mode & MEMORY_EXTENDED) !== 0 ? 0x10000 : 0x4000;
    this.planarMask = Math.min(planar, this.words.length) - 1;
    this.plain = (GR[GR_MODE] & MODE_WRITE) === 0 && GR[GR_ENABLE_SET_RESET] === 0 &&
      GR[GR_DATA_ROTATE] === 0 && GR[GR_BIT_MASK] === 0xff;
  }

  read(offset: number, size: AccessSize): number {
    let value = this.readByte(offset);
    for (let i = 1; i < size; i++) value |= this.readByte(offset + i) << (8 * i);
    return value >>> 0;
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.writeByte(offset, value & 0xff);
    for (let i = 1; i < size; i++) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
  }

  private readByte(offset: number): number {
    const at = offset - this.first;
    if (at < 0 || at >= this.size) return 0xff;
    const address = at + this.bank;
    switch (this.forReads) {
      case LINEAR:
        return this.vram[address & (this.vram.length - 1)];
      case CHAINED:
        return this.readPlane((address >>> 2) & this.planarMask, address & 3);
      case ODD_EVEN: {
        const plane = (this.state.GR[GR_READ_MAP_SELECT] & 2) | (address & 1);
        return this.readPlane((address >>> 1) & this.planarMask, plane);
      }
      case PLANAR:
        return this.readPlane(address & this.planarMask, this.state.GR[GR_READ_MAP_SELECT]);
    }
  }

  private readPlane(at: number, plane: number): number {
    const { state } = this, { GR } = state;
    const latch = this.words[at];
    state.latch = latch >>> 0;
    if ((GR[GR_MODE] & MODE_READ_COMPARE) === 0) return (latch >>> (8 * plane)) & 0xff;
    const different = (latch ^ PLANE_BYTES[GR[GR_COLOR_COMPARE]]) &
      PLANE_BYTES[GR[GR_COLOR_DONT_CARE]];
    return ~(different | (different >>> 8) | (different >>> 16) | (different >>> 24)) & 0xff;
  }

  private writeByte(offset: number, value: number): void {
    const at = offset - this.first;
    if (at < 0 || at >= this.size) return;
    const address = at + this.bank;
    const map = this.state.SR[SR_MAP_MASK];
    switch (this.forWrites) {
      case LINEAR: {
        const linear = address & (this.vram.length - 1);
        this.vram[linear] = value;
        this.written(linear, 1);
        return;
      }
      case CHAINED:
        return this.writePlanes(
          (address >>> 2) & this.planarMask,
          map & (1 << (address & 3)),
          value,
        );
      case ODD_EVEN:
        return this.writePlanes(
          (address >>> 1) & this.planarMask,
          map & ((address & 1) === 0 ? 0b0101 : 0b1010),
          value,
        );
      case PLANAR:
        return this.writePlanes(address & this.planarMask, map, value);
    }
  }

  private writePlanes(at: number, planes: number, value: number): void {
    if (planes === 0) return;
    const mask = PLANE_BYTES[planes];
    const data = this.plain ? Math.imul(value, 0x01010101) : this.process(value);
    this.words[at] = (this.words[at] & ~mask) | (data & mask);
    // Without plane 0 no character of a text has changed.
    if ((planes & 1) !== 0) this.written(at << 2, 4);
    else this.written((at << 2) + 1, 3);
  }

  /** The four planes' data after set/reset, rotation, logical function and bit mask. */
  private process(value: number): number {
    const { GR, latch } = this.state;
    const mode = GR[GR_MODE] & MODE_WRITE;
    if (mode === 1) return latch;
    const setReset = PLANE_BYTES[GR[GR_SET_RESET]];
    let bitMask = GR[GR_BIT_MASK];
    let data: number;
    if (mode === 2) {
      data = PLANE_BYTES[value & 0x0f];
    } else {
      const count = GR[GR_DATA_ROTATE] & 7;
      const rotated = ((value >>> count) | (value << (8 - count))) & 0xff;
      if (mode === 3) {
        data = setReset;
        bitMask &= rotated;
      } else {
        const enabled = PLANE_BYTES[GR[GR_ENABLE_SET_RESET]];
        data = (Math.imul(rotated, 0x01010101) & ~enabled) | (setReset & enabled);
      }
    }
    switch (GR[GR_DATA_ROTATE] >> 3) {
      case 1:
        data &= latch;
        break;
      case 2:
        data |= latch;
        break;
      case 3:
        data ^= latch;
        break;
    }
    const bits = Math.imul(bitMask, 0x01010101);
    return (data & bits) | (latch & ~bits);
  }
}
