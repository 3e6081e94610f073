/** The picture on the monitor, drawn from registers and video memory. */
import type { Picture } from "../../core/display/display.ts";
import {
  AR_COLOR_SELECT,
  AR_MODE_CONTROL,
  AR_OVERSCAN,
  AR_PEL_PANNING,
  AR_PLANE_ENABLE,
  ATTRIBUTE_256,
  ATTRIBUTE_BLINK,
  ATTRIBUTE_COLOR_45,
  ATTRIBUTE_LINE_GRAPHICS,
  ATTRIBUTE_MONO,
  ATTRIBUTE_PANNING_COMPATIBLE,
  CLOCKING_8_DOTS,
  CLOCKING_HALF_DOT_CLOCK,
  CLOCKING_SCREEN_OFF,
  CONTROL_ADDRESS_13,
  CONTROL_ADDRESS_14,
  CONTROL_BYTE_MODE,
  CR_MODE_CONTROL,
  CR_PRESET_ROW_SCAN,
  CR_UNDERLINE_LOCATION,
  DISPI_8BIT_DAC,
  DISPI_BPP,
  DISPI_ENABLE,
  DISPI_XRES,
  DISPI_YRES,
  GR_MODE,
  MODE_SHIFT_256,
  MODE_SHIFT_INTERLEAVED,
  PALETTE_ADDRESS_SOURCE,
  type Raster,
  rasterOf,
  SR_CHARACTER_MAP_SELECT,
  SR_CLOCKING_MODE,
  UNDERLINE_DOUBLE_WORD,
  vbeEnabled,
  vbePitch,
  vbeStart,
  type VgaState,
} from "./registers.ts";
import { cursorAddress, cursorShape, isText, PLANAR_MASK } from "./text.ts";

const BLACK = 0xff000000;
/** Bytes from one font to the next in plane 2, and from one character to the next. */
const FONT_SIZE = 0x2000, GLYPH_SIZE = 32;
/** Characters whose eighth column is repeated in the ninth. */
const LINE_GRAPHICS_FIRST = 0xc0, LINE_GRAPHICS_LAST = 0xdf;

/** 0 to 255 for a colour component of `bits` bits. */
function widen(value: number, bits: number): number {
  const top = value << (8 - bits);
  return top | (top >> bits);
}

const rgb = (red: number, green: number, blue: number): number =>
  (BLACK | (blue << 16) | (green << 8) | red) >>> 0;

/** Colours of the 256 values that reach the DAC, as little-endian RGBA. */
export function dacColors({ DAC, DISPI, PEL_MASK }: VgaState): Uint32Array {
  const wide = (DISPI[DISPI_ENABLE] & DISPI_8BIT_DAC) !== 0;
  const component = (i: number) => wide ? DAC[i] : widen(DAC[i] & 0x3f, 6);
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i & PEL_MASK) * 3;
    return rgb(component(at), component(at + 1), component(at + 2));
  });
}

/** Colours of the 16 values that the attribute controller translates. */
function attributeColors({ AR }: VgaState, dac: Uint32Array): Uint32Array {
  const select = AR[AR_COLOR_SELECT];
  return Uint32Array.from({ length: 16 }, (_, i) => {
    const color = AR[i];
    const index = (AR[AR_MODE_CONTROL] & ATTRIBUTE_COLOR_45) !== 0
      ? (color & 0x0f) | (select << 4)
      : (color & 0x3f) | ((select & 0x0c) << 4);
    return dac[index];
  });
}

function picture(width: number, height: number): { image: Picture; pixels: Uint32Array } {
  const pixels = new Uint32Array(width * height);
  return { image: { width, height, data: new Uint8ClampedArray(pixels.buffer) }, pixels };
}

/** Draws what the monitor shows. */
export function render(state: VgaState, vram: Uint8Array): Picture {
  const { SR, AR_INDEX } = state;
  const dac = dacColors(state);
  const vbe = vbeEnabled(state.DISPI);
  const off = (SR[SR_CLOCKING_MODE] & CLOCKING_SCREEN_OFF) !== 0;
  // With the palette given to the processor, the border's colour is everywhere.
  const blank = off
    ? BLACK
    : (AR_INDEX & PALETTE_ADDRESS_SOURCE) === 0
    ? dac[state.AR[AR_OVERSCAN]]
    : undefined;
  if (vbe) return renderVbe(state, vram, dac, blank);
  const raster = rasterOf(state);
  const { dots, scale } = dotsOf(state);
  const { image, pixels } = picture(raster.columns * dots * scale, raster.height);
  if (blank !== undefined) pixels.fill(blank);
  else drawRaster(state, vram, raster, dac, pixels);
  return image;
}

/** Dots of a character, and pixels of the picture for each: a halved dot clock makes them wide. */
function dotsOf(state: VgaState): { dots: number; scale: number } {
  const clocking = state.SR[SR_CLOCKING_MODE];
  return {
    dots: isText(state) && (clocking & CLOCKING_8_DOTS) === 0 ? 9 : 8,
    scale: (clocking & CLOCKING_HALF_DOT_CLOCK) !== 0 ? 2 : 1,
  };
}

