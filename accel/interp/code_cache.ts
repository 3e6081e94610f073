/**
 * Pre-decoded code, by physical page and by the mode bits that its meaning depends on, so that it survives
 * context switches, and serves all processors of a machine. A write to an instruction's bytes turns just its record into "look again".
 */
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import type { X86 } from "../x86/cpu.ts";
import {
  DECODED,
  type Decoder,
  INCOMPLETE,
  type Insn,
  INVALID,
  MAX_LENGTH,
} from "../x86/decoder.ts";
import { operandBytes } from "../x86/operands.ts";
import * as S from "../x86/state.ts";
import {
  F_DISP,
  F_IMM,
  F_INDEX,
  F_INFO,
  F_PLACE,
  F_REG,
  F_RM,
  FIRST_FREE,
  INFO_ADDRESS16,
  INFO_ADDRESS32,
  INFO_OPERAND16,
  INFO_RIP,
  LINK_FROM,
  LOOKUP_PLACE,
  MOST_PROCESSORS,
  OP,
  OP_CROSS,
  OP_GOTO,
  OP_LOOKUP,
  OP_RESYNC,
  OP_STALE,
  RECORD,
  ZERO,
} from "./record.ts";
import type { Operations } from "./operations.ts";

/** Mode bits of a code page. */
export const MODE_BIG = 1, MODE_FLAT = 2, MODE_PROTECTED = 4, MODE_LONG = 8, MODES = 9;

/** Words of the record arena: 2^20 records, 32 MiB that the host backs as they are used. */
export const ARENA_WORDS: number = 1 << 23;
/** Code pages that can be held at once. */
const PAGES = 4096;
/** Places that are remembered as looked up lately: a power of two. */
const RECENT = 4096;
/** Instructions decoded ahead in one go. */
const RUN_LENGTH = 48;
/** After so many writes to a code page that hit no instruction its code is dropped: it has become data. */
const IDLE_WRITES = 256;

/** Semantics after which straight-line decoding stops. */
const ENDS = new Set(["jmp", "jmp_near", "ret"]);

/** A store of pre-decoded instructions. */
export class CodeCache {
  readonly records: Int32Array<ArrayBuffer> = new Int32Array(ARENA_WORDS);
  /** Place of the record of each instruction start: code page number * 4096 + offset in page; 0 is unknown. */
  readonly places: Int32Array<ArrayBuffer> = new Int32Array(PAGES * 4096);
  /**
   * The same for what was looked up lately, in pairs: `places` is spread over so much memory that returns and
   * indirect jumps mostly find none of it in the host's caches. Keys are code page number * 4096 + offset in page, see
   * {@linkcode recentAt}.
   */
  readonly recent: Int32Array<ArrayBuffer> = new Int32Array(RECENT * 2);
  /** Code page number by record that was decoded there. */
  readonly recordPages: Uint16Array<ArrayBuffer> = new Uint16Array(ARENA_WORDS / RECORD);
  /** Code page number by mode * host pages + host page; 0 is none. */
  readonly pages: Int32Array<ArrayBuffer>;
  /** Pages of host memory. */
  readonly hostPages: number;
  private nextPlace = FIRST_FREE;
  private readonly freePages: number[] = [];
  private nextPage = 1;
  /** Records of instructions that end in a host page but start in another, by its number. */
  private readonly crossers = new Map<number, number[]>();
  private readonly idleWrites: Uint16Array;
  private readonly edge = new Uint8Array(2 * MAX_LENGTH + 2);
  /** What makes sense of the code; the processors that share it follow this one. */
  operations!: Operations;
  private readonly cpus: X86[] = [];
  private readonly memory: MemoryMap;
  /** Times that everything was dropped for want of room. */
  flushes = 0;
  /** Which entry of {@linkcode CodeCache.pages} a code page number belongs to. */
  readonly owners: Int32Array<ArrayBuffer> = new Int32Array(PAGES);
  /** Told before the code of a host page between two offsets changes, or all of it is dropped; gives whether that concerned translated code. */
  onChange: (host: number, from: number, to: number) => boolean = () => false;
  /** Told after everything was forgotten. */
  onFlush: () => void = () => {};

