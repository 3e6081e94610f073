// A thin stand-in for @std/cli: only what the project uses.

const ESC = "\x1b";

function controls(char: string): boolean {
  const code = char.codePointAt(0)!;
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x300 && code <= 0x36f);
}

function wide(char: string): boolean {
  const code = char.codePointAt(0)!;
  return (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff);
}

/** The columns that a string takes on a terminal. */
export function unicodeWidth(str: string): number {
  let width = 0;
  for (const char of str) if (char !== ESC && !controls(char)) width += wide(char) ? 2 : 1;
  return width;
}
