/** The regions that exist, by the records that lead to them and by the pages that they were made from. */
import type { CodeCache } from "../interp/code_cache.ts";
import { Heat } from "./heat.ts";
import { Hops } from "./hops.ts";
import { F_PLACE, F_REG, OP, OP_GOTO, OP_REGION, RECORD } from "../interp/record.ts";
import type { UntoldRegion } from "./trace.ts";

/** Executes up to `n` instructions from entry `e` on; gives what is left of them. */
export type RegionFunction = (n: number, e: number) => number;

/** The part of a region that is in one page. */
export interface RegionPage {
  /** Its code page number in the code cache. */
  readonly page: number;
  /** How many pages its linear address is from the first page's. */
  readonly index: number;
  /** Host page number, and the span of offsets in the page that the region was made from. */
  readonly host: number;
  readonly from: number;
  readonly to: number;
  /** Whether only functions that the region calls are there: it is not one of the page's regions. */
  readonly borrowed: boolean;
}

/** Translated code. */
export interface Region {
  /** Makes the function for a processor, given what its text refers to. */
  readonly make: (...scope: unknown[]) => RegionFunction;
  /** Its ways out, see `emitter.ts`. */
  readonly exits: Int32Array<ArrayBuffer>;
  /** Whether it is of 64-bit code. */
  readonly long: boolean;
  /** The pages that it was made from, the one that its offsets count from being the first. */
  readonly pages: readonly RegionPage[];
  readonly instructions: number;
  /** Offsets of its instructions, and of those that no block begins with. */
  readonly offsets: ReadonlySet<number>;
  readonly inside: ReadonlySet<number>;
  /** Length of its text. */
  readonly size: number;
  /** Whether it took the place of regions that led to each other, with as few entries as may be. */
  readonly joined: boolean;
  /** Records at which it is entered though others lead there. */
  readonly added: readonly number[];
  /** Records that lead here. */
  readonly places: number[];
  /** Whether it was found not to be worth being entered, and tried to be made better. */
  tried: boolean;
  /** Entries after which it is to be made again if that is of use; 0 as long as none are set. */
  again: number;
  /** What tracing is to be told when it is entered for the first time. */
  untold?: UntoldRegion;
}

/**
 * Characters that the texts of all regions may have together. Linux (i386) to its shell needs 1.3 million.
 */
const BUDGET = 6_000_000;

/** Where a region began that was not worth being entered, so many times as much is interpreted until it is hot. */
const UNWORTHY = 16;
/** Regions that are judged apart; a power of two. */
export const COUNTED = 1 << 14;

/** The regions of all processors that share a code cache. */
export class RegionStore {
  readonly heat: Heat;
  /** By record: region and entry; the copy of the record that a region's stands for. */
  readonly entryOf: Int32Array;
  readonly shadows: Int32Array;
  /** By region number modulo {@linkcode COUNTED}: how often it was entered, and instructions since it was last judged. */
  readonly uses: Int32Array = new Int32Array(COUNTED);
  readonly work: Int32Array = new Int32Array(COUNTED);
  /** Likewise: how often it was left for memory that it could not reach. */
  readonly misses: Int32Array = new Int32Array(COUNTED);
  /** Regions that exist, and the length of their texts. */
  regions = 0;
  bytes = 0;
  /** What was ever compiled, and given up since code changed. */
  compiled = 0;
  instructions = 0;
  invalidated = 0;
  /** Regions that ended in other ways: see `TranslationStatistics`. */
  replaced = 0;
  unworthy = 0;
  evicted = 0;
  /** Regions compiled until now, by region number modulo {@linkcode COUNTED} as each was entered last: its age. */
  readonly entered: Int32Array = new Int32Array(COUNTED);
  forgotten = 0;
  /** Host milliseconds that translating took, and the most at once: reported, and never looked at here. */
  compileTime = 0;
  longestCompile = 0;
  /** Which regions lead to which. */
  readonly ways: Hops = new Hops();
  private readonly list: (Region | undefined)[] = [];
  private readonly members: unknown[][] = [];
  private readonly byPage = new Map<number, Set<number>>();
  private readonly careful = new Set<number>();
  private readonly hops = new Map<number, { count: number; limit: number }>();
  /** By owner of a code page, see {@linkcode CodeCache.owners}. */
  private readonly limits = new Map<number, number>();
  /** Likewise: how often what is hot became part of regions that were there. */
  private readonly merges = new Map<number, number>();
  private readonly made = new Map<number, number>();
  private readonly invalidations = new Map<number, number>();

