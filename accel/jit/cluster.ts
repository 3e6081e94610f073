/** Regions that are to become one, with the code pages that they are made from. */
import type { Region, RegionStore } from "./region_store.ts";

/** Bounds of what regions become together. */
export interface ClusterLimits {
  instructions: number;
  /** Of the text, as far as it can be told before it is written. */
  characters: number;
  pages: number;
}

/** Grows by pages: all regions of a page belong together, and so do all pages of a region. */
export class Cluster {
  /** Distances in pages from the first, by code page number. */
  readonly pages = new Map<number, number>();
  readonly regions = new Set<Region>();
  /** Offsets of instructions from the first page. What several regions contain counts once. */
  readonly offsets = new Set<number>();
  private characters = 0;
  private instructions = 0;

  constructor(private readonly store: RegionStore, private readonly limits: ClusterLimits) {}

  /** Takes in a code page at a distance from the first, and what belongs to it. Does nothing and is false if that does not fit. */
  add(page: number, distance: number): boolean {
    const parts = new Map([[page, distance]]), found = new Set<Region>();
    for (const [page, at] of parts) {
      for (const region of this.store.mates(page)) {
        const here = region.pages.find((part) => part.page === page)!;
        found.add(region);
        for (const part of region.pages) {
          if (part.borrowed) continue;
          const distance = at + part.index - here.index;
          if ((parts.get(part.page) ?? distance) !== distance) return false;
          parts.set(part.page, distance);
        }
      }
    }
    // A page is at one place, and a place has one page.
    const pages = new Map([...this.pages, ...parts]);
    for (const [page, distance] of this.pages) if (pages.get(page) !== distance) return false;
    if (new Set(pages.values()).size < pages.size || pages.size > this.limits.pages) return false;
    const offsets = new Set(this.offsets);
    let { characters, instructions } = this;
    for (const region of found) {
      if (this.regions.has(region)) continue;
      const [first] = region.pages, shift = (parts.get(first.page)! - first.index) << 12;
      for (const offset of region.offsets) offsets.add(offset + shift);
      characters += region.size;
      instructions += region.offsets.size;
    }
    const text = instructions === 0 ? 0 : offsets.size * characters / instructions;
    if (offsets.size > this.limits.instructions || text > this.limits.characters) return false;
    this.characters = characters;
    this.instructions = instructions;
    for (const region of found) this.regions.add(region);
    for (const [page, distance] of parts) this.pages.set(page, distance);
    for (const offset of offsets) this.offsets.add(offset);
    return true;
  }
}
