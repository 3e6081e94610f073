/**
 * Linear to physical: the page walk (SDM vol. 3, chapter 4) and the software TLB that engines read.
 *
 * The TLB is four tables of 2^20 entries, one per linear page: reads and writes, each for supervisor and
 * user. `tlb.ts` says what an entry is.
 */
import * as Direct from "../../core/bus/memory_map.ts";
import type { HostMemory } from "../../core/bus/host_memory.ts";
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import type { AccessSize } from "../../core/bus/port_map.ts";
import type { X86 } from "./cpu.ts";
import * as Words from "./state.ts";
import * as Tlb from "./tlb.ts";
import { entryOf, hostOffsetOf } from "./tlb.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const { SLOW, TLB_USER, TLB_WRITE } = Tlb;
const { INDIRECT, NOT_DIRECT } = Direct;
export { TLB_READ, TLB_USER, TLB_WRITE } from "./tlb.ts";

/** Beyond this many filled pages everything is dropped: bounds the cost of a flush. */
const MAX_FILLED = 1 << 15;

/** Bits of what says which list a page is in. */
const LISTED = 1, LISTED_GLOBAL = 2;

/** What a walk gives instead of an address where it ended in a page fault. */
export const FAULTED = -1;

/** What {@linkcode Mmu.resolve} found: the access is still the slow path's, the TLB serves it now, it faults and the #PF is noted. */
export const UNRESOLVED = 0, RESOLVED = 1, FAULTS = 2;
export type Resolution = typeof UNRESOLVED | typeof RESOLVED | typeof FAULTS;

/** The mask of addresses with bit 20 enabled. */
const ALL_ADDRESSES = -1;

/** Page-fault error code bits. */
const PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RSVD = 8, PF_FETCH = 16;

/** Page-table entry bits. */
const P = 1, RW = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100;

/** NX, bit 63 of a PAE entry, in its high half: reserved unless EFER.NXE is set (SDM vol. 3, 4.4.2). */
const NX_HIGH = 1 << 31;

/** Paging and linear memory access of one processor. */
export class Mmu {
  readonly tlb: Int32Array<ArrayBuffer> = new Int32Array(4 << 20);
  private readonly memory: MemoryMap;
  private readonly R: Int32Array;
  private readonly host: HostMemory;
  /** Host memory to which entries above zero lead, see `tlb.ts`. */
  readonly low: DataView;
  private readonly high: DataView;
  /** Linear pages that have any entry: those of global pages apart, since a CR3 load spares them. */
  private readonly filled = new Int32Array(MAX_FILLED);
  private filledCount = 0;
  private readonly filledGlobal = new Int32Array(MAX_FILLED);
  private globalCount = 0;
  /** Which of the two lists a linear page is in. */
  private readonly listed = new Uint8Array(1 << 20);
  /** Whether pages of large entries were filled: INVLPG then drops all that one entry may have given. */
  private largeSeen = false;
  /** The same, for those that a CR3 load spares. */
  private largeGlobalSeen = false;
  /** Whether a page of 1 GiB was filled: INVLPG then drops everything. */
  private hugeSeen = false;
  /** User pages that supervisor accesses find while EFLAGS.AC lets them: SMAP. */
  private readonly opened: number[] = [];
  private a20Mask = ALL_ADDRESSES;
  /**
   * Whether the page that was last entered for a linear page must not be executed: 1 by any, 2 by
   * supervisor code (SMEP). Engines look for code that was decoded before by the table of reads alone, so
   * such a page is in it only as long as its host page has no decoded code.
   */
  private readonly noExecute = new Uint8Array(1 << 20);
  /** Bits 63:MAXPHYADDR in the high half of a PAE entry. MAXPHYADDR is 36, and 40 with long mode. */
  private readonly reservedHigh: number;
  /** Bits of a 4 MiB page's entry that give physical bits 32 and up (PSE-36). */
  private readonly largeHigh: number;
  /** Bits 35:32 (39:32 with long mode) of the physical addresses in a PAE entry's high half. */
  private readonly addressHigh: number;
  /** Linear pages that must stay on the slow path: data breakpoints. */
  private readonly slowPages = new Set<number>();
  /** See {@linkcode Mmu.keepOut}. */
  private keptOut: ReadonlySet<number> = new Set();
  /** While true nothing enters the TLB, so that every access passes here: alignment checks. */
  private alignmentChecks = false;
  /** Called on accesses to {@linkcode Mmu.slowPages}, after the access: linear address, size, whether a write. */
  onSlowAccess: (linear: number, size: number, write: boolean) => void = () => {};
  /** Called after anything made cached linear-to-physical knowledge stale but single pages. */
  onFlush: () => void = () => {};
  /** The same for what was known of so many pages from the one with that number on. */
  onDrop: (page: number, count: number) => void = () => {};

