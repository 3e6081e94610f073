/**
 * A font of 8 by 16 dots for text without a VGA BIOS: printable ASCII, lines, blocks and arrows. Also
 * finds the font in a VGA BIOS.
 */

/** Bytes of a glyph, and of a font of 256. */
export const GLYPH_HEIGHT = 16;
export const FONT_BYTES = 256 * GLYPH_HEIGHT;

/**
 * ASCII from the space on, five dots wide: a digit of base 32 is a row of five dots. Rows 7 and 8 are
 * below the base line.
 */
const ASCII = `
  0000000 4444404 AAA0000 AAVAVAA 4FKE5U4 OP248J3 CIK8LID 4480000 2488842 8422248 04LEL40
  044V440 00000448 000V000 00000CC 01248G0 EHJLPHE 4C4444E EH1248V V2421HE 26AIV22 VGU11HE
  68GUHHE V124888 EHHEHHE EHHF12C 0CC0CC0 0CC0C48 248G842 00V0V00 G84248G EH12404 EH1DLLE
  EHHVHHH UHHUHHU EHGGGHE SIHHHIS VGGUGGV VGGUGGG EHGNHHF HHHVHHH E44444E 72222IC HIKOKIH
  GGGGGGV HRLLHHH HHPLJHH EHHHHHE UHHUGGG EHHHLID UHHUKIH FGGE11U V444444 HHHHHHE HHHHHA4
  HHHLLLA HHA4AHH HHHA444 V1248GV E88888E 0G84210 E22222E 4AH0000 00000000V 8420000 00E1FHF
  GGMPHHU 00EGGHE 11DJHHF 00EHVGE 698S888 00FHHHF1E GGMPHHH 40C444E 2062222IC GGIKOKI
  C44444E 00QLLLL 00MPHHH 00EHHHE 00MPHHUGG 00DJHHF11 00MPGGG 00FGE1U 88S8896 00HHHJD
  00HHHA4 00HHLLA 00HA4AH 00HHHHF1E 00V248V 2448442 444444444 8442448 008L200
`;
/** What stands for characters that have no picture: a small frame. */
const MISSING = "VHHHHHV";
/** Some characters elsewhere in the code page, by code. */
const OTHERS: readonly (readonly [code: number, rows: string])[] = [
  [0x00, "0000000"],
  [0x04, "04EVE40"],
  [0x07, "00EEE00"],
  [0x09, "00EAE00"],
  [0x10, "GOSUSOG"],
  [0x11, "137F731"],
  [0x18, "4EL4444"],
  [0x19, "4444LE4"],
  [0x1a, "042V240"],
  [0x1b, "048V840"],
  [0x1e, "04EEVV0"],
  [0x1f, "0VVEE40"],
  [0x7f, "004AHHV"],
  [0xf0, "0V0V0V0"],
  [0xf1, "44V440V"],
  [0xf8, "69960000"],
  [0xf9, "00CC000"],
  [0xfa, "0004000"],
  [0xfe, "00EEE00"],
  [0xff, "0000000"],
];

/** Where the rows and columns of the small pictures land. */
const ROWS = [[2], [3, 4], [5], [6, 7], [8], [9, 10], [11], [12, 13], [14]] as const;
const COLUMNS = [0x80, 0x40, 0x30, 0x08, 0x04] as const;

function enlarge(rows: string, glyph: Uint8Array): void {
  [...rows].forEach((digit, i) => {
    const dots = parseInt(digit, 32);
    const bits = COLUMNS.reduce((sum, to, k) => (dots & (16 >> k)) !== 0 ? sum | to : sum, 0);
    for (const y of ROWS[i]) glyph[y] = bits;
  });
}

const LINES_FIRST = 0xb3;
/** Kinds of line, 0 none, 1 single and 2 double, to the left, right, top and bottom: from 0xb3 on. */
const LINES = "0011 1011 2011 1022 1002 2001 2022 0022 2002 2020 1020 2010 1001 " +
  "0110 1110 1101 0111 1100 1111 0211 0122 0220 0202 2220 2202 0222 2200 2222 2210 1120 2201 " +
  "1102 0120 0210 0201 0102 1122 2211 1010 0101";

