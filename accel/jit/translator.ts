/**
 * The block translator: compiles hot code to JavaScript in regions. The interpreter executes what is not
 * hot, what regions leave to it, and everything in modes that are not translated.
 */
import type {
  ExecutedInstruction,
  TranslatedRegion,
  TranslationStatistics,
} from "../../core/machine/cpu.ts";
import type { CpuBus } from "../x86/cpu.ts";
import type { Insn } from "../x86/decoder.ts";
import { PURE } from "../x86/integer.ts";
import { LONG_HELPERS } from "../x86/long_helpers.ts";
import * as LongTables from "../x86/long_mmu.ts";
import * as Tables from "../x86/mmu.ts";
import type { Resolution } from "../x86/mmu.ts";
import type { CpuModel } from "../x86/models.ts";
import { SEMANTICS } from "../x86/semantics.ts";
import { SEMANTICS64 } from "../x86/semantics64.ts";
import * as Words from "../x86/state.ts";
import { WIDE } from "../x86/wide.ts";
import * as Tlb from "../x86/tlb.ts";
import { invalidate } from "../x86/system/control.ts";
import { input, output } from "../x86/system/io.ts";
import { GUARDS, HELPERS } from "../x86/table.ts";
import { MODE_BIG, MODE_FLAT, MODE_LONG, MODE_PROTECTED, recentAt } from "../interp/code_cache.ts";
import { Interpreter } from "../interp/interpreter.ts";
import * as After from "../interp/operations.ts";
import { emitMeaning } from "../interp/operations.ts";
import * as Records from "../interp/record.ts";
import { discover, weigh } from "./discover.ts";
import { stringScope, translatesString } from "./strings.ts";
import { x87Scope } from "./x87.ts";
import * as Exits from "./emitter.ts";
import { carriesOf, wideCarriesOf, wideResult } from "./emitter.ts";
import { vectorScope } from "./inexact.ts";
import { writeRegion } from "./region.ts";
import * as Store from "./region_store.ts";
import { type Region, type RegionFunction, RegionStore } from "./region_store.ts";
import { tellRegion, type UntoldRegion, untoldRegion } from "./trace.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const {
  BY_TRANSLATION,
  CS_CHECK,
  CURRENT,
  F_LINK,
  F_PLACE,
  LONG_BASE,
  LOOKUP_PLACE,
  MODE_BASE,
  OP,
  OP_REGION,
  OP_RESYNC,
  PAGE_IP,
  PAGE_IP_HI,
  PLACE_END,
  RECORD,
  RING_AT,
  RING_SIZE,
  TLB_BASE,
} = Records;
const { LONG_FETCH } = LongTables;
const { FAULTS, RESOLVED, UNRESOLVED } = Tables;
const { SLOW } = Tlb;
const {
  ACCESS_WRITE,
  EXIT_ACCESS,
  EXIT_LINK,
  EXIT_OFFSET,
  LEFT_ATTENTION,
  LEFT_JUMP,
  LEFT_MEMORY,
  LEFT_OTHER,
  REASONS,
} = Exits;
const { COUNTED } = Store;
const { LEAVE } = After;

/** How the translator decides. */
export interface JitOptions {
  /** Compile at first sight, for tests. */
  eager?: boolean;
  /** Instructions between two looks at what is hot, and interpreted in a page until it is compiled; for tests. */
  sample?: number;
  hot?: number;
  /** Most guest instructions of a region, for tests. */
  most?: number;
  /** Characters that the texts of all regions may have together; for tests. */
  budget?: number;
  /** Told of each region when it is entered for the first time. Must not throw. */
  trace?: (region: TranslatedRegion) => void;
}

