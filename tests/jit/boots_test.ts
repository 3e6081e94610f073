/** Both engines reach the same states; `deno run -A tests/jit/boots.ts` goes further. */
import { assert, assertEquals, assertExists } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import { compareEngines, describeParting } from "./boots.ts";
import { kernel, kernelNames, linuxBoot, type LinuxName } from "./guests.ts";
import { Lockstep } from "./lockstep.ts";

const MILLION = 1_000_000;

for (const name of ["i386", "amd64", "smp4"] satisfies LinuxName[]) {
  guestTest(`Linux (${name}) reaches the same states under the translator`, async () => {
    const agreement = await compareEngines(await linuxBoot(name), {
      to: 100 * MILLION,
      // In pieces of any length, so that regions end anywhere.
      pieces: name === "smp4" ? 3000 : undefined,
    });
    assertEquals(describeParting(agreement), "");
    assertEquals(agreement.hashes.map(({ instructions }) => instructions / MILLION), [1, 10, 100]);
    assert(agreement.entered > 1000);
  });
}

for (const name of kernelNames()) {
  Deno.test(`the kernel ${name} reaches the same states under the translator`, async () => {
    const agreement = await compareEngines(await kernel(name), { to: 3 * MILLION, soon: true });
    assertEquals(describeParting(agreement), "");
  });
}

Deno.test("A lockstep that parts finds the instruction after which it did", async () => {
  const lockstep = await Lockstep.create(await kernel("sieve.32"));
  assertEquals(lockstep.advance(20_000), "");
  lockstep.agree();
  const { cpu } = lockstep.b.board, run = cpu.run.bind(cpu), wrong = 23_456;
  cpu.run = (limit) => {
    const before = cpu.instructions;
    run(limit);
    // A bit of EBX goes wrong in that instruction, and stays so.
    if (before < wrong && cpu.instructions >= wrong) lockstep.translator.x86.R[S.RBX] ^= 0x40000;
  };
  const differences = lockstep.advance(30_000);
  assert(differences.includes("ebx: "), differences);
  const parting = lockstep.bisect(30_000);
  assertExists(parting);
  assertEquals([parting.last, parting.first], [wrong - 1, wrong]);
  assert(parting.differences.startsWith("ebx: "), parting.differences);
  assertEquals(parting.registers.ebx, lockstep.a.cpu.registers().ebx);
  assert(parting.recent.length > 10);
  await lockstep.dispose();
});
