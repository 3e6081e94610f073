/** Puts measured figures into the documentation: `docs/bench.md`, and a chart and the figures beside it. */
import { chart } from "./chart.ts";
import type { Result, Row } from "./results.ts";
import { resultDocument } from "./table.ts";

const BEGIN = "<!-- figures: deno task bench publish -->\n", END = "<!-- end of figures -->\n";
const DOCS = new URL("../docs/", import.meta.url);

/** The paths of what is written. */
export const PUBLISHED = {
  document: new URL("bench.md", DOCS),
  chart: new URL("generated/bench.svg", DOCS),
  figures: new URL("generated/bench.json", DOCS),
} as const;

/** Several results as one: of the same row the last, in the order of their first. */
export function merge(results: readonly Result[]): Result[] {
  const last = new Map<string, number>();
  const key = (row: Row) => `${row.group} ${row.name}`;
  for (const [i, { rows }] of results.entries()) for (const row of rows) last.set(key(row), i);
  return results
    .map((result, i) => ({
      ...result,
      rows: result.rows.filter((row) => last.get(key(row)) === i),
    }))
    .filter(({ rows }) => rows.length > 0);
}

/** The part of the document that figures fill. */
export function figures(results: readonly Result[]): string {
  const picture = "![Speed of compy relative to v86 and QEMU](generated/bench.svg)";
  return `${picture}\n\n${results.map(resultDocument).join("\n")}`;
}

/**
 * The document with other figures.
 *
 * @throws {Error} when it has no place for them
 */
export function withFigures(document: string, results: readonly Result[]): string {
  const begin = document.indexOf(BEGIN), end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error("the document has no place for figures");
  const before = document.slice(0, begin + BEGIN.length);
  return `${before}\n${figures(results)}\n${document.slice(end)}`;
}

/** The chart of several results. */
export function chartOf(results: readonly Result[]): string {
  return chart(results.flatMap(({ rows }) => rows));
}

/** Publishes the results in `files`; returns the paths of what was written. */
export async function publish(files: readonly string[]): Promise<string[]> {
  const read = async (file: string): Promise<Result> => {
    const text = await Deno.readTextFile(file);
    try {
      const result = JSON.parse(text);
      if (Array.isArray(result.rows) && result.circumstances !== undefined) return result;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
    throw new Error(`${file} is not a result of deno task bench`);
  };
  const results = merge(await Promise.all(files.map(read)));
  const document = await Deno.readTextFile(PUBLISHED.document);
  await Deno.writeTextFile(PUBLISHED.document, withFigures(document, results));
  await Deno.writeTextFile(PUBLISHED.chart, chartOf(results));
  await Deno.writeTextFile(PUBLISHED.figures, JSON.stringify(results, null, 2) + "\n");
  // Prose is wrapped as the formatter wraps it.
  const format = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "-q", PUBLISHED.document.pathname],
  });
  const { success, stderr } = await format.output();
  if (!success) throw new Error(`deno fmt failed: ${new TextDecoder().decode(stderr)}`);
  return Object.values(PUBLISHED).map((url) => url.pathname);
}
