/**
 * VGA with the Bochs VBE extensions, as QEMU's `VGA`: PCI function 1234:1111.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem"; QEMU, docs/specs,
 * "QEMU Standard VGA", for the base address registers and the VBE display interface.
 */
import type { RegisterAccess } from "../../core/bus/port_map.ts";
import { type Chip, copyState, type State } from "../../core/chip.ts";
import type { Display, Picture, TextCursor } from "../../core/display/display.ts";
import { checkedState } from "../bounds.ts";
import { PciConfig } from "../pci.ts";
import { displayStatus } from "./beam.ts";
import { monitorEdid } from "./edid.ts";
import * as R from "./registers.ts";
import { render } from "./render.ts";
import { isText, rowOfAddress, textCursor, textLine, textLines } from "./text.ts";
import { setTextMemory, setTextRegisters } from "./text_mode.ts";
import { Window } from "./window.ts";

/** Default size of video memory in bytes. */
export const DEFAULT_VRAM = 16 * 2 ** 20;
/** Least size of video memory: what a VGA has. */
const LEAST_VRAM = 256 * 1024;
/** Base address registers: linear frame buffer, and registers in memory. */
export const FRAME_BUFFER_BAR = 0, MMIO_BAR = 2;
/** Size of the registers in memory. */
export const VGA_MMIO_SIZE = 0x1000;

// Offsets in the registers in memory.
const MMIO_EDID_END = 0x400;
const MMIO_PORTS = 0x400, MMIO_PORTS_END = 0x420;
const MMIO_DISPI = 0x500, MMIO_DISPI_END = MMIO_DISPI + 2 * (R.DISPI_VIDEO_MEMORY_64K + 1);
const MMIO_EXTENDED_SIZE = 0x600, MMIO_BYTE_ORDER = 0x604;
const EXTENDED_SIZE = 8, LITTLE_ENDIAN = 0x1e1e1e1e;

const NO_PORT = 0xff;
/** CRT controller registers of the cursor, which change no text. */
const CURSOR_REGISTERS: readonly number[] = [
  R.CR_CURSOR_START,
  R.CR_CURSOR_END,
  R.CR_CURSOR_LOCATION_HIGH,
  R.CR_CURSOR_LOCATION_LOW,
];

/** What the adapter is connected to. */
export interface VgaWires {
  clock: { now(): number };
  /** Video memory: a power of two of bytes, from 256 KiB, at a multiple of 4 in its buffer. It is not part of the snapshot. */
  vram: Uint8Array;
  /** Called after the adapter itself changed video memory, with offset and length. */
  vramWritten?: (offset: number, length: number) => void;
}

/** A range of legacy ports, for the board to claim. Offsets count from `base`. */
export interface VgaPorts {
  base: number;
  count: number;
  access: RegisterAccess;
}

/**
 * VGA.
 *
 * Watchers of the text hear of what goes through the window at 0xa0000 and through the registers. They do
 * not hear of text that is written through the linear frame buffer, which is plain memory.
 */