/** Instructions between two looks at what is hot. */
const SAMPLE = 16_384;
/** Instructions interpreted in a page before it is compiled; an 80th of it for each instruction that is compiled. */
const HOT = 250_000;
/** Most guest instructions of a region. */
const MOST_INSTRUCTIONS = 600;
/** Regions of a page that has no more instructions than this become one. */
const MOST_MERGED = 500;
/** How often the regions of a page are made one: each time V8 begins anew with all of its code. */
const MOST_MERGES = 2;
/** Regions are left for others of their page so often, doing less than so much in between, until they become one. */
const JOIN_AFTER = 3_000_000, JOIN_BELOW = 48, MOST_JOINED = 1000;
/** Most guest instructions of a region in a page that has more. */
const MOST_APART = 300;
/**
 * Most characters of a region's text. V8 never optimises a function above 61,440 bytes of bytecode, which is about as
 * many as characters: loops of 57,000 (ADC) and 66,000 characters (MULSS) made 270 and 120 million instructions a
 * second, with 61,000 and 72,000 it was 140 and 30.
 */
const MOST_TEXT = 50_000;
/** A region that does less than so many instructions a time, over so many times, is not worth being entered. */
const WORTH = 4, TRIAL = 1024;
/** How often a region is entered again in a row for accesses of one instruction that the TLB did not serve. */
const MOST_RETRIES = 2;
/** After so many of a page's regions were invalidated its code is left to the interpreter. */
const MOST_INVALIDATIONS = 4;

/** A processor whose hot code is translated. */
export class Translator extends Interpreter {
  private readonly eager: boolean;
  private readonly most: number;
  private readonly hot: number;
  private readonly trace: JitOptions["trace"];
  /** What the processors of one board share, and this one's own functions by region number. */
  private readonly store: RegionStore;
  private readonly functions: (RegionFunction | undefined)[] = [];
  /** Their ways out, by region number. */
  private readonly waysOut: (Int32Array | undefined)[] = [];
  private readonly scope: Record<string, unknown>;
  /** The same for 64-bit code. */
  private readonly longScope: Record<string, unknown>;
  /** Why a region was left, by which way out, and the address of an access that made it, in two halves. */
  private readonly why = new Int32Array(4);
  private readonly exits: Float64Array = new Float64Array(REASONS.length);
  private readonly placeOf: (ip: number, high: number) => number;
  private readonly runRegion: (p: number) => number;
  private entered = 0;
  /** Guest instructions that regions executed. */
  private executed = 0;
  /** How often in a row a region was entered again without having done anything. */
  private retries = 0;
  /** Where the region that executes was entered, and what it was given; 0 while none does. */
  private enteredAt = 0;
  private given = 0;
  /** Instructions at the last look at what is hot, and those that regions had executed. */
  private lookedAt = 0;
  private executedAt = 0;
  /** A code page whose regions are to become one, or 0. */
  private joining = 0;
  /** How far the ring of branches was looked at. */
  private lookedTo = 0;

  /** @param options how it decides; `peer` is another processor of the same board, which decides for both */
  constructor(bus: CpuBus, model: CpuModel, options: JitOptions & { peer?: Translator } = {}) {
    super(bus, model, options.peer);
    const { peer } = options;
    this.eager = peer?.eager ?? options.eager === true;
    this.trace = peer?.trace ?? options.trace;
    this.most = peer?.most ?? options.most ?? MOST_JOINED;
    this.hot = peer?.hot ?? options.hot ?? HOT;
    this.stretch = peer?.stretch ?? options.sample ?? SAMPLE;
    this.store = peer?.store ?? new RegionStore(this.code, options.budget);
    this.store.join(this.functions, this.waysOut);
    const { x86 } = this;
    this.scope = {
      R: x86.R,
      U8: x86.U8,
      U16: x86.U16,
      XT: x86.mmu.tlb,
      DV: bus.memory.host.view,
      PARITY: S.PARITY,
      PURE,
      GUARDS,
      HELPERS: { ...HELPERS },
      LT: x86.mmu64.tlb,
      WIDE,
      cpu: x86,
      inPort: input,
      outPort: output,
      invalidate,
      ...vectorScope(x86),
      ...stringScope(x86),
      ...x87Scope(),
      carriesOf,
      wideCarriesOf,
      wideResult,
      WHY: this.why,
    };
    this.placeOf = this.makePlaceOf();
    this.runRegion = this.makeRunRegion();
    this.longScope = { ...this.scope, HELPERS: { ...HELPERS, ...LONG_HELPERS } };
  }

