/** What a drive asks of the thing that holds its bytes. */

/** Smallest unit of a disk in bytes. */
export const SECTOR_SIZE = 512;

/** Why a backend refused or failed. */
export type BlockErrorKind =
  /** No such file, or no longer. */
  | "missing"
  /** The path names a directory. */
  | "directory"
  /** The path names something without a size: a terminal, a pipe, a socket. */
  | "not-a-file"
  /** The file has no bytes. */
  | "empty"
  /** The host does not let us open it so. */
  | "permission"
  /** A write to a backend that takes none. */
  | "read-only"
  /** Outside of the device. */
  | "out-of-range"
  /** The host's disk is full, or a quota or file size limit is reached. */
  | "no-space"
  /** The file became shorter than it was when it was opened. */
  | "shrunk"
  /** The host reported an input or output error. */
  | "io"
  /** Used after {@linkcode BlockDevice.close}. */
  | "closed";

/** A backend that cannot be opened, or an access that failed. The message names the file and the cause. */
export class BlockError extends Error {
  /**
   * Makes the error.
   *
   * @param problem what is wrong, in words that follow the name of the backend
   */
  constructor(
    /** What kind of failure it is. */
    readonly kind: BlockErrorKind,
    /** File or other name of the backend. */
    readonly source: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${source}: ${problem}`, options);
    this.name = "BlockError";
  }
}

/**
 * Bytes of a drive. Accesses complete before they return: what was written has reached the host's
 * file, though perhaps not its platter, which is what {@linkcode BlockDevice.flush} waits for.
 */
export interface BlockDevice {
  /** File or other name, for messages. */
  readonly source: string;
  /** Bytes, a multiple of {@linkcode SECTOR_SIZE}. */
  readonly size: number;
  /** Whether writes are refused. */
  readonly readOnly: boolean;
  /**
   * Reads `length` bytes; the result is the caller's own.
   *
   * @throws {BlockError}
   */
  read(offset: number, length: number): Uint8Array;
  /**
   * Writes bytes.
   *
   * @throws {BlockError}
   */
  write(offset: number, bytes: Uint8Array): void;
  /**
   * Returns when all that was written is on stable storage.
   *
   * @throws {BlockError}
   */
  flush(): void;
  /** Releases the host's resources; harmless when repeated. */
  close(): void;
}

/**
 * Checks that an access lies within a device.
 *
 * @throws {BlockError} of kind `out-of-range`
 */
export function checkAccess(
  device: { source: string; size: number },
  offset: number,
  length: number,
): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (!whole || offset < 0 || length < 0 || offset + length > device.size) {
    throw new BlockError(
      "out-of-range",
      device.source,
      `access to ${length} bytes at ${offset} is not within the ${device.size} bytes of the device`,
    );
  }
}