export class Vga implements Chip, Display {
  readonly name = "vga";
  readonly config: PciConfig = new PciConfig({
    vendor: 0x1234,
    device: 0x1111,
    classCode: 0x030000,
    revision: 2,
    status: 0,
  });
  /** Legacy ports, a byte wide. */
  readonly ports: readonly VgaPorts[] = [
    this.portsAt(0x3b4, 2),
    this.portsAt(0x3ba, 1),
    this.portsAt(0x3c0, 16),
    this.portsAt(0x3d4, 2),
    this.portsAt(0x3da, 1),
  ];
  /** VBE display interface at port 0x1ce: claim 4 ports with `sizes: [2]`. Data is at offset 1, and at 2 for processors that align. */
  readonly dispi: RegisterAccess = {
    read: (offset) =>
      offset === 0 ? this.state.DISPI_INDEX : this.readDispi(this.state.DISPI_INDEX),
    write: (offset, _size, value) => {
      if (offset === 0) this.state.DISPI_INDEX = value;
      else if (offset < 3) this.writeDispi(this.state.DISPI_INDEX, value);
    },
  };
  /** Legacy window at 0xa0000: claim 128 KiB with `sizes: [1, 2, 4]`. */
  readonly window: RegisterAccess;
  /** Registers in memory, base address register 2: claim 4 KiB with `sizes: [1, 2, 4]`. */
  readonly mmio: RegisterAccess = {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= this.readMmio(offset + i) << (8 * i);
      return value >>> 0;
    },
    write: (offset, size, value) => {
      if (offset >= MMIO_PORTS && offset + size <= MMIO_PORTS_END) {
        for (let i = 0; i < size; i++) {
          this.writePort(0x3c0 + offset - MMIO_PORTS + i, (value >>> (8 * i)) & 0xff);
        }
      } else if (offset >= MMIO_DISPI && offset + size <= MMIO_DISPI_END && offset % 2 === 0) {
        // Registers are words; a lone byte writes none.
        for (let i = 0; i + 2 <= size; i += 2) {
          this.writeDispi((offset - MMIO_DISPI + i) >> 1, (value >>> (8 * i)) & 0xffff);
        }
      }
    },
  };
  private readonly edid = monitorEdid();
  private readonly state: R.VgaState = R.initialState();
  private readonly vram: Uint8Array;
  private readonly planes: Window;
  private watchers: ((row: number) => void)[] = [];

  /**
   * Makes the adapter.
   *
   * @param options.romSize size of the expansion ROM, a power of two; default none
   * @throws {RangeError} when the size of video memory or of the ROM is no good
   */
  constructor(private readonly wires: VgaWires, options: { romSize?: number } = {}) {
    const { vram } = wires;
    if (vram.length < LEAST_VRAM || 2 ** Math.round(Math.log2(vram.length)) !== vram.length) {
      throw new RangeError(
        `video memory of ${vram.length} bytes is no power of two from 256 KiB on`,
      );
    }
    this.vram = vram;
    this.config.bar(FRAME_BUFFER_BAR, { kind: "memory", size: vram.length, prefetchable: true });
    this.config.bar(MMIO_BAR, { kind: "memory", size: VGA_MMIO_SIZE });
    if (options.romSize !== undefined) this.config.romBar(options.romSize);
    this.planes = new Window(this.state, vram, (offset, length) => this.written(offset, length));
    this.window = this.planes;
  }

  reset(): void {
    Object.assign(this.state, R.initialState());
    this.planes.configure();
    this.config.reset();
    this.notify(-1);
  }

  snapshot(): State {
    return { config: this.config.bytes.slice(), registers: copyState(this.state) };
  }

  restore(state: State): void {
    const like = this.snapshot();
    const { config, registers } = checkedState(this.name, state, like, {
      registers: { keys: R.STATE_BOUNDS },
    }) as { config: Uint8Array; registers: R.VgaState };
    this.config.check(this.name, config);
    R.checkRegisters(this.name, registers, this.vram.length);
    Object.assign(this.state, registers);
    this.planes.configure();
    this.config.restore(config);
    this.notify(-1);
  }

  /** Puts the adapter in BIOS mode 3 with an empty screen and a font of 256 glyphs of 16 bytes, as a VGA BIOS does. */
  setTextMode(font: Uint8Array): void {
    Object.assign(this.state, R.initialState());
    setTextRegisters(this.state);
    setTextMemory(this.vram, font);
    this.wires.vramWritten?.(0, LEAST_VRAM);
    this.planes.configure();
    this.notify(-1);
  }

  // Display

  textLines(): string[] | undefined {
    return textLines(this.state, this.vram);
  }

  textLine(row: number): string | undefined {
    return textLine(this.state, this.vram, row);
  }

  get cursor(): TextCursor | undefined {
    return textCursor(this.state);
  }

  watchText(notify: (row: number) => void): () => void {
    this.watchers.push(notify);
    return () => {
      this.watchers = this.watchers.filter((watcher) => watcher !== notify);
    };
  }

  render(): Picture {
    return render(this.state, this.vram);
  }

  private notify(row: number): void {
    for (const watcher of this.watchers) watcher(row);
  }

  private written(offset: number, length: number): void {
    this.wires.vramWritten?.(offset, length);
    if (this.watchers.length === 0 || (offset & 3) !== 0 || !isText(this.state)) return;
    const row = rowOfAddress(this.state, offset >>> 2);
    if (row !== undefined) this.notify(row);
  }

  // Registers

  private portsAt(base: number, count: number): VgaPorts {
    return {
      base,
      count,
      access: {
        read: (offset) => this.readPort(base + offset),
        write: (offset, _size, value) => this.writePort(base + offset, value),
      },
    };
  }

  /** The CRT controller and input status 1 answer at 3Bxh or at 3Dxh. */
  private isAbsent(port: number): boolean {
    const color = (this.state.MISC & R.MISC_COLOR) !== 0;
    return (port & 0xff0) === (color ? 0x3b0 : 0x3d0);
  }

  private readPort(port: number): number {
    const { state } = this;
    if (this.isAbsent(port)) return NO_PORT;
    switch (port) {
      case 0x3c0:
        return state.AR_INDEX;
      case 0x3c1:
        return state.AR[state.AR_INDEX & 0x1f] ?? 0;
      // Input status 0. Deviation: no switch is sensed and the vertical interrupt is not connected, as in QEMU.
      case 0x3c2:
        return 0;
      case 0x3c4:
        return state.SR_INDEX;
      case 0x3c5:
        return state.SR[state.SR_INDEX] ?? 0;
      case 0x3c6:
        return state.PEL_MASK;
      case 0x3c7:
        return state.DAC_STATE;
      case 0x3c8:
        return state.dacWrite;
      case 0x3c9:
        return this.readDac();
      case 0x3ca:
        return state.FCR;
      case 0x3cc:
        return state.MISC;
      case 0x3ce:
        return state.GR_INDEX;
      case 0x3cf:
        return state.GR[state.GR_INDEX] ?? 0;
      case 0x3b4:
      case 0x3d4:
        return state.CR_INDEX;
      case 0x3b5:
      case 0x3d5:
        return state.CR[state.CR_INDEX] ?? 0;
      case 0x3ba:
      case 0x3da:
        state.arData = false;
        return displayStatus(state, this.wires.clock.now());
      default:
        return 0;
    }
  }

  private writePort(port: number, value: number): void {
    const { state } = this;
    if (this.isAbsent(port)) return;
    switch (port) {
      case 0x3c0:
        this.writeAttribute(value);
        break;
      case 0x3c2:
        state.MISC = value & R.MISC_MASK;
        break;
      case 0x3c4:
        state.SR_INDEX = value & 0x07;
        break;
      case 0x3c5:
        if (state.SR_INDEX < R.SR_MASKS.length) {
          state.SR[state.SR_INDEX] = value & R.SR_MASKS[state.SR_INDEX];
          this.planes.configure();
        }
        break;
      case 0x3c6:
        state.PEL_MASK = value;
        break;
      case 0x3c7:
        state.dacRead = value;
        state.dacComponent = 0;
        state.DAC_STATE = 3;
        break;
      case 0x3c8:
        state.dacWrite = value;
        state.dacComponent = 0;
        state.DAC_STATE = 0;
        break;
      case 0x3c9:
        this.writeDac(value);
        break;
      case 0x3ce:
        state.GR_INDEX = value & 0x0f;
        break;
      case 0x3cf:
        this.writeGraphics(state.GR_INDEX, value);
        break;
      case 0x3b4:
      case 0x3d4:
        state.CR_INDEX = value;
        break;
      case 0x3b5:
      case 0x3d5:
        this.writeCrtc(state.CR_INDEX, value);
        break;
      case 0x3ba:
      case 0x3da:
        state.FCR = value & R.FEATURE_MASK;
        break;
    }
  }

  private writeAttribute(value: number): void {
    const { state } = this;
    if (!state.arData) state.AR_INDEX = value & 0x3f;
    else {
      const index = state.AR_INDEX & 0x1f;
      if (index < R.AR_MASKS.length) state.AR[index] = value & R.AR_MASKS[index];
    }
    state.arData = !state.arData;
  }

  private readDac(): number {
    const { state } = this;
    const value = state.DAC[state.dacRead * 3 + state.dacComponent];
    state.dacComponent = (state.dacComponent + 1) % 3;
    if (state.dacComponent === 0) state.dacRead = (state.dacRead + 1) & 0xff;
    return value;
  }

  private writeDac(value: number): void {
    const { state } = this;
    const wide = (state.DISPI[R.DISPI_ENABLE] & R.DISPI_8BIT_DAC) !== 0;
    const component = wide ? value : value & 0x3f;
    if (state.dacComponent < 2) {
      state.dacPending[state.dacComponent++] = component;
      return;
    }
    state.DAC.set([...state.dacPending, component], state.dacWrite * 3);
    state.dacComponent = 0;
    state.dacWrite = (state.dacWrite + 1) & 0xff;
  }

  private writeGraphics(index: number, value: number): void {
    if (index >= R.GR_MASKS.length) return;
    const { GR } = this.state;
    const before = GR[index];
    GR[index] = value & R.GR_MASKS[index];
    this.planes.configure();
    if (index === R.GR_MISCELLANEOUS && GR[index] !== before) this.notify(-1);
  }

  private writeCrtc(index: number, value: number): void {
    if (index >= R.CR_COUNT) return;
    const { CR } = this.state;
    const before = CR[index];
    if ((CR[R.CR_VERTICAL_RETRACE_END] & R.RETRACE_END_PROTECT) !== 0 && index <= R.CR_OVERFLOW) {
      // Of the protected registers only one bit of the line compare stays open.
      if (index !== R.CR_OVERFLOW) return;
      CR[index] = (before & ~R.OVERFLOW_LINE_COMPARE_8) | (value & R.OVERFLOW_LINE_COMPARE_8);
    } else CR[index] = value;
    if (CR[index] !== before && !CURSOR_REGISTERS.includes(index)) this.notify(-1);
  }

  private readMmio(offset: number): number {
    if (offset < MMIO_EDID_END) return this.edid[offset] ?? 0;
    if (offset < MMIO_PORTS_END) return this.readPort(0x3c0 + offset - MMIO_PORTS);
    const byteOf = (value: number, first: number) => (value >>> (8 * (offset - first))) & 0xff;
    if (offset >= MMIO_DISPI && offset < MMIO_DISPI_END) {
      return byteOf(this.readDispi((offset - MMIO_DISPI) >> 1), offset & ~1);
    }
    if (offset >= MMIO_EXTENDED_SIZE && offset < MMIO_BYTE_ORDER) {
      return byteOf(EXTENDED_SIZE, MMIO_EXTENDED_SIZE);
    }
    if (offset >= MMIO_BYTE_ORDER && offset < MMIO_BYTE_ORDER + 4) {
      return byteOf(LITTLE_ENDIAN, MMIO_BYTE_ORDER);
    }
    return 0;
  }

  // VBE display interface

  private readDispi(index: number): number {
    const { DISPI } = this.state;
    if (index === R.DISPI_VIDEO_MEMORY_64K) return this.vram.length >>> 16;
    if ((DISPI[R.DISPI_ENABLE] & R.DISPI_GETCAPS) !== 0) {
      if (index === R.DISPI_XRES) return R.DISPI_MAX_XRES;
      if (index === R.DISPI_YRES) return R.DISPI_MAX_YRES;
      if (index === R.DISPI_BPP) return R.DISPI_MAX_BPP;
    }
    return DISPI[index] ?? 0;
  }

  private writeDispi(index: number, value: number): void {
    const { DISPI } = this.state;
    switch (index) {
      case R.DISPI_ID:
        if (value >= R.DISPI_ID0 && value <= R.DISPI_ID5) DISPI[R.DISPI_ID] = value;
        break;
      case R.DISPI_XRES:
      case R.DISPI_YRES:
      case R.DISPI_BPP:
      case R.DISPI_VIRT_WIDTH:
      case R.DISPI_X_OFFSET:
      case R.DISPI_Y_OFFSET:
        DISPI[index] = value;
        this.programVbe();
        break;
      case R.DISPI_BANK:
        DISPI[R.DISPI_BANK] = value & R.bankMask(this.vram.length);
        break;
      case R.DISPI_ENABLE:
        this.enableVbe(value);
        break;
    }
    this.planes.configure();
  }

  private enableVbe(value: number): void {
    const { DISPI } = this.state;
    const wasOn = R.vbeEnabled(DISPI);
    DISPI[R.DISPI_ENABLE] = value;
    if (R.vbeEnabled(DISPI) && !wasOn) {
      DISPI[R.DISPI_VIRT_WIDTH] = DISPI[R.DISPI_X_OFFSET] = DISPI[R.DISPI_Y_OFFSET] = 0;
      this.programVbe();
      if ((value & R.DISPI_NOCLEARMEM) === 0) {
        const length = DISPI[R.DISPI_YRES] * R.vbePitch(DISPI);
        this.vram.fill(0, 0, length);
        this.wires.vramWritten?.(0, length);
      }
    } else DISPI[R.DISPI_BANK] = 0;
    if (R.vbeEnabled(DISPI) !== wasOn) this.notify(-1);
  }

  /** Programs the VGA's registers for a VBE mode, so that those who look at them see about the same mode. */
  private programVbe(): void {
    const { state } = this, { DISPI, GR, CR } = state;
    R.fixMode(DISPI, this.vram.length);
    if (!R.vbeEnabled(DISPI)) return;
    const GRAPHICS_AT_A0000 = 0x05, SHIFT_256 = 2;
    GR[R.GR_MISCELLANEOUS] = (GR[R.GR_MISCELLANEOUS] & ~0x0c) | GRAPHICS_AT_A0000;
    GR[R.GR_MODE] = (GR[R.GR_MODE] & ~0x60) | (DISPI[R.DISPI_BPP] === 4 ? 0 : SHIFT_256 << 5);
    CR[R.CR_MODE_CONTROL] |= R.CONTROL_ADDRESS_13 | R.CONTROL_ADDRESS_14;
    CR[R.CR_OFFSET] = R.vbePitch(DISPI) >> 3;
    CR[R.CR_HORIZONTAL_DISPLAY_END] = (DISPI[R.DISPI_XRES] >> 3) - 1;
    const end = DISPI[R.DISPI_YRES] - 1;
    CR[R.CR_VERTICAL_DISPLAY_END] = end;
    CR[R.CR_LINE_COMPARE] = 0xff;
    CR[R.CR_OVERFLOW] = (CR[R.CR_OVERFLOW] & ~0x42) | ((end >> 7) & 0x02) | ((end >> 3) & 0x40) |
      R.OVERFLOW_LINE_COMPARE_8;
    CR[R.CR_MAXIMUM_SCAN_LINE] = (CR[R.CR_MAXIMUM_SCAN_LINE] & ~0x9f) | R.SCAN_LINE_COMPARE_9;
  }
}
