/**
 * Runs random programs on the interpreter and on translators, and compares them at many counts of
 * instructions:
 *
 *     deno run -A tests/jit/fuzz.ts --seed 1 --minutes 10
 *     deno run -A tests/jit/fuzz.ts --seed 1234 --once            one program, minimised if it fails
 *     deno run -A tests/jit/fuzz.ts --seed 1234 --once --without 3,5,7
 */
import { parseArgs } from "node:util";
import { Engines } from "./fuzz/engines.ts";
import { makeProgram } from "./fuzz/program.ts";
import { type Failure, Fuzzer, listing, minimise, narrow, runTrial, trialOf } from "./fuzz/run.ts";

const { values: args } = parseArgs({
  args: Deno.args,
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    /** Failures after which to stop. */
    failures: { type: "string", default: "5" },
    once: { type: "boolean" },
    /** Says which seed comes next. */
    verbose: { type: "boolean" },
    without: { type: "string", default: "" },
  },
});

/** Says all about a failure that helps to find its cause. */
async function report(seed: number, failure: Failure, without: ReadonlySet<number>): Promise<void> {
  console.log(`seed ${seed}: alike at ${failure.alike}, apart at ${failure.apart}`);
  console.log(`  ${failure.differences.replaceAll("\n", "\n  ")}`);
  const engines = await Engines.create(), again = runTrial(engines, trialOf(seed, without));
  if (again === undefined) {
    console.log("  not on fresh boards: it takes the programs that ran before it");
    await engines.dispose();
    return;
  }
  const left = minimise(engines, seed, without, performance.now() + 60_000);
  const program = makeProgram(seed, left), trial = trialOf(seed, left);
  const { alike, apart, differences } = narrow(engines, trial, runTrial(engines, trial)!);
  const pieces = program.pieces.filter(({ id }) => !left.has(id));
  console.log(`  minimised to ${pieces.map(({ kind, id }) => `${kind} ${id}`).join(", ")}`);
  console.log(`  ${JSON.stringify(program.setup)}`);
  console.log(`  alike at ${alike}, apart at ${apart}: ${differences.replaceAll("\n", "\n  ")}`);
  console.log(`  last instructions:\n${listing(engines, trial, apart)}`);
  console.log(
    `  deno run -A tests/jit/fuzz.ts --once --seed ${seed} --without ${[...left].join(",")}`,
  );
  await engines.dispose();
}

const first = Number(args.seed), minutes = Number(args.minutes);
if (args.once) {
  const without = new Set(args.without.split(",").filter((id) => id !== "").map(Number));
  const engines = await Engines.create();
  const failure = runTrial(engines, trialOf(first, without));
  console.log(`${engines.count} instructions`);
  await engines.dispose();
  if (failure === undefined) console.log("the engines agree");
  else await report(first, failure, without);
  Deno.exit(failure === undefined ? 0 : 1);
}
const fuzzer = new Fuzzer(), end = performance.now() + minutes * 60_000;
let failed = 0, seed = first;
for (; performance.now() < end && failed < Number(args.failures); seed++) {
  if (args.verbose) console.log(`seed ${seed}`);
  const failure = await fuzzer.run(seed);
  if (failure === undefined) continue;
  failed++;
  await report(seed, failure, new Set());
}
await fuzzer.dispose();
console.log(
  `seeds ${first} to ${
    seed - 1
  }: ${fuzzer.programs} programs, ${fuzzer.ended} of which ended early, ` +
    `${fuzzer.instructions} instructions; ${fuzzer.compiled} regions made, entered ${fuzzer.entered} times; ${failed} failures`,
);
Deno.exit(failed === 0 ? 0 : 1);
