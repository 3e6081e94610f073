/** What can be wrong with the description of a board. */

/** A board that cannot be made as it was described. The message says which option is wrong and what would be right. */
export class BoardError extends Error {
  /**
   * Makes the error.
   *
   * @param problem what is wrong and what would be right
   */
  constructor(
    /** The option at fault: `memory`, `drives`, `devices`. */
    readonly option: string,
    problem: string,
  ) {
    super(problem);
    this.name = "BoardError";
  }
}

/** A memory size that the board cannot have. */
export class MemorySizeError extends BoardError {
  constructor(readonly size: number, problem: string) {
    super("memory", problem);
    this.name = "MemorySizeError";
  }
}

/** A device, or a property of one, that does not exist or has a value out of range. */
export class DeviceError extends BoardError {
  constructor(
    /** The device's name as it was given. */
    readonly device: string,
    problem: string,
  ) {
    super("devices", problem);
    this.name = "DeviceError";
  }
}
