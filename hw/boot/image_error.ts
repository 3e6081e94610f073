/** Errors about the files and sizes that a machine is started with. */

/** A file that cannot be used as what it was given for: it names the file, the cause, and what would be right. */
export class ImageError extends Error {
  /**
   * Says what is wrong with a file.
   *
   * @param file the name the file was given by
   * @param problem what is wrong with it
   * @param expected what would be right
   */
  constructor(
    /** What the file was given for. */
    readonly what: string,
    /** The name that the file was given by. */
    readonly file: string,
    /** What is wrong with it. */
    readonly problem: string,
    /** What would be right. */
    readonly expected: string,
  ) {
    super(`${what} ${file}: ${problem}; ${expected}`);
    this.name = "ImageError";
  }
}

/** A kernel that is not one, is cut short, or does not fit the machine. */
export class KernelError extends ImageError {
  constructor(file: string, problem: string, expected: string) {
    super("kernel", file, problem, expected);
    this.name = "KernelError";
  }
}

/** An initial RAM disk or Multiboot module that is empty or does not fit. */
export class InitrdError extends ImageError {
  constructor(file: string, problem: string, expected: string) {
    super("initrd", file, problem, expected);
    this.name = "InitrdError";
  }
}

/** A firmware image or option ROM that the board cannot map. */
export class FirmwareError extends ImageError {
  constructor(file: string, problem: string, expected: string) {
    super("firmware", file, problem, expected);
    this.name = "FirmwareError";
  }
}

/** A Multiboot header that breaks the specification or asks for what there is not. */
export class MultibootError extends ImageError {
  constructor(file: string, problem: string, expected: string) {
    super("multiboot kernel", file, problem, expected);
    this.name = "MultibootError";
  }
}

/** An ELF file whose headers do not make sense. */
export class ElfError extends ImageError {
  constructor(file: string, problem: string, expected: string) {
    super("ELF file", file, problem, expected);
    this.name = "ElfError";
  }
}

/** An address in the way error texts show it. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
