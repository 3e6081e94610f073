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
import { PURE } from "../x86/integer.ts";
import { LONG_HELPERS } from "../x86/long_helpers.ts";
import * as LongTables from "../x86/long_mmu.ts";
import * as Tables from "../x86/mmu.ts";
import type { Resolution } from "../x86/mmu.ts";
import type { CpuModel } from "../x86/models.ts";
import * as Words from "../x86/state.ts";
import { WIDE } from "../x86/wide.ts";
import * as Tlb from "../x86/tlb.ts";
import { invalidate } from "../x86/system/control.ts";
import { input, output } from "../x86/system/io.ts";
import { GUARDS, HELPERS } from "../x86/table.ts";
import { recentAt } from "../interp/code_cache.ts";
import { Interpreter } from "../interp/interpreter.ts";
import * as After from "../interp/operations.ts";
import * as Records from "../interp/record.ts";
import { Compiler, MOST_JOINED, MOST_OF_CALL } from "./compiler.ts";
import type { Spot } from "./hops.ts";
import { stringScope } from "./strings.ts";
import { ENTRY_PAGE, NO_PAGE } from "./region.ts";
import { x87Scope } from "./x87.ts";
import * as Exits from "./emitter.ts";
import { carriesOf, wideCarriesOf, wideResult } from "./emitter.ts";
import { vectorScope } from "./inexact.ts";
import * as Store from "./region_store.ts";
import { type RegionFunction, RegionStore } from "./region_store.ts";
import { tellRegion } from "./trace.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const {
  BY_TRANSLATION,
  CODE_END,
  CURRENT,
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
const { LONG_FETCH, LONG_USER } = LongTables;
const { FAULTS, RESOLVED, TLB_USER, UNRESOLVED } = Tables;
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
  /** Entries of a region after which it is judged, a power of two, and how many in all until regions are joined; for tests. */
  trial?: number;
  join?: number;
  /** Most instructions of a function that becomes part of regions that call it; for tests. */
  call?: number;
  /** Characters that the texts of all regions may have together; for tests. */
  budget?: number;
  /** Told of each region when it is entered for the first time. Must not throw. */
  trace?: (region: TranslatedRegion) => void;
}

/** Instructions between two looks at what is hot. */
const SAMPLE = 16_384;
/** Where regions do nearly everything there are so many. */
const LONGEST_STRETCH = 1 << 18;
/** Instructions interpreted in a page before it is compiled; an 80th of it for each instruction that is compiled. */
const HOT = 250_000;
/** Regions are left for others of their page so often, doing less than so much in between, until they become one. */
const JOIN_AFTER = 2_000_000, JOIN_BELOW = 64;
/** A region that does no more is made again after so many trials, if that is of use, and after four times as many. */
const AGAIN = 16;
/** Instructions that a region does in the time that leaving it for memory takes, about. */
const MISS_COST = 500;
/** A region that does less than so many instructions a time, over so many times, is not worth being entered. */
const WORTH = 4, TRIAL = 1024;
/** How often a region is entered again in a row for accesses of one instruction that the TLB did not serve. */
const MOST_RETRIES = 2;

/**
 * Instructions that a region does at once, at most, in its first so many entries and later. V8 counts entries, and of
 * those in Maglev's code nothing else: after 3,000 it makes better code.
 */
const SHORT = 1024, LONG = 8192, YOUNG = 4096;

const NOWHERE: Spot = { owner: 0, linear: 0 };

