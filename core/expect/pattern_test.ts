import { assert, assertEquals, assertThrows } from "@std/assert";
import { Search } from "./matcher.ts";
import { checkNotEmpty, PatternError, streamPattern } from "./pattern.ts";
import { TextBuffer } from "./text_buffer.ts";

function bufferOf(text: string): TextBuffer {
  const buffer = new TextBuffer();
  for (const c of text) buffer.append(c);
  return buffer;
}

/** What a search after every single character would find first. */
function naive(pattern: string | RegExp, text: string, from: number) {
  const source = typeof pattern === "string" ? RegExp.escape(pattern) : pattern.source;
  const flags = typeof pattern === "string" ? "" : pattern.flags;
  const regExp = new RegExp(source, flags.replace(/[gy]/g, "") + "g");
  for (let end = from + 1; end <= text.length; end++) {
    // With m, ^ means the line that really begins; without, the place where the search began.
    const base = flags.includes("m") ? 0 : from;
    regExp.lastIndex = from - base;
    const result = regExp.exec(text.slice(base, end));
    if (result !== null) {
      return { start: base + result.index, end: base + result.index + result[0].length };
    }
  }
  return undefined;
}

Deno.test("Patterns that can match the empty string are refused", () => {
  const patterns = [
    "",
    /a*/,
    /(?:)/,
    /a?b?/,
    /^/,
    /$/,
    /\b/,
    /x|y*/,
    /(?=foo)/,
    /(a|)/,
    /a{0,3}/,
    /()\1/,
  ];
  for (const pattern of patterns) {
    assertThrows(() => streamPattern(pattern), PatternError, "empty string", String(pattern));
    assertThrows(() => checkNotEmpty(pattern), PatternError, "empty string");
  }
  assertThrows(() => streamPattern(5 as unknown as string), PatternError, "not number");
});

Deno.test("Patterns that end in an unbounded tail are refused and told how to end", () => {
  const patterns = [
    /version .*$/,
    /version .*/,
    /version .+/,
    /login:\s*/,
    /login:\s*$/m,
    /(\d+)/,
    /foo(bar|baz.*)/,
    /foo.*x?/,
    /foo.*?/,
    /a{2,}/,
    /foo[^\n]*(?=\n|$)/,
    /x(?:y+z?)?$/,
    /(?:ab)+\b/,
    /(?<n>[a-z]+)$/i,
  ];
  for (const pattern of patterns) {
    assertThrows(() => streamPattern(pattern), PatternError, "unbounded", String(pattern));
  }
  assertThrows(() => streamPattern(/version .*$/), PatternError, `unbounded ".*"`);
});

Deno.test("Patterns whose end is certain are accepted", () => {
  const patterns = [
    /login: $/,
    /\d+\r?\n/,
    /.*foo/,
    /[#$] /,
    /a{1,3}/,
    /(?<=x+)y/,
    /(a+)b/,
    /\(none\) login:/,
    /[\]*]x/,
    /\x41\u0042\cJ\0/,
    /foo\b/,
    /foo(?!bar)/,
    /[\p{L}--[a-z]]x/v,
    /\u{1F600}!/u,
    "x*",
    /a\+/,
    /a\*$/,
    /[*+]/,
  ];
  for (const pattern of patterns) streamPattern(pattern);
});