  constructor(memory: MemoryMap, readonly decoder: Decoder) {
    this.memory = memory;
    this.hostPages = memory.host.pages;
    this.pages = new Int32Array(this.hostPages * MODES);
    this.idleWrites = new Uint16Array(this.hostPages);
    memory.onCodeWrite = (offset, length) => this.written(offset, length);
    this.records[LOOKUP_PLACE + OP] = OP_LOOKUP;
  }

  /** Lets another processor run the code. Returns its number among those that do. */
  join(cpu: X86): number {
    if (this.cpus.length >= MOST_PROCESSORS) {
      throw new RangeError(`at most ${MOST_PROCESSORS} processors can share code`);
    }
    return this.cpus.push(cpu) - 1;
  }

  /** Base index into {@linkcode CodeCache.pages} for a mode. */
  modeBase(mode: number): number {
    return mode * this.hostPages;
  }

  /** Forgets where an instruction's record was. */
  private unplace(key: number): void {
    this.places[key] = 0;
    const at = recentAt(key);
    if (this.recent[at] === key) this.recent[at] = 0;
  }

  /** Room for `count` records that no instruction owns; 0 when there is none. */
  allocate(count: number): number {
    if (this.nextPlace + count * RECORD > ARENA_WORDS) return 0;
    const place = this.nextPlace;
    this.recordPages.fill(0, place >> 3, (place >> 3) + count);
    this.nextPlace += count * RECORD;
    return place;
  }

  /** Forgets all code. Only between instructions. */
  flush(): void {
    this.memory.codePages.fill(0);
    this.records.fill(0, FIRST_FREE, this.nextPlace);
    this.places.fill(0, 0, this.nextPage * 4096);
    this.recent.fill(0);
    // Not the whole table: with much memory most of it was never touched.
    for (let page = 1; page < this.nextPage; page++) this.pages[this.owners[page]] = 0;
    this.crossers.clear();
    this.idleWrites.fill(0);
    this.freePages.length = 0;
    this.nextPage = 1;
    this.nextPlace = FIRST_FREE;
    for (const { R } of this.cpus) R[LINK_FROM] = 0;
    this.flushes++;
    this.onFlush();
  }

  /** The record for the instruction at an offset of a host page, decoded now if need be. */
  find(hostPage: number, offset: number, mode: number): number {
    const at = mode * this.hostPages + pageOf(hostPage);
    let page = this.pages[at];
    if (page !== 0) {
      const place = this.places[(page << 12) | offset];
      if (place !== 0 && (this.records[place + OP] !== OP_STALE || this.renew(place))) return place;
    }
    if (this.nextPlace + (RUN_LENGTH + 4) * RECORD > ARENA_WORDS) this.flush();
    page = this.pages[at];
    if (page === 0) {
      if (this.freePages.length === 0 && this.nextPage >= PAGES) this.flush();
      page = this.freePages.pop() ?? this.nextPage++;
      this.pages[at] = page;
      this.owners[page] = at;
      this.protect(hostPage);
    }
    return this.decodeRun(hostPage, offset, mode, page);
  }

  private protect(hostPage: number): void {
    const { codePages } = this.memory;
    const host = pageOf(hostPage);
    if (codePages[host] !== 0) return;
    codePages[host] = 1;
    for (const { mmu, mmu64 } of this.cpus) {
      mmu.protectHostPage(hostPage);
      mmu64.protectHostPage(hostPage);
    }
  }

