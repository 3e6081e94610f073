/**
 * A share of the silicon vectors under the translator that compiles at first sight: the first cases of each form in
 * flat code. All of them: `deno run -A tests/vectors/run.ts --engine=jit --mode=block`, and the same of
 * `tests/vectors/long/run.ts`.
 */
import { assert, assertEquals } from "@std/assert";
import { GROUPS } from "../vectors/forms.ts";
import { LONG_GROUPS } from "../vectors/long/forms.ts";
import { runLong } from "../vectors/long/run.ts";
import { runGroup } from "../vectors/run.ts";

/** Cases of each variant. */
const MOST = 16;

interface Outcome {
  variant: { name: string };
  run: number;
  translated: number;
  failed: number;
  reports: string[];
}

function check(outcomes: Outcome[]): void {
  const bad = outcomes.filter(({ failed }) => failed > 0);
  const text = bad.slice(0, 20).map((o) =>
    `${o.variant.name}: ${o.failed} of ${o.run} cases differ\n${o.reports[0]}`
  );
  assertEquals(bad.length, 0, text.join("\n"));
  const run = outcomes.reduce((n, o) => n + o.run, 0);
  const translated = outcomes.reduce((n, o) => n + o.translated, 0);
  // The rest are instructions that end regions: segment loads, privileged and undefined ones.
  assert(translated > 0.7 * run, `only ${translated} of ${run} cases were translated`);
}

for (const group of Object.keys(GROUPS)) {
  Deno.test(`Translated code does what silicon did when recorded: ${group}`, async () => {
    check(await runGroup(group, { engine: "jit", mode: "block", env: "flat", most: MOST }));
  });
}

for (const group of Object.keys(LONG_GROUPS)) {
  Deno.test(`Translated code does what silicon did when recorded: ${group}`, async () => {
    check(await runLong(group, { engine: "jit", mode: "block", most: MOST }));
  });
}