  get translation(): TranslationStatistics {
    const { regions, bytes, compiled, instructions, invalidated } = this.store;
    const { replaced, unworthy, evicted, forgotten, compileTime, longestCompile } = this.store;
    return {
      regions,
      bytes,
      compiled,
      instructions,
      invalidated,
      replaced,
      unworthy,
      evicted,
      forgotten,
      compileTime,
      longestCompile,
      entered: this.entered,
      executed: this.executed,
      exits: Object.fromEntries(REASONS.map((name, i) => [name, this.exits[i]])),
    };
  }

  // Execution.

  protected override enterRegion(p: number): number {
    const { R, runRegion } = this, C = this.code.records;
    do p = runRegion(p); while (C[p + OP] === OP_REGION && p !== R[PLACE_END]);
    return p;
  }

  /**
   * A function that executes the region whose record is at `p`, and what comes between it and the next; it gives
   * the place to go on at, for which it sets `R[PLACE_END]`.
   *
   * Without a loop, since V8 knows nothing as constant in code that it enters within a loop.
   */
  // hot: bench/microbench, int80 and fastsys.
  private makeRunRegion(): (p: number) => number {
    // As variables, for V8: see `whereabouts.ts`.
    const { R, x86, store, exits, why, functions, waysOut, untold, branches } = this;
    const { operations: { after }, whereabouts: { note, enterPage } } = this, C = this.code.records;
    const { entryOf, shadows, work, uses, misses, entered: lastEntered } = store;
    const control = this.makeControl(), placeOf = this.placeOf;
    return (p) => {
      const long = R[S.LONG] !== 0;
      let n = (R[PLACE_END] - p) >> 3;
      const entry = entryOf[p >> 3], run = functions[entry >> 6] ?? this.bind(entry >> 6);
      this.entered++;
      note(p + BY_TRANSLATION);
      this.enteredAt = p;
      this.given = n;
      // The region may be given up before its way out is asked for: a port that it writes may start a transfer into it.
      const ways = waysOut[entry >> 6]!;
      const total = this.target - this.left;
      const left = run(n, entry & 63);
      this.enteredAt = 0;
      // What the instruction executed last cut off from the slice is not done.
      if (why[0] === LEFT_ATTENTION) {
        n -= total - (this.target - this.left);
        x86.attention = false;
      }
      exits[why[0]]++;
      const id = (entry >> 6) & (COUNTED - 1);
      lastEntered[id] = store.compiled;
      work[id] += n - left;
      this.executed += n - left;
      if ((++uses[id] & (TRIAL - 1)) === 0 && functions[entry >> 6] !== undefined) {
        if (misses[id] > TRIAL >> 3 && !store.isCareful(store.at(entry >> 6).page)) {
          store.beCareful(entry >> 6);
        } else if (work[id] >= TRIAL * WORTH && work[id] < TRIAL * JOIN_BELOW) {
          const { page } = store.at(entry >> 6);
          if (store.hopped(page, TRIAL, JOIN_AFTER)) this.joining = page;
        } else if (work[id] < TRIAL * WORTH && !this.eager) store.giveUp(entry >> 6, this.hot);
        work[id] = misses[id] = 0;
      }
      const last = R[RING_AT] & (RING_SIZE - 1);
      untold[last] = n - left - 1;
      if (why[0] === LEFT_MEMORY) {
        const q = this.missed(p, left, left === n, id, ways[why[1] + EXIT_ACCESS]);
        if (q !== 0) return q;
      }
      if (left === n) {
        // Nothing could be done: the instruction is the interpreter's, or the budget too small.
        branches[last] = p - RECORD;
        const shadow = shadows[p >> 3];
        note(shadow);
        R[PLACE_END] = shadow + n * RECORD;
        return shadow;
      }
      n = left;
      const jumps = why[0] === LEFT_JUMP, z = why[1];
      let q = 0;
      if (n > 0 && (jumps || why[0] === LEFT_OTHER)) {
        const next = ways[z + EXIT_LINK];
        if (next !== 0) {
          if (jumps) {
            if (C[next + OP] === OP_REGION) {
              note(next);
              R[PLACE_END] = next + n * RECORD;
              return next;
            }
          } else if (after[C[next + OP]] === LEAVE) q = next;
        }
      }
      let ip = R[S.RIP];
      if (q === 0) {
        q = n > 0 ? placeOf(ip, R[S.RIP + 1]) : 0;
        if (q === 0) {
          R[PLACE_END] = LOOKUP_PLACE + n * RECORD;
          return LOOKUP_PLACE;
        }
        enterPage(ip & ~0xfff, long ? R[S.RIP + 1] : 0);
      }
      note(q);
      if (after[C[q + OP]] === LEAVE) {
        if (why[0] === LEFT_OTHER && (ways[z + EXIT_OFFSET] & -0x1000) === 0) {
          ways[z + EXIT_LINK] = q;
        }
        n = control(q, n, long);
        if (n < 0) return LOOKUP_PLACE;
        ip = R[S.RIP];
        q = placeOf(ip, R[S.RIP + 1]);
        if (q === 0) {
          R[PLACE_END] = LOOKUP_PLACE + n * RECORD;
          return LOOKUP_PLACE;
        }
        enterPage(ip & ~0xfff, long ? R[S.RIP + 1] : 0);
        note(q);
      } else if (jumps && C[q + OP] === OP_REGION && (ways[z + EXIT_OFFSET] & -0x1000) === 0) {
        ways[z + EXIT_LINK] = q;
      }
      R[PLACE_END] = q + n * RECORD;
      return q;
    };
  }

