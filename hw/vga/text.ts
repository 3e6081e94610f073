/** The text screen as characters: which cells of video memory are on screen, in Unicode. */
import type { TextCursor } from "../../core/display/display.ts";
import {
  CR_CURSOR_END,
  CR_CURSOR_LOCATION_HIGH,
  CR_CURSOR_LOCATION_LOW,
  CR_CURSOR_START,
  CURSOR_OFF,
  GR_MISCELLANEOUS,
  MISC_GRAPHICS,
  type Raster,
  rasterOf,
  vbeEnabled,
  type VgaState,
} from "./registers.ts";

/** Code page 437, with the pictures that a screen shows for control characters. */
export const CP437: string = "\0☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼".replace("\0", " ") +
  Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("") + "⌂" +
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»" +
  "░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" +
  "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";

/** Planar addresses of the VGA wrap at 64 KiB. */
export const PLANAR_MASK = 0xffff;

/** Whether the picture is made of characters. */
export function isText({ GR, DISPI }: VgaState): boolean {
  return (GR[GR_MISCELLANEOUS] & MISC_GRAPHICS) === 0 && !vbeEnabled(DISPI);
}

/** Scan lines of a character row. */
function rowHeight({ rowScans, repeat }: Raster): number {
  return rowScans * repeat;
}

/** Whole rows of text on screen, at least one. */
export function textRows(raster: Raster): number {
  return Math.max(1, Math.floor(raster.height / rowHeight(raster)));
}

/** Planar address of the first character of a row, with the part below the line compare starting from 0. */
function rowAddress(raster: Raster, row: number): number {
  const split = Math.ceil((raster.lineCompare + 1) / rowHeight(raster));
  return row < split ? raster.start + row * raster.pitch : (row - split) * raster.pitch;
}

function lineAt(vram: Uint8Array, raster: Raster, row: number): string {
  const first = rowAddress(raster, row);
  let line = "";
  for (let column = 0; column < raster.columns; column++) {
    line += CP437[vram[((first + column) & PLANAR_MASK) * 4]];
  }
  return line;
}

/** The rows of text, or undefined in graphics modes. */
export function textLines(state: VgaState, vram: Uint8Array): string[] | undefined {
  if (!isText(state)) return undefined;
  const raster = rasterOf(state);
  return Array.from({ length: textRows(raster) }, (_, row) => lineAt(vram, raster, row));
}

/** One row of text. */
export function textLine(state: VgaState, vram: Uint8Array, row: number): string | undefined {
  if (!isText(state)) return undefined;
  const raster = rasterOf(state);
  return row < textRows(raster) ? lineAt(vram, raster, row) : undefined;
}

/** The row that shows the character at a planar address; -1 for several or any, undefined for none. */
export function rowOfAddress(state: VgaState, address: number): number | undefined {
  const raster = rasterOf(state);
  const { start, pitch, columns, lineCompare, height } = raster;
  if (lineCompare < height - 1 || pitch < columns) return -1;
  const row = Math.floor(((address - start) & PLANAR_MASK) / pitch);
  return row < textRows(raster) ? row : undefined;
}

/** Planar address of the cursor. */
export function cursorAddress({ CR }: VgaState): number {
  return (CR[CR_CURSOR_LOCATION_HIGH] << 8) | CR[CR_CURSOR_LOCATION_LOW];
}

/** First and last row scan count of the cursor, undefined while it is off. */
export function cursorShape({ CR }: VgaState): { first: number; last: number } | undefined {
  const first = CR[CR_CURSOR_START] & 0x1f, last = CR[CR_CURSOR_END] & 0x1f;
  return (CR[CR_CURSOR_START] & CURSOR_OFF) !== 0 || first > last ? undefined : { first, last };
}

/** The cursor, undefined in graphics modes. */
export function textCursor(state: VgaState): TextCursor | undefined {
  if (!isText(state)) return undefined;
  const raster = rasterOf(state);
  const distance = (cursorAddress(state) - raster.start) & PLANAR_MASK;
  const pitch = Math.max(1, raster.pitch);
  const row = Math.floor(distance / pitch), column = distance % pitch;
  const shape = cursorShape(state);
  const onScreen = row < textRows(raster) && column < raster.columns;
  return {
    row,
    column,
    visible: onScreen && shape !== undefined && shape.first < raster.rowScans,
  };
}
