/** Makes a test of a group of vectors of 64-bit code. */
import { assertEquals } from "@std/assert";
import { runLong } from "./run.ts";

/** Runs a group and fails with the first reports of every variant that differs, as `../check.ts` does. */
export async function checkLong(group: string): Promise<void> {
  const engine = Deno.env.get("COMPY_VECTOR_ENGINE") ?? "interp";
  const outcomes = await runLong(group, { engine });
  const bad = outcomes.filter((o) => o.failed > 0);
  const text = bad.slice(0, 20).map((o) =>
    `${o.variant.name}: ${o.failed} of ${o.run} cases differ\n${o.reports[0]}`
  );
  assertEquals(
    bad.length,
    0,
    `${bad.length} of ${outcomes.length} variants differ\n${text.join("\n")}`,
  );
}