  /**
   * Goes on after the region entered at `p` was left for memory, with `n` instructions to do: makes the TLB serve
   * the access that comes next if it can, or delivers the page fault that it is.
   *
   * @param stuck whether the region did nothing
   * @param access its way out's {@linkcode EXIT_ACCESS}
   * @returns the place to go on at, for which `R[PLACE_END]` is set; 0 if nothing was done
   */
  // hot: bench/microbench, pgfault.
  private missed(p: number, n: number, stuck: boolean, id: number, access: number): number {
    const { R, store } = this, C = this.code.records, long = R[S.LONG] !== 0;
    let q = stuck ? p : this.placeOf(R[S.RIP], R[S.RIP + 1]);
    if (n === 0 || C[q + OP] < OP_REGION) {
      store.misses[id]++;
      return 0;
    }
    R[CURRENT] = q;
    R[PLACE_END] = q + n * RECORD;
    const met = this.resolve(access, long);
    n = (R[PLACE_END] - q) >> 3;
    if (stuck) this.branches[R[RING_AT] & (RING_SIZE - 1)] = p - RECORD;
    else {
      this.enterPage(R[S.RIP] & ~0xfff, long ? R[S.RIP + 1] : 0);
      this.retries = 0;
    }
    const isRegion = C[q + OP] === OP_REGION;
    if (met === RESOLVED && isRegion && this.retries++ < MOST_RETRIES) {
      this.note(q);
      return q;
    }
    if (met === UNRESOLVED) store.misses[id]++;
    if (isRegion) q = store.shadows[q >> 3];
    this.note(q);
    if (met !== FAULTS) {
      R[PLACE_END] = q + n * RECORD;
      return q;
    }
    this.note(q);
    n = this.fault(n, long);
    if (n < 0) return LOOKUP_PLACE;
    q = this.placeOf(R[S.RIP], R[S.RIP + 1]);
    if (q === 0) {
      R[PLACE_END] = LOOKUP_PLACE + n * RECORD;
      return LOOKUP_PLACE;
    }
    this.enterPage(R[S.RIP] & ~0xfff, long ? R[S.RIP + 1] : 0);
    this.note(q);
    R[PLACE_END] = q + n * RECORD;
    return q;
  }

  /** Makes the TLB serve the access that a region was left for, or notes the fault that it is. */
  private resolve(access: number, long: boolean): Resolution {
    const { x86: { mmu, mmu64 }, why } = this, low = why[2];
    if (access === 0 || (low & 0xfff) + (access & 0xff) > 0x1000) return UNRESOLVED;
    const write = (access & ACCESS_WRITE) !== 0, user = this.R[S.CPL] === 3;
    return long ? mmu64.resolve(low, why[3], write, user) : mmu.resolve(low, write, user);
  }

  protected override leaveRegion(): void {
    this.tell();
    this.enteredAt = 0;
  }