function drawRaster(
  state: VgaState,
  vram: Uint8Array,
  raster: Raster,
  dac: Uint32Array,
  pixels: Uint32Array,
): void {
  const { CR, AR } = state;
  const { columns, height, rowScans, repeat, lineCompare, pitch } = raster;
  const { dots, scale } = dotsOf(state);
  const width = columns * dots * scale;
  const text = isText(state);
  const painter = text
    ? textPainter(state, vram, dac, dots)
    : graphicsPainter(state, vram, attributeColors(state, dac), dac);
  // One character more than is visible: panning pulls it in.
  const line = new Uint32Array((columns + 1) * dots);
  const bytePanning = (CR[CR_PRESET_ROW_SCAN] >> 5) & 3;
  let origin = raster.start + bytePanning;
  let panning = panningOf(AR[AR_PEL_PANNING], dots, AR[AR_MODE_CONTROL]);
  let scan = (CR[CR_PRESET_ROW_SCAN] & 0x1f) * repeat;
  let row = 0;
  const control = CR[CR_MODE_CONTROL];
  // Address bits as the planes see them: a word is one planar address here, a double word likewise.
  const shift = (CR[CR_UNDERLINE_LOCATION] & UNDERLINE_DOUBLE_WORD) !== 0
    ? 2
    : (control & CONTROL_BYTE_MODE) !== 0
    ? 0
    : 1;
  const bit13 = 1 << (13 - shift), bit14 = 1 << (14 - shift);
  for (let y = 0; y < height; y++) {
    const rowScan = Math.floor(scan / repeat);
    const first = origin + row * pitch;
    const substitute = (address: number): number => {
      if ((control & CONTROL_ADDRESS_13) === 0) {
        address = (rowScan & 1) !== 0 ? address | bit13 : address & ~bit13;
      }
      if ((control & CONTROL_ADDRESS_14) === 0) {
        address = (rowScan & 2) !== 0 ? address | bit14 : address & ~bit14;
      }
      return address & PLANAR_MASK;
    };
    for (let column = 0; column <= columns; column++) {
      painter(substitute(first + column), rowScan, line, column * dots);
    }
    const target = y * width;
    if (scale === 1) pixels.set(line.subarray(panning, panning + width), target);
    else {
      for (let x = 0; x < width; x++) pixels[target + x] = line[panning + (x >> 1)];
    }
    if (++scan >= rowScans * repeat) {
      scan = 0;
      row++;
    }
    if (y === lineCompare) {
      origin = scan = row = 0;
      if ((AR[AR_MODE_CONTROL] & ATTRIBUTE_PANNING_COMPATIBLE) !== 0) panning = 0;
      else origin = bytePanning;
    }
  }
}

/** Dots by which the picture is moved to the left. */
function panningOf(value: number, dots: number, modeControl: number): number {
  if ((modeControl & ATTRIBUTE_256) !== 0) return value & 6;
  if (dots === 9) return value >= 8 ? 0 : value + 1;
  return value & 7;
}

/** Draws the dots of one character position in one scan line. */
type Painter = (address: number, rowScan: number, line: Uint32Array, at: number) => void;

function textPainter(
  state: VgaState,
  vram: Uint8Array,
  dac: Uint32Array,
  dots: number,
): Painter {
  const { SR, AR, CR } = state;
  const colors = attributeColors(state, dac);
  const select = SR[SR_CHARACTER_MAP_SELECT];
  // Bits 4 and 5 were added below the others in the order of fonts.
  const fontB = (((select & 3) << 1) | ((select >> 4) & 1)) * FONT_SIZE;
  const fontA = ((((select >> 2) & 3) << 1) | ((select >> 5) & 1)) * FONT_SIZE;
  const control = AR[AR_MODE_CONTROL];
  const blink = (control & ATTRIBUTE_BLINK) !== 0;
  const mono = (control & ATTRIBUTE_MONO) !== 0;
  const lineGraphics = (control & ATTRIBUTE_LINE_GRAPHICS) !== 0;
  const underline = CR[CR_UNDERLINE_LOCATION] & 0x1f;
  const cursor = cursorShape(state), cursorAt = cursorAddress(state);
  return (address, rowScan, line, at) => {
    const code = vram[4 * address], attribute = vram[4 * address + 1];
    const font = (attribute & 8) !== 0 ? fontA : fontB;
    let bits = vram[4 * (font + code * GLYPH_SIZE + rowScan) + 2] << 1;
    if (lineGraphics && code >= LINE_GRAPHICS_FIRST && code <= LINE_GRAPHICS_LAST) {
      bits |= (bits >> 1) & 1;
    }
    const underlined = mono && (attribute & 7) === 1 && rowScan === underline;
    // The picture is one of the moments at which blinking things are visible.
    const inCursor = cursor !== undefined && address === cursorAt &&
      rowScan >= cursor.first && rowScan <= cursor.last;
    if (underlined || inCursor) bits = 0x1ff;
    const foreground = colors[attribute & 0x0f];
    const background = colors[(attribute >> 4) & (blink ? 7 : 15)];
    for (let i = 0; i < dots; i++) {
      line[at + i] = (bits & (0x100 >> i)) !== 0 ? foreground : background;
    }
  };
}

