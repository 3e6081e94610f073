/** The I/O port space: 65,536 byte-wide ports, claimed by chips. */

/** Width of an access in bytes. */
export type AccessSize = 1 | 2 | 4;

/** A chip's registers as seen from the bus. Offsets count from the chip's own base; values are unsigned. */
export interface RegisterAccess {
  /** Reads `size` bytes at `offset`; bits above the size are ignored by the bus. */
  read(offset: number, size: AccessSize): number;
  /** Writes `value`, already masked to `size` bytes. */
  write(offset: number, size: AccessSize, value: number): void;
}

/** How a range is claimed. */
export interface RangeOptions {
  /** Widths that the chip takes as they are; wider accesses arrive as consecutive accesses of the widest of these. Default `[1]`. */
  sizes?: readonly AccessSize[];
  /** Where ranges overlap the higher priority wins, then the one claimed first. Default 0. */
  priority?: number;
  /** Whether the range answers at once. Default true. */
  enabled?: boolean;
}

/** A claimed range of ports, which its owner may move or switch off. */
export interface PortRange {
  readonly name: string;
  readonly base: number;
  readonly count: number;
  readonly enabled: boolean;
  move(base: number): void;
  setEnabled(enabled: boolean): void;
}

/** One port access, as a watcher sees it. */
export interface PortAccess {
  port: number;
  size: AccessSize;
  value: number;
  write: boolean;
}

class Range implements PortRange {
  /** Widths that the chip takes, ORed. */
  readonly sizes: number;

  constructor(
    private readonly map: PortMap,
    readonly name: string,
    public base: number,
    readonly count: number,
    readonly access: RegisterAccess,
    sizes: readonly AccessSize[],
    readonly priority: number,
    public enabled: boolean,
  ) {
    this.sizes = sizes.reduce<number>((mask, size) => mask | size, 0);
  }

  move(base: number): void {
    if (base === this.base) return;
    const old = this.base;
    this.base = base & 0xffff;
    this.map.rebuild(old, this.count);
    this.map.rebuild(this.base, this.count);
  }

  setEnabled(enabled: boolean): void {
    if (enabled === this.enabled) return;
    this.enabled = enabled;
    this.map.rebuild(this.base, this.count);
  }
}

const WATCH_READ = 1, WATCH_WRITE = 2;

interface Watch {
  base: number;
  count: number;
  bits: number;
  notify: (access: PortAccess) => void;
}

/** Routes port accesses to chips. Unclaimed ports read as all ones and ignore writes. */
export class PortMap {
  private readonly ranges: Range[] = [];
  /** Index into `ranges` plus one, per port; 0 is unclaimed. */
  private readonly owner = new Uint16Array(0x10000);
  private readonly watched = new Uint8Array(0x10000);
  private readonly watches: Watch[] = [];
  /** Called for accesses that no chip claims; for traces. */
  onUnclaimed: (access: PortAccess) => void = () => {};

  /**
   * Claims `count` ports from `base`.
   *
   * @throws {RangeError} when the range leaves the port space
   */
  claim(
    name: string,
    base: number,
    count: number,
    access: RegisterAccess,
    options: RangeOptions = {},
  ): PortRange {
    if (!Number.isInteger(base) || base < 0 || count < 1 || base + count > 0x10000) {
      throw new RangeError(
        `port range ${name} 0x${base.toString(16)}+${count} is not within 0 to 0xffff`,
      );
    }
    const { sizes = [1], priority = 0, enabled = true } = options;
    const range = new Range(this, name, base, count, access, sizes, priority, enabled);
    this.ranges.push(range);
    this.rebuild(base, count);
    return range;
  }

  /** The enabled ranges by base, for `info` commands. */
  list(): PortRange[] {
    return this.ranges.filter((r) => r.enabled).sort((a, b) => a.base - b.base);
  }

  /** For {@linkcode PortRange}: recomputes who answers. */
  rebuild(base: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const port = (base + i) & 0xffff;
      let best = 0;
      for (let k = 0; k < this.ranges.length; k++) {
        const r = this.ranges[k];
        if (!r.enabled || ((port - r.base) & 0xffff) >= r.count) continue;
        if (best === 0 || r.priority > this.ranges[best - 1].priority) best = k + 1;
      }
      this.owner[port] = best;
    }
  }

  /** Calls `notify` after each matching access in the range, until the returned function is called. */
  watch(
    base: number,
    count: number,
    on: { read?: boolean; write?: boolean },
    notify: (access: PortAccess) => void,
  ): () => void {
    const watch: Watch = {
      base,
      count,
      bits: (on.read ? WATCH_READ : 0) | (on.write ? WATCH_WRITE : 0),
      notify,
    };
    this.watches.push(watch);
    this.rebuildWatches();
    return () => {
      const at = this.watches.indexOf(watch);
      if (at >= 0) this.watches.splice(at, 1);
      this.rebuildWatches();
    };
  }

  private rebuildWatches(): void {
    this.watched.fill(0);
    for (const w of this.watches) {
      for (let i = 0; i < w.count; i++) this.watched[(w.base + i) & 0xffff] |= w.bits;
    }
  }

  private notify(port: number, size: AccessSize, value: number, write: boolean): void {
    const bit = write ? WATCH_WRITE : WATCH_READ;
    for (const w of [...this.watches]) {
      if ((w.bits & bit) === 0) continue;
      if (port < w.base + w.count && port + size > w.base) w.notify({ port, size, value, write });
    }
  }

  private isWatched(port: number, size: AccessSize, bit: number): boolean {
    if (size === 1) return (this.watched[port] & bit) !== 0;
    for (let i = 0; i < size; i++) if ((this.watched[(port + i) & 0xffff] & bit) !== 0) return true;
    return false;
  }

  /** Reads `size` bytes from `port`: the IN instruction. */
  read(port: number, size: AccessSize): number {
    const value = this.route(port, size);
    if (this.isWatched(port, size, WATCH_READ)) this.notify(port, size, value, false);
    return value;
  }

  /** Writes `size` bytes to `port`: the OUT instruction. */
  write(port: number, size: AccessSize, value: number): void {
    value = size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
    this.routeWrite(port, size, value);
    if (this.isWatched(port, size, WATCH_WRITE)) this.notify(port, size, value, true);
  }

  private direct(port: number, size: AccessSize): Range | undefined {
    const k = this.owner[port];
    if (k === 0 || this.owner[(port + size - 1) & 0xffff] !== k) return undefined;
    const range = this.ranges[k - 1];
    return (range.sizes & size) !== 0 ? range : undefined;
  }

  private route(port: number, size: AccessSize): number {
    const range = this.direct(port, size);
    if (range !== undefined) {
      const value = range.access.read((port - range.base) & 0xffff, size);
      return size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
    }
    if (size === 1) {
      this.onUnclaimed({ port, size, value: 0xff, write: false });
      return 0xff;
    }
    const half = (size >> 1) as AccessSize;
    const low = this.route(port, half), high = this.route((port + half) & 0xffff, half);
    return (low | (high << (half * 8))) >>> 0;
  }

  private routeWrite(port: number, size: AccessSize, value: number): void {
    const range = this.direct(port, size);
    if (range !== undefined) {
      range.access.write((port - range.base) & 0xffff, size, value);
      return;
    }
    if (size === 1) {
      this.onUnclaimed({ port, size, value, write: true });
      return;
    }
    const half = (size >> 1) as AccessSize;
    const mask = half === 2 ? 0xffff : 0xff;
    this.routeWrite(port, half, value & mask);
    this.routeWrite((port + half) & 0xffff, half, (value >>> (half * 8)) & mask);
  }
}