  /** While true walks give up where tables lie in anything but plain memory. */
  private directOnly = false;
  /** Whether the walk gave up: then there is no fault to tell of. */
  private untold = false;
  /** What was written last though it holds code: its linear page, with TLB_USER for user accesses, and the place in host memory. */
  private codePage = -1;
  private codePlace = 0;

  // Results of the last walk, beside its return value.
  private walkedGlobal = false;
  private walkedUser = true;
  private walkedWritable = true;
  private walkedDirty = true;
  private walkedNoExecute = false;

  constructor(private readonly cpu: X86) {
    this.memory = cpu.bus.memory;
    this.R = cpu.R;
    this.host = this.memory.host;
    this.low = this.host.view;
    this.high = this.host.highView;
    const long = cpu.model.features.has("lm");
    this.reservedHigh = long ? ~0xff : ~0xf;
    const pse36 = cpu.model.features.has("pse36");
    this.largeHigh = pse36 ? (long ? 0x1fe000 : 0x1e000) : 0;
    this.addressHigh = long ? 0xff : 0xf;
    const { onRemap } = this.memory;
    this.memory.onRemap = () => {
      onRemap();
      this.flushAll();
    };
  }

  setA20(enabled: boolean): void {
    const mask = enabled ? ALL_ADDRESSES : ~0x100000;
    if (mask === this.a20Mask) return;
    this.a20Mask = mask;
    this.flushAll();
  }

  get a20(): boolean {
    return (this.a20Mask & 0x100000) !== 0;
  }

  /** Drops every translation. */
  flushAll(): void {
    this.drop(this.filledGlobal, this.globalCount, LISTED_GLOBAL);
    this.globalCount = 0;
    this.largeGlobalSeen = this.hugeSeen = false;
    this.flush();
  }

  /** Whether what is in the TLB, or is not, depends on EFLAGS.AC. */
  get relies(): boolean {
    return this.alignmentChecks === true || this.opened.length !== 0;
  }

  /** Hides user pages from supervisor accesses again: EFLAGS.AC was cleared. */
  closeUserPages(): void {
    const { tlb, opened } = this;
    this.codePage = -1;
    if (opened.length === 0) return;
    for (const page of opened) tlb[page] = tlb[page + TLB_WRITE] = SLOW;
    opened.length = 0;
  }

  /** Drops all translations but those of global pages: a CR3 load. */
  flush(): void {
    this.drop(this.filled, this.filledCount, LISTED);
    this.filledCount = 0;
    this.codePage = -1;
    this.largeSeen = this.largeGlobalSeen;
    this.onFlush();
  }

  private drop(list: Int32Array, count: number, bit: number): void {
    const { listed } = this;
    for (let i = 0; i < count; i++) {
      const page = list[i];
      listed[page] &= ~bit;
      this.dropPage(page);
    }
  }

  private dropPage(page: number): void {
    const tlb = this.tlb;
    tlb[page] = SLOW;
    tlb[page + TLB_WRITE] = SLOW;
    tlb[page + TLB_USER] = SLOW;
    tlb[page + TLB_USER + TLB_WRITE] = SLOW;
  }

  /** INVLPG: drops the translation of one page, global or not, whatever its size. */
  flushPage(linear: number): void {
    const page = linear >>> 12;
    this.codePage = -1;
    if (this.hugeSeen) return this.flushAll();
    if (this.largeSeen) {
      const first = page & ~0x3ff;
      for (let table = 0; table < 4; table++) {
        this.tlb.fill(SLOW, (table << 20) + first, (table << 20) + first + 0x400);
      }
      this.onDrop(first, 0x400);
    } else {
      this.dropPage(page);
      this.onDrop(page, 1);
    }
  }