  /** Notes for the history what the region that executes has done until now. */
  private tell(): void {
    const { R, enteredAt } = this;
    if (enteredAt === 0) return;
    const last = R[RING_AT] & (RING_SIZE - 1),
      done = this.given - ((R[PLACE_END] - R[CURRENT]) >> 3);
    // The instruction that executes is listed by itself.
    this.branches[last] = (done === 0 ? enteredAt - RECORD : enteredAt) + BY_TRANSLATION;
    this.untold[last] = Math.max(0, done - 1);
  }

  override recent(count: number): ExecutedInstruction[] {
    this.tell();
    return super.recent(count);
  }

  /** A function that gives the record of an offset in CS if it was decoded before, or 0. */
  private makePlaceOf(): (ip: number, high: number) => number {
    // As variables, for V8: see `whereabouts.ts`.
    const { R, x86: { mmu: { tlb }, mmu64: { tlb: longTlb } }, code: { pages, places, recent } } =
      this;
    return (ip, high) => {
      let host = 0;
      if (R[S.LONG] !== 0) {
        const e = LONG_FETCH + R[LONG_BASE] + ((ip >>> 10) & 0xfffc);
        if (longTlb[e] !== (ip & -4096) || longTlb[e + 1] !== high) return 0;
        host = longTlb[e + 2];
      } else {
        if (R[CS_CHECK] !== 0) return 0;
        host = tlb[R[TLB_BASE] + (ip >>> 12)];
        if (host === SLOW) return 0;
      }
      const page = pages[R[MODE_BASE] + (host >>> 12)];
      if (page === 0) return 0;
      const key = (page << 12) | (ip & 0xfff), at = recentAt(key);
      if (recent[at] === key) return recent[at + 1];
      const place = places[key];
      if (place !== 0) {
        recent[at] = key;
        recent[at + 1] = place;
      }
      return place;
    };
  }

  /** Makes this processor's function of a region. */
  private bind(id: number): RegionFunction {
    const region = this.store.at(id), { make, long, exits, untold } = region;
    const scope = Object.values(long ? this.longScope : this.scope);
    const began = performance.now();
    this.waysOut[id] = exits;
    this.functions[id] = make(...scope, exits);
    this.store.spent(performance.now() - began);
    if (untold !== undefined) {
      region.untold = undefined;
      this.trace?.(tellRegion(untold, this.x86.R[PAGE_IP], long ? this.x86.R[PAGE_IP_HI] : 0));
    }
    return this.functions[id];
  }

  // What is hot.

  protected override afterStretch(): void {
    const { R, store, executed } = this, { heat } = store, now = this.instructions;
    if (this.joining !== 0) {
      const page = this.joining;
      this.joining = 0;
      this.join(page);
    }
    const interpreted = now - this.lookedAt - (executed - this.executedAt);
    if (interpreted < this.stretch >> 1 && interpreted >= 0) return;
    this.lookedAt = now;
    this.executedAt = executed;
    const newest = R[RING_AT], oldest = newest < this.lookedTo ? 0 : this.lookedTo;
    this.lookedTo = newest;
    let hottest = 0;
    heat.look(this.branches, newest, oldest, Math.max(0, interpreted), (page) => {
      if (heat.ofPage(page) >= store.limit(page, this.hot)) hottest = page;
    });
    if (hottest !== 0) this.compilePage(hottest);
  }

  protected override lookup(): number {
    return this.see(super.lookup());
  }

  protected override lookup64(): number {
    return this.see(super.lookup64());
  }

  protected override renew(p: number): void {
    super.renew(p);
    this.store.heat.reset(p);
    if (this.code.records[p + OP] !== OP_RESYNC) this.see(p);
  }

  private see(place: number): number {
    if (this.eager && place !== 0 && this.code.records[place + OP] !== OP_REGION) {
      const { heat } = this.store, page = this.code.recordPages[place >> 3];
      if (page !== 0 && heat.at(place) >= 0) {
        heat.leave(place);
        this.compile(page, [place], []);
      }
    }
    return place;
  }

  // Compilation.