  constructor(private readonly code: CodeCache, private readonly budget = BUDGET) {
    const records = code.records.length / RECORD;
    this.heat = new Heat(code);
    this.entryOf = new Int32Array(records);
    this.shadows = new Int32Array(records);
    code.onChange = (host, from, to) => this.changed(host, from, to);
    code.onFlush = () => this.forget();
  }

  /** Takes in lists, by region number, of what another processor keeps of regions until they are given up. */
  join(...lists: unknown[][]): void {
    this.members.push(...lists);
  }

  /** The region with a number. */
  at(id: number): Region {
    return this.list[id]!;
  }

  /** The same, if there still is one. */
  find(id: number): Region | undefined {
    return this.list[id];
  }

  /** The regions that are made from a code page, among others. */
  mates(page: number): Region[] {
    return this.ofPage(page).map((id) => this.at(id));
  }

  private ofPage(page: number): number[] {
    const host = this.code.owners[page] % this.code.hostPages;
    return [...this.byPage.get(host) ?? []].filter((id) =>
      this.at(id).pages.some((part) => part.page === page && !part.borrowed)
    );
  }

  /** Instructions that must be interpreted in a code page before it is compiled again; `first` before the first time. */
  limit(page: number, first: number): number {
    return this.limits.get(this.code.owners[page]) ?? first;
  }

  /** Sets {@linkcode RegionStore.limit}. */
  raise(page: number, limit: number): void {
    this.limits.set(this.code.owners[page], limit);
  }

  /** How often the regions of a code page were made one with what was hot beside them. */
  merged(page: number): number {
    return this.merges.get(this.code.owners[page]) ?? 0;
  }

  /** Counts what {@linkcode RegionStore.merged} tells. */
  countMerge(page: number): void {
    this.merges.set(this.code.owners[page], this.merged(page) + 1);
  }

  /** Instructions that regions had executed when a code page was compiled last. */
  madeAt(page: number): number {
    return this.made.get(this.code.owners[page]) ?? 0;
  }

  /** Sets {@linkcode RegionStore.madeAt}. */
  make(page: number, executed: number): void {
    this.made.set(this.code.owners[page], executed);
  }

  /** Gives up the regions of a code page for one that takes their place. */
  replace(page: number): void {
    for (const id of this.ofPage(page)) this.replaceOne(id);
  }

  /** Gives up a region for another one that takes its place. */
  replaceOne(id: number): void {
    this.replaced++;
    this.remove(id);
  }

  /** Gives up a region that is not worth being entered. Where it began is hot only after much more was interpreted, and so is its page. */
  giveUp(id: number, first: number): void {
    const { pages, places } = this.at(id);
    this.unworthy++;
    this.remove(id);
    for (const place of places) this.heat.delay(place, UNWORTHY * first);
    for (const { page, borrowed } of pages) {
      if (!borrowed) this.raise(page, 2 * this.limit(page, first));
    }
  }

  /** Counts entries that did little; true when there were so many that the page's regions are to become one, and ever more after that. */
  hopped(page: number, count: number, first: number): boolean {
    const owner = this.code.owners[page], hops = this.hops.get(owner) ?? { count: 0, limit: first };
    hops.count += count;
    this.hops.set(owner, hops);
    if (hops.count < hops.limit) return false;
    hops.count = 0;
    hops.limit *= 4;
    return true;
  }

  /** Whether accesses near each other were found to lie in different pages, in the code of a code page. */
  isCareful(page: number): boolean {
    return this.careful.has(this.code.owners[page]);
  }

