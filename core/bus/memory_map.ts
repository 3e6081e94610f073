/**
 * The physical address space: which page is RAM, ROM or a chip's registers, who wins where they
 * overlap, and who must hear of writes that bypass the processor.
 */
import { type HostMemory, PAGE_SHIFT, PAGE_SIZE } from "./host_memory.ts";
import type { AccessSize, RangeOptions, RegisterAccess } from "./port_map.ts";

/** What {@linkcode MemoryMap.hostOffset} gives where neither RAM nor ROM lies. */
export const NOT_DIRECT = -1;
/** Entry of the page tables for a page whose accesses must go through {@linkcode MemoryMap.read} and {@linkcode MemoryMap.write}. */
export const INDIRECT = 0;

/** Entries of the page tables are 32 bits: what lies in host memory beyond has none. */
const ENTRY_LIMIT = 2 ** 32;

/** How a memory range is claimed. */
export interface MemoryRangeOptions extends RangeOptions {
  /** Whether the range answers reads. Default true. */
  reads?: boolean;
  /** Whether the range answers writes. Default true; a ROM answers them by ignoring them. */
  writes?: boolean;
}

/** A claimed range of physical addresses, which its owner may move, switch off, or open for reads and writes apart. */
export interface MemoryRange {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly enabled: boolean;
  move(base: number): void;
  setEnabled(enabled: boolean): void;
  /** Whether this range takes part in reads and in writes: what PAM registers switch. */
  setAccess(reads: boolean, writes: boolean): void;
}

/** One access to physical memory, as a watcher sees it. */
export interface MemoryAccess {
  address: number;
  size: number;
  /** Unsigned; for block accesses wider than 4 bytes the first four. */
  value: number;
  write: boolean;
}

const RAM = 0, ROM = 1, MMIO = 2;
type Kind = typeof RAM | typeof ROM | typeof MMIO;

class Range implements MemoryRange {
  constructor(
    private readonly map: MemoryMap,
    readonly name: string,
    readonly kind: Kind,
    public base: number,
    readonly size: number,
    /** Host offset of RAM and ROM. */
    readonly host: number,
    readonly access: RegisterAccess | undefined,
    readonly sizes: readonly AccessSize[],
    readonly priority: number,
    public enabled: boolean,
    public reads: boolean,
    public writes: boolean,
  ) {}

  move(base: number): void {
    if (base === this.base) return;
    const old = this.base;
    this.base = base;
    if (!this.enabled) return;
    this.map.rebuild(old, this.size);
    this.map.rebuild(base, this.size);
  }

  setEnabled(enabled: boolean): void {
    if (enabled === this.enabled) return;
    this.enabled = enabled;
    this.map.rebuild(this.base, this.size);
  }

  setAccess(reads: boolean, writes: boolean): void {
    if (reads === this.reads && writes === this.writes) return;
    this.reads = reads;
    this.writes = writes;
    if (this.enabled) this.map.rebuild(this.base, this.size);
  }
}

/** Enters where pages of a range lie in host memory; nothing of a range that is undefined. */
function fillEntries(table: Int32Array, from: number, to: number, range?: Range): void {
  if (range === undefined) {
    table.fill(INDIRECT, from, to);
    return;
  }
  let host = range.host + (from * PAGE_SIZE - range.base);
  for (let page = from; page < to; page++, host += PAGE_SIZE) {
    table[page] = host < ENTRY_LIMIT ? host | 0 : INDIRECT;
  }
}

interface Watch {
  base: number;
  size: number;
  read: boolean;
  write: boolean;
  notify: (access: MemoryAccess) => void;
}

/** What a table of owners says of an address, which may lie above it. */
function ownerAt(table: Uint16Array, address: number): number {
  const page = address < 2 ** 32 ? address >>> PAGE_SHIFT : Math.floor(address / PAGE_SIZE);
  return page < table.length ? table[page] : 0;
}

/** End of the addresses that ranges may have: bounds the tables of pages. */
export const ADDRESS_LIMIT: number = 2 ** 36;

/**
 * The physical memory map. Addresses are plain numbers, which may be beyond 32 bits. Unclaimed ones read as
 * all ones and ignore writes.
 *
 * Engines ask {@linkcode MemoryMap.readEntry} and {@linkcode MemoryMap.writeEntry} where memory lies, and
 * come here for everything else.
 */
