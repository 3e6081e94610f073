import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Lockstep } from "./lockstep.ts";

const kernel = fromFileUrl(new URL("../../bench/microbench/out10/interp.32.elf", import.meta.url));

Deno.test("regions beyond the budget give way to new ones, and the guest does not notice", async () => {
  const bytes = await Deno.readFile(kernel), budget = 12_000;
  const lockstep = await Lockstep.create(() => ({
    memory: 32 * 2 ** 20,
    kernel: { kernel: { file: "interp.32.elf", bytes } },
    devices: ["isa-debug-exit,iobase=0xf4,iosize=4"],
  }), { jit: { eager: true, budget } });
  for (const count of [1000, 54_321, 400_000]) {
    assertEquals(lockstep.advance(count), "", `at ${count} instructions`);
    const { bytes, regions } = lockstep.translator.translation;
    assert(bytes <= budget || regions === 1, `${bytes} characters in ${regions} regions`);
  }
  assert(lockstep.translator.translation.evicted > 0);
  await lockstep.dispose();
});
