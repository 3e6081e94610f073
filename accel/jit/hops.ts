/** Which regions lead to which, from samples of the ways that the processors take between them. */

/** A region's first page, by the owner of its code page (see `CodeCache.owners`) and its linear page number. */
export interface Spot {
  readonly owner: number;
  readonly linear: number;
}

interface Way {
  readonly from: number;
  readonly to: number;
  /** Pages from the first page of `from` to that of `to`. */
  readonly distance: number;
  count: number;
}

/** Farther apart than so many pages regions are never joined: their offsets are to be int32 numbers. */
const FARTHEST = 1 << 18;
/** Ways remembered at once: guests have few that matter. */
const MOST_WAYS = 4096;

/** Counts of sampled ways. */
export class Hops {
  private readonly ways = new Map<string, Way>();
  private readonly places = new Map<number, number>();

  /** Notes that a region was left for another one, which is entered at the record at `place`. */
  note(from: Spot, to: Spot, place: number): void {
    this.places.set(place, this.arrivals(place) + 1);
    const distance = (to.linear - from.linear) | 0;
    if (Math.abs(distance) > FARTHEST || distance === 0 && from.owner !== to.owner) return;
    const key = `${from.owner},${to.owner},${distance}`, way = this.ways.get(key);
    if (way !== undefined) way.count++;
    else {
      if (this.ways.size >= MOST_WAYS) this.clear();
      this.ways.set(key, { from: from.owner, to: to.owner, distance, count: 1 });
    }
  }

  /** How often a record was noted as where a region was entered. */
  arrivals(place: number): number {
    return this.places.get(place) ?? 0;
  }

  /**
   * Finds the first pages whose regions are left for each other most, beginning with one of them.
   *
   * @param fits whether a page may be among them, given its distance; is told of the most frequent first
   * @returns distances from the first by owner
   */
  around(owner: number, fits: (owner: number, distance: number) => boolean): Map<number, number> {
    const group = new Map([[owner, 0]]), refused = new Set<number>();
    let least = 0;
    for (;;) {
      let best: { owner: number; distance: number; count: number } | undefined;
      const sums = new Map<number, { distance: number; count: number }>();
      for (const { from, to, distance, count } of this.ways.values()) {
        const inside = group.get(from), other = group.get(to);
        const next = inside !== undefined && other === undefined
          ? { owner: to, distance: inside + distance }
          : other !== undefined && inside === undefined
          ? { owner: from, distance: other - distance }
          : undefined;
        if (next === undefined || refused.has(next.owner)) continue;
        const sum = sums.get(next.owner) ?? { distance: next.distance, count: 0 };
        // One page is at one place in a region, though it may be mapped at several.
        if (sum.distance !== next.distance) continue;
        sum.count += count;
        sums.set(next.owner, sum);
        if (best === undefined || sum.count > best.count) best = { owner: next.owner, ...sum };
      }
      if (best === undefined || best.count * 8 < least) return group;
      const { owner: found, distance } = best;
      if ([...group.values()].includes(distance) || !fits(found, distance)) refused.add(found);
      else {
        group.set(found, distance);
        least = Math.max(least, best.count);
      }
    }
  }

  clear(): void {
    this.ways.clear();
    this.places.clear();
  }
}
