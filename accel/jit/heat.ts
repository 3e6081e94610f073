/** What the interpreter spends its instructions on, estimated from looks at its ring of branches. */
import type { CodeCache } from "../interp/code_cache.ts";
import { CONTEXT } from "../interp/history.ts";
import { BY_TRANSLATION, F_PLACE, OP, OP_REGION, RECORD, RING_SIZE } from "../interp/record.ts";

/** Heat of a place that is never to be compiled. */
const NEVER = -Infinity;
/** No straight run of records is longer than this many words. */
const LONGEST_RUN = 64 * RECORD;

/** Instructions by place and by code page. */
export class Heat {
  /** By record: whether it was seen executed. */
  readonly seen: Uint8Array;
  /** By record that a run began with: instructions of such runs. */
  private readonly places: Float32Array;
  /** By code page number: instructions interpreted since it was last compiled. */
  private readonly pages: Float64Array;
  /** By code page number: where the processor last executed it, as the low half of its linear address. */
  private readonly linear: Int32Array;
  /** Where runs of the ring begin, and how many records they have. */
  private readonly starts = new Int32Array(RING_SIZE);
  private readonly lengths = new Int32Array(RING_SIZE);

  constructor(private readonly code: CodeCache) {
    const records = code.records.length / RECORD;
    this.seen = new Uint8Array(records);
    this.places = new Float32Array(records);
    this.pages = new Float64Array(code.owners.length);
    this.linear = new Int32Array(code.owners.length);
  }

  /** Forgets everything. */
  clear(): void {
    this.seen.fill(0);
    this.places.fill(0);
    this.pages.fill(0);
  }

  /** Instructions interpreted at a place, as a run began there; below zero if it is to be left alone for now, or for good. */
  at(place: number): number {
    return this.places[place >> 3];
  }

  /** Instructions interpreted in a code page since {@linkcode Heat.cool}. */
  ofPage(page: number): number {
    return this.pages[page];
  }

  /** Where a code page was executed last, if it ever was interpreted. */
  linearOf(page: number): number {
    return this.linear[page];
  }

  /** Has a place never be hot again. */
  leave(place: number): void {
    this.places[place >> 3] = NEVER;
  }

  /** Has a place not count before so many instructions were interpreted there. */
  delay(place: number, instructions: number): void {
    this.places[place >> 3] = -instructions;
  }

  /** Forgets that a place was to be left alone. */
  reset(place: number): void {
    this.places[place >> 3] = 0;
  }

  /** Starts to count a code page's instructions anew. */
  cool(page: number): void {
    this.pages[page] = 0;
    for (const place of this.placesOf(page)) this.places[place >> 3] = 0;
  }

  /** The places of a code page where runs began, hottest first. */
  placesOf(page: number): number[] {
    const { code: { places } } = this, found: number[] = [];
    for (let at = page << 12, end = at + 0x1000; at < end; at++) {
      if (places[at] !== 0 && this.places[places[at] >> 3] > 0) found.push(places[at]);
    }
    return found.sort((a, b) => this.places[b >> 3] - this.places[a >> 3]);
  }

  /**
   * Shares out instructions among the runs that the ring holds.
   *
   * @param newest position of the newest entry in the ring
   * @param oldest position of an entry that was looked at before
   * @param here low half of the linear address of the page that code executes in now
   * @param instructions what was interpreted since the last look
   * @param found told of each page that some fell to
   */
  look(
    ring: Int32Array,
    newest: number,
    oldest: number,
    here: number,
    instructions: number,
    found: (page: number) => void,
  ): void {
    const { code: { records: C, recordPages }, starts, lengths, seen, places, pages, linear } =
      this;
    let runs = 0, total = 0, end = 0, low = here;
    for (let n = 0, at = newest; n < RING_SIZE - 1 && at > oldest; n++, at--) {
      const entry = ring[at & (RING_SIZE - 1)];
      if (entry === 0) break;
      if (entry < 0) {
        // The page that was left here.
        if (entry > CONTEXT) low = (-1 - entry) << 12;
        continue;
      }
      if (end === 0 || (entry & BY_TRANSLATION) !== 0) {
        end = entry;
        continue;
      }
      const last = end;
      end = 0;
      if (entry > last || last - entry > LONGEST_RUN) {
        if (entry > last + RECORD) end = entry;
        continue;
      }
      for (let p = entry; p <= last; p += RECORD) seen[p >> 3] = 1;
      linear[recordPages[entry >> 3]] = low;
      if (C[entry + OP] === OP_REGION) continue;
      starts[runs] = entry;
      lengths[runs] = ((last - entry) >> 3) + 1;
      total += lengths[runs++];
    }
    if (total === 0) return;
    const each = instructions / total;
    for (let i = 0; i < runs; i++) {
      const p = starts[i], page = recordPages[p >> 3];
      // Code that is not there any more, or that was decoded to be executed once.
      if (page === 0 || code(this.code, page, C[p + F_PLACE]) !== p) continue;
      places[p >> 3] += lengths[i] * each;
      if (places[p >> 3] <= 0) continue;
      pages[page] += lengths[i] * each;
      found(page);
    }
  }
}

/** The record that a code page has for the offset of a record. */
function code({ places }: CodeCache, page: number, place: number): number {
  return places[(page << 12) | (place & 0xfff)];
}
