import { assertEquals } from "@std/assert";
import { runLong } from "./long/run.ts";

Deno.test("64-bit code does what silicon did when recorded", async () => {
  const engine = Deno.env.get("COMPY_VECTOR_ENGINE") ?? "interp";
  const outcomes = await runLong(engine);
  const bad = outcomes.filter((o) => o.failed > 0);
  const text = bad.slice(0, 20).map((o) =>
    `${o.variant.name}: ${o.failed} of ${o.variant.cases} cases differ\n${o.reports[0]}`
  );
  assertEquals(
    bad.length,
    0,
    `${bad.length} of ${outcomes.length} variants differ\n${text.join("\n")}`,
  );
});
