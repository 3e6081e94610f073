/** Decides what of a page's hot code becomes which region, and makes the regions. */
import { MODE_BIG, MODE_FLAT, MODE_LONG, MODE_PROTECTED } from "../interp/code_cache.ts";
import type { CodeCache } from "../interp/code_cache.ts";
import { emitMeaning } from "../interp/operations.ts";
import { F_LINK, F_PLACE, OP, OP_REGION, OP_RESYNC } from "../interp/record.ts";
import type { Insn } from "../x86/decoder.ts";
import { SEMANTICS } from "../x86/semantics.ts";
import { SEMANTICS64 } from "../x86/semantics64.ts";
import { Cluster } from "./cluster.ts";
import {
  callOf,
  discover,
  type Discovery,
  forgetReturns,
  leading,
  offsetOf,
  weigh,
} from "./discover.ts";
import type { Heat } from "./heat.ts";
import { writeRegion } from "./region.ts";
import { RegionPages } from "./region_pages.ts";
import type { Region, RegionStore } from "./region_store.ts";
import { translatesString } from "./strings.ts";
import { type UntoldRegion, untoldRegion } from "./trace.ts";

/** How a compiler decides. */
export interface CompilerLimits {
  /** Whether code is compiled at first sight. */
  eager: boolean;
  /** Most guest instructions of a region. */
  most: number;
  /** Instructions interpreted in a page before it is compiled; an 80th of it for each instruction that is compiled. */
  hot: number;
  /** Most instructions of a function that becomes part of a region. */
  call: number;
  /** Whether somebody wants to be told of regions. */
  traces: boolean;
}

/** Most guest instructions of a region. */
const MOST_INSTRUCTIONS = 600;
/** Regions of a page that has no more instructions than this become one. */
const MOST_MERGED = 500;
/** How often the regions of a page are made one: each time V8 begins anew with all of its code. */
const MOST_MERGES = 2;
/** How often joined regions are made anew, with more entries or code. */
const MOST_EXTENDED = 8;
/** Most guest instructions of regions that are joined. */
export const MOST_JOINED = 1200;
/** A region is given entries where more than this part of the instructions around are interpreted; so many at a time. */
const INTERPRETED = 8, MOST_ADDED = 3;
/** Pages of a region, at most. */
const MOST_PAGES = 8;
/** Functions that become part of a region where they are called: most instructions of one and of all, and calls within each other. */
export const MOST_OF_CALL = 40;
const MOST_OF_CALLS = 200, MOST_DEPTH = 4;
/** With what it calls, a region is made anew if it becomes so many times as long. */
const GAINED = 1.2;
/** Most guest instructions of a region in a page that has more. */
const MOST_APART = 300;
/**
 * Most characters of a region's text. V8 never optimises a function above 61,440 bytes of bytecode, which is about as
 * many as characters: loops of 57,000 (ADC) and 66,000 characters (MULSS) made 270 and 120 million instructions a
 * second, with 61,000 and 72,000 it was 140 and 30. Programs cannot ask for more: Deno takes V8's flags on the command
 * line only.
 */
const MOST_TEXT = 55_000;
/** Bounds of regions that are joined. */
const JOINED = { instructions: MOST_JOINED, characters: MOST_TEXT, pages: MOST_PAGES };
/** Bounds of all regions of a page that are joined. */
const WHOLE = { instructions: MOST_MERGED, characters: MOST_TEXT * 0.9, pages: 1 };
/** After so many of a page's regions were invalidated its code is left to the interpreter. */
const MOST_INVALIDATIONS = 4;

/** Bounds of one region: see {@linkcode Compiler.compile}. */
interface Bounds {
  most: number;
  pages: ReadonlyMap<number, number>;
  entries?: readonly number[];
  again?: number;
  /** Most instructions of functions that become part of it. */
  calls?: number;
}

