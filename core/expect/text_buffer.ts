/** The text of a stream as it arrives character by character, cheap to append to and to look back from. */

/** Segments end at a line feed or at this length. */
const SEGMENT = 4096;
/** Characters kept; older ones are forgotten. */
const CAPACITY = 64 * 1024 * 1024;

/** A piece of the text and where it begins. */
export interface Window {
  text: string;
  start: number;
}

/** All text of a stream, addressed by the number of characters before it. */
export class TextBuffer {
  private segments: string[] = [];
  private starts: number[] = [];
  private current = "";
  private currentStart = 0;
  /** Position of the oldest character that is still kept. */
  start = 0;

  constructor(private readonly capacity: number = CAPACITY) {}

  /** Characters ever appended. */
  get length(): number {
    return this.currentStart + this.current.length;
  }

  /** Appends one character. */
  append(character: string): void {
    this.current += character;
    if (character !== "\n" && this.current.length < SEGMENT) return;
    this.segments.push(this.current);
    this.starts.push(this.currentStart);
    this.currentStart += this.current.length;
    this.current = "";
    if (this.currentStart - this.start > this.capacity) this.forget();
  }

  /** Drops the older half, so that it is seldom done. */
  private forget(): void {
    const keep = this.indexOf(this.currentStart - this.capacity / 2);
    this.start = this.starts[keep];
    this.segments = this.segments.slice(keep);
    this.starts = this.starts.slice(keep);
  }

  /** Index of the segment that holds a position; the number of segments for the unfinished one. */
  private indexOf(position: number): number {
    if (position >= this.currentStart) return this.segments.length;
    let low = 0, high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private segment(index: number): Window {
    return index === this.segments.length
      ? { text: this.current, start: this.currentStart }
      : { text: this.segments[index], start: this.starts[index] };
  }

  /** The text from one position up to another. */
  slice(from: number, to: number = this.length): string {
    from = Math.max(from, this.start);
    if (from >= to) return "";
    let text = "";
    for (let i = this.indexOf(from); i <= this.segments.length; i++) {
      const segment = this.segment(i);
      if (segment.start >= to) break;
      text += segment.text.slice(Math.max(0, from - segment.start), to - segment.start);
    }
    return text;
  }

  /** The character code at a position. */
  codeAt(position: number): number {
    const { text, start } = this.segment(this.indexOf(position));
    return text.charCodeAt(position - start);
  }

  /** Where the text begins that ends at `end`, has at most `lines` line feeds, and goes back to `from` at most. */
  backLines(end: number, lines: number, from: number): number {
    let at = end;
    for (let i = this.indexOf(end); i >= 0; i--) {
      const { text, start } = this.segment(i);
      if (start + text.length <= end && text.endsWith("\n") && lines-- === 0) return at;
      at = start;
      if (at <= from) return Math.max(from, this.start);
    }
    return Math.max(at, from, this.start);
  }
}
