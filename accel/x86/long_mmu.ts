/**
 * Long-mode paging (SDM vol. 3, 4.5): four levels, 48-bit linear addresses, NX, 4 KiB, 2 MiB and 1 GiB
 * pages, and the software TLB that 64-bit code reads.
 *
 * Helpers give linear addresses as numbers, which canonical addresses fit exactly (see `X86.linear64`);
 * generated code gives their halves and looks into {@linkcode LongMmu.tlb} itself.
 */
import { INDIRECT, NOT_DIRECT } from "../../core/bus/memory_map.ts";
import type { HostMemory } from "../../core/bus/host_memory.ts";
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import type { AccessSize } from "../../core/bus/port_map.ts";
import type { X86 } from "./cpu.ts";
import * as Words from "./state.ts";
import * as Tables from "./mmu.ts";
import type { Resolution } from "./mmu.ts";
import * as Tlb from "./tlb.ts";
import { entryOf } from "./tlb.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const { LONG_FETCH, LONG_READ, LONG_USER, LONG_WRITE, SLOW } = Tlb;
const { FAULTED, FAULTS, RESOLVED, UNRESOLVED } = Tables;
export { LONG_FETCH, LONG_READ, LONG_USER, LONG_WRITE } from "./tlb.ts";

const TABLES = 6;
/** No page has this low half. */
const EMPTY = 1;

/** Entries of a table. */
const ENTRIES = 1 << 14;
/** Bits of what says which list an entry is in. */
const LISTED = 1, LISTED_GLOBAL = 2;

const PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RSVD = 8, PF_FETCH = 16;
const P = 1, RW = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100;

/** MAXPHYADDR is 40; bits 51:40 of an entry are reserved: bits 19:8 of its high half. */
const RESERVED_HIGH = 0xfff00;
/** NX, bit 63 of an entry, in its high half: reserved unless EFER.NXE is set. */
const NX_HIGH = 1 << 31;

/** Kinds of access. */
const READ = 0, WRITE = 1, FETCH = 2;
type Access = typeof READ | typeof WRITE | typeof FETCH;

/** Paging and linear memory access of one processor while EFER.LMA is set. */
export class LongMmu {
  readonly tlb: Int32Array<ArrayBuffer> = new Int32Array(TABLES << 16).fill(EMPTY);
  private readonly memory: MemoryMap;
  private readonly R: Int32Array;
  private readonly host: HostMemory;
  /** Places of entries that were filled: those of global pages apart, since a CR3 load spares them. */
  private readonly filled = new Int32Array(ENTRIES);
  private readonly filledGlobal = new Int32Array(ENTRIES);
  /** Which of the two lists an entry is in. */
  private readonly listed = new Uint8Array(ENTRIES);
  private count = 0;
  private globalCount = 0;
  /** Numbers of the 2 MiB and of the 1 GiB that large pages were filled for: entries of one are spread over the table. */
  private readonly large = new Set<number>();
  private readonly huge = new Set<number>();
  /** Entries of user pages that supervisor accesses find while EFLAGS.AC lets them: SMAP. */
  private readonly opened: number[] = [];
  /** Numbers of pages that must stay on the slow path: data breakpoints. */
  private readonly slowPages = new Set<number>();
  /** See {@linkcode LongMmu.keepOut}. */
  private keptOut: ReadonlySet<number> = new Set();
  /** While true nothing enters the TLB, so that every access passes here: alignment checks. */
  private alignmentChecks = false;
  /** Called on accesses to watched pages, after the access: linear address, size, whether a write. */
  onSlowAccess: (linear: number, size: number, write: boolean) => void = () => {};
  /** Called after anything made cached linear-to-physical knowledge stale but single pages. */
  onFlush: () => void = () => {};
  /** The same for what was known of a page, by the low half of an address in it, and of those with the same entries. */
  onDrop: (low: number) => void = () => {};

  /** While true walks give up where tables lie in anything but plain memory. */
  private directOnly = false;
  /** Whether the walk gave up: then there is no fault to tell of. */
  private untold = false;
  private entryHigh = 0;
  /** Where the entries of a walk lie, and their low halves. */
  private readonly places = new Float64Array(4);
  private readonly entries = new Int32Array(4);
  /** What was written last though it holds code: twice the number of its page, one more for user accesses, and the place in host memory. */
  private codePage = NaN;
  private codePlace = 0;