  /**
   * Sends all writes to a host page through the slow path, as when code was decoded from it; through
   * linear pages that must not be executed reads too.
   */
  protectHostPage(hostOffset: number): void {
    const tlb = this.tlb, base = entryOf(hostOffset - hostOffset % 4096);
    if (base === SLOW) return;
    const scan = (list: Int32Array, count: number) => {
      for (let i = 0; i < count; i++) {
        const page = list[i];
        const forbidden = this.noExecute[page];
        if (forbidden !== 0 && tlb[page] === base) tlb[page] = SLOW;
        if ((forbidden & 1) !== 0 && tlb[page + TLB_USER] === base) tlb[page + TLB_USER] = SLOW;
        if (tlb[page + TLB_WRITE] === base) tlb[page + TLB_WRITE] = SLOW;
        if (tlb[page + TLB_USER + TLB_WRITE] === base) tlb[page + TLB_USER + TLB_WRITE] = SLOW;
      }
    };
    scan(this.filled, this.filledCount);
    scan(this.filledGlobal, this.globalCount);
  }

  /** Sets the linear pages on which every access is reported to {@linkcode Mmu.onSlowAccess}. */
  watchPages(pages: Iterable<number>): void {
    this.slowPages.clear();
    for (const page of pages) this.slowPages.add(page >>> 0);
    this.flushAll();
  }

  /** Sets the linear pages, by number, that never enter the TLB, so that their code is looked up slowly. */
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

  /** Notes a #PF, which is the caller's to raise; gives what walks give then. */
  private pageFault(linear: number, code: number): number {
    if (this.untold) return FAULTED;
    this.R[S.CR2] = linear;
    this.cpu.faultVector = S.PAGE_FAULT;
    this.cpu.faultError = code;
    return FAULTED;
  }

  /** A physical address as it leaves the processor: bit 20 may be masked. */
  private masked(physical: number): number {
    return this.a20Mask === ALL_ADDRESSES ? physical : physical - (physical & 0x100000);
  }

  /** The physical address that a PAE entry gives, of which `low` has bits 31:0. */
  private wideAddress(low: number, high: number): number {
    return (high & this.addressHigh) * 0x100000000 + (low >>> 0);
  }

  private readEntry(physical: number): number {
    const { memory } = this, at = this.masked(physical);
    const page = memory.readEntry(at < 0x100000000 ? at >>> 12 : Math.floor(at / 4096));
    if (page !== INDIRECT) return this.host.getInt32((page >>> 0) + (at & 0xfff));
    if (this.directOnly) {
      // As if not present, which is then no fault.
      this.untold = true;
      return 0;
    }
    return memory.read(at, 4) | 0;
  }

  /** Sets Accessed and Dirty bits in an entry that was read before. */
  private markEntry(physical: number, entry: number, bits: number): void {
    if ((entry & bits) !== bits) {
      this.memory.write(this.masked(physical), 4, (entry | bits) >>> 0);
    }
  }

  /**
   * Translates a linear address for an access and sets Accessed and Dirty bits.
   *
   * @returns the physical page number, or {@linkcode FAULTED}
   */
  private walk(linear: number, write: boolean, user: boolean, fetch: boolean): number {
    const R = this.R, cr0 = R[S.CR0];
    this.walkedNoExecute = false;
    if ((cr0 & S.CR0_PG) === 0) {
      this.walkedGlobal = false;
      this.walkedUser = this.walkedWritable = this.walkedDirty = true;
      return ((linear & this.a20Mask) >>> 12);
    }
    const code = (write ? PF_WRITE : 0) | (user ? PF_USER : 0);
    const pae = (R[S.CR4] & S.CR4_PAE) !== 0;
    const tells = (R[S.CR4] & S.CR4_SMEP) !== 0 || (pae && (R[S.EFER] & S.EFER_NXE) !== 0);
    const told = fetch && tells ? code | PF_FETCH : code;
    return pae
      ? this.walkPae(linear, write, user, fetch, told)
      : this.walk32(linear, write, user, fetch, told);
  }

