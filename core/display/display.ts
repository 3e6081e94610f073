/** What a display adapter offers to whoever looks at the picture: the screen of a script, a screenshot, VNC. */

/** A picture of 32-bit pixels. */
export interface Picture {
  /** Pixels in a row. */
  width: number;
  /** Rows. */
  height: number;
  /** Red, green, blue, alpha (always 255) of each pixel, row by row from the top: `width * height * 4` bytes. */
  data: Uint8ClampedArray;
}

/** Where the text cursor stands. */
export interface TextCursor {
  /** Row, from 0 at the top. */
  row: number;
  /** Column, from 0 at the left. */
  column: number;
  /** False while the guest has switched the cursor off. */
  visible: boolean;
}

/** A display adapter as the host sees it. Looking never changes what the guest can notice. */
export interface Display {
  /**
   * The characters on screen, one string a row, in Unicode (code page 437 mapped), each padded with
   * spaces to the full width; undefined while the adapter is in a graphics mode.
   */
  textLines(): string[] | undefined;
  /** One row of {@linkcode Display.textLines}, when that is cheaper than all of them. */
  textLine?(row: number): string | undefined;
  /** The text cursor; undefined while the adapter is in a graphics mode. */
  readonly cursor: TextCursor | undefined;
  /**
   * Calls `notify` from within each access of the guest that changed what {@linkcode Display.textLines}
   * returns, until the returned function is called. `row` is the row that changed, or -1 when any may
   * have (start address, mode, whole-screen changes). Calling too often is allowed, too rarely is not.
   * A display without it is sampled every 10 ms of virtual time while a script waits for the screen.
   */
  watchText?(notify: (row: number) => void): () => void;
  /** Draws what a monitor would show now, in text and graphics modes alike. */
  render(): Picture;
}