  // Results of the last walk, beside its return value.
  private rights = 0;
  private noExecute = false;
  private global = false;
  /** The first level whose entries may map a page: the second with 1 GiB pages. */
  private readonly largestLevel: number;
  private size = 0x1000;
  private dirty = true;

  constructor(private readonly cpu: X86) {
    this.memory = cpu.bus.memory;
    this.R = cpu.R;
    this.host = this.memory.host;
    this.largestLevel = cpu.model.features.has("pdpe1gb") ? 1 : 2;
    const { onRemap } = this.memory;
    this.memory.onRemap = () => {
      onRemap();
      this.flushAll();
    };
  }

  /** Drops every translation. */
  flushAll(): void {
    this.drop(this.filledGlobal, this.globalCount, LISTED_GLOBAL);
    this.globalCount = 0;
    this.large.clear();
    this.huge.clear();
    this.flush();
  }

  /** Drops all translations but those of global pages: a CR3 load. */
  flush(): void {
    this.drop(this.filled, this.count, LISTED);
    this.count = 0;
    this.codePage = NaN;
    this.onFlush();
  }

  private drop(list: Int32Array, count: number, bit: number): void {
    const { listed } = this;
    for (let i = 0; i < count; i++) {
      const entry = list[i];
      listed[entry >> 2] &= ~bit;
      this.dropEntry(entry);
    }
  }

  private dropEntry(entry: number): void {
    for (let at = entry; at < TABLES << 16; at += 1 << 16) this.tlb[at] = EMPTY;
  }

  /** Sets the pages, by number, on which every access is reported to {@linkcode LongMmu.onSlowAccess}. */
  watchPages(pages: Iterable<number>): void {
    this.slowPages.clear();
    for (const page of pages) this.slowPages.add(page);
    this.flushAll();
  }

  /** Sets the pages, by number, that are not found for fetches, so that their code is looked up slowly. */
  keepOut(pages: ReadonlySet<number>): void {
    this.keptOut = pages;
    this.flushAll();
  }

  /** Turns alignment checking of user accesses on or off: CR0.AM, EFLAGS.AC and CPL 3 together. */
  setAlignmentChecks(on: boolean): void {
    if (on === this.alignmentChecks) return;
    this.alignmentChecks = on;
    this.flushAll();
  }

  /** Whether what is in the TLB, or is not, depends on EFLAGS.AC. */
  get relies(): boolean {
    return this.alignmentChecks === true || this.opened.length !== 0;
  }

  /** Hides user pages from supervisor accesses again: EFLAGS.AC was cleared. */
  closeUserPages(): void {
    const { tlb, opened } = this;
    this.codePage = NaN;
    if (opened.length === 0) return;
    for (const entry of opened) tlb[LONG_READ + entry] = tlb[LONG_WRITE + entry] = EMPTY;
    opened.length = 0;
  }

  /** INVLPG. With an entry of a large page all go. */
  flushPage(linear: number): void {
    this.codePage = NaN;
    if (
      this.large.has(Math.floor(linear / 0x200000)) ||
      this.huge.has(Math.floor(linear / 0x40000000))
    ) this.flushAll();
    else {
      this.dropEntry(slotOf(linear | 0));
      this.onDrop(linear | 0);
    }
  }

  /** Sends all writes to a host page through the slow path, as when code was decoded from it. */
  protectHostPage(hostOffset: number): void {
    const { tlb } = this, base = entryOf(hostOffset - hostOffset % 4096);
    if (base === SLOW) return;
    const scan = (list: Int32Array, count: number) => {
      for (let i = 0; i < count; i++) {
        for (const table of [LONG_WRITE, LONG_USER + LONG_WRITE]) {
          if (tlb[table + list[i] + 2] === base) tlb[table + list[i]] = EMPTY;
        }
      }
    };
    scan(this.filled, this.count);
    scan(this.filledGlobal, this.globalCount);
  }

  /** Notes a #PF, which is the caller's to raise; gives what walks give then. */
  private pageFault(low: number, high: number, code: number): number {
    if (this.untold) return FAULTED;
    this.R[S.CR2] = low;
    this.R[S.CR2 + 1] = high;
    this.cpu.faultVector = S.PAGE_FAULT;
    this.cpu.faultError = code;
    return FAULTED;
  }

