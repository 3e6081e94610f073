/** A VGA on a test bench. */
import { drawFont } from "./font.ts";
import { DISPI_BPP, DISPI_ENABLE, DISPI_XRES, DISPI_YRES } from "./registers.ts";
import { Vga } from "./vga.ts";

/** A VGA with its ports by number. */
export class VgaBench {
  /** Virtual time that the VGA sees. */
  now = 0;
  readonly vram: Uint8Array;
  readonly vga: Vga;
  /** What the VGA wrote into video memory by itself, as offset and length. */
  readonly writes: [offset: number, length: number][] = [];

  constructor(vramSize = 2 ** 20) {
    this.vram = new Uint8Array(vramSize);
    this.vga = new Vga({
      clock: { now: () => this.now },
      vram: this.vram,
      vramWritten: (...write) => this.writes.push(write),
    });
  }

  private at(port: number): { access: Vga["ports"][number]["access"]; offset: number } {
    const range = this.vga.ports.find(({ base, count }) => port >= base && port < base + count);
    if (range === undefined) throw new RangeError(`the VGA has no port ${port.toString(16)}`);
    return { access: range.access, offset: port - range.base };
  }

  in(port: number): number {
    const { access, offset } = this.at(port);
    return access.read(offset, 1);
  }

  out(port: number, ...values: number[]): void {
    const { access, offset } = this.at(port);
    for (const value of values) access.write(offset, 1, value);
  }

  /** Reads a register behind an index port. */
  indexed(port: number, index: number): number {
    this.out(port, index);
    return this.in(port + 1);
  }

  /** Writes registers behind an index port. */
  setIndexed(port: number, registers: readonly (readonly [index: number, value: number])[]): void {
    for (const [index, value] of registers) {
      this.out(port, index);
      this.out(port + 1, value);
    }
  }

  /** Writes registers of the attribute controller and leaves the picture on. */
  setAttributes(registers: readonly (readonly [index: number, value: number])[]): void {
    this.in(0x3da);
    for (const [index, value] of registers) this.out(0x3c0, index, value);
    this.out(0x3c0, 0x20);
    this.in(0x3da);
  }

  setDispi(index: number, value: number): void {
    this.vga.dispi.write(0, 2, index);
    this.vga.dispi.write(1, 2, value);
  }

  dispi(index: number): number {
    this.vga.dispi.write(0, 2, index);
    return this.vga.dispi.read(1, 2);
  }

  /** Switches a VBE mode on. */
  setVbe(width: number, height: number, bpp: number, enable = 0x41): void {
    this.setDispi(DISPI_ENABLE, 0);
    this.setDispi(DISPI_XRES, width);
    this.setDispi(DISPI_YRES, height);
    this.setDispi(DISPI_BPP, bpp);
    this.setDispi(DISPI_ENABLE, enable);
  }

  /** Writes text with an attribute at a character cell of the colour text window. */
  print(cell: number, text: string, attribute = 0x07): void {
    [...text].forEach((character, i) =>
      this.vga.window.write(
        0x18000 + 2 * (cell + i),
        2,
        character.charCodeAt(0) | (attribute << 8),
      )
    );
  }
}

/** A VGA in BIOS mode 3. */
export function textBench(): VgaBench {
  const bench = new VgaBench();
  bench.vga.setTextMode(drawFont());
  return bench;
}
