/** Looks for a pattern on a stream as it grows. */
import type { StreamPattern } from "./pattern.ts";
import type { TextBuffer } from "./text_buffer.ts";

/** Where a pattern was found. Positions count characters since the stream began. */
export interface Found {
  start: number;
  end: number;
  result: RegExpExecArray;
}

/**
 * One search for one pattern, from one position of a stream on. It finds what a search after every
 * single character would find first, whether the characters come one by one or are there already.
 */
export class Search {
  /** Everything up to here has been searched. */
  private done: number;
  /** No match begins before this. */
  private earliest: number;
  private leadSeen: boolean;

  constructor(
    readonly pattern: StreamPattern,
    private readonly buffer: TextBuffer,
    private readonly origin: number,
  ) {
    this.done = origin;
    this.earliest = origin;
    this.leadSeen = pattern.lead === "" || pattern.reach !== "all";
  }

  /** Position up to which everything has been searched: after a match, that of the character that completed it, plus one. */
  get searched(): number {
    return this.done;
  }

  /** Searches what has arrived since the last call. */
  advance(): Found | undefined {
    const { length } = this.buffer;
    while (this.done < length) {
      const found = this.matchAt(++this.done);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The match that the character before `end` completes. Runs for every byte that a guest sends. */
  private matchAt(end: number): Found | undefined {
    const { buffer, pattern } = this;
    const { completing, reach, regExp, tail } = pattern;
    if (completing !== undefined) {
      const code = buffer.codeAt(end - 1);
      if (completing[code < 128 ? code : 128] === 0) return undefined;
    }
    if (tail.length > 1 && buffer.slice(end - tail.length, end) !== tail) return undefined;
    if (!this.leadSeen && !this.findLead(end)) return undefined;
    const from = this.earliest;
    const back = reach === "all"
      ? from
      : "chars" in reach
      ? Math.max(from, end - reach.chars)
      : buffer.backLines(end, reach.lines, from);
    // One character of context keeps ^ and \b honest where the search does not begin at the cursor.
    const context = (back > from || from > this.origin || pattern.multiline) && back > buffer.start
      ? 1
      : 0;
    const text = buffer.slice(back - context, end);
    regExp.lastIndex = context;
    const result = regExp.exec(text);
    if (result === null) return undefined;
    const start = back - context + result.index;
    return { start, end: start + result[0].length, result };
  }

  /** Moves the start to where the pattern's fixed beginning first stands, if it has arrived. */
  private findLead(end: number): boolean {
    const { lead } = this.pattern;
    const at = this.buffer.slice(this.earliest, end).indexOf(lead);
    this.leadSeen = at >= 0;
    this.earliest = at >= 0
      ? Math.max(this.earliest, this.buffer.start) + at
      : Math.max(this.earliest, end - lead.length + 1);
    return this.leadSeen;
  }
}