Deno.test("What can complete a match and how far back it begins is read off the pattern", () => {
  const ends = (pattern: RegExp) => {
    const { completing } = streamPattern(pattern);
    return completing === undefined
      ? "any"
      : [...completing].map((bit, c) => bit === 0 ? "" : c === 128 ? "…" : String.fromCharCode(c))
        .join("");
  };
  assertEquals(ends(/login: $/), " ");
  assertEquals(ends(/\bfoo[ab]?/), "abo");
  assertEquals(ends(/x[{-~é]/), "{|}~…");
  assertEquals(ends(/x[^\s\d\w!-~]/).slice(-2), "\x7f…");
  assertEquals(ends(/a|b\d/), "0123456789a");
  assertEquals(ends(/foo\b/), "o");
  assertEquals(ends(/foo(?=bar)/), "any");
  assertEquals(ends(/foo(?=b)bar/), "r");
  assertEquals(ends(/a[A-C]/i), "ABCabc");
  assertEquals(ends(/k/iu), "KSks…");
  assertEquals(streamPattern(/x(?:\d)in: \.$/).tail, "in: .");
  assertEquals(streamPattern(/ab[cd]/).tail, "");
  assertEquals(streamPattern(/a(bc){2}/).tail, "bc");
  assertEquals(streamPattern(/abc/).reach, { chars: 6 });
  assertEquals(streamPattern(/a.*b/).reach, { lines: 0 });
  assertEquals(streamPattern(/a.*\n.*\nb/).reach, { lines: 2 });
  assertEquals(streamPattern(/a[^b]*c/).reach, "all");
  assertEquals(streamPattern(/Memory:\s*x/).lead, "Memory:");
  assertEquals(streamPattern(/ab*\s*x/).lead, "a");
});

Deno.test("A search finds what a search after every single byte would find", () => {
  const patterns: (string | RegExp)[] = [
    "ab",
    "\n",
    "aab",
    /a.b/,
    /a.*b/,
    /^b/,
    /^b/m,
    /a$/m,
    /\bab/,
    /ab\b/,
    /a\B./,
    /a(?=b)/,
    /a(?!b)/,
    /a(?=.\n)/,
    /(?<=b)a/,
    /(?<!b\n)a/,
    /a\s+b/,
    /a\s*\n\s*b/,
    /b[^a]*a/,
    /(a|b)\1/,
    /(?<x>a+)(b)/,
    /a{2,3}b?/,
    /.*\n.*b\n/,
    /AB/i,
    /a.b/s,
    /[\s\S]*b\n/,
    /(?:b|a\n|\n)a/,
    /(?=a)[^]*b /,
    / (?:a|b){2}/,
    /ä/,
    /[^ab\n ]a/,
  ];
  let seed = 1;
  const random = (n: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor(seed / 2 ** 32 * n);
  };
  let found = 0;
  for (let round = 0; round < 400; round++) {
    const text = Array.from({ length: random(30) }, () => "aabb\n ä"[random(7)]).join("");
    const from = random(Math.min(8, text.length + 1));
    for (const pattern of patterns) {
      const expected = naive(pattern, text, from);
      const buffer = new TextBuffer();
      for (const c of text.slice(0, from)) buffer.append(c);
      const live = new Search(streamPattern(pattern), buffer, from);
      let got: { start: number; end: number } | undefined;
      for (const c of text.slice(from)) {
        buffer.append(c);
        got ??= live.advance();
      }
      const late = new Search(streamPattern(pattern), bufferOf(text), from).advance();
      const pick = (f: typeof got) => f && { start: f.start, end: f.end };
      const what = `${pattern} from ${from} in ${JSON.stringify(text)}`;
      assertEquals(pick(got), expected, what);
      assertEquals(pick(late), expected, `${what}, all there`);
      if (expected !== undefined) found++;
    }
  }
  assert(found > 2000, `${found} matches`);
});

Deno.test("A search in 100 KB of log costs far less than a second", () => {
  const log = Array.from(
    { length: 1700 },
    (_, i) => `[    ${i}.000] pci 0000:00:0${i % 8}: reg 0x10: [io  0xc000]\r\n`,
  )
    .join("");
  assert(log.length > 80_000);
  const patterns = [
    "login: ",
    /login: $/,
    /^login: /m,
    /Kernel panic.*\n/,
    /\bfoo\b/,
    /Memory:\s+available/,
    /reg[\s\S]*never]/,
    /(?=x)login: /,
  ];
  for (const pattern of patterns) {
    const began = performance.now();
    const buffer = new TextBuffer();
    const search = new Search(streamPattern(pattern), buffer, 0);
    for (const c of log) {
      buffer.append(c);
      search.advance();
    }
    const ms = performance.now() - began;
    assert(ms < 1000, `${pattern} took ${ms} ms`);
  }
});

Deno.test("A text buffer gives back any part, and forgets the oldest beyond its capacity", () => {
  const buffer = new TextBuffer(20_000);
  let all = "";
  for (let i = 0; i < 60_000; i++) {
    const c = i % 97 === 0 || i > 40_000 && i % 5 === 0 ? "\n" : String.fromCharCode(97 + i % 26);
    buffer.append(c);
    all += c;
  }
  assertEquals(buffer.length, all.length);
  assert(buffer.start > 0 && buffer.length - buffer.start >= 9_000);
  assertEquals(buffer.slice(0), all.slice(buffer.start));
  assertEquals(buffer.slice(50_001, 50_100), all.slice(50_001, 50_100));
  const back = buffer.backLines(50_000, 3, 0);
  assertEquals(all.slice(back, 50_000).split("\n").length - 1, 3);
  assertEquals(all[back - 1], "\n");
  assertEquals(buffer.backLines(50_000, 3, 49_999), 49_999);
});
