import { assertEquals } from "@std/assert";
import { EscapeFilter } from "./escapes.ts";

function take(filter: EscapeFilter, text: string): [string, string[]] {
  const { data, commands } = filter.take(new TextEncoder().encode(text));
  return [new TextDecoder().decode(data), commands];
}

Deno.test("EscapeFilter passes everything but Ctrl-A and what follows it", () => {
  const filter = new EscapeFilter();
  assertEquals(take(filter, "ls\r\x03\x1b[A"), ["ls\r\x03\x1b[A", []]);
  assertEquals(take(filter, "a\x01hb"), ["ab", ["help"]]);
  assertEquals(take(filter, "a\x01qb"), ["ab", []]);
});

Deno.test("EscapeFilter sends Ctrl-A on when it is doubled", () => {
  assertEquals(take(new EscapeFilter(), "\x01\x01x"), ["\x01x", []]);
});

Deno.test("EscapeFilter understands an escape that is split between reads", () => {
  const filter = new EscapeFilter();
  assertEquals(take(filter, "ab\x01"), ["ab", []]);
  assertEquals(take(filter, "Xcd"), ["", ["quit"]]);
});
