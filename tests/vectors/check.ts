/** Makes a test of a group of vectors. */
import { assertEquals } from "@std/assert";
import { runGroup } from "./run.ts";

/**
 * Runs a group and fails with the first reports of every variant that differs. The environment
 * variable `COMPY_VECTOR_ENGINE` names another engine than the interpreter.
 */
export async function check(group: string): Promise<void> {
  const engine = Deno.env.get("COMPY_VECTOR_ENGINE") ?? "interp";
  const outcomes = await runGroup(group, { engine, mode: "both" });
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