  /** Compiles what is hot in a code page. */
  private compilePage(page: number): void {
    const { code, store } = this, { heat } = store, C = code.records;
    const mates = store.mates(page);
    const size = mates.reduce((n, { instructions }) => n + instructions, 0);
    const apart = heat.placesOf(page).filter((p) => C[p + OP] !== OP_REGION);
    // Within a block of a region is where slices happened to end, unless a jump was found to lead there since.
    const outside = apart.filter((p) =>
      !mates.some(({ inside }) => inside.has(C[p + F_PLACE] & 0xfff)) || this.isTarget(page, p)
    );
    const text = mates.reduce((n, { size }) => n + size, 0);
    const merge = outside.length > 0 && size < MOST_MERGED && text < MOST_TEXT * 0.8 &&
      store.limit(page, this.hot) < 2 ** MOST_MERGES * this.hot;
    const places = merge ? outside : apart;
    const least = places.length === 0 ? 0 : heat.at(places[0]) / 8;
    const hot = places.filter((p) => heat.at(p) >= least);
    if (merge) { for (const { places } of mates) hot.push(...places); }
    this.compile(page, hot, merge ? mates : undefined);
  }

  /** Whether a jump of a code page is known to lead to the record at `place`. */
  private isTarget(page: number, place: number): boolean {
    const { records: C, places } = this.code, { shadows } = this.store;
    for (let at = page << 12, end = at + 0x1000; at < end; at++) {
      const p = places[at];
      if (p === 0) continue;
      if (C[(C[p + OP] === OP_REGION ? shadows[p >> 3] : p) + F_LINK] === place) return true;
    }
    return false;
  }

  /** Makes one region of those of a page that go to each other all the time. */
  private join(page: number): void {
    const mates = this.store.mates(page);
    if (mates.length < 2) return;
    // Too long for one, they would lose what does not fit, which would be found hot again and joined again.
    if (mates.reduce((n, { size }) => n + size, 0) > MOST_TEXT) return;
    this.compile(page, mates.flatMap(({ places }) => places), mates, MOST_JOINED);
  }

  /**
   * Compiles the region that begins at the records at `places`, which takes the place of `mates`, or without
   * those is one beside what the page has.
   */
  private compile(
    page: number,
    places: readonly number[],
    mates?: readonly Region[],
    most = mates === undefined ? MOST_APART : MOST_INSTRUCTIONS,
  ): void {
    const began = performance.now();
    this.translate(page, places, mates, Math.min(this.most, most), began);
    this.store.spent(performance.now() - began);
  }

