/** The one host buffer that holds all directly addressed guest memory: RAM first, then ROMs and video memory. */

/** Guest pages are 4 KiB. */
export const PAGE_SHIFT = 12;
export const PAGE_SIZE: number = 1 << PAGE_SHIFT;

/** Bytes that one view reaches: V8 inlines accesses of a DataView with an int32 index only. */
const VIEW_SIZE = 2 ** 31;

/**
 * Host memory behind guest RAM, ROM and video memory.
 *
 * One buffer for all of them lets the engines turn a guest address into a host offset with one table.
 * Pages that nobody touched cost the host nothing. The first page is never given out, so that 0 in such a
 * table can stand for "none".
 */
export class HostMemory {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The first 2 GiB. */
  readonly view: DataView<ArrayBuffer>;
  /** The next 2 GiB, from 0 on; empty where there is less. */
  readonly highView: DataView<ArrayBuffer>;
  /** What lies beyond 4 GiB, from 0 on. */
  private readonly farView: DataView<ArrayBuffer>;
  /**
   * Per page: nonzero where it may hold anything but zeros. Who lets bytes of RAM change sets it, engines
   * when they let writes pass directly, so that nobody has to look at pages that were never written.
   */
  readonly touched: Uint8Array<ArrayBuffer>;
  private used: number = PAGE_SIZE;

  /** @param capacity bytes that can be set aside in all, rounded up to whole pages */
  constructor(capacity: number) {
    const size = (Math.ceil(capacity / PAGE_SIZE) + 1) * PAGE_SIZE;
    this.buffer = new ArrayBuffer(size);
    this.bytes = new Uint8Array(this.buffer);
    this.touched = new Uint8Array(size / PAGE_SIZE);
    const view = (from: number, end: number): DataView<ArrayBuffer> => {
      const start = Math.min(from, size);
      return new DataView(this.buffer, start, Math.min(end, size) - start);
    };
    this.view = view(0, VIEW_SIZE);
    this.highView = view(VIEW_SIZE, 2 * VIEW_SIZE);
    this.farView = view(2 * VIEW_SIZE, Infinity);
  }

  /**
   * Sets aside whole pages and returns their offset, which is not 0. All count as touched.
   *
   * @throws {RangeError} when the capacity is used up
   */
  allocate(size: number): number {
    const offset = this.allocateRam(size);
    this.touched.fill(1, offset / PAGE_SIZE, this.used / PAGE_SIZE);
    return offset;
  }

  /**
   * The same for memory that is written through a {@linkcode MemoryMap} or by who calls
   * {@linkcode HostMemory.touch}: only what is written counts as touched.
   */
  allocateRam(size: number): number {
    const offset = this.used;
    const end = offset + Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
    if (end > this.buffer.byteLength) {
      throw new RangeError(
        `host memory of ${this.buffer.byteLength - PAGE_SIZE} bytes has no room for ${size} more (${
          offset - PAGE_SIZE
        } in use)`,
      );
    }
    this.used = end;
    return offset;
  }

  /** Notes that bytes of one page were changed. */
  touch(offset: number): void {
    this.touched[Math.floor(offset / PAGE_SIZE)] = 1;
  }

  /** Where what was set aside so far ends. */
  get allocated(): number {
    return this.used;
  }

  /** Pages in all, the unused first one included. */
  get pages(): number {
    return this.buffer.byteLength / PAGE_SIZE;
  }

  // Accesses at any offset, of bytes that lie in one page.

  getUint8(offset: number): number {
    return this.bytes[offset];
  }

  getUint16(offset: number): number {
    if (offset < VIEW_SIZE) return this.view.getUint16(offset, true);
    if (offset < 2 * VIEW_SIZE) return this.highView.getUint16(offset - VIEW_SIZE, true);
    return this.farView.getUint16(offset - 2 * VIEW_SIZE, true);
  }

  getInt32(offset: number): number {
    if (offset < VIEW_SIZE) return this.view.getInt32(offset, true);
    if (offset < 2 * VIEW_SIZE) return this.highView.getInt32(offset - VIEW_SIZE, true);
    return this.farView.getInt32(offset - 2 * VIEW_SIZE, true);
  }

  setInt8(offset: number, value: number): void {
    this.bytes[offset] = value;
  }

  setInt16(offset: number, value: number): void {
    if (offset < VIEW_SIZE) this.view.setInt16(offset, value, true);
    else if (offset < 2 * VIEW_SIZE) this.highView.setInt16(offset - VIEW_SIZE, value, true);
    else this.farView.setInt16(offset - 2 * VIEW_SIZE, value, true);
  }

  setInt32(offset: number, value: number): void {
    if (offset < VIEW_SIZE) this.view.setInt32(offset, value, true);
    else if (offset < 2 * VIEW_SIZE) this.highView.setInt32(offset - VIEW_SIZE, value, true);
    else this.farView.setInt32(offset - 2 * VIEW_SIZE, value, true);
  }
}