function graphicsPainter(
  state: VgaState,
  vram: Uint8Array,
  colors: Uint32Array,
  dac: Uint32Array,
): Painter {
  const { GR, AR } = state;
  const mode = GR[GR_MODE];
  const enabled = AR[AR_PLANE_ENABLE] & 0x0f;
  if ((mode & MODE_SHIFT_256) !== 0) {
    if ((AR[AR_MODE_CONTROL] & ATTRIBUTE_256) !== 0) {
      return (address, _rowScan, line, at) => {
        for (let i = 0; i < 4; i++) {
          line[at + 2 * i] = line[at + 2 * i + 1] = dac[vram[4 * address + i]];
        }
      };
    }
    return (address, _rowScan, line, at) => {
      for (let i = 0; i < 4; i++) {
        const byte = vram[4 * address + i];
        line[at + 2 * i] = colors[(byte >> 4) & enabled];
        line[at + 2 * i + 1] = colors[byte & enabled];
      }
    };
  }
  if ((mode & MODE_SHIFT_INTERLEAVED) !== 0) {
    return (address, _rowScan, line, at) => {
      for (let i = 0; i < 8; i++) {
        const low = vram[4 * address + (i >> 2)], high = vram[4 * address + 2 + (i >> 2)];
        const shift = 6 - 2 * (i & 3);
        const color = ((low >> shift) & 3) | (((high >> shift) & 3) << 2);
        line[at + i] = colors[color & enabled];
      }
    };
  }
  return (address, _rowScan, line, at) => paintPlanar(vram, 4 * address, colors, enabled, line, at);
}

/** Draws eight dots, one bit of each of the planes. */
function paintPlanar(
  vram: Uint8Array,
  offset: number,
  colors: Uint32Array,
  enabled: number,
  line: Uint32Array,
  at: number,
): void {
  for (let i = 0; i < 8; i++) {
    const shift = 7 - i;
    const color = ((vram[offset] >> shift) & 1) | (((vram[offset + 1] >> shift) & 1) << 1) |
      (((vram[offset + 2] >> shift) & 1) << 2) | (((vram[offset + 3] >> shift) & 1) << 3);
    line[at + i] = colors[color & enabled];
  }
}

function renderVbe(
  state: VgaState,
  vram: Uint8Array,
  dac: Uint32Array,
  blank: number | undefined,
): Picture {
  const { DISPI } = state;
  const width = DISPI[DISPI_XRES], height = DISPI[DISPI_YRES];
  const { image, pixels } = picture(width, height);
  if (blank !== undefined) {
    pixels.fill(blank);
    return image;
  }
  const pitch = vbePitch(DISPI), mask = vram.length - 1;
  const start = vbeStart(DISPI);
  const byte = (offset: number) => vram[offset & mask];
  const word = (offset: number) => byte(offset) | (byte(offset + 1) << 8);
  const pixelAt: { [bpp: number]: (row: number, x: number) => number } = {
    8: (row, x) => dac[byte(row + x)],
    15: (row, x) => {
      const value = word(row + 2 * x);
      return rgb(
        widen((value >> 10) & 31, 5),
        widen((value >> 5) & 31, 5),
        widen(value & 31, 5),
      );
    },
    16: (row, x) => {
      const value = word(row + 2 * x);
      return rgb(widen(value >> 11, 5), widen((value >> 5) & 63, 6), widen(value & 31, 5));
    },
    24: (row, x) => rgb(byte(row + 3 * x + 2), byte(row + 3 * x + 1), byte(row + 3 * x)),
    32: (row, x) => rgb(byte(row + 4 * x + 2), byte(row + 4 * x + 1), byte(row + 4 * x)),
  };
  if (DISPI[DISPI_BPP] === 4) {
    const colors = attributeColors(state, dac);
    const enabled = state.AR[AR_PLANE_ENABLE] & 0x0f;
    for (let y = 0; y < height; y++) {
      // The start is where a group of eight dots begins.
      const row = ((start & ~3) + y * pitch) & mask;
      for (let x = 0; x < width; x += 8) {
        paintPlanar(vram, (row + (x >> 1)) & mask, colors, enabled, pixels, y * width + x);
      }
    }
    return image;
  }
  const pixel = pixelAt[DISPI[DISPI_BPP]];
  for (let y = 0; y < height; y++) {
    const row = start + y * pitch;
    for (let x = 0; x < width; x++) pixels[y * width + x] = pixel(row, x);
  }
  return image;
}