  private decodeRun(hostPage: number, start: number, mode: number, page: number): number {
    const { records: C, places, recordPages, decoder } = this;
    const bytes = this.memory.host.bytes;
    const first = this.nextPlace;
    const end = hostPage + 0x1000;
    const bits = bitsOf(mode), protectedMode = isProtected(mode);
    let at = hostPage + start, p = first;
    for (let n = 0;; n++, p += RECORD) {
      const offset = at - hostPage;
      recordPages[p >> 3] = page;
      const known = offset < 0x1000 ? places[(page << 12) | offset] : 0;
      if (known !== 0) {
        C[p + OP] = OP_GOTO;
        C[p + F_REG] = known;
        C[p + F_PLACE] = offset | (offset << 16);
        break;
      }
      if (offset >= 0x1000 || n >= RUN_LENGTH) {
        C[p + OP] = OP_RESYNC;
        C[p + F_PLACE] = offset | (offset << 16);
        break;
      }
      const outcome = decoder.decode(bytes, at, end, bits, protectedMode);
      if (outcome === DECODED) {
        const insn = decoder.result;
        this.encode(p, insn, offset, (mode & MODE_FLAT) !== 0);
        places[(page << 12) | offset] = p;
        at += insn.length;
        if (insn.form.row.control === true || ENDS.has(insn.form.row.semantic)) {
          p += RECORD;
          C[p + OP] = OP_RESYNC;
          C[p + F_PLACE] = (at - hostPage) | ((at - hostPage) << 16);
          break;
        }
        continue;
      }
      if (outcome === INCOMPLETE) {
        C[p + OP] = OP_CROSS;
        C[p + F_REG] = 0;
      } else C[p + OP] = outcome === INVALID ? this.operations.invalid : this.operations.tooLong;
      // Any byte that an instruction could have may make this one valid.
      C[p + F_PLACE] = offset | ((offset + MAX_LENGTH) << 16);
      places[(page << 12) | offset] = p;
      break;
    }
    this.nextPlace = p + RECORD;
    return first;
  }

  /**
   * Decodes a record anew whose bytes were written. Where what is there now is not of the same length, so
   * that the record after it would be a wrong one, it becomes one that says "look again".
   *
   * @returns whether it is an instruction again
   */
  // hot: bench/microbench, smc.
  renew(p: number): boolean {
    const { records: C, hostPages } = this, page = this.recordPages[p >> 3];
    const owner = this.owners[page], hostPage = (owner % hostPages) * 0x1000;
    const mode = Math.floor(owner / hostPages);
    const offset = C[p + F_PLACE] & 0xffff, length = (C[p + F_PLACE] >>> 16) - offset;
    const at = hostPage + offset, { decoder } = this;
    const outcome = decoder.decode(
      this.memory.host.bytes,
      at,
      hostPage + 0x1000,
      bitsOf(mode),
      isProtected(mode),
    );
    if (outcome === DECODED && decoder.result.length === length) {
      this.encode(p, decoder.result, offset, (mode & MODE_FLAT) !== 0);
      return true;
    }
    C[p + OP] = OP_RESYNC;
    this.unplace((page << 12) | offset);
    return false;
  }

  /**
   * Resolves an instruction that crosses into the next linear page: the place of its decoded record.
   *
   * @param p place of the crossing record
   * @param hostPage host offset of the page it starts in; `nextHostPage` of the one it ends in
   */
  cross(p: number, hostPage: number, nextHostPage: number, mode: number): number {
    const { records: C } = this, nextHost = pageOf(nextHostPage);
    if (C[p + F_REG] !== 0 && C[p + F_RM] === nextHost) return C[p + F_REG];
    if (this.nextPlace + 4 * RECORD > ARENA_WORDS) {
      // The record itself would vanish in a flush: the caller looks up again.
      this.flush();
      return -1;
    }
    const bytes = this.memory.host.bytes, edge = this.edge;
    const offset = C[p + F_PLACE] & 0xffff, tail = 0x1000 - offset;
    for (let i = 0; i < tail; i++) edge[i] = bytes[hostPage + offset + i];
    for (let i = 0; i < MAX_LENGTH + 1; i++) edge[tail + i] = bytes[nextHostPage + i];
    const shadow = this.nextPlace;
    this.nextPlace += 2 * RECORD;
    this.encodeBytes(shadow, edge, tail + MAX_LENGTH + 1, offset, mode);
    C[p + F_REG] = shadow;
    C[p + F_RM] = nextHost;
    this.protect(nextHostPage);
    const list = this.crossers.get(nextHost);
    if (list === undefined) this.crossers.set(nextHost, [p]);
    else list.push(p);
    return shadow;
  }

