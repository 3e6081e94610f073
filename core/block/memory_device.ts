/** A drive that lives in host memory. */
import { type BlockDevice, BlockError, checkAccess, SECTOR_SIZE } from "./block_device.ts";

/** How a {@linkcode MemoryDevice} behaves. */
export interface MemoryDeviceOptions {
  /** Refuses writes. Default false. */
  readOnly?: boolean;
  /** Name for messages. Default `memory`. */
  source?: string;
}

/** A drive over bytes that the caller owns and may look at; bytes are rounded up to whole sectors by copying. */
export class MemoryDevice implements BlockDevice {
  /** The bytes of the drive. */
  readonly bytes: Uint8Array;
  /** Bytes, whole sectors. */
  readonly size: number;
  /** Whether writes are refused. */
  readonly readOnly: boolean;
  /** Name for messages. */
  readonly source: string;

  /**
   * Makes a drive.
   *
   * @param content the bytes, or how many zeros
   * @throws {BlockError} of kind `empty` when there are none
   */
  constructor(content: Uint8Array | number, options: MemoryDeviceOptions = {}) {
    const { readOnly = false, source = "memory" } = options;
    this.source = source;
    this.readOnly = readOnly;
    const length = typeof content === "number" ? content : content.length;
    if (length <= 0) throw new BlockError("empty", source, "has no bytes, a drive needs some");
    this.size = Math.ceil(length / SECTOR_SIZE) * SECTOR_SIZE;
    if (typeof content !== "number" && length === this.size) this.bytes = content;
    else {
      this.bytes = new Uint8Array(this.size);
      if (typeof content !== "number") this.bytes.set(content);
    }
  }

  read(offset: number, length: number): Uint8Array {
    checkAccess(this, offset, length);
    return this.bytes.slice(offset, offset + length);
  }

  write(offset: number, bytes: Uint8Array): void {
    checkAccess(this, offset, bytes.length);
    if (this.readOnly) throw new BlockError("read-only", this.source, "the drive takes no writes");
    this.bytes.set(bytes, offset);
  }

  flush(): void {}

  close(): void {}
}
