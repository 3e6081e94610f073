/** Raw disk images and host block devices: byte n of the file is byte n of the drive. */
import { type BlockDevice, BlockError, checkAccess, SECTOR_SIZE } from "./block_device.ts";

/** The part of `Deno.FsFile` that a raw image uses. */
export interface SeekableFile {
  seekSync(offset: number, whence: Deno.SeekMode): number;
  readSync(target: Uint8Array): number | null;
  writeSync(bytes: Uint8Array): number;
  syncDataSync(): void;
  statSync(): { nlink: number | null };
  close(): void;
}

/** How a raw image is opened. */
export interface RawFileOptions {
  /** Opens the file without the right to write. Default false. */
  readOnly?: boolean;
}

/**
 * A raw image in a host file, written through.
 *
 * The device is as long as the file, rounded up to whole sectors. The rounding reads as zeros and is
 * never written: a write of other bytes there fails, for nothing would keep them.
 */
export class RawFile implements BlockDevice {
  readonly size: number;
  private closed = false;

  /**
   * @param fileSize bytes in the file
   * @see openRawFile
   */
  constructor(
    readonly source: string,
    private readonly file: SeekableFile,
    private readonly fileSize: number,
    readonly readOnly: boolean,
  ) {
    this.size = Math.ceil(fileSize / SECTOR_SIZE) * SECTOR_SIZE;
  }

  read(offset: number, length: number): Uint8Array {
    this.checkOpen();
    checkAccess(this, offset, length);
    const bytes = new Uint8Array(length);
    const wanted = Math.max(0, Math.min(length, this.fileSize - offset));
    try {
      this.file.seekSync(offset, Deno.SeekMode.Start);
      for (let done = 0; done < wanted;) {
        const count = this.file.readSync(bytes.subarray(done, wanted));
        if (count === null || count === 0) {
          throw new BlockError(
            "shrunk",
            this.source,
            `the file ends at ${offset + done}, it had ${this.fileSize} bytes when it was opened`,
          );
        }
        done += count;
      }
    } catch (error) {
      throw describe(this.source, "read", error);
    }
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.checkOpen();
    checkAccess(this, offset, bytes.length);
    if (this.readOnly) {
      throw new BlockError("read-only", this.source, "the image is open for reading only");
    }
    const kept = Math.max(0, Math.min(bytes.length, this.fileSize - offset));
    if (bytes.subarray(kept).some((byte) => byte !== 0)) {
      throw new BlockError(
        "out-of-range",
        this.source,
        `the file has ${this.fileSize} bytes, not a multiple of ${SECTOR_SIZE}; ` +
          "what lies past its end cannot be written",
      );
    }
    try {
      this.checkNamed();
      this.file.seekSync(offset, Deno.SeekMode.Start);
      for (let done = 0; done < kept;) {
        const count = this.file.writeSync(bytes.subarray(done, kept));
        if (count === 0) throw new BlockError("io", this.source, "the host took no bytes");
        done += count;
      }
    } catch (error) {
      throw describe(this.source, "write", error);
    }
  }

  flush(): void {
    this.checkOpen();
    if (this.readOnly) return;
    try {
      this.checkNamed();
      this.file.syncDataSync();
    } catch (error) {
      throw describe(this.source, "flush", error);
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.file.close();
  }

  /** A file without a name takes writes as ever, but nobody will find them again. */
  private checkNamed(): void {
    if (this.file.statSync().nlink !== 0) return;
    throw new BlockError(
      "missing",
      this.source,
      "the file has been deleted, what is written to it would be lost",
    );
  }

  private checkOpen(): void {
    if (this.closed) throw new BlockError("closed", this.source, "the image is closed");
  }
}

/**
 * Opens a raw image, or an ISO image with `readOnly`.
 *
 * @throws {BlockError} when the path names no file with bytes in it that may be opened so
 */
export function openRawFile(path: string, options: RawFileOptions = {}): RawFile {
  const { readOnly = false } = options;
  try {
    const info = Deno.statSync(path);
    if (info.isDirectory) {
      throw new BlockError("directory", path, "is a directory, a drive needs an image file");
    }
    if (!info.isFile && !info.isBlockDevice) {
      throw new BlockError("not-a-file", path, "is neither a file nor a block device");
    }
    const file = Deno.openSync(path, { read: true, write: !readOnly });
    let size = 0;
    try {
      // A block device has size 0 in its directory entry, but an end.
      size = file.seekSync(0, Deno.SeekMode.End);
      if (size === 0) throw new BlockError("empty", path, "has no bytes, a drive needs some");
    } catch (error) {
      file.close();
      throw error;
    }
    return new RawFile(path, file, size, readOnly);
  } catch (error) {
    throw describe(path, readOnly ? "open" : "open for writing", error);
  }
}

const NO_SPACE = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
/** Their numbers on Linux: Deno gives no code for some of them. */
const NO_SPACE_NUMBERS = /\(os error (?:28|122|27)\)/;

function describe(path: string, action: string, error: unknown): BlockError {
  if (error instanceof BlockError) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  const code = (cause as { code?: unknown }).code;
  const { NotFound, PermissionDenied, NotCapable } = Deno.errors;
  if (cause instanceof NotFound) {
    return new BlockError("missing", path, "there is no such file", { cause });
  }
  if (cause instanceof NotCapable) {
    const flag = action.endsWith("writing") ? "--allow-read and --allow-write" : "--allow-read";
    return new BlockError("permission", path, `cannot ${action}: run deno with ${flag}`, { cause });
  }
  if (cause instanceof PermissionDenied || code === "EROFS" || code === "EPERM") {
    return new BlockError("permission", path, `cannot ${action}: permission denied`, { cause });
  }
  const full = typeof code === "string"
    ? NO_SPACE.has(code)
    : Deno.build.os === "linux" && NO_SPACE_NUMBERS.test(cause.message);
  if (full) {
    return new BlockError("no-space", path, `cannot ${action}: ${cause.message}`, { cause });
  }
  return new BlockError("io", path, `cannot ${action}: ${cause.message}`, { cause });
}
