/**
 * What a pattern can match, read off its source: whether it may stand on a stream at all, which
 * characters can complete a match, and how far back a match can begin. With that, a stream is searched
 * byte by byte at a cost that does not grow with its length.
 */

/** A set of characters: ASCII one by one, all others together at index 128. */
type CharSet = Uint8Array;

const OTHERS = 128;

function emptySet(): CharSet {
  return new Uint8Array(129);
}

function fullSet(): CharSet {
  return new Uint8Array(129).fill(1);
}

function addRange(set: CharSet, from: number, to: number): void {
  for (let c = from; c <= Math.min(to, 127); c++) set[c] = 1;
  if (to > 127) set[OTHERS] = 1;
}

function union(a: CharSet, b: CharSet): CharSet {
  return a.map((bit, i) => bit | b[i]);
}

function complement(set: CharSet): CharSet {
  // Characters beyond ASCII are one bit: some of them are always outside of the set.
  return set.map((bit, i) => i === OTHERS ? 1 : bit ^ 1);
}

const DIGIT = emptySet(), WORD = emptySet(), SPACE = emptySet(), DOT = fullSet();
addRange(DIGIT, 0x30, 0x39);
addRange(WORD, 0x30, 0x39);
addRange(WORD, 0x41, 0x5a);
addRange(WORD, 0x61, 0x7a);
WORD[0x5f] = 1;
for (const c of [9, 10, 11, 12, 13, 32, OTHERS]) SPACE[c] = 1;
DOT[10] = 0;
DOT[13] = 0;

/** What one part of a pattern can match. */
interface Part {
  /** Fewest and most characters. */
  min: number;
  max: number;
  /** Most line feeds within the match. */
  lines: number;
  /** Characters that can come last. */
  last: CharSet;
  /** The text of an unbounded repetition that can come last. */
  open: string | undefined;
  /** How many characters after its end decide whether it matches. */
  looksOn: number;
  /** Matches a place, not text. */
  zeroWidth: boolean;
  /** Text with which every match ends, and whether that is all of it. */
  tail: string;
  whole: boolean;
}

function zeroWidth(looksOn = 0): Part {
  return {
    min: 0,
    max: 0,
    lines: 0,
    last: emptySet(),
    open: undefined,
    looksOn,
    zeroWidth: true,
    tail: "",
    whole: true,
  };
}

/** `\b` and `\B`: told apart from other places because a stream's end is itself a boundary. */
const BOUNDARY: Part = zeroWidth(1), NO_BOUNDARY: Part = zeroWidth(1);

function one(set: CharSet, text?: string): Part {
  return {
    min: 1,
    max: 2,
    lines: set[10],
    last: set,
    open: undefined,
    looksOn: 0,
    zeroWidth: false,
    tail: text ?? "",
    whole: text !== undefined,
  };
}

/** Reads the source of a regular expression. Its syntax is known to be valid: it comes from a RegExp. */
class PatternReader {
  private at = 0;
  constructor(
    private readonly source: string,
    private readonly ignoreCase: boolean,
    private readonly dotAll: boolean,
    private readonly unicode: boolean,
    private readonly sets: boolean,
  ) {}

  read(): Part {
    return this.alternatives();
  }

  private peek(text: string): boolean {
    return this.source.startsWith(text, this.at);
  }

  private skip(text: string): boolean {
    if (!this.peek(text)) return false;
    this.at += text.length;
    return true;
  }

  private alternatives(): Part {
    let all = this.sequence();
    while (this.skip("|")) {
      const next = this.sequence();
      all = {
        min: Math.min(all.min, next.min),
        max: Math.max(all.max, next.max),
        lines: Math.max(all.lines, next.lines),
        last: union(all.last, next.last),
        open: all.open ?? next.open,
        looksOn: Math.max(all.looksOn, next.looksOn),
        zeroWidth: all.zeroWidth && next.zeroWidth,
        tail: "",
        whole: false,
      };
    }
    return all;
  }