  /** Physical address of a table named by an entry: bits 39:12. */
  private static table(low: number, high: number): number {
    return (high & 0xff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
  }

  /** Reads an entry of a table: gives its low half, and leaves the high half in `entryHigh`. */
  private readEntry(physical: number): number {
    const { memory, host } = this;
    const page = memory.readEntry(
      physical < 0x100000000 ? physical >>> 12 : Math.floor(physical / 4096),
    );
    if (page !== INDIRECT) {
      const at = (page >>> 0) + (physical & 0xff8);
      this.entryHigh = host.getInt32(at + 4);
      return host.getInt32(at);
    }
    this.entryHigh = 0;
    if (this.directOnly) {
      // As if not present, which is then no fault.
      this.untold = true;
      return 0;
    }
    const low = memory.read(physical, 4) | 0;
    if ((low & P) !== 0) this.entryHigh = memory.read(physical + 4, 4) | 0;
    return low;
  }

  private markEntry(physical: number, entry: number, bits: number): void {
    if ((entry & bits) !== bits) this.memory.write(physical, 4, (entry | bits) >>> 0);
  }

  /**
   * Physical address of a linear one, given by its halves, for an access, or {@linkcode FAULTED}. Sets Accessed
   * and Dirty bits.
   */
  // hot: bench/microbench, pgfault.
  private walk(low: number, high: number, access: Access, user: boolean): number {
    const R = this.R;
    const nxe = (R[S.EFER] & S.EFER_NXE) !== 0;
    const code = (access === WRITE ? PF_WRITE : 0) | (user ? PF_USER : 0) |
      (access === FETCH && (nxe || (R[S.CR4] & S.CR4_SMEP) !== 0) ? PF_FETCH : 0);
    const reservedHigh = nxe ? RESERVED_HIGH : RESERVED_HIGH | NX_HIGH;
    let table = LongMmu.table(R[S.CR3], R[S.CR3 + 1]);
    let rights = RW | US | A, highs = 0;
    const { places, entries } = this;
    for (let level = 0;; level++) {
      const at = table + indexOf(level, low, high) * 8;
      const entry = this.readEntry(at);
      if ((entry & P) === 0) return this.pageFault(low, high, code);
      const { entryHigh } = this, marked = level < 3 && (entry & PS) !== 0;
      if (
        (entryHigh & reservedHigh) !== 0 ||
        (marked &&
          (level < this.largestLevel || (entry & (level === 1 ? 0x3fffe000 : 0x1fe000)) !== 0))
      ) return this.pageFault(low, high, code | PF_PRESENT | PF_RSVD);
      highs |= entryHigh;
      if (level < 3 && !marked) {
        rights &= entry;
        places[level] = at;
        entries[level] = entry;
        table = LongMmu.table(entry, entryHigh);
        continue;
      }
      const accessed = (rights & A) !== 0;
      rights &= entry;
      if (!this.allowed(rights, highs < 0, access, user)) {
        return this.pageFault(low, high, code | PF_PRESENT);
      }
      if (!accessed) { for (let i = 0; i < level; i++) this.markEntry(places[i], entries[i], A); }
      this.markEntry(at, entry, access === WRITE ? A | D : A);
      this.rights = rights;
      this.noExecute = highs < 0;
      this.global = (entry & G) !== 0 && (R[S.CR4] & S.CR4_PGE) !== 0;
      this.dirty = access === WRITE || (entry & D) !== 0;
      const size = level === 3 ? 0x1000 : level === 2 ? 0x200000 : 0x40000000;
      this.size = size;
      if (level < 3) {
        const number = Math.floor((high * 0x100000000 + (low >>> 0)) / size);
        (level === 1 ? this.huge : this.large).add(number);
      }
      return LongMmu.table(entry & -size, entryHigh) + (low & (size - 1));
    }
  }

  private allowed(rights: number, noExecute: boolean, access: Access, user: boolean): boolean {
    const { R } = this, userPage = (rights & US) !== 0;
    if (access === FETCH && noExecute) return false;
    if (user) return userPage && (access !== WRITE || (rights & RW) !== 0);
    if (userPage && this.cpu.preventsSupervisor(access === FETCH)) return false;
    return access !== WRITE || (rights & RW) !== 0 || (R[S.CR0] & S.CR0_WP) === 0;
  }

  private fill(low: number, high: number, physical: number): void {
    if (this.alignmentChecks) return;
    if (isAmong(this.slowPages, low, high)) return;
    const fetched = !isAmong(this.keptOut, low, high);
    const { memory, tlb, R } = this;
    const page = physical < 0x100000000 ? physical >>> 12 : Math.floor(physical / 4096);
    const read = memory.readEntry(page);
    let write = this.dirty ? memory.writeEntry(page) : SLOW;
    if (write !== INDIRECT && memory.codePages[write >>> 12] !== 0) write = SLOW;
    if (read === SLOW && write === SLOW) return;
    if (write !== SLOW) this.host.touched[write >>> 12] = 1;
    const entry = slotOf(low);
    low &= ~0xfff;
    const { listed } = this, bit = this.global ? LISTED_GLOBAL : LISTED;
    if ((listed[entry >> 2] & bit) === 0) {
      listed[entry >> 2] |= bit;
      if (this.global) this.filledGlobal[this.globalCount++] = entry;
      else this.filled[this.count++] = entry;
    }
    const userPage = (this.rights & US) !== 0, writable = (this.rights & RW) !== 0;
    const closed = userPage && this.cpu.preventsSupervisor(false),
      smep = userPage && (R[S.CR4] & S.CR4_SMEP) !== 0;
    if (userPage && !closed && (R[S.CR4] & S.CR4_SMAP) !== 0) this.opened.push(entry);
    for (let at = entry; at < TABLES << 16; at += 1 << 16) {
      tlb[at + 1] = high;
      tlb[at + 2] = read;
    }
    tlb[LONG_WRITE + entry + 2] = tlb[LONG_USER + LONG_WRITE + entry + 2] = write;
    const readable = read !== SLOW, user = userPage && readable;
    const overrides = writable || (R[S.CR0] & S.CR0_WP) === 0;
    tlb[LONG_READ + entry] = !closed && readable ? low : EMPTY;
    tlb[LONG_WRITE + entry] = !closed && overrides && write !== SLOW ? low : EMPTY;
    tlb[LONG_FETCH + entry] = fetched && !smep && !this.noExecute && readable ? low : EMPTY;
    tlb[LONG_USER + LONG_READ + entry] = user ? low : EMPTY;
    tlb[LONG_USER + LONG_WRITE + entry] = userPage && writable && write !== SLOW ? low : EMPTY;
    tlb[LONG_USER + LONG_FETCH + entry] = fetched && user && !this.noExecute ? low : EMPTY;
  }

  /** Translates for compatibility mode, whose TLB is that of legacy modes; undefined with the #PF noted. */
  walkFor(
    linear: number,
    { write, user, fetch }: { write: boolean; user: boolean; fetch: boolean },
  ): {
    physical: number;
    size: number;
    user: boolean;
    writable: boolean;
    dirty: boolean;
    global: boolean;
    noExecute: boolean;
  } | undefined {
    const physical = this.walk(linear | 0, 0, fetch ? FETCH : write ? WRITE : READ, user);
    if (physical < 0) return undefined;
    return {
      physical,
      size: this.size,
      user: (this.rights & US) !== 0,
      writable: (this.rights & RW) !== 0,
      dirty: this.dirty,
      global: this.global,
      noExecute: this.noExecute,
    };
  }

  private checkAlignment(linear: number, size: number, user: boolean): void {
    if (this.alignmentChecks && user && (linear & (size - 1)) !== 0) {
      this.cpu.raise(S.AC_FAULT, 0);
    }
  }

  private reportSlow(linear: number, size: number, write: boolean): void {
    const { slowPages } = this;
    if (
      slowPages.has(Math.floor(linear / 4096)) ||
      slowPages.has(Math.floor((linear + size - 1) / 4096))
    ) this.onSlowAccess(linear, size, write);
  }

  private translate(linear: number, access: Access, user: boolean): number {
    if (linear >= 0x800000000000 || linear < -0x800000000000) this.cpu.raise(S.GP, 0);
    const low = linear | 0, high = Math.floor(linear / 0x100000000) | 0;
    const physical = this.walk(low, high, access, user);
    if (physical < 0) this.cpu.raise(S.PAGE_FAULT, this.cpu.faultError);
    this.fill(low, high, physical);
    return physical;
  }

  /** Whether the TLB serves an access to a page. */
  private serves(low: number, high: number, write: boolean, user: boolean): boolean {
    const at = (write ? LONG_WRITE : LONG_READ) + (user ? LONG_USER : 0) + slotOf(low);
    return this.tlb[at] === (low & ~0xfff) && this.tlb[at + 1] === high;
  }

  /** Makes the TLB serve an access, as `Mmu.resolve` does, at an address given by its halves. */
  resolve(low: number, high: number, write: boolean, user: boolean): Resolution {
    if (this.alignmentChecks || this.slowPages.size !== 0 || this.memory.isWatched) {
      return UNRESOLVED;
    }
    if (high < -0x8000 || high > 0x7fff || this.serves(low, high, write, user)) return UNRESOLVED;
    this.directOnly = true;
    const physical = this.walk(low, high, write ? WRITE : READ, user), { untold } = this;
    this.directOnly = this.untold = false;
    if (physical < 0) return untold ? UNRESOLVED : FAULTS;
    this.fill(low, high, physical);
    return this.serves(low, high, write, user) ? RESOLVED : UNRESOLVED;
  }

  /** Reads memory as far as RAM or ROM answers; undefined where it is not mapped. No faults, no side effects. */
  peekBytes(linear: number, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const physical = this.peek(linear + i);
      const offset = physical === undefined ? NOT_DIRECT : this.memory.hostOffset(physical);
      if (offset === NOT_DIRECT) return undefined;
      bytes[i] = this.host.getUint8(offset);
    }
    return bytes;
  }