  /** Whether rights gathered along a walk allow the access. */
  private allowed(rights: number, write: boolean, user: boolean, fetch: boolean): boolean {
    if (user) return (rights & US) !== 0 && (!write || (rights & RW) !== 0);
    if ((rights & US) !== 0 && this.cpu.preventsSupervisor(fetch)) return false;
    return !write || (rights & RW) !== 0 || (this.R[S.CR0] & S.CR0_WP) === 0;
  }

  private note(rights: number, leaf: number, write: boolean): void {
    this.walkedUser = (rights & US) !== 0;
    this.walkedWritable = (rights & RW) !== 0;
    this.walkedGlobal = (leaf & G) !== 0 && (this.R[S.CR4] & S.CR4_PGE) !== 0;
    this.walkedDirty = write || (leaf & D) !== 0;
  }

  private noteLarge(): void {
    this.largeSeen = true;
    this.largeGlobalSeen ||= this.walkedGlobal;
  }

  private walk32(
    linear: number,
    write: boolean,
    user: boolean,
    fetch: boolean,
    code: number,
  ): number {
    const R = this.R;
    const pdeAt = ((R[S.CR3] & 0xfffff000) | ((linear >>> 20) & 0xffc)) >>> 0;
    const pde = this.readEntry(pdeAt);
    if ((pde & P) === 0) return this.pageFault(linear, code);
    if ((pde & PS) !== 0 && (R[S.CR4] & S.CR4_PSE) !== 0) {
      // PSE-36: bits 16:13 give physical bits 35:32 (20:13 give 39:32 with long mode); what is left of 21:13
      // is reserved (SDM vol. 3, table 4-4).
      if ((pde & 0x3fe000 & ~this.largeHigh) !== 0) {
        return this.pageFault(linear, code | PF_PRESENT | PF_RSVD);
      }
      if (!this.allowed(pde, write, user, fetch)) return this.pageFault(linear, code | PF_PRESENT);
      this.markEntry(pdeAt, pde, write ? A | D : A);
      this.note(pde, pde, write);
      this.noteLarge();
      return this.largePage(pde, linear);
    }
    const pteAt = ((pde & 0xfffff000) | ((linear >>> 10) & 0xffc)) >>> 0;
    const pte = this.readEntry(pteAt);
    if ((pte & P) === 0) return this.pageFault(linear, code);
    const rights = pde & pte;
    if (!this.allowed(rights, write, user, fetch)) return this.pageFault(linear, code | PF_PRESENT);
    this.markEntry(pdeAt, pde, A);
    this.markEntry(pteAt, pte, write ? A | D : A);
    this.note(rights, pte, write);
    return ((pte & 0xfffff000) & this.a20Mask) >>> 12;
  }

  /** Physical page number within the 4 MiB page of an entry (PSE-36). */
  private largePage(pde: number, linear: number): number {
    const low = ((pde & 0xffc00000) | (linear & 0x3ff000)) & this.a20Mask;
    return ((pde & this.largeHigh) >>> 13) * 0x100000 + (low >>> 12);
  }

  /**
   * The four PDPTEs are registers loaded by MOV CR3 (SDM vol. 3, 4.4.1): {@linkcode Mmu.loadPdptes}.
   */
  readonly pdptes: Int32Array<ArrayBuffer> = new Int32Array(8);

  /** Whether the PDPTEs that CR3 value `cr3` points at may be loaded: no reserved bit set in a present one. Loads them if so. */
  loadPdptes(cr3: number): boolean {
    const loaded = new Int32Array(8);
    for (let i = 0; i < 8; i++) loaded[i] = this.readEntry(((cr3 & 0xffffffe0) >>> 0) + i * 4);
    for (let i = 0; i < 8; i += 2) {
      if ((loaded[i] & P) === 0) continue;
      if ((loaded[i] & 0x1e6) !== 0 || (loaded[i + 1] & this.reservedHigh) !== 0) return false;
    }
    this.pdptes.set(loaded);
    return true;
  }