/** What a compiler works on. */
export interface CompilerSource {
  readonly code: CodeCache;
  readonly store: RegionStore;
  /** Of the host. */
  readonly memory: Uint8Array;
  /** Instructions executed until now, and those that regions executed. */
  readonly count: () => number;
  readonly executed: () => number;
  /** The code page a number of pages from one, as the processor sees both now; 0 if it does not, or there is none. */
  readonly near: (page: number, distance: number) => number;
}

/** Makes the regions that one processor finds hot. */
export class Compiler {
  private readonly code: CodeCache;
  private readonly store: RegionStore;

  /** @param names of what regions' texts refer to */
  constructor(
    private readonly source: CompilerSource,
    private readonly names: readonly string[],
    private readonly limits: CompilerLimits,
  ) {
    this.code = source.code;
    this.store = source.store;
  }

  /** Compiles what is hot in a code page. */
  compilePage(page: number): void {
    const { code, store } = this, { heat } = store, C = code.records;
    const mates = store.mates(page);
    const among = (p: number, offsets: "offsets" | "inside") =>
      mates.some(({ pages, [offsets]: all }) => {
        const { index } = pages.find((part) => part.page === page)!;
        return all.has((index << 12) | (C[p + F_PLACE] & 0xfff));
      });
    const apart = heat.placesOf(page).filter((p) => C[p + OP] !== OP_REGION);
    // Within a block of a region is where slices happened to end, unless a jump was found to lead there since.
    const outside = apart.filter((p) => !among(p, "inside") || this.isTarget(page, p));
    const joined = mates.some(({ joined }) => joined);
    if (joined) {
      if (this.isMuch(page)) {
        if (this.extend(page, outside)) return;
      } else {
        // Making all of it anew would cost more than it gives.
        const beside = outside.filter((p) => !among(p, "offsets"));
        if (beside.length > 0) this.compile(page, hottest(heat, beside));
        else this.leave(page);
        return;
      }
    }
    const size = mates.reduce((n, { instructions }) => n + instructions, 0);
    const text = mates.reduce((n, { size }) => n + size, 0);
    const merge = outside.length > 0 && size < MOST_MERGED && text < MOST_TEXT * 0.8 &&
      store.limit(page, this.limits.hot) < 2 ** MOST_MERGES * this.limits.hot &&
      !joined;
    const hot = hottest(heat, merge ? outside : apart);
    if (merge) { for (const { places } of mates) hot.push(...places); }
    this.compile(page, hot, merge ? mates : undefined);
  }

  /** Leaves a code page as it is until it is hot again. */
  private leave(page: number): void {
    this.store.heat.cool(page);
    this.store.make(page, this.source.executed());
  }

  /** Whether much was interpreted in a code page, measured by what regions executed since it was compiled last. */
  private isMuch(page: number): boolean {
    const { store, source } = this;
    return store.heat.ofPage(page) * INTERPRETED > source.executed() - store.madeAt(page);
  }