  /** Host offset of the page that holds code at `linear`, or negative if it must be fetched byte by byte. Raises #PF. */
  fetchPage(linear: number, user: boolean): number {
    const low = linear | 0, high = Math.floor(linear / 0x100000000) | 0;
    const at = LONG_FETCH + (user ? LONG_USER : 0) + slotOf(low);
    if (this.tlb[at] === (low & ~0xfff) && this.tlb[at + 1] === high) return this.tlb[at + 2] >>> 0;
    const physical = this.translate(linear, FETCH, user);
    return this.memory.hostOffset(physical - (physical & 0xfff));
  }

  /** Physical address without faults and side effects; undefined where nothing is mapped. */
  peek(linear: number): number | undefined {
    const R = this.R, low = linear | 0, high = Math.floor(linear / 0x100000000) | 0;
    let table = LongMmu.table(R[S.CR3], R[S.CR3 + 1]);
    for (let level = 0; level < 4; level++) {
      const host = this.memory.hostOffset(table + indexOf(level, low, high) * 8);
      if (host === NOT_DIRECT) return undefined;
      const entry = this.host.getInt32(host), entryHigh = this.host.getInt32(host + 4);
      if ((entry & P) === 0) return undefined;
      table = LongMmu.table(entry, entryHigh);
      const large = level > 0 && level < 3 && (entry & PS) !== 0;
      if (!large && level < 3) continue;
      const size = large ? (level === 1 ? 0x40000000 : 0x200000) : 0x1000;
      return table - table % size + ((low >>> 0) & (size - 1));
    }
    return undefined;
  }