  /** Decodes one instruction from a copy of its bytes into the record at `p`, followed by a resync. Returns whether the bytes sufficed. */
  encodeBytes(p: number, bytes: Uint8Array, length: number, offset: number, mode: number): boolean {
    const { records: C, decoder } = this;
    const outcome = decoder.decode(bytes, 0, length, bitsOf(mode), isProtected(mode));
    if (outcome === INCOMPLETE) return false;
    let after = offset;
    if (outcome === DECODED) {
      this.encode(p, decoder.result, offset, (mode & MODE_FLAT) !== 0);
      after = offset + decoder.result.length;
    } else {
      C[p + OP] = outcome === INVALID ? this.operations.invalid : this.operations.tooLong;
      C[p + F_PLACE] = offset | (offset << 16);
    }
    C[p + RECORD + OP] = OP_RESYNC;
    C[p + RECORD + F_PLACE] = after | (after << 16);
    return true;
  }

  private encode(p: number, insn: Insn, offset: number, flat: boolean): void {
    const C = this.records;
    const { form, operandSize } = insn;
    let reg = 0,
      rm: number = ZERO,
      index: number = ZERO,
      displacement = insn.displacement,
      immediate = insn.immediate;
    for (const operand of form.operands) {
      const width = operandBytes(operand, operandSize, insn.long);
      switch (operand.kind) {
        case "G":
          reg = registerIndex(insn.reg, width, insn.rex);
          break;
        case "B":
          // Instructions with this operand have no immediate.
          immediate = registerIndex(insn.vvvv, width, insn.rex);
          break;
        case "S":
        case "C":
        case "D":
          reg = insn.reg;
          break;
        case "V":
          reg = S.XMM0 + insn.reg * 4;
          break;
        case "P":
          reg = S.ST0 + (insn.reg & 7) * 4;
          break;
        case "Z":
          if (operand.fixed < 0) rm = registerIndex(insn.opcodeReg, width, insn.rex);
          break;
        case "E":
        case "R":
          if (!insn.memory) rm = registerIndex(insn.rm, width, insn.rex);
          break;
        case "W":
        case "U":
          if (!insn.memory) rm = S.XMM0 + insn.rm * 4;
          break;
        case "Q":
        case "N":
          if (!insn.memory) rm = S.ST0 + (insn.rm & 7) * 4;
          break;
        case "ST":
          rm = insn.rm & 7;
          break;
      }
    }
    if (insn.memory) {
      if (insn.base >= 0) rm = insn.base * 2;
      if (insn.index >= 0) index = insn.index * 2;
    } else {
      displacement = insn.immediate2;
      index = 0;
    }
    if (
      insn.opcode >= 0xd8 && insn.opcode <= 0xdf && insn.modrm >= 0 &&
      form.operands.every((o) => o.kind !== "I")
    ) {
      immediate = ((insn.opcode & 7) << 8) | insn.modrm;
    }
    C[p + OP] = this.operations.operation(insn, flat);
    C[p + F_REG] = reg;
    C[p + F_RM] = rm;
    C[p + F_INDEX] = index;
    C[p + F_INFO] = insn.scale | (insn.segment << 8) |
      (insn.addressSize === 16 ? INFO_ADDRESS16 : 0) |
      (operandSize === 16 ? INFO_OPERAND16 : 0) |
      (insn.long && insn.addressSize === 32 ? INFO_ADDRESS32 : 0) |
      (insn.ripRelative ? INFO_RIP : 0) |
      (insn.repeat === 0 ? 0 : insn.repeat === 0xf2 ? 1 << 13 : 2 << 13);
    C[p + F_DISP] = displacement;
    C[p + F_IMM] = immediate;
    C[p + F_PLACE] = offset | ((offset + insn.length) << 16);
  }

