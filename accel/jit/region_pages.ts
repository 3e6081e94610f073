/** The code pages that a region is made from: its own, and those that hold functions which it calls. */
import type { CodeCache } from "../interp/code_cache.ts";
import { F_PLACE } from "../interp/record.ts";
import { type Discovery, offsetOf } from "./discover.ts";

/** Pages with such functions, at most. */
const MOST_BORROWED = 12;

/** By how many pages from the region's first each is, which is its index. */
export class RegionPages {
  /** Host page numbers by index: the region's own pages, and those that it borrows. */
  readonly own: ReadonlyMap<number, number>;
  readonly borrowed = new Map<number, number>();
  /** Code page numbers by index; 0 where there is none to be had. */
  private readonly byIndex: Map<number, number>;

  /**
   * @param indices of its own code pages
   * @param near the code page that is some pages from the region's first, if the processor sees both now, or else 0
   */
  constructor(
    private readonly code: CodeCache,
    private readonly indices: ReadonlyMap<number, number>,
    private readonly near: (distance: number) => number,
  ) {
    this.byIndex = new Map([...indices].map(([page, index]) => [index, page]));
    this.own = new Map([...indices].map(([page, index]) => [index, this.hostOf(page)]));
  }

  private hostOf(page: number): number {
    return this.code.owners[page] % this.code.hostPages;
  }

  /** Has the page with an index be one that the region borrows, if it is none yet and can be. Whether the region has it. */
  borrow(index: number): boolean {
    const { byIndex, borrowed } = this, known = byIndex.get(index);
    if (known !== undefined) return known !== 0;
    const page = borrowed.size < MOST_BORROWED ? this.near(index) : 0;
    // A page is at one place.
    const free = page !== 0 && ![...byIndex.values()].includes(page);
    byIndex.set(index, free ? page : 0);
    if (free) borrowed.set(index, this.hostOf(page));
    return free;
  }

  /** The code page with an index. */
  page(index: number): number {
    return this.byIndex.get(index) ?? 0;
  }

  /** The record for an offset, or 0. */
  placeAt(offset: number): number {
    const page = this.page(offset >> 12);
    return page === 0 ? 0 : this.code.places[(page << 12) | (offset & 0xfff)];
  }

  /** The offset of a record of its own pages. */
  offsetAt(place: number): number {
    const { records, recordPages } = this.code;
    return (this.indices.get(recordPages[place >> 3])! << 12) | (records[place + F_PLACE] & 0xfff);
  }

  /** Host pages by index: its own, and those of the others that code was found in. */
  hosts({ blocks }: Discovery): Map<number, number> {
    const hosts = new Map(this.own);
    for (const label of blocks.keys()) {
      const index = offsetOf(label) >> 12, host = this.borrowed.get(index);
      if (host !== undefined) hosts.set(index, host);
    }
    return hosts;
  }
}