  private slowLoad(linear: number, size: AccessSize, user: boolean): number {
    this.checkAlignment(linear, size, user);
    const offset = linear & 0xfff;
    let value = 0;
    if (offset + size <= 0x1000) {
      value = this.memory.read(this.translate(linear, READ, user), size);
    } else {
      const split = 0x1000 - offset;
      const low = this.translate(linear, READ, user),
        high = this.translate(linear + split, READ, user);
      for (let i = 0; i < size; i++) {
        value |= this.memory.read(i < split ? low + i : high + i - split, 1) << (8 * i);
      }
    }
    if (this.slowPages.size !== 0) this.reportSlow(linear, size, false);
    return value;
  }

  private slowStore(linear: number, size: AccessSize, value: number, user: boolean): void {
    this.checkAlignment(linear, size, user);
    const offset = linear & 0xfff;
    if (offset + size <= 0x1000) {
      const page = 2 * Math.floor(linear / 4096) + (user ? 1 : 0), { memory } = this;
      if (page === this.codePage && memory.writeCode(this.codePlace | offset, size, value)) return;
      const physical = this.translate(linear, WRITE, user);
      memory.write(physical, size, value);
      // As in Mmu.slowStore.
      const entry = memory.writeEntry(Math.floor(physical / 4096));
      const direct = entry > 0 && memory.codePages[entry >>> 12] !== 0 && !this.alignmentChecks;
      this.codePage = direct && this.slowPages.size === 0 ? page : NaN;
      this.codePlace = entry;
    } else {
      const split = 0x1000 - offset;
      const low = this.translate(linear, WRITE, user),
        high = this.translate(linear + split, WRITE, user);
      for (let i = 0; i < size; i++) {
        this.memory.write(i < split ? low + i : high + i - split, 1, (value >>> (8 * i)) & 0xff);
      }
    }
    if (this.slowPages.size !== 0) this.reportSlow(linear, size, true);
  }

