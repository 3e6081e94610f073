/** BIOS mode 3, 80 by 25 characters of 9 by 16 dots: what a VGA BIOS programs before anything else. */
import {
  AR_MODE_CONTROL,
  AR_PEL_PANNING,
  AR_PLANE_ENABLE,
  PALETTE_ADDRESS_SOURCE,
  type VgaState,
} from "./registers.ts";
import { FONT_BYTES, GLYPH_HEIGHT } from "./font.ts";

/** Colour mode, 28 MHz, both sync signals as for 400 lines. */
const MISC = 0x67;
const SR = [0x03, 0x00, 0x03, 0x00, 0x02];
const GR = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff];
// deno-fmt-ignore
const CR = [
  0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00,
  0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
];
/** Brown is the dark yellow with half of its green. */
const BROWN = 6, BROWN_COLOR = 0x14;
const BLINK_AND_LINE_GRAPHICS = 0x0c, NINE_DOTS = 8, ALL_PLANES = 0x0f;
/** Light grey on black. */
const ATTRIBUTE = 0x07;
const TEXT_CELLS = 0x4000;
/** Steps of a component of a colour of two bits: primary, secondary. */
const PRIMARY = 42, SECONDARY = 21;

/** Programs all registers and colours; the VBE interface is off. */
export function setTextRegisters(state: VgaState): void {
  state.MISC = MISC;
  state.SR.set(SR);
  state.GR.set(GR);
  state.CR.set(CR);
  for (let i = 0; i < 16; i++) state.AR[i] = i < 8 ? i : 0x38 | (i & 7);
  state.AR[BROWN] = BROWN_COLOR;
  state.AR.fill(0, AR_MODE_CONTROL);
  state.AR[AR_MODE_CONTROL] = BLINK_AND_LINE_GRAPHICS;
  state.AR[AR_PLANE_ENABLE] = ALL_PLANES;
  state.AR[AR_PEL_PANNING] = NINE_DOTS;
  state.AR_INDEX = PALETTE_ADDRESS_SOURCE;
  state.arData = false;
  state.PEL_MASK = 0xff;
  state.DAC.fill(0);
  for (let color = 0; color < 64; color++) {
    [2, 1, 0].forEach((bit, component) => {
      state.DAC[color * 3 + component] = ((color >> bit) & 1) * PRIMARY +
        ((color >> (bit + 3)) & 1) * SECONDARY;
    });
  }
}

/** Clears the text and puts a font of 256 glyphs into plane 2. */
export function setTextMemory(vram: Uint8Array, font: Uint8Array): void {
  for (let cell = 0; cell < TEXT_CELLS; cell++) {
    vram[4 * cell] = 0x20;
    vram[4 * cell + 1] = ATTRIBUTE;
  }
  for (let i = 0; i < FONT_BYTES; i++) {
    const glyph = Math.floor(i / GLYPH_HEIGHT), y = i % GLYPH_HEIGHT;
    vram[4 * (glyph * 32 + y) + 2] = font[i];
  }
}