  private walkPae(
    linear: number,
    write: boolean,
    user: boolean,
    fetch: boolean,
    code: number,
  ): number {
    const index = linear >>> 30;
    const nxe = (this.R[S.EFER] & S.EFER_NXE) !== 0;
    const reserved = nxe ? this.reservedHigh & ~NX_HIGH : this.reservedHigh;
    const pdpte = this.pdptes[index * 2];
    if ((pdpte & P) === 0) return this.pageFault(linear, code);
    const pdeAt = this.wideAddress(
      (pdpte & 0xfffff000) | ((linear >>> 18) & 0xff8),
      this.pdptes[index * 2 + 1],
    );
    const pde = this.readEntry(pdeAt);
    if ((pde & P) === 0) return this.pageFault(linear, code);
    const pdeHigh = this.readEntry(pdeAt + 4);
    if ((pdeHigh & reserved) !== 0) return this.pageFault(linear, code | PF_PRESENT | PF_RSVD);
    if ((pde & PS) !== 0) {
      if ((pde & 0x1fe000) !== 0) return this.pageFault(linear, code | PF_PRESENT | PF_RSVD);
      if (!this.allowed(pde, write, user, fetch) || (fetch && pdeHigh < 0)) {
        return this.pageFault(linear, code | PF_PRESENT);
      }
      this.markEntry(pdeAt, pde, write ? A | D : A);
      this.note(pde, pde, write);
      this.walkedNoExecute = pdeHigh < 0;
      this.noteLarge();
      const low = ((pde & 0xffe00000) | (linear & 0x1ff000)) & this.a20Mask;
      return this.wideAddress(low, pdeHigh) / 4096;
    }
    const pteAt = this.wideAddress((pde & 0xfffff000) | ((linear >>> 9) & 0xff8), pdeHigh);
    const pte = this.readEntry(pteAt);
    if ((pte & P) === 0) return this.pageFault(linear, code);
    const pteHigh = this.readEntry(pteAt + 4);
    if ((pteHigh & reserved) !== 0) return this.pageFault(linear, code | PF_PRESENT | PF_RSVD);
    const rights = pde & pte, noExecute = (pdeHigh | pteHigh) < 0;
    if (!this.allowed(rights, write, user, fetch) || (fetch && noExecute)) {
      return this.pageFault(linear, code | PF_PRESENT);
    }
    this.markEntry(pdeAt, pde, A);
    this.markEntry(pteAt, pte, write ? A | D : A);
    this.note(rights, pte, write);
    this.walkedNoExecute = noExecute;
    return this.wideAddress((pte & 0xfffff000) & this.a20Mask, pteHigh) / 4096;
  }

  /** Enters what the last walk found into the TLB. */
  private fill(linear: number, physicalPage: number): void {
    if (this.alignmentChecks) return;
    const page = linear >>> 12;
    if (this.slowPages.size !== 0 && this.slowPages.has(page)) return;
    if (this.keptOut.size !== 0 && this.keptOut.has(page)) return;
    const { tlb, memory, R } = this, paged = (R[S.CR0] & S.CR0_PG) !== 0;
    const read = memory.readEntry(physicalPage);
    let write = memory.writeEntry(physicalPage);
    const hasCode = read !== INDIRECT && memory.codePages[read >>> 12] !== 0;
    if (write !== INDIRECT && memory.codePages[write >>> 12] !== 0) write = SLOW;
    if (!this.walkedDirty) write = SLOW;
    if (read === SLOW && write === SLOW) return;
    if (write !== SLOW) this.host.touched[write >>> 12] = 1;
    const bit = this.walkedGlobal ? LISTED_GLOBAL : LISTED;
    if ((this.listed[page] & bit) === 0) {
      if (this.filledCount === MAX_FILLED || this.globalCount === MAX_FILLED) this.flushAll();
      this.listed[page] |= bit;
      if (this.walkedGlobal) this.filledGlobal[this.globalCount++] = page;
      else this.filled[this.filledCount++] = page;
    }
    const userPage = paged && this.walkedUser;
    const forbidden = (this.walkedNoExecute ? 1 : 0) |
      (userPage && (R[S.CR4] & S.CR4_SMEP) !== 0 ? 2 : 0);
    const closed = userPage && this.cpu.preventsSupervisor(false);
    if (userPage && !closed && (R[S.CR4] & S.CR4_SMAP) !== 0) this.opened.push(page);
    const overrides = this.walkedWritable || (R[S.CR0] & S.CR0_WP) === 0;
    this.noExecute[page] = forbidden;
    tlb[page] = closed || (hasCode && forbidden !== 0) ? SLOW : read;
    tlb[page + TLB_WRITE] = !closed && overrides ? write : SLOW;
    tlb[page + TLB_USER] = !this.walkedUser || (hasCode && (forbidden & 1) !== 0) ? SLOW : read;
    tlb[page + TLB_USER + TLB_WRITE] = this.walkedUser && this.walkedWritable ? write : SLOW;
  }