  /** Host offset of an access that one page holds and the TLB knows, or negative. */
  direct(linear: number, size: number, write: boolean, user: boolean): number {
    const low = linear | 0,
      at = (write ? LONG_WRITE : LONG_READ) + (user ? LONG_USER : 0) + slotOf(low);
    const { tlb } = this;
    if (tlb[at] !== (low & ~0xfff) || tlb[at + 1] !== (Math.floor(linear / 0x100000000) | 0)) {
      return -1;
    }
    const offset = low & 0xfff;
    return offset + size <= 0x1000 ? (tlb[at + 2] | offset) >>> 0 : -1;
  }

  load8(linear: number, user: boolean): number {
    const at = this.direct(linear, 1, false, user);
    return at >= 0 ? this.host.getUint8(at) : this.slowLoad(linear, 1, user) & 0xff;
  }

  load16(linear: number, user: boolean): number {
    const at = this.direct(linear, 2, false, user);
    return at >= 0 ? this.host.getUint16(at) : this.slowLoad(linear, 2, user) & 0xffff;
  }

  load32(linear: number, user: boolean): number {
    const at = this.direct(linear, 4, false, user);
    return at >= 0 ? this.host.getInt32(at) : this.slowLoad(linear, 4, user) | 0;
  }

  /** Reads a quadword: the low half is returned, the high half left in `R[HIGH]`. */
  load64(linear: number, user: boolean): number {
    const at = this.direct(linear, 8, false, user);
    if (at >= 0) {
      this.R[S.HIGH] = this.host.getInt32(at + 4);
      return this.host.getInt32(at);
    }
    this.checkAlignment(linear, 8, user);
    const low = this.load32(linear, user);
    this.R[S.HIGH] = this.load32(linear + 4, user);
    return low;
  }

  store8(linear: number, value: number, user: boolean): void {
    const at = this.direct(linear, 1, true, user);
    if (at >= 0) this.host.setInt8(at, value);
    else this.slowStore(linear, 1, value & 0xff, user);
  }

  store16(linear: number, value: number, user: boolean): void {
    const at = this.direct(linear, 2, true, user);
    if (at >= 0) this.host.setInt16(at, value);
    else this.slowStore(linear, 2, value & 0xffff, user);
  }

  store32(linear: number, value: number, user: boolean): void {
    const at = this.direct(linear, 4, true, user);
    if (at >= 0) this.host.setInt32(at, value);
    else this.slowStore(linear, 4, value >>> 0, user);
  }

  store64(linear: number, low: number, high: number, user: boolean): void {
    const at = this.direct(linear, 8, true, user);
    if (at >= 0) {
      this.host.setInt32(at, low);
      this.host.setInt32(at + 4, high);
      return;
    }
    this.probeWrite(linear, 8, user);
    this.store32(linear, low, user);
    this.store32(linear + 4, high, user);
  }

  /** Raises what a write of `size` (1 to 4096) bytes would raise, and writes nothing. */
  probeWrite(linear: number, size: number, user: boolean): void {
    if (size <= 8) this.checkAlignment(linear, size, user);
    if (this.direct(linear, 1, true, user) < 0) this.translate(linear, WRITE, user);
    const last = linear + size - 1;
    if (
      Math.floor(last / 4096) !== Math.floor(linear / 4096) &&
      this.direct(last, 1, true, user) < 0
    ) {
      this.translate(last - (last & 0xfff), WRITE, user);
    }
  }
}

/** Number of an address's entry in its table of a level, 0 being the highest. */
function indexOf(level: number, low: number, high: number): number {
  switch (level) {
    case 0:
      return (high >>> 7) & 0x1ff;
    case 1:
      return ((high & 0x7f) << 2) | (low >>> 30);
    case 2:
      return (low >>> 21) & 0x1ff;
  }
  return (low >>> 12) & 0x1ff;
}

/** Word offset of a page's entry within a table. */
export function slotOf(low: number): number {
  return (low >>> 10) & 0xfffc;
}

/** Whether the page of an address, given by its halves, is among pages by number. */
function isAmong(pages: ReadonlySet<number>, low: number, high: number): boolean {
  return pages.size !== 0 && pages.has(Math.floor((high * 0x100000000 + (low >>> 0)) / 4096));
}
