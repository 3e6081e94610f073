import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { Lockstep } from "./lockstep.ts";

const directory = fromFileUrl(new URL("../../bench/microbench/out10", import.meta.url));
/** Where the engines are compared. */
const COUNTS = [1, 10, 1000, 54_321, 400_000];

for await (const { name } of Deno.readDir(directory)) {
  if (!name.endsWith(".elf")) continue;
  Deno.test(`the kernel ${name} reaches the same states when translated at first sight`, async () => {
    const bytes = await Deno.readFile(join(directory, name));
    const lockstep = await Lockstep.create(() => ({
      memory: 32 * 2 ** 20,
      kernel: { kernel: { file: name, bytes } },
      devices: ["isa-debug-exit,iobase=0xf4,iosize=4"],
    }), { jit: { eager: true } });
    for (const count of COUNTS) {
      assertEquals(lockstep.advance(count), "", `at ${count} instructions`);
      if (lockstep.ended) break;
    }
    assert(lockstep.translator.translation.entered > 10);
    await lockstep.dispose();
  });
}