function drawLines(kinds: string, glyph: Uint8Array): void {
  const [left, right, up, down] = [...kinds].map(Number);
  // The strokes lie on the sides of a box in the middle, which for single lines is a point.
  const wide = Math.max(up, down) === 2, high = Math.max(left, right) === 2;
  const [x0, x1] = wide ? [2, 5] : [3, 3], [y0, y1] = high ? [6, 9] : [7, 7];
  const horizontal = (y: number, from: number, to: number) => {
    for (let x = from; x <= to; x++) glyph[y] |= 0x80 >> x;
  };
  const vertical = (x: number, from: number, to: number) => {
    for (let y = from; y <= to; y++) glyph[y] |= 0x80 >> x;
  };
  for (const y of [y0, y1]) {
    if (left !== 0) horizontal(y, 0, x0);
    if (right !== 0) horizontal(y, x1, 7);
  }
  for (const x of [x0, x1]) {
    if (up !== 0) vertical(x, 0, y0);
    if (down !== 0) vertical(x, y1, GLYPH_HEIGHT - 1);
  }
  if (up === 0 || (left !== 0 && right !== 0 && y0 === y1)) horizontal(y0, x0, x1);
  if (down === 0) horizontal(y1, x0, x1);
  if (left === 0 || (up !== 0 && down !== 0 && x0 === x1)) vertical(x0, y0, y1);
  if (right === 0) vertical(x1, y0, y1);
}

/** Rows of the shades, in turns, and the rows that blocks fill. */
const SHADES: readonly (readonly [code: number, even: number, odd: number])[] = [
  [0xb0, 0x22, 0x88],
  [0xb1, 0x55, 0xaa],
  [0xb2, 0xdd, 0x77],
  [0xdb, 0xff, 0xff],
  [0xdd, 0xf0, 0xf0],
  [0xde, 0x0f, 0x0f],
];

/** Draws the font. Glyph n begins at `16 * n`. */
export function drawFont(): Uint8Array {
  const font = new Uint8Array(FONT_BYTES);
  const glyph = (code: number) => font.subarray(code * GLYPH_HEIGHT, (code + 1) * GLYPH_HEIGHT);
  const pictures = new Map<number, string>(OTHERS);
  ASCII.trim().split(/\s+/).forEach((rows, i) => pictures.set(0x20 + i, rows));
  LINES.split(" ").forEach((kinds, i) => drawLines(kinds, glyph(LINES_FIRST + i)));
  for (const [code, even, odd] of SHADES) {
    glyph(code).forEach((_, y, g) => g[y] = y & 1 ? odd : even);
  }
  glyph(0xdc).fill(0xff, GLYPH_HEIGHT / 2);
  glyph(0xdf).fill(0xff, 0, GLYPH_HEIGHT / 2);
  for (let code = 0; code < 256; code++) {
    const rows = pictures.get(code);
    if (rows !== undefined) enlarge(rows, glyph(code));
    else if (code < 0xb0 || code > 0xdf) enlarge(MISSING, glyph(code));
  }
  return font;
}

/** Finds the font of 8 by 16 dots in a VGA BIOS by the blocks of code page 437, whose pictures are given. */
export function findFont(image: Uint8Array): Uint8Array | undefined {
  const filled = (at: number, from: number, to: number, value: number): boolean => {
    for (let y = from; y < to; y++) if (image[at + y] !== value) return false;
    return true;
  };
  const at = (base: number, code: number) => base + code * GLYPH_HEIGHT;
  for (let base = 0; base + FONT_BYTES <= image.length; base++) {
    const found = filled(at(base, 0xdb), 0, 16, 0xff) && filled(at(base, 0xdd), 0, 16, 0xf0) &&
      filled(at(base, 0xde), 0, 16, 0x0f) && filled(at(base, 0x20), 0, 16, 0) &&
      filled(at(base, 0xff), 0, 16, 0) && filled(at(base, 0xdc), 0, 6, 0) &&
      filled(at(base, 0xdc), 9, 16, 0xff) && filled(at(base, 0xdf), 0, 6, 0xff);
    if (found) return image.slice(base, base + FONT_BYTES);
  }
  return undefined;
}