export class MemoryMap {
  private readonly ranges: Range[] = [];
  // Tables by physical page, as far up as anything lies: host offsets of what is read and written there as
  // the bits of an int32, or INDIRECT; and one more than the index of the range that answers, or 0.
  private readPages: Int32Array;
  private writePages: Int32Array;
  private readOwner: Uint16Array;
  private writeOwner: Uint16Array;
  private watches: Watch[] = [];
  /** Per host page: nonzero where an engine holds something derived from its bytes. Set by engines. */
  readonly codePages: Uint8Array;
  /** Called before the next instruction may run, when any page's meaning changed: engines drop their translations. */
  onRemap: () => void = () => {};
  /** Called after a write into a page marked in {@linkcode MemoryMap.codePages}. Arguments are a host offset and a length within one page. */
  onCodeWrite: (hostOffset: number, length: number) => void = () => {};
  /** Called for accesses that nothing claims; for traces. */
  onUnclaimed: (access: MemoryAccess) => void = () => {};

  /** @param top where the highest range will end; the tables grow when one lies above */
  constructor(readonly host: HostMemory, top: number = 2 ** 32) {
    this.codePages = new Uint8Array(host.pages);
    const pages = Math.ceil(Math.min(top, ADDRESS_LIMIT) / PAGE_SIZE);
    this.readPages = new Int32Array(pages);
    this.writePages = new Int32Array(pages);
    this.readOwner = new Uint16Array(pages);
    this.writeOwner = new Uint16Array(pages);
  }

  /** Makes the tables reach as far as a page, if they do not. */
  private grow(pages: number): void {
    if (pages <= this.readPages.length) return;
    const copy = <T extends Int32Array | Uint16Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.readPages = copy(this.readPages, new Int32Array(pages));
    this.writePages = copy(this.writePages, new Int32Array(pages));
    this.readOwner = copy(this.readOwner, new Uint16Array(pages));
    this.writeOwner = copy(this.writeOwner, new Uint16Array(pages));
  }

  /** Host offset of a physical page as the bits of an int32, if reads may go there directly, or {@linkcode INDIRECT}. */
  readEntry(page: number): number {
    return page < this.readPages.length ? this.readPages[page] : INDIRECT;
  }

  /** The same for writes. Who writes there directly sets {@linkcode HostMemory.touched}. */
  writeEntry(page: number): number {
    return page < this.writePages.length ? this.writePages[page] : INDIRECT;
  }

  /** Maps RAM that lies at `hostOffset` of the host memory. Base and size are whole pages. */
  addRam(
    name: string,
    base: number,
    size: number,
    hostOffset: number,
    options: MemoryRangeOptions = {},
  ): MemoryRange {
    return this.add(name, RAM, base, size, hostOffset, undefined, options);
  }

  /** Maps memory that the guest can read and not change. */
  addRom(
    name: string,
    base: number,
    size: number,
    hostOffset: number,
    options: MemoryRangeOptions = {},
  ): MemoryRange {
    return this.add(name, ROM, base, size, hostOffset, undefined, options);
  }

  /** Maps a chip's registers. Accesses beyond `size` in the last page are unclaimed. */
  addMmio(
    name: string,
    base: number,
    size: number,
    access: RegisterAccess,
    options: MemoryRangeOptions = {},
  ): MemoryRange {
    return this.add(name, MMIO, base, size, 0, access, options);
  }

  private add(
    name: string,
    kind: Kind,
    base: number,
    size: number,
    host: number,
    access: RegisterAccess | undefined,
    options: MemoryRangeOptions,
  ): MemoryRange {
    const pageAligned = (n: number) => n % PAGE_SIZE === 0;
    if (!pageAligned(base) || (kind !== MMIO && (!pageAligned(size) || !pageAligned(host)))) {
      throw new RangeError(`memory range ${name} is not made of whole 4 KiB pages`);
    }
    if (size <= 0 || base < 0 || base + size > ADDRESS_LIMIT) {
      throw new RangeError(
        `memory range ${name} 0x${base.toString(16)}+${size} is not within 64 GiB`,
      );
    }
    const { sizes = [1], priority = 0, enabled = true, reads = true, writes = true } = options;
    const range = new Range(
      this,
      name,
      kind,
      base,
      size,
      host,
      access,
      sizes,
      priority,
      enabled,
      reads,
      writes,
    );
    this.ranges.push(range);
    if (enabled) this.rebuild(base, size);
    return range;
  }

  /** The enabled ranges by base, for `info` commands. */
  list(): MemoryRange[] {
    return this.ranges.filter((r) => r.enabled).sort((a, b) => a.base - b.base);
  }