  /** Makes regions of a code page that were joined anew with what is hot there now; false if that does not fit. */
  private extend(page: number, places: readonly number[]): boolean {
    const { store, code } = this, { heat } = store, C = code.records;
    const cluster = new Cluster(store, JOINED);
    if (places.length === 0 || store.merged(page) >= MOST_EXTENDED || !cluster.add(page, 0)) {
      return false;
    }
    const hot = hottest(heat, places);
    // What the regions contain, but cannot be entered at.
    const within = hot.filter((p) => cluster.offsets.has(C[p + F_PLACE] & 0xfff));
    const regions = [...cluster.regions];
    const entries = [...within.slice(0, MOST_ADDED), ...regions.flatMap(({ added }) => added)];
    hot.push(...regions.flatMap(({ places }) => places));
    this.compile(page, hot, regions, { most: MOST_JOINED, pages: cluster.pages, entries });
    return true;
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

  /** Makes one region of one and those that it is left for all the time, in its pages and others. */
  join(id: number): void {
    const { code, store } = this, region = store.find(id);
    if (region === undefined) return;
    const cluster = new Cluster(store, JOINED);
    // Too long for one, they would lose what does not fit, which would be found hot again and joined again.
    const [{ page: first }] = region.pages;
    if (!cluster.add(first, 0)) return;
    const owner = code.owners[first],
      modeOf = (owner: number) => Math.floor(owner / code.hostPages);
    store.ways.around(
      owner,
      (other, distance) =>
        code.pages[other] !== 0 && modeOf(other) === modeOf(owner) &&
        cluster.add(code.pages[other], distance),
    );
    if (cluster.regions.size < 2) return;
    const regions = [...cluster.regions];
    const arrivals = (p: number) => store.ways.arrivals(p);
    const places = regions.flatMap(({ places }) => places).sort((a, b) =>
      arrivals(b) - arrivals(a)
    );
    this.compile(first, places, regions, { most: MOST_JOINED, pages: cluster.pages, entries: [] });
  }

  /** Makes one region of those of a page, or one anew if more of what it calls can be part of it now. */
  remake(id: number): void {
    const { store } = this, region = store.find(id);
    if (region === undefined) return;
    const { joined, added, places, pages } = region, [{ page }] = pages, mates = store.mates(page);
    if (!joined && mates.length > 1 && !mates.some(({ joined }) => joined)) {
      const cluster = new Cluster(store, WHOLE);
      if (cluster.add(page, 0)) {
        const all = mates.flatMap(({ places }) => places);
        this.compile(page, all, mates, { most: MOST_INSTRUCTIONS, entries: [] });
        return;
      }
    }
    const own = new Map<number, number>();
    for (const { page, index, borrowed } of pages) if (!borrowed) own.set(page, index);
    const most = joined ? MOST_JOINED : MOST_INSTRUCTIONS, entries = joined ? added : undefined;
    this.compile(page, [...places], [region], { most, pages: own, entries, again: id });
  }

  /**
   * Compiles the region that begins at the records at `places`, which takes the place of `mates`, or without
   * those is one beside what the page has.
   *
   * @param bounds.pages the code pages that may be part of it, with their linear distances in pages
   * @param bounds.again the number of the only one of `mates`, of whose pages others are to stay
   * @param bounds.entries records among `places` at which it is entered though others lead there
   */
  compile(
    page: number,
    places: readonly number[],
    mates?: readonly Region[],
    {
      most = mates === undefined ? MOST_APART : MOST_INSTRUCTIONS,
      pages = new Map([[page, 0]]),
      entries,
      again,
    }: Partial<Bounds> = {},
  ): void {
    const began = performance.now(),
      bounds = { most: Math.min(this.limits.most, most), pages, entries, again };
    this.translate(page, places, mates, bounds, began);
    this.store.spent(performance.now() - began);
  }

  private translate(
    page: number,
    places: readonly number[],
    mates: readonly Region[] | undefined,
    bounds: Bounds,
    began: number,
  ): void {
    const { code, store } = this,
      { heat } = store,
      C = code.records,
      { most, pages, again } = bounds;
    // Regions that are joined were paid for before.
    const joins = mates !== undefined && places.every((p) => C[p + OP] === OP_REGION);
    const hostOf = (page: number) => code.owners[page] % code.hostPages;
    const owner = code.owners[page], host = hostOf(page);
    const mode = Math.floor(owner / code.hostPages), long = mode === MODE_LONG;
    const flat = (mode & (MODE_BIG | MODE_FLAT)) === (MODE_BIG | MODE_FLAT);
    if (!long && !flat || !this.limits.eager && store.changes(host) > MOST_INVALIDATIONS) {
      store.raise(page, Infinity);
      return;
    }
    if (places.length === 0) {
      heat.cool(page);
      store.raise(page, 2 * store.limit(page, this.limits.hot));
      return;
    }
    const near = (index: number) => this.source.near(page, index - pages.get(page)!);
    const reach = new RegionPages(code, pages, near), { own, borrowed } = reach;
    const seen = (offset: number) => heat.seen[reach.placeAt(offset) >> 3] !== 0;
    const offsetAt = (place: number) => reach.offsetAt(place);
    const linked = (at: number) =>
      at !== 0 && C[(C[at + OP] === OP_REGION ? store.shadows[at >> 3] : at) + F_LINK] !== 0;
    // What was made from a page is found there again, if it is to be.
    const mayContain = (place: number) =>
      again === undefined && merge || C[place + OP] !== OP_REGION || places.includes(place);
    const before = mates?.reduce((n, { offsets }) => n + offsets.size, 0) ?? 0;
    const merge = mates !== undefined, start = offsetAt(places[0]);
    const { calls = MOST_OF_CALLS } = bounds;
    const follow = (starts: readonly number[]) =>
      discover(
        code.decoder,
        {
          bytes: this.source.memory,
          bits: long ? 64 : 32,
          protectedMode: long || (mode & MODE_PROTECTED) !== 0,
          pages: own,
          borrowed,
        },
        starts,
        {
          instructions: most,
          known: (offset) => this.limits.eager || seen(offset) && mayContain(reach.placeAt(offset)),
          ways: (offset, target, next) => {
            if (this.limits.eager) return [true, true];
            const jump = reach.placeAt(offset), taken = reach.placeAt(target);
            // A jump that was taken within its page knows where it leads.
            return [taken !== 0 && (seen(target) || linked(jump)), seen(next)];
          },
          calls: {
            each: this.limits.call,
            all: calls,
            depth: MOST_DEPTH,
            known: (offset) => reach.borrow(offset >> 12) && (this.limits.eager || seen(offset)),
          },
        },
        hasMeaning,
      );
    const all = merge ? places.map(offsetAt) : [start];
    let starts = [start];
    if (bounds.entries !== undefined) {
      starts = [...new Set([...leading(follow(all), all), ...bounds.entries.map(offsetAt)])];
    }
    let discovery = follow(starts);
    if (bounds.entries !== undefined) forgetReturns(discovery);
    else if (all.length > 1) {
      // What is reached from the first place needs no entry, which would break up its loops.
      const reached = new Set(
        [...discovery.blocks.values()].flatMap(({ insns }) => insns.map(({ offset }) => offset)),
      );
      starts = [...new Set([start, ...all.filter((at) => !reached.has(at))])];
      if (starts.length > 1) discovery = follow(starts);
    }
    starts = starts.filter((at) => discovery.blocks.has(at));
    if (starts.length === 0) {
      heat.leave(places[0]);
      return;
    }
    let size = 0, parts = 0;
    for (const { start, insns } of discovery.blocks.values()) {
      if (callOf(start) === 0) size += insns.length;
      else parts += insns.length;
    }
    const hosts = reach.hosts(discovery);
    if (again !== undefined && size + parts < store.at(again).instructions * GAINED) return;
    const cost = (size - before) * this.limits.hot / 80;
    if (!this.limits.eager && !joins && heat.ofPage(page) < cost) {
      store.raise(page, cost);
      return;
    }
    const { flushes } = code;
    let full = false;
    const text = writeRegion(discovery, starts, {
      long,
      grouped: ![...pages.keys()].some((page) => store.isCareful(page)),
      pages: hosts,
      meaning: emitMeaning,
      marker: (offset, next) => {
        const at = code.allocate(1);
        if (at === 0) {
          full = true;
          return 0;
        }
        C[at + OP] = OP_RESYNC;
        C[at + F_PLACE] = (offset & 0xfff) | ((next - (offset & -0x1000)) << 16);
        return at;
      },
    });
    if (text.body.length > MOST_TEXT) {
      if (parts > 0 && calls > 0) {
        // As many as fit, taking all instructions for equally long, and fewer than before in any case.
        const own = text.body.length * size / (size + parts), room = 0.9 * MOST_TEXT - own;
        const fewer = Math.max(0, Math.floor(parts * room / (text.body.length - own)));
        const less = Math.min(fewer, calls >> 1);
        this.translate(page, places, mates, { ...bounds, calls: less }, began);
        return;
      }
      // Regions that are there serve better than one that has not all of their code.
      if (bounds.entries !== undefined) {
        this.leave(page);
        return;
      }
      const fewer = Math.min(most, weigh(discovery)) * 0.9 * MOST_TEXT / text.body.length;
      this.translate(page, places, mates, { ...bounds, most: Math.floor(fewer) }, began);
      return;
    }
    const make = new Function(
      ...this.names,
      "EX",
      `"use strict";return (function region_${hosts.get(starts[0] >> 12)!.toString(16)}_${
        (starts[0] & 0xfff).toString(16)
      }(n,e){${text.body}})`,
    ) as Region["make"];
    if (full) return;
    const entries = text.entries.map((offset) =>
      code.find(hosts.get(offset >> 12)! << 12, offset & 0xfff, mode)
    );
    // Room ran out and everything was forgotten: what is still hot will be found again.
    if (code.flushes !== flushes) return;
    const { instructions } = text, { spans, offsets, inside } = extent(discovery);
    let untold: UntoldRegion | undefined;
    if (this.limits.traces) {
      untold = untoldRegion(discovery, text, this.source.memory, {
        number: store.compiled + 1,
        instructions: this.source.count(),
        heat: heat.ofPage(page),
        threshold: this.limits.eager ? 0 : Math.max(cost, store.limit(page, this.limits.hot)),
        replaces: merge ? mates.length : 0,
        bits: long ? 64 : 32,
        host: host << 12,
        hosts,
        hostTime: performance.now() - began,
      });
    }
    if (again !== undefined) store.replaceOne(again);
    else {
      for (const page of pages.keys()) {
        if (merge && mates.length > 0) store.replace(page);
        if (this.limits.eager) continue;
        const limit = store.limit(page, this.limits.hot);
        if (merge) {
          if (mates.length > 0) store.countMerge(page);
          const joined = Math.max(limit, this.limits.hot * 2 ** store.merged(page));
          store.raise(page, bounds.entries === undefined ? 2 * limit : joined);
        }
        this.leave(page);
      }
    }
    store.add(
      {
        make,
        exits: text.exits,
        long,
        pages: [...spans].map(([index, span]) => ({
          page: reach.page(index),
          index,
          host: hosts.get(index)!,
          borrowed: borrowed.has(index),
          ...span,
        })).sort((a, b) => rank(a) - rank(b)),
        instructions,
        offsets,
        inside,
        size: text.body.length,
        places: [],
        joined: bounds.entries !== undefined,
        added: bounds.entries ?? [],
        tried: false,
        again: 0,
        untold,
      },
      entries,
    );
  }
}

/** Which bytes of its pages a region is made from, by index, and the offsets of its own instructions: see {@linkcode Region}. */
function extent({ blocks }: Discovery) {
  const spans = new Map<number, { from: number; to: number }>();
  const inside = new Set<number>(), offsets = new Set<number>();
  for (const { start, insns } of blocks.values()) {
    const index = offsetOf(start) >> 12, span = spans.get(index) ?? { from: 0x1000, to: 0 };
    spans.set(index, span);
    for (const { insn, offset } of insns) {
      const at = offset & 0xfff;
      span.from = Math.min(span.from, at);
      span.to = Math.max(span.to, at + insn.length);
      if (callOf(start) !== 0) continue;
      offsets.add(offset);
      if (offset !== start) inside.add(offset);
    }
  }
  return { spans, offsets, inside };
}

/** Order of a region's pages: the first of its own is that which offsets count from, if there is code in it. */
function rank({ borrowed, index }: { borrowed: boolean; index: number }): number {
  return borrowed ? 2 : index === 0 ? 0 : 1;
}

/** The places that have at least an eighth of the first one's heat. */
function hottest(heat: Heat, places: readonly number[]): number[] {
  return places.filter((p) => heat.at(p) >= heat.at(places[0]) / 8);
}

/** Whether an instruction has a meaning that regions contain, other than a helper's. */
function hasMeaning(insn: Insn): boolean {
  const { semantic } = insn.form.row;
  if (insn.operandSize === 64 && Object.hasOwn(SEMANTICS64, semantic)) return true;
  if (translatesString(insn)) return true;
  return (semantic === "leave" && !insn.long) || Object.hasOwn(SEMANTICS, semantic);
}