  /** {@linkcode Mmu.find} of compatibility mode: the tables are those of long mode. */
  private findLong(linear: number, write: boolean, user: boolean, fetch: boolean): number {
    const { mmu64 } = this.cpu, walked = mmu64.walkFor(linear >>> 0, { write, user, fetch });
    if (walked === undefined) return FAULTED;
    this.walkedUser = walked.user;
    this.walkedWritable = walked.writable;
    this.walkedDirty = walked.dirty;
    this.walkedGlobal = walked.global;
    this.walkedNoExecute = walked.noExecute;
    if (walked.size > 0x1000) this.noteLarge();
    if (walked.size > 0x200000) this.hugeSeen = true;
    this.fill(linear, Math.floor(walked.physical / 4096));
    return walked.physical;
  }

  /** Physical address of a linear one for an access of the given kind, or {@linkcode FAULTED} with the #PF noted. */
  private find(linear: number, write: boolean, user: boolean, fetch: boolean): number {
    if (this.cpu.longActive) return this.findLong(linear, write, user, fetch);
    const page = this.walk(linear, write, user, fetch);
    if (page < 0) return FAULTED;
    this.fill(linear, page);
    return page * 4096 + (linear & 0xfff);
  }

  /** Physical address of a linear one for an access of the given kind. Raises #PF. */
  translate(linear: number, write: boolean, user: boolean, fetch = false): number {
    const physical = this.find(linear, write, user, fetch);
    if (physical < 0) this.cpu.raise(S.PAGE_FAULT, this.cpu.faultError);
    return physical;
  }

  /** Whether the TLB serves an access to a page. */
  private serves(linear: number, write: boolean, user: boolean): boolean {
    return this.tlb[(linear >>> 12) + (write ? TLB_WRITE : 0) + (user ? TLB_USER : 0)] !== SLOW;
  }

  /**
   * Makes the TLB serve an access that it does not serve yet, by what the access would do before it touches
   * memory: for engines, which then make it or deliver the fault. Does nothing of what the access would do
   * again with an effect.
   */
  resolve(linear: number, write: boolean, user: boolean): Resolution {
    if (this.alignmentChecks || this.slowPages.size !== 0 || this.memory.isWatched) {
      return UNRESOLVED;
    }
    if (this.serves(linear, write, user)) return UNRESOLVED;
    if (this.cpu.longActive) return UNRESOLVED;
    this.directOnly = true;
    const physical = this.find(linear, write, user, false), { untold } = this;
    this.directOnly = this.untold = false;
    if (physical < 0) return untold ? UNRESOLVED : FAULTS;
    return this.serves(linear, write, user) ? RESOLVED : UNRESOLVED;
  }