  /** For {@linkcode MemoryRange}: recomputes who answers in the pages of a range. What lies above 64 GiB is not there. */
  rebuild(base: number, size: number): void {
    const first = Math.floor(base / PAGE_SIZE);
    const end = Math.ceil(Math.min(base + size, ADDRESS_LIMIT) / PAGE_SIZE);
    this.grow(end);
    const near = this.ranges.map((range, index) => ({
      range,
      owner: index + 1,
      first: Math.floor(range.base / PAGE_SIZE),
      end: Math.ceil((range.base + range.size) / PAGE_SIZE),
    })).filter((c) => c.range.enabled && c.first < end && c.end > first)
      .sort((a, b) => b.range.priority - a.range.priority || a.owner - b.owner);
    // Between two of these pages the same ranges lie over each other.
    const edges = [...new Set([first, end, ...near.flatMap((c) => [c.first, c.end])])]
      .filter((page) => page >= first && page <= end).sort((a, b) => a - b);
    for (let i = 0; i + 1 < edges.length; i++) {
      const from = edges[i], to = edges[i + 1];
      const over = near.filter((c) => c.first <= from && c.end >= to);
      const reader = over.find((c) => c.range.reads), writer = over.find((c) => c.range.writes);
      this.readOwner.fill(reader?.owner ?? 0, from, to);
      this.writeOwner.fill(writer?.owner ?? 0, from, to);
      const direct = reader?.range.kind !== MMIO;
      fillEntries(this.readPages, from, to, direct ? reader?.range : undefined);
      const ram = writer?.range.kind === RAM;
      fillEntries(this.writePages, from, to, ram ? writer?.range : undefined);
    }
    for (const w of this.watches) this.hideWatched(w);
    this.onRemap();
  }

  private hideWatched(w: Watch): void {
    const last = Math.floor((w.base + w.size - 1) / PAGE_SIZE);
    for (let page = Math.floor(w.base / PAGE_SIZE); page <= last; page++) {
      if (w.read) this.readPages[page] = INDIRECT;
      if (w.write) this.writePages[page] = INDIRECT;
    }
  }

  /**
   * Calls `notify` after each access by the processor or a device that touches the range, until the
   * returned function is called. Instruction fetches are not reported.
   */
  watch(
    base: number,
    size: number,
    on: { read?: boolean; write?: boolean },
    notify: (access: MemoryAccess) => void,
  ): () => void {
    if (!(base >= 0 && size >= 1 && base + size <= ADDRESS_LIMIT)) {
      throw new RangeError(`watched range 0x${base.toString(16)}+${size} is not within 64 GiB`);
    }
    const watch = { base, size, read: on.read ?? false, write: on.write ?? false, notify };
    this.watches.push(watch);
    this.rebuild(base, size);
    return () => {
      this.watches = this.watches.filter((w) => w !== watch);
      this.rebuild(base, size);
    };
  }

  /** Whether anything is watched at all. */
  get isWatched(): boolean {
    return this.watches.length > 0;
  }

  private notify(address: number, size: number, value: number, write: boolean): void {
    for (const w of this.watches) {
      if ((write ? w.write : w.read) && address < w.base + w.size && address + size > w.base) {
        w.notify({ address, size, value: value >>> 0, write });
      }
    }
  }

  /** Host offset of a physical address whose page is backed by RAM or ROM, even if watched; else {@linkcode NOT_DIRECT}. */
  hostOffset(address: number): number {
    const owner = ownerAt(this.readOwner, address);
    if (owner === 0) return NOT_DIRECT;
    const range = this.ranges[owner - 1];
    if (range.kind === MMIO) return NOT_DIRECT;
    return range.host + (address - range.base);
  }

  /** Reads 1, 2 or 4 bytes, unsigned; the access may cross a page. */
  read(address: number, size: AccessSize): number {
    if ((address & (PAGE_SIZE - 1)) + size > PAGE_SIZE) {
      let value = 0;
      for (let i = 0; i < size; i++) value |= this.read(address + i, 1) << (8 * i);
      return value >>> 0;
    }
    const owner = ownerAt(this.readOwner, address);
    let value: number;
    if (owner === 0) {
      value = size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
      this.onUnclaimed({ address, size, value, write: false });
    } else {
      const range = this.ranges[owner - 1];
      if (range.kind === MMIO) value = this.readMmio(range, address - range.base, size);
      else {
        const at = range.host + (address - range.base);
        const host = this.host;
        value = size === 4
          ? host.getInt32(at) >>> 0
          : size === 2
          ? host.getUint16(at)
          : host.getUint8(at);
      }
    }
    if (this.watches.length > 0) this.notify(address, size, value, false);
    return value;
  }