  /** Gives up a region which is left at accesses that share a check too often: it is to be made again without that. */
  beCareful(id: number): void {
    const { pages, instructions } = this.at(id);
    this.replaceOne(id);
    for (const { page, borrowed } of pages) {
      if (borrowed) continue;
      this.careful.add(this.code.owners[page]);
      this.raise(page, instructions);
    }
  }

  /** Counts host time for translating. */
  spent(milliseconds: number): void {
    this.compileTime += milliseconds;
    this.longestCompile = Math.max(this.longestCompile, milliseconds);
  }

  /** How often regions of a host page were given up. */
  changes(host: number): number {
    return this.invalidations.get(host) ?? 0;
  }

  /** Makes room: gives up the regions that were entered least lately. Code that is hot still will be found so again. */
  private evict(): void {
    const ids = [...new Set([...this.byPage.values()].flatMap((ids) => [...ids]))];
    ids.sort((a, b) => this.entered[a & (COUNTED - 1)] - this.entered[b & (COUNTED - 1)] || a - b);
    for (const id of ids) {
      if (this.bytes <= this.budget * 0.75) return;
      this.evicted++;
      this.remove(id);
    }
  }

  /** Adds a region that is entered at the records given, in the order of its entries. */
  add(region: Region, entries: readonly number[]): number {
    if (this.bytes + region.size > this.budget) this.evict();
    const C = this.code.records, id = this.list.push(region) - 1;
    // V8 gives up code that looks beyond an array's end for the first time.
    for (const list of this.members) list[id] = undefined;
    this.entered[id & (COUNTED - 1)] = this.compiled;
    entries.forEach((place, entry) => {
      if (C[place + OP] <= OP_REGION) return;
      const shadow = this.code.allocate(2);
      if (shadow === 0) return;
      for (let i = 0; i < RECORD; i++) C[shadow + i] = C[place + i];
      C[shadow + RECORD + OP] = OP_GOTO;
      C[shadow + RECORD + F_REG] = place + RECORD;
      C[shadow + RECORD + F_PLACE] = (C[place + F_PLACE] >>> 16) * 0x10001;
      this.shadows[place >> 3] = shadow;
      this.entryOf[place >> 3] = (id << 6) | entry;
      C[place + OP] = OP_REGION;
      region.places.push(place);
    });
    for (const { host } of region.pages) {
      const ids = this.byPage.get(host);
      if (ids === undefined) this.byPage.set(host, new Set([id]));
      else ids.add(id);
    }
    this.regions++;
    this.compiled++;
    this.instructions += region.instructions;
    this.bytes += region.size;
    return id;
  }

  private changed(host: number, from: number, to: number): boolean {
    const ids = this.byPage.get(host);
    if (ids === undefined) return false;
    let hit = false;
    for (const id of ids) {
      const { pages } = this.at(id);
      if (!pages.some((part) => part.host === host && part.from < to && part.to > from)) continue;
      hit = true;
      this.invalidated++;
      this.remove(id);
    }
    if (hit) this.invalidations.set(host, this.changes(host) + 1);
    return hit;
  }

  private remove(id: number): void {
    const region = this.at(id), C = this.code.records;
    for (const place of region.places) {
      if (C[place + OP] === OP_REGION && this.entryOf[place >> 3] >> 6 === id) {
        C[place + OP] = C[this.shadows[place >> 3] + OP];
        this.heat.reset(place);
      }
    }
    for (const { host } of region.pages) {
      const ids = this.byPage.get(host)!;
      ids.delete(id);
      if (ids.size === 0) this.byPage.delete(host);
    }
    this.list[id] = undefined;
    for (const list of this.members) list[id] = undefined;
    this.regions--;
    this.bytes -= region.size;
  }

  private forget(): void {
    this.forgotten += this.regions;
    this.heat.clear();
    this.byPage.clear();
    this.limits.clear();
    this.ways.clear();
    this.merges.clear();
    this.made.clear();
    this.careful.clear();
    this.hops.clear();
    this.misses.fill(0);
    this.invalidations.clear();
    this.uses.fill(0);
    this.work.fill(0);
    this.list.length = 0;
    for (const list of this.members) list.length = 0;
    this.regions = this.bytes = 0;
  }
}