/** A processor whose hot code is translated. */
export class Translator extends Interpreter {
  private readonly eager: boolean;
  private readonly most: number;
  private readonly hot: number;
  private readonly trial: number;
  private readonly joinAfter: number;
  private readonly call: number;
  private readonly sample: number;
  private readonly trace: JitOptions["trace"];
  /** What the processors of one board share, and this one's own functions by region number. */
  private readonly store: RegionStore;
  private readonly functions: (RegionFunction | undefined)[] = [];
  /** Their ways out, by region number. */
  private readonly waysOut: (Int32Array | undefined)[] = [];
  /** Whether a way out may have a link, which means the same page: regions of one page, by number. */
  private readonly links: (boolean | undefined)[] = [];
  private readonly compiler: Compiler;
  private readonly scope: Record<string, unknown>;
  /** The same for 64-bit code. */
  private readonly longScope: Record<string, unknown>;
  /**
   * Why a region was left, by which way out, and the address of an access that made it, in two halves; and see
   * {@linkcode ENTRY_PAGE}.
   */
  private readonly why = Int32Array.of(0, 0, 0, 0, NO_PAGE);
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
  /** The region that is to become one with those that it leads to, or -1. */
  private joining = -1;
  /** One that is to be made again. */
  private remaking = -1;
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
    this.trial = peer?.trial ?? options.trial ?? TRIAL;
    this.joinAfter = peer?.joinAfter ?? options.join ?? JOIN_AFTER;
    this.call = peer?.call ?? options.call ?? MOST_OF_CALL;
    this.stretch = this.sample = peer?.sample ?? options.sample ?? SAMPLE;
    this.store = peer?.store ?? new RegionStore(this.code, options.budget);
    this.store.join(this.functions, this.waysOut, this.links);
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
      FETCH: executesFrom(x86.mmu.tlb, x86.R),
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
    // What is told changes while code executes.
    const count = () => this.instructions, executed = () => this.executed;
    const near = (page: number, distance: number) => this.near(page, distance);
    this.compiler = new Compiler(
      { code: this.code, store: this.store, memory: bus.memory.host.bytes, count, executed, near },
      Object.keys(this.scope),
      {
        eager: this.eager,
        most: this.most,
        hot: this.hot,
        call: this.call,
        traces: this.trace !== undefined,
      },
    );
    this.placeOf = this.makePlaceOf();
    this.runRegion = this.makeRunRegion();
    this.longScope = {
      ...this.scope,
      HELPERS: { ...HELPERS, ...LONG_HELPERS },
      FETCH: executesFromLong(x86.mmu64.tlb, x86.R),
    };
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
    const { R, x86, store, exits, why, functions, waysOut, links, untold, branches } = this;
    const { operations: { after }, whereabouts: { note, enterPage } } = this, C = this.code.records;
    const { entryOf, shadows, work, uses, ways: hops, entered: lastEntered } = store;
    const mask = this.trial - 1;
    const control = this.makeControl(), placeOf = this.placeOf;
    return (p) => {
      const long = R[S.LONG] !== 0;
      let n = (R[PLACE_END] - p) >> 3;
      const entry = entryOf[p >> 3], id = (entry >> 6) & (COUNTED - 1);
      const judged = (++uses[id] & mask) === 0, from = judged ? this.spotOf(p) : NOWHERE;
      const run = functions[entry >> 6] ?? this.bind(entry >> 6, p);
      this.entered++;
      note(p + BY_TRANSLATION);
      const most = uses[id] < YOUNG ? SHORT : LONG, later = n > most ? n - most : 0;
      n -= later;
      this.left += later;
      this.enteredAt = p;
      this.given = n;
      // The region may be given up before its way out is asked for: a port that it writes may start a transfer into it.
      const ways = waysOut[entry >> 6]!;
      const total = this.target - this.left;
      let left = run(n, entry & 63);
      this.enteredAt = 0;
      if (why[0] === LEFT_ATTENTION) {
        // What the instruction executed last cut off from the slice is not done.
        n = (n - (total - (this.target - this.left))) | 0;
        x86.attention = false;
      } else {
        this.left -= later;
        n += later;
        left += later;
      }
      exits[why[0]]++;
      lastEntered[id] = store.compiled;
      work[id] += n - left;
      this.executed += n - left;
      if (judged) this.judge(entry >> 6);
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
              if (judged) hops.note(from, this.spotOf(next), next);
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
        if (
          why[0] === LEFT_OTHER && links[entry >> 6] && (ways[z + EXIT_OFFSET] & -0x1000) === 0
        ) {
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
      } else if (C[q + OP] === OP_REGION) {
        if (judged) hops.note(from, this.spotOf(q), q);
        if (jumps && links[entry >> 6] && (ways[z + EXIT_OFFSET] & -0x1000) === 0) {
          ways[z + EXIT_LINK] = q;
        }
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

  /** Where the region is entered whose record is at `p`, in the page that the processor is in. */
  private spotOf(p: number): Spot {
    const { R, code, store } = this, { owners, recordPages } = code;
    const { pages } = store.at(store.entryOf[p >> 3] >> 6), page = recordPages[p >> 3];
    const part = pages.find((part) => part.page === page) ?? pages[0];
    return {
      owner: owners[pages[0].page],
      linear: (R[PAGE_IP] >>> 12) - part.index + pages[0].index,
    };
  }

  /** Decides after some entries whether a region is worth being entered. */
  private judge(id: number): void {
    const { store, trial } = this, { work, misses } = store, at = id & (COUNTED - 1);
    const done = work[at], missed = misses[at], region = store.find(id);
    work[at] = misses[at] = 0;
    // What it executed may have changed its code.
    if (region === undefined) return;
    const { page } = region.pages[0];
    if (missed > trial >> 3 && missed * MISS_COST > done && !store.isCareful(page)) {
      store.beCareful(id);
    } else if (done < trial * WORTH) {
      // It may be worth more as part of a larger one.
      if (!region.tried) this.remaking = id;
      else if (!this.eager) store.giveUp(id, this.hot);
      region.tried = true;
    } else if (done < trial * JOIN_BELOW) {
      const uses = store.uses[at];
      if (region.again === 0) region.again = AGAIN * trial;
      if (store.hopped(page, trial, this.joinAfter)) this.joining = id;
      else if (uses >= region.again) {
        region.again *= 4;
        this.remaking = id;
      }
    }
  }

  protected override leaveRegion(): void {
    this.tell();
    this.enteredAt = 0;
    const { R, why } = this, page = why[ENTRY_PAGE];
    why[ENTRY_PAGE] = NO_PAGE;
    // The instruction that ends here is in another page than where the region was entered.
    if (page !== NO_PAGE && page !== R[PAGE_IP]) this.note(-1 - (page >>> 12));
  }

  protected override get enteredPage(): number | undefined {
    const page = this.why[ENTRY_PAGE];
    return page === NO_PAGE ? undefined : page;
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
      let host = 0, at = ip;
      if (R[S.LONG] !== 0) {
        const e = LONG_FETCH + R[LONG_BASE] + ((ip >>> 10) & 0xfffc);
        if (longTlb[e] !== (ip & -4096) || longTlb[e + 1] !== high) return 0;
        host = longTlb[e + 2];
      } else {
        if ((ip >>> 0) >= (R[CODE_END] >>> 0)) return 0;
        at = (R[S.SEG_BASE + S.CS] + ip) | 0;
        host = tlb[R[TLB_BASE] + (at >>> 12)];
        if (host === SLOW) return 0;
      }
      const page = pages[R[MODE_BASE] + (host >>> 12)];
      if (page === 0) return 0;
      const key = (page << 12) | (at & 0xfff), i = recentAt(key);
      if (recent[i] === key) return recent[i + 1];
      const place = places[key];
      if (place !== 0) {
        recent[i] = key;
        recent[i + 1] = place;
      }
      return place;
    };
  }

  /** See `CompilerSource`. */
  private near(page: number, distance: number): number {
    const { code: { owners, pages, hostPages }, store: { heat } } = this;
    const low = heat.linearOf(page), owner = owners[page], host = owner % hostPages;
    for (const user of [false, true]) {
      if (this.fetched(low, user) !== host) continue;
      const other = this.fetched(low + (distance << 12), user);
      if (other >= 0) return pages[owner - host + other];
    }
    return 0;
  }

  /** The host page that code is fetched from at the linear address of a page, as far as the TLB knows, or -1. */
  private fetched(low: number, user: boolean): number {
    const { R, x86: { mmu: { tlb }, mmu64: { tlb: longTlb } } } = this;
    if (R[S.LONG] === 0) {
      const host = tlb[(user ? TLB_USER : 0) + (low >>> 12)];
      return host === SLOW ? -1 : host >>> 12;
    }
    const e = LONG_FETCH + (user ? LONG_USER : 0) + ((low >>> 10) & 0xfffc);
    return longTlb[e] === (low | 0) ? longTlb[e + 2] >>> 12 : -1;
  }

  /** Makes this processor's function of a region. */
  private bind(id: number, p: number): RegionFunction {
    const region = this.store.at(id), { make, long, exits, untold } = region;
    const scope = Object.values(long ? this.longScope : this.scope);
    const began = performance.now();
    this.waysOut[id] = exits;
    this.links[id] = region.pages.filter(({ borrowed }) => !borrowed).length === 1;
    this.functions[id] = make(...scope, exits);
    this.store.spent(performance.now() - began);
    if (untold !== undefined) {
      region.untold = undefined;
      const { R } = this.x86, low = this.spotOf(p).linear << 12;
      this.trace?.(tellRegion(untold, low, long ? R[PAGE_IP_HI] : 0));
    }
    return this.functions[id];
  }

  // What is hot.

  protected override afterStretch(): void {
    const { R, store, executed } = this, { heat } = store, now = this.instructions;
    if (this.joining >= 0) {
      const id = this.joining;
      this.joining = -1;
      this.compiler.join(id);
    }
    if (this.remaking >= 0) {
      const id = this.remaking;
      this.remaking = -1;
      this.compiler.remake(id);
    }
    const interpreted = now - this.lookedAt - (executed - this.executedAt);
    // Where regions do nearly everything, being interrupted by looks costs more than they tell.
    if (this.sample === SAMPLE) {
      this.stretch = interpreted > this.stretch >> 4
        ? SAMPLE
        : Math.min(2 * this.stretch, LONGEST_STRETCH);
    }
    if (interpreted < this.stretch >> 1 && interpreted >= 0) return;
    this.lookedAt = now;
    this.executedAt = executed;
    const newest = R[RING_AT], oldest = newest < this.lookedTo ? 0 : this.lookedTo;
    this.lookedTo = newest;
    let hottest = 0;
    heat.look(this.branches, newest, oldest, R[PAGE_IP], Math.max(0, interpreted), (page) => {
      if (heat.ofPage(page) >= store.limit(page, this.hot)) hottest = page;
    });
    if (hottest !== 0) this.compiler.compilePage(hottest);
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
        this.compiler.compile(page, [place], []);
      }
    }
    return place;
  }
}

/** Tells whether the page that is `distance` bytes from the one at `pip` is executed from host page `host`. */
function executesFrom(tlb: Int32Array, R: Int32Array) {
  return (pip: number, distance: number, host: number): boolean => {
    const t = tlb[R[TLB_BASE] + ((pip + distance) >>> 12)];
    return t !== SLOW && t >>> 12 === host;
  };
}

/** The same in 64-bit code, where `piph` is the high half of the address; false across multiples of 4 GiB. */
function executesFromLong(tlb: Int32Array, R: Int32Array) {
  return (pip: number, piph: number, distance: number, host: number): boolean => {
    const low = (pip + distance) | 0;
    if (distance < 0 ? (low >>> 0) > (pip >>> 0) : (low >>> 0) < (pip >>> 0)) return false;
    const e = LONG_FETCH + R[LONG_BASE] + ((low >>> 10) & 0xfffc);
    return tlb[e] === low && tlb[e + 1] === piph && tlb[e + 2] >>> 12 === host;
  };
}