  /** Writes 1, 2 or 4 bytes; the access may cross a page. */
  write(address: number, size: AccessSize, value: number): void {
    if ((address & (PAGE_SIZE - 1)) + size > PAGE_SIZE) {
      for (let i = 0; i < size; i++) this.write(address + i, 1, (value >>> (8 * i)) & 0xff);
      return;
    }
    const owner = ownerAt(this.writeOwner, address);
    if (owner === 0) {
      this.onUnclaimed({ address, size, value, write: true });
    } else {
      const range = this.ranges[owner - 1];
      if (range.kind === MMIO) this.writeMmio(range, address - range.base, size, value);
      else if (range.kind === RAM) {
        const at = range.host + (address - range.base);
        const host = this.host;
        if (size === 4) host.setInt32(at, value);
        else if (size === 2) host.setInt16(at, value);
        else host.setInt8(at, value);
        const page = Math.floor(at / PAGE_SIZE);
        host.touched[page] = 1;
        if (this.codePages[page] !== 0) this.onCodeWrite(at, size);
      }
    }
    if (this.watches.length > 0) this.notify(address, size, value, true);
  }

  /**
   * Writes 1, 2 or 4 bytes at a place in host memory, within one page that {@linkcode MemoryMap.writeEntry} gave
   * and that was written before.
   *
   * @returns whether an engine holds something derived from the page; nothing is written if not
   */
  // hot: bench/microbench, smc.
  writeCode(at: number, size: AccessSize, value: number): boolean {
    if (this.codePages[at >>> PAGE_SHIFT] === 0) return false;
    const { host } = this;
    if (size === 4) host.setInt32(at, value);
    else if (size === 2) host.setInt16(at, value);
    else host.setInt8(at, value);
    this.onCodeWrite(at, size);
    return true;
  }

  private readMmio(range: Range, offset: number, size: AccessSize): number {
    if (offset >= range.size) return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
    if (range.sizes.includes(size)) {
      const value = range.access!.read(offset, size);
      return size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
    }
    if (size === 1) return 0xff;
    const half = (size >> 1) as AccessSize;
    const low = this.readMmio(range, offset, half),
      high = this.readMmio(range, offset + half, half);
    return (low | (high << (half * 8))) >>> 0;
  }

  private writeMmio(range: Range, offset: number, size: AccessSize, value: number): void {
    if (offset >= range.size) return;
    value = size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
    if (range.sizes.includes(size)) return range.access!.write(offset, size, value);
    if (size === 1) return;
    const half = (size >> 1) as AccessSize;
    this.writeMmio(range, offset, half, value);
    this.writeMmio(range, offset + half, half, value >>> (half * 8));
  }

  /** Copies guest memory out, page by page, as a bus master sees it; what is not memory goes through the chips byte by byte. */
  readBlock(address: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const at = address + done;
      const length = Math.min(target.length - done, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
      const page = this.readEntry(Math.floor(at / PAGE_SIZE));
      if (page === INDIRECT) {
        for (let i = 0; i < length; i++) target[done + i] = this.read(at + i, 1);
      } else {
        const from = (page >>> 0) + (at & (PAGE_SIZE - 1));
        target.set(this.host.bytes.subarray(from, from + length), done);
      }
      done += length;
    }
  }

  /** Copies bytes into guest memory as a bus master does: ROM ignores them, code caches hear of them. */
  writeBlock(address: number, source: Uint8Array): void {
    for (let done = 0; done < source.length;) {
      const at = address + done;
      const length = Math.min(source.length - done, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
      const page = this.writeEntry(Math.floor(at / PAGE_SIZE));
      if (page === INDIRECT) {
        for (let i = 0; i < length; i++) this.write(at + i, 1, source[done + i]);
      } else {
        const to = (page >>> 0) + (at & (PAGE_SIZE - 1));
        this.host.bytes.set(source.subarray(done, done + length), to);
        const touched = Math.floor(to / PAGE_SIZE);
        this.host.touched[touched] = 1;
        if (this.codePages[touched] !== 0) this.onCodeWrite(to, length);
      }
      done += length;
    }
  }
}
