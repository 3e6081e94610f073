import { assertEquals, assertThrows } from "@std/assert";
import { chartOf, merge, PUBLISHED, withFigures } from "./publish.ts";
import type { Circumstances, Result, Row } from "./results.ts";

const CIRCUMSTANCES: Circumstances = {
  date: "2026-11-25T23:10:11.000Z",
  commit: "abc1234",
  deno: "2.9.6",
  v8: "15.0",
  processor: "A Processor",
  cpus: 2,
  load: [0, 0],
  accel: "jit",
  clock: "host",
  versions: {},
};

function result(...names: string[]): Result {
  const rows = names.map((name): Row => ({
    group: "kernels-32",
    name,
    seconds: { compy: [1] },
    failed: {},
  }));
  return { circumstances: CIRCUMSTANCES, rows };
}

Deno.test("merge takes each row from the last result that has it", () => {
  const names = (results: Result[]) => results.map(({ rows }) => rows.map(({ name }) => name));
  assertEquals(names(merge([result("a", "b"), result("b", "c")])), [["a"], ["b", "c"]]);
  assertEquals(names(merge([result("a"), result("a")])), [["a"]]);
});

Deno.test("withFigures replaces what is between the marks, and no more", () => {
  const begin = "<!-- figures: deno task bench publish -->\n", end = "<!-- end of figures -->\n";
  const document = withFigures(`before\n${begin}old\n${end}after\n`, [result("a")]);
  assertEquals(document.startsWith(`before\n${begin}\n![`), true);
  assertEquals(document.endsWith(`|     1.00 |\n\n${end}after\n`), true);
  assertEquals(document.includes("old"), false);
  assertThrows(() => withFigures(`before\n${end}`, []), Error, "no place for figures");
});

Deno.test("docs/bench.md and its chart hold the published figures", async () => {
  const results: Result[] = JSON.parse(await Deno.readTextFile(PUBLISHED.figures));
  const document = await Deno.readTextFile(PUBLISHED.document);
  // The formatter breaks lines.
  const words = (text: string) => text.split(/\s+/);
  assertEquals(words(document), words(withFigures(document, results)));
  assertEquals(await Deno.readTextFile(PUBLISHED.chart), chartOf(results));
});