  /** What {@linkcode Mmu.translate} would give, without faults and side effects; undefined where it would fault. */
  peek(linear: number): number | undefined {
    const R = this.R;
    if ((R[S.CR0] & S.CR0_PG) === 0) return (linear & this.a20Mask) >>> 0;
    const entry = (at: number): number => {
      const offset = this.memory.hostOffset(this.masked(at));
      return offset === NOT_DIRECT ? 0 : this.host.getInt32(offset);
    };
    if ((R[S.CR4] & S.CR4_PAE) !== 0) {
      const at = (linear >>> 30) * 2, pdpte = this.pdptes[at];
      if ((pdpte & P) === 0) return undefined;
      const pdeAt = (pdpte & 0xfffff000) | ((linear >>> 18) & 0xff8);
      const from = this.wideAddress(pdeAt, this.pdptes[at + 1]);
      const pde = entry(from), pdeHigh = entry(from + 4);
      if ((pde & P) === 0) return undefined;
      if ((pde & PS) !== 0) {
        const low = (pde & 0xffe00000) | (linear & 0x1fffff);
        return this.masked(this.wideAddress(low, pdeHigh));
      }
      const pteFrom = this.wideAddress((pde & 0xfffff000) | ((linear >>> 9) & 0xff8), pdeHigh);
      const pte = entry(pteFrom), pteHigh = entry(pteFrom + 4);
      if ((pte & P) === 0) return undefined;
      return this.masked(this.wideAddress((pte & 0xfffff000) | (linear & 0xfff), pteHigh));
    }
    const pde = entry(((R[S.CR3] & 0xfffff000) | ((linear >>> 20) & 0xffc)) >>> 0);
    if ((pde & P) === 0) return undefined;
    if ((pde & PS) !== 0 && (R[S.CR4] & S.CR4_PSE) !== 0) {
      return this.largePage(pde, linear) * 4096 + (linear & 0xfff);
    }
    const pte = entry(((pde & 0xfffff000) | ((linear >>> 10) & 0xffc)) >>> 0);
    return (pte & P) === 0 ? undefined : this.masked(((pte & 0xfffff000) | (linear & 0xfff)) >>> 0);
  }