  private sequence(): Part {
    const parts: Part[] = [];
    while (this.at < this.source.length && !this.peek("|") && !this.peek(")")) {
      parts.push(this.quantified());
    }
    const all = zeroWidth();
    let ending = true;
    const endsAtBoundary = parts.at(-1) === BOUNDARY;
    if (endsAtBoundary) parts.pop();
    for (const part of parts.reverse()) {
      all.looksOn = Math.max(all.looksOn, part.looksOn - all.min);
      all.min += part.min;
      all.max += part.max;
      all.lines += part.lines;
      all.zeroWidth &&= part.zeroWidth;
      if (all.whole) all.tail = part.tail + all.tail;
      all.whole &&= part.whole;
      if (!ending) continue;
      all.last = union(all.last, part.last);
      all.open ??= part.open;
      ending = part.min === 0;
    }
    // The end of the text so far is a boundary after a word's character, which need not be waited for.
    const word = all.last.every((bit, c) => bit <= WORD[c]);
    if (endsAtBoundary && (!word || ending)) all.looksOn = Math.max(all.looksOn, 1);
    if (endsAtBoundary) all.max++;
    return all;
  }

  private quantified(): Part {
    const start = this.at;
    const part = this.atom();
    let min = 1, max = 1;
    if (this.skip("*")) [min, max] = [0, Infinity];
    else if (this.skip("+")) max = Infinity;
    else if (this.skip("?")) min = 0;
    else {
      const counts = /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.source.slice(this.at));
      if (counts === null) return part;
      this.at += counts[0].length;
      min = Number(counts[1]);
      max = counts[2] === undefined ? min : counts[3] === "" ? Infinity : Number(counts[3]);
    }
    this.skip("?");
    const times = (n: number) => n === 0 || max === 0 ? 0 : n * max;
    return {
      ...part,
      min: part.min * min,
      max: times(part.max),
      lines: times(part.lines),
      open: max === Infinity && !part.zeroWidth
        ? this.source.slice(start, this.at)
        : max === 0
        ? undefined
        : part.open,
      last: max === 0 ? emptySet() : part.last,
      tail: min === 0 ? "" : part.tail,
      whole: false,
    };
  }

  private atom(): Part {
    if (this.skip("(")) return this.group();
    if (this.skip("[")) return one(this.cased(this.charClass()));
    if (this.skip("\\")) return this.escape();
    if (this.skip("^") || this.skip("$")) return zeroWidth();
    if (this.skip(".")) return one(this.dotAll ? fullSet() : DOT);
    return this.character(this.codePoint());
  }

  private character(c: number): Part {
    return one(
      this.cased(this.single(c)),
      this.ignoreCase ? undefined : String.fromCodePoint(c),
    );
  }

  private codePoint(): number {
    const c = this.source.codePointAt(this.at)!;
    this.at += c > 0xffff ? 2 : 1;
    return c;
  }

  private single(c: number): CharSet {
    const set = emptySet();
    addRange(set, c, c);
    return set;
  }

  private cased(set: CharSet): CharSet {
    if (!this.ignoreCase) return set;
    const both = set.slice();
    for (let upper = 0x41; upper <= 0x5a; upper++) {
      both[upper] |= set[upper | 0x20];
      both[upper | 0x20] |= set[upper];
      // In Unicode mode the Kelvin sign and the long s are letters k and s.
      if (this.unicode && both[upper] !== 0) both[OTHERS] = 1;
    }
    if (both[OTHERS] !== 0) {
      both[0x4b] =
        both[0x6b] =
        both[0x53] =
        both[0x73] =
          1;
    }
    return both;
  }

  private group(): Part {
    const behind = this.skip("?<=") || this.skip("?<!");
    const ahead = !behind && (this.skip("?=") || this.skip("?!"));
    if (!behind && !ahead) {
      const opening = /^\?(?:<[^>]*>|[a-z-]*:)/.exec(this.source.slice(this.at));
      if (opening !== null) this.at += opening[0].length;
    }
    const inner = this.alternatives();
    this.skip(")");
    if (!behind && !ahead) return inner;
    // What is only looked at makes no text, but the search has to reach as far.
    return {
      ...inner,
      min: 0,
      last: emptySet(),
      open: undefined,
      looksOn: ahead ? inner.max + inner.looksOn : 0,
      zeroWidth: true,
      tail: "",
      whole: true,
    };
  }

  private escape(): Part {
    const c = this.source[this.at++];
    if (c === "b") return BOUNDARY;
    if (c === "B") return NO_BOUNDARY;
    if (/[1-9]/.test(c)) {
      while (/[0-9]/.test(this.source[this.at] ?? "")) this.at++;
      return { ...one(fullSet()), min: 0, max: Infinity, lines: Infinity };
    }
    if (c === "k" && this.peek("<")) {
      this.at = this.source.indexOf(">", this.at) + 1;
      return { ...one(fullSet()), min: 0, max: Infinity, lines: Infinity };
    }
    if (/[^\w]/.test(c)) return this.character(c.charCodeAt(0));
    if (c === "n" || c === "r") return this.character(c === "n" ? 10 : 13);
    this.at--;
    return one(this.cased(this.escapedSet()));
  }

  /** The characters meant by what follows a backslash, inside a class or outside. */
  private escapedSet(): CharSet {
    const c = this.source[this.at++];
    const rest = this.source.slice(this.at);
    const known: Record<string, CharSet> = { d: DIGIT, w: WORD, s: SPACE };
    if (known[c] !== undefined) return known[c];
    if (known[c.toLowerCase()] !== undefined) return complement(known[c.toLowerCase()]);
    const controls: Record<string, number> = { n: 10, r: 13, t: 9, v: 11, f: 12, b: 8 };
    if (controls[c] !== undefined) return this.single(controls[c]);
    if (c === "c" && /^[A-Za-z]/.test(rest)) {
      this.at++;
      return this.single(rest.charCodeAt(0) & 31);
    }
    if (c === "0") {
      const octal = /^[0-7]{0,2}/.exec(rest)![0];
      this.at += octal.length;
      return this.single(parseInt(`0${octal}`, 8));
    }
    const code = c === "x"
      ? /^([0-9a-fA-F]{2})/.exec(rest)
      : c === "u"
      ? /^([0-9a-fA-F]{4})/.exec(rest) ?? (this.unicode ? /^\{([0-9a-fA-F]+)\}/.exec(rest) : null)
      : null;
    if (code !== null) {
      this.at += code[0].length;
      return this.single(parseInt(code[1], 16));
    }
    if (this.unicode && (c === "p" || c === "P")) {
      this.at += rest.indexOf("}") + 1;
      return fullSet();
    }
    this.at--;
    return this.single(this.codePoint());
  }

  private charClass(): CharSet {
    if (this.sets) return this.nestedClass();
    const negated = this.skip("^");
    let set = emptySet();
    while (!this.skip("]")) {
      const first = this.classAtom();
      if (this.peek("-") && !this.peek("-]")) {
        this.at++;
        const second = this.classAtom();
        const low = first.indexOf(1), high = second.lastIndexOf(1);
        set = union(union(set, first), second);
        if (low >= 0 && low < high) addRange(set, low, high === OTHERS ? 0xffff : high);
      } else set = union(set, first);
    }
    return negated ? complement(this.cased(set)) : set;
  }

  private classAtom(): CharSet {
    return this.skip("\\") ? this.escapedSet() : this.single(this.codePoint());
  }

  /** A class of the `v` flag: only its extent is read. */
  private nestedClass(): CharSet {
    for (let depth = 1; depth > 0; this.at++) {
      const c = this.source[this.at];
      if (c === "\\") this.at++;
      else if (c === "[") depth++;
      else if (c === "]") depth--;
    }
    return fullSet();
  }
}