  /** Hears of a write to bytes of a page with code, from whatever side. */
  // hot: bench/microbench, smc.
  private written(hostOffset: number, length: number): void {
    const host = pageOf(hostOffset), from = hostOffset % 4096, to = from + length;
    const { records: C, places, pages, hostPages } = this;
    let hit = this.onChange(host, from, to);
    for (let at = host; at < pages.length; at += hostPages) {
      const page = pages[at];
      if (page === 0) continue;
      const first = (page << 12) | Math.max(0, from - MAX_LENGTH + 1);
      const last = (page << 12) | (Math.min(to, 0x1000) - 1);
      for (let place = first; place <= last; place++) {
        const p = places[place];
        if (p === 0) continue;
        const op = C[p + OP], offset = place & 0xfff;
        // What was hit before is no hit: a page whose code nobody executes any more is to become data.
        if (op === OP_STALE) continue;
        const end = op === OP_CROSS ? 0x1000 : Math.max(C[p + F_PLACE] >>> 16, offset + 1);
        if (end <= from) continue;
        hit = true;
        if (op >= OP_STALE && op !== this.operations.invalid && op !== this.operations.tooLong) {
          C[p + OP] = OP_STALE;
          continue;
        }
        if (op === OP_CROSS && C[p + F_REG] !== 0) C[C[p + F_REG] + OP] = OP_RESYNC;
        C[p + OP] = OP_RESYNC;
        this.unplace(place);
      }
    }
    // The first bytes of a page may end an instruction that starts in another.
    if (from < MAX_LENGTH) {
      const list = this.crossers.get(host);
      if (list !== undefined) {
        const C = this.records;
        for (const p of list) {
          if (C[p + OP] !== OP_CROSS) continue;
          if (C[p + F_REG] !== 0) C[C[p + F_REG] + OP] = OP_RESYNC;
          C[p + F_REG] = 0;
        }
        this.crossers.delete(host);
        hit = true;
      }
    }
    if (hit) {
      this.idleWrites[host] = 0;
      // A repeated string instruction that overwrote itself is fetched anew, as between two slices.
      this.alert();
    } else if (++this.idleWrites[host] >= IDLE_WRITES) this.drop(host);
  }

  /** Forgets all code of a host page, so that writes to it are fast again. */
  private drop(host: number): void {
    this.onChange(host, 0, 0x1000);
    for (let at = host; at < this.pages.length; at += this.hostPages) {
      const page = this.pages[at];
      if (page === 0) continue;
      this.forget(page);
      this.pages[at] = 0;
      this.freePages.push(page);
    }
    this.idleWrites[host] = 0;
    if (!this.crossers.has(host)) this.memory.codePages[host] = 0;
    // Writes are no longer heard of: a repeated string instruction in this page is looked up again.
    this.alert();
  }

  /** Forgets the records of a code page. */
  private forget(page: number): void {
    const { records: C, places } = this;
    for (let place = page << 12, end = place + 0x1000; place < end; place++) {
      const p = places[place];
      if (p === 0) continue;
      if (C[p + OP] === OP_CROSS && C[p + F_REG] !== 0) C[C[p + F_REG] + OP] = OP_RESYNC;
      C[p + OP] = OP_RESYNC;
      this.unplace(place);
    }
  }

  /** Has the processor that executes look its code up again; the others do so anyway. */
  private alert(): void {
    for (const cpu of this.cpus) cpu.attention = true;
  }
}

/** Where {@linkcode CodeCache.recent} may have a key. */
export function recentAt(key: number): number {
  return ((key ^ (key >>> 7)) & (RECENT - 1)) << 1;
}

/** The same as text, of a name. */
export function recentText(key: string): string {
  return `((${key}^(${key}>>>7))&${RECENT - 1})<<1`;
}

/** Number of the page of an address or of an offset in host memory, which may be beyond 32 bits. */
export function pageOf(address: number): number {
  return Math.floor(address / 4096);
}

/** Index of a general register in the array of its width. */
function registerIndex(n: number, bytes: number, rex: boolean): number {
  if (bytes === 1) return rex ? n * 8 : (n & 3) * 8 + (n >> 2);
  return bytes === 2 ? n * 4 : n * 2;
}

/** Default sizes of code in a mode. */
export function bitsOf(mode: number): 16 | 32 | 64 {
  return mode === MODE_LONG ? 64 : (mode & MODE_BIG) !== 0 ? 32 : 16;
}

export function isProtected(mode: number): boolean {
  return mode === MODE_LONG || (mode & MODE_PROTECTED) !== 0;
}