  /** Reads memory at a linear address as far as RAM or ROM answers; undefined where it is not mapped. No faults, no side effects. */
  peekBytes(linear: number, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const physical = this.peek((linear + i) | 0);
      const offset = physical === undefined ? NOT_DIRECT : this.memory.hostOffset(physical);
      if (offset === NOT_DIRECT) return undefined;
      bytes[i] = this.host.getUint8(offset);
    }
    return bytes;
  }

  /**
   * Host offset of the page that holds code at `linear`, or negative if it must be fetched byte by byte
   * (registers of a chip, or nothing, answer there). Raises #PF.
   */
  fetchPage(linear: number, user: boolean): number {
    const page = linear >>> 12;
    const cached = this.tlb[page + (user ? TLB_USER : 0)];
    // What was entered for data may be forbidden here: the walk tells, and raises the fault.
    if (cached !== SLOW && (this.noExecute[page] & (user ? 1 : 3)) === 0) {
      return hostOffsetOf(cached);
    }
    // Not of the page's start: CR2 is to name the very byte.
    const physical = this.translate(linear, false, user, true);
    return this.memory.hostOffset(physical - (linear & 0xfff));
  }

  private checkAlignment(linear: number, size: number, user: boolean): void {
    if (user && (linear & (size - 1)) !== 0) this.cpu.raise(S.AC_FAULT, 0);
  }

  private slowLoad(linear: number, size: AccessSize, user: boolean): number {
    if (this.alignmentChecks) this.checkAlignment(linear, size, user);
    let value: number;
    if ((linear & 0xfff) + size > 0x1000) {
      // Both pages are translated before either is read: a read of a register may have effects.
      const split = 0x1000 - (linear & 0xfff);
      const low = this.translate(linear, false, user);
      const high = this.translate((linear + split) | 0, false, user);
      value = 0;
      for (let i = 0; i < size; i++) {
        const at = i < split ? low + i : high + i - split;
        value |= this.memory.read(at, 1) << (8 * i);
      }
    } else {
      value = this.memory.read(this.translate(linear, false, user), size);
    }
    if (this.slowPages.size !== 0) this.reportSlow(linear, size, false);
    return value;
  }

  private slowStore(linear: number, size: AccessSize, value: number, user: boolean): void {
    if (this.alignmentChecks) this.checkAlignment(linear, size, user);
    if ((linear & 0xfff) + size > 0x1000) {
      const split = 0x1000 - (linear & 0xfff);
      const low = this.translate(linear, true, user);
      const high = this.translate((linear + split) | 0, true, user);
      for (let i = 0; i < size; i++) {
        const at = i < split ? low + i : high + i - split;
        this.memory.write(at, 1, (value >>> (8 * i)) & 0xff);
      }
    } else {
      const page = (linear >>> 12) + (user ? TLB_USER : 0);
      if (
        page === this.codePage &&
        this.memory.writeCode(this.codePlace | (linear & 0xfff), size, value)
      ) {
        return;
      }
      const physical = this.translate(linear, true, user), { memory } = this;
      memory.write(physical, size, value);
      // Whatever is not as usual is no code page, or stays on the longer way.
      const entry = memory.writeEntry(Math.floor(physical / 4096));
      const direct = entry > 0 && memory.codePages[entry >>> 12] !== 0 && !this.alignmentChecks;
      this.codePage = direct && this.slowPages.size === 0 ? page : -1;
      this.codePlace = entry;
    }
    if (this.slowPages.size !== 0) this.reportSlow(linear, size, true);
  }

  private reportSlow(linear: number, size: number, write: boolean): void {
    if (this.slowPages.has(linear >>> 12) || this.slowPages.has((linear + size - 1) >>> 12)) {
      this.onSlowAccess(linear, size, write);
    }
  }

  // hot: bench/boots.ts. The inlined copies in generated code take the same first branch.

  load8(linear: number, user: boolean): number {
    const page = this.tlb[(linear >>> 12) + (user ? TLB_USER : 0)];
    if (page !== SLOW) {
      const at = page | (linear & 0xfff);
      return at >= 0 ? this.low.getUint8(at) : this.high.getUint8(at & 0x7fffffff);
    }
    return this.slowLoad(linear, 1, user) & 0xff;
  }

  load16(linear: number, user: boolean): number {
    const page = this.tlb[(linear >>> 12) + (user ? TLB_USER : 0)];
    if (page !== SLOW && (linear & 0xfff) <= 0xffe) {
      const at = page | (linear & 0xfff);
      return at >= 0 ? this.low.getUint16(at, true) : this.high.getUint16(at & 0x7fffffff, true);
    }
    return this.slowLoad(linear, 2, user) & 0xffff;
  }

  load32(linear: number, user: boolean): number {
    const page = this.tlb[(linear >>> 12) + (user ? TLB_USER : 0)];
    if (page !== SLOW && (linear & 0xfff) <= 0xffc) {
      const at = page | (linear & 0xfff);
      return at >= 0 ? this.low.getInt32(at, true) : this.high.getInt32(at & 0x7fffffff, true);
    }
    return this.slowLoad(linear, 4, user) | 0;
  }

  store8(linear: number, value: number, user: boolean): void {
    const page = this.tlb[(linear >>> 12) + TLB_WRITE + (user ? TLB_USER : 0)];
    if (page !== SLOW) {
      const at = page | (linear & 0xfff);
      if (at >= 0) this.low.setUint8(at, value);
      else this.high.setUint8(at & 0x7fffffff, value);
    } else this.slowStore(linear, 1, value & 0xff, user);
  }

  store16(linear: number, value: number, user: boolean): void {
    const page = this.tlb[(linear >>> 12) + TLB_WRITE + (user ? TLB_USER : 0)];
    if (page !== SLOW && (linear & 0xfff) <= 0xffe) {
      const at = page | (linear & 0xfff);
      if (at >= 0) this.low.setUint16(at, value, true);
      else this.high.setUint16(at & 0x7fffffff, value, true);
    } else this.slowStore(linear, 2, value & 0xffff, user);
  }

  store32(linear: number, value: number, user: boolean): void {
    const page = this.tlb[(linear >>> 12) + TLB_WRITE + (user ? TLB_USER : 0)];
    if (page !== SLOW && (linear & 0xfff) <= 0xffc) {
      const at = page | (linear & 0xfff);
      if (at >= 0) this.low.setInt32(at, value, true);
      else this.high.setInt32(at & 0x7fffffff, value, true);
    } else this.slowStore(linear, 4, value >>> 0, user);
  }

  /** Raises what a write of `size` (1 to 4096) bytes would raise, and writes nothing. */
  probeWrite(linear: number, size: number, user: boolean): void {
    const table = TLB_WRITE + (user ? TLB_USER : 0);
    const last = (linear + size - 1) | 0;
    if (this.alignmentChecks && size <= 8) this.checkAlignment(linear, size, user);
    if (this.tlb[(linear >>> 12) + table] === SLOW) this.translate(linear, true, user);
    if ((last >>> 12) !== (linear >>> 12) && this.tlb[(last >>> 12) + table] === SLOW) {
      this.translate(last & ~0xfff, true, user);
    }
  }
}