/** How far back from the end of a stream a match that is complete only now can begin. */
export type Reach = { chars: number } | { lines: number } | "all";

/** A pattern that may be looked for on a stream. */
export interface StreamPattern {
  /** The pattern as the script wrote it, for messages. */
  readonly label: string;
  /** The text itself, for a pattern that is no regular expression. */
  readonly literal: string | undefined;
  /** Global, not sticky; its `lastIndex` is set before every use. */
  readonly regExp: RegExp;
  /** Whether `^` means the start of a line rather than of the unread text. */
  readonly multiline: boolean;
  readonly reach: Reach;
  /** Whether a character, by its code (others than ASCII are 128), can complete a match; undefined when any can. */
  readonly completing: Uint8Array | undefined;
  /** Text with which every match begins; empty when none is known. */
  readonly lead: string;
  /** Text with which every match ends; empty when none is known. */
  readonly tail: string;
}

/** A pattern that cannot mean anything sensible on a stream. */
export class PatternError extends TypeError {
  /**
   * Makes the error.
   *
   * @param message says why, and what to write instead
   */
  constructor(message: string) {
    super(message);
    this.name = "PatternError";
  }
}

function labelOf(pattern: string | RegExp): string {
  return typeof pattern === "string" ? JSON.stringify(pattern) : String(pattern);
}