  private translate(
    page: number,
    places: readonly number[],
    mates: readonly Region[] | undefined,
    most: number,
    began: number,
  ): void {
    const { code, store } = this, { heat } = store, C = code.records;
    // Regions that are joined were paid for before.
    const joins = mates !== undefined && places.every((p) => C[p + OP] === OP_REGION);
    const owner = code.owners[page], host = owner % code.hostPages;
    const mode = Math.floor(owner / code.hostPages), long = mode === MODE_LONG;
    const flat = (mode & (MODE_BIG | MODE_FLAT)) === (MODE_BIG | MODE_FLAT);
    if (!long && !flat || !this.eager && store.changes(host) > MOST_INVALIDATIONS) {
      store.raise(page, Infinity);
      return;
    }
    if (places.length === 0) {
      heat.cool(page);
      store.raise(page, 2 * store.limit(page, this.hot));
      return;
    }
    const known = (offset: number) => code.places[(page << 12) | offset];
    const seen = (offset: number) => offset < 0x1000 && heat.seen[known(offset) >> 3] !== 0;
    const linked = (at: number) =>
      at !== 0 && C[(C[at + OP] === OP_REGION ? store.shadows[at >> 3] : at) + F_LINK] !== 0;
    const before = mates?.reduce((n, { instructions }) => n + instructions, 0) ?? 0;
    const merge = mates !== undefined, start = C[places[0] + F_PLACE] & 0xfff;
    const follow = (starts: readonly number[]) =>
      discover(
        code.decoder,
        {
          bytes: this.x86.bus.memory.host.bytes,
          base: host << 12,
          bits: long ? 64 : 32,
          protectedMode: long || (mode & MODE_PROTECTED) !== 0,
        },
        starts,
        {
          instructions: most,
          known: (offset) =>
            this.eager || seen(offset) && (merge || C[known(offset) + OP] !== OP_REGION),
          ways: (offset, target, next) => {
            if (this.eager) return [true, true];
            const jump = known(offset), taken = target >= 0 && target < 0x1000 ? known(target) : 0;
            // A jump that was taken within its page knows where it leads.
            return [taken !== 0 && (seen(target) || linked(jump)), seen(next)];
          },
        },
        hasMeaning,
      );
    let starts = [start], discovery = follow(starts);
    if (merge && places.length > 1) {
      // What is reached from the first place needs no entry, which would break up its loops.
      const reached = new Set<number>();
      for (const { insns } of discovery.blocks.values()) {
        for (const { offset } of insns) reached.add(offset);
      }
      const others = places.map((p) => C[p + F_PLACE] & 0xfff).filter((at) => !reached.has(at));
      starts = [...new Set([start, ...others])];
      if (starts.length > 1) discovery = follow(starts);
    }
    if (!discovery.blocks.has(start)) {
      heat.leave(places[0]);
      return;
    }
    let size = 0;
    for (const { insns } of discovery.blocks.values()) size += insns.length;
    const cost = (size - before) * this.hot / 80;
    if (!this.eager && !joins && heat.ofPage(page) < cost) {
      store.raise(page, cost);
      return;
    }
    const { flushes } = code;
    let full = false;
    const text = writeRegion(discovery, starts.filter((at) => discovery.blocks.has(at)), {
      long,
      grouped: !store.isCareful(page),
      meaning: emitMeaning,
      marker: (offset, next) => {
        const at = code.allocate(1);
        if (at === 0) {
          full = true;
          return 0;
        }
        C[at + OP] = OP_RESYNC;
        C[at + F_PLACE] = offset | (next << 16);
        return at;
      },
    });
    if (text.body.length > MOST_TEXT) {
      const fewer = Math.min(most, weigh(discovery)) * 0.9 * MOST_TEXT / text.body.length;
      this.translate(page, places, mates, Math.floor(fewer), began);
      return;
    }
    const make = new Function(
      ...Object.keys(this.scope),
      "EX",
      `"use strict";return (function region_${host.toString(16)}_${
        start.toString(16)
      }(n,e){${text.body}})`,
    ) as Region["make"];
    let from = 0x1000, to = 0;
    const inside = new Set<number>();
    for (const block of discovery.blocks.values()) {
      for (const { insn, offset } of block.insns) {
        from = Math.min(from, offset);
        if (offset !== block.start) inside.add(offset);
        to = Math.max(to, offset + insn.length);
      }
    }
    if (full) return;
    const entries = text.entries.map((offset) => code.find(host << 12, offset, mode));
    // Room ran out and everything was forgotten: what is still hot will be found again.
    if (code.flushes !== flushes) return;
    const { instructions } = text;
    let untold: UntoldRegion | undefined;
    if (this.trace !== undefined) {
      untold = untoldRegion(discovery, text, this.x86.bus.memory.host.bytes, {
        number: store.compiled + 1,
        instructions: this.instructions,
        heat: heat.ofPage(page),
        threshold: this.eager ? 0 : Math.max(cost, store.limit(page, this.hot)),
        replaces: merge ? mates.length : 0,
        bits: long ? 64 : 32,
        host: host << 12,
        hostTime: performance.now() - began,
      });
    }
    if (!this.eager) {
      if (merge) store.replace(page);
      heat.cool(page);
      store.raise(page, merge ? 2 * store.limit(page, this.hot) : store.limit(page, this.hot));
    }
    store.add(
      {
        make,
        exits: text.exits,
        long,
        host,
        page,
        from,
        to,
        instructions,
        inside,
        size: text.body.length,
        places: [],
        untold,
      },
      entries,
    );
  }
}

/** Whether an instruction has a meaning that regions contain, other than a helper's. */
function hasMeaning(insn: Insn): boolean {
  const { semantic } = insn.form.row;
  if (insn.operandSize === 64 && Object.hasOwn(SEMANTICS64, semantic)) return true;
  if (translatesString(insn)) return true;
  return (semantic === "leave" && !insn.long) || Object.hasOwn(SEMANTICS, semantic);
}
