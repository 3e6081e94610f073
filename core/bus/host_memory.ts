/** The one host buffer that holds all directly addressed guest memory: RAM first, then ROMs and video memory. */

/** Guest pages are 4 KiB. */
export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;

/**
 * Host memory behind guest RAM, ROM and video memory.
 *
 * One buffer for all of them lets the engines turn a guest address into a host offset with one table.
 * Pages that nobody touched cost the host nothing.
 */
export class HostMemory {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  private used = 0;

  /** @param capacity bytes in all, rounded up to whole pages; below 2 GiB */
  constructor(capacity: number) {
    this.buffer = new ArrayBuffer(Math.ceil(capacity / PAGE_SIZE) * PAGE_SIZE);
    this.bytes = new Uint8Array(this.buffer);
    this.view = new DataView(this.buffer);
  }

  /**
   * Sets aside whole pages and returns their offset.
   *
   * @throws {RangeError} when the capacity is used up
   */
  allocate(size: number): number {
    const offset = this.used;
    const end = offset + Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
    if (end > this.buffer.byteLength) {
      throw new RangeError(
        `host memory of ${this.buffer.byteLength} bytes has no room for ${size} more (${offset} in use)`,
      );
    }
    this.used = end;
    return offset;
  }

  /** Bytes set aside so far. */
  get allocated(): number {
    return this.used;
  }
}
