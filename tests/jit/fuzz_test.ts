import { assert, assertEquals } from "@std/assert";
import { Fuzzer } from "./fuzz/run.ts";

/** Where the seeds begin, and for how long new programs are started. */
const FIRST = 1, MINUTES = 2;

Deno.test("random structured programs run alike on the interpreter and on the translators", async () => {
  const fuzzer = new Fuzzer(), end = performance.now() + MINUTES * 60_000;
  let seed = FIRST;
  for (; performance.now() < end; seed++) {
    const failure = await fuzzer.run(seed);
    const again = `deno run -A tests/jit/fuzz.ts --once --seed ${seed}`;
    assertEquals(failure, undefined, `seed ${seed}; to see where: ${again}`);
  }
  await fuzzer.dispose();
  const { programs, instructions, compiled, entered } = fuzzer;
  console.log(`${programs} programs, ${instructions} instructions, ${compiled} regions`);
  assert(compiled > programs && entered > programs);
});