function analyse(pattern: RegExp): Part {
  const { source, flags } = pattern;
  const has = (flag: string) => flags.includes(flag);
  return new PatternReader(
    source === "(?:)" ? "" : source,
    has("i"),
    has("s"),
    has("u") || has("v"),
    has("v"),
  ).read();
}

/**
 * Refuses a pattern that can match nothing at all.
 *
 * @throws {PatternError} saying so
 */
export function checkNotEmpty(pattern: string | RegExp): void {
  if (typeof pattern !== "string" && !(pattern instanceof RegExp)) {
    throw new PatternError(`a pattern is a string or a RegExp, not ${typeof pattern}`);
  }
  const empty = typeof pattern === "string" ? pattern === "" : analyse(pattern).min === 0;
  if (empty) {
    throw new PatternError(
      `the pattern ${labelOf(pattern)} can match the empty string, so it would match at once: ` +
        `make at least one character of it obligatory`,
    );
  }
}

/** The plain text at the front of a regular expression, as far as it is easily seen. */
function leadOf({ source, ignoreCase }: RegExp): string {
  if (ignoreCase || source.includes("|")) return "";
  const [, lead, next] = /^(?:\^|\\b)*([\w :=/"'<>,;#%&@!~-]*)(.?)/s.exec(source)!;
  return next !== "" && "*?{".includes(next) ? lead.slice(0, -1) : lead;
}

/**
 * Prepares a pattern for a stream.
 *
 * @throws {PatternError} when it can match the empty string or ends in an unbounded repetition
 */
export function streamPattern(pattern: string | RegExp): StreamPattern {
  checkNotEmpty(pattern);
  const label = labelOf(pattern);
  if (typeof pattern === "string") {
    const completing = emptySet();
    const last = pattern.charCodeAt(pattern.length - 1);
    addRange(completing, last, last);
    const escaped = pattern.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&");
    return {
      label,
      literal: pattern,
      regExp: new RegExp(escaped, "g"),
      multiline: false,
      reach: { chars: pattern.length },
      completing,
      lead: "",
      tail: pattern,
    };
  }
  const part = analyse(pattern);
  if (part.open !== undefined) {
    throw new PatternError(
      `the pattern ${label} ends in the unbounded "${part.open}": a stream has no end that it could ` +
        `reach, so it would stop at the first byte that fits. End it with what comes after, ` +
        `such as /…\\r?\\n/`,
    );
  }
  return {
    label,
    literal: undefined,
    regExp: new RegExp(pattern.source, pattern.flags.replace(/[gyd]/g, "") + "g"),
    multiline: pattern.multiline,
    reach: part.max !== Infinity
      ? { chars: part.max }
      : part.lines !== Infinity
      ? { lines: part.lines }
      : "all",
    completing: part.looksOn > 0 ? undefined : part.last,
    lead: leadOf(pattern),
    tail: part.looksOn > 0 ? "" : part.tail,
  };
}
