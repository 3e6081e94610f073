import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { startCompy } from "./compy_guest.ts";
import type { Peer } from "./guest.ts";
import { checkKernel, choose, kernelOptions, marksOf } from "./micro.ts";

const KERNELS =
  "alu sieve memcpy chase fib interp nbody matmul muldiv smc portio pgfault int80 fastsys";

for (const name of KERNELS.split(" ")) {
  for (const width of [32, 64]) {
    Deno.test(`the ${width}-bit micro-benchmark ${name} computes what it should`, async () => {
      const kernel = `${name}.${width}`;
      const guest = await startCompy({ ...kernelOptions(kernel, true), accel: "jit" });
      await guest.run(marksOf(kernel));
      await guest.ended();
      await checkKernel(kernel, { small: true }, guest.text);
      await guest.close();
    });
  }
}

Deno.test("checkKernel tells what was computed wrongly", async () => {
  const text = "@END portio\r\nportio 00000000464e7359\r\n", wrong = text.replace("464e", "464f");
  const check = (text: string, peer: Peer) => checkKernel("portio.32", { small: true, peer }, text);
  await check(text, "compy");
  await assertRejects(() => check(wrong, "compy"), Error, "portio.32 should have printed");
  // v86's CMOS RAM keeps nothing.
  await assertRejects(() => check(text, "v86"), Error, "should have printed");
});

Deno.test("choose takes a name for all its widths", () => {
  const all = ["alu.32", "alu.64", "fib.32"];
  assertEquals(choose([], all, "kernel"), all);
  assertEquals(choose(["fib", "alu.64"], all, "kernel"), ["fib.32", "alu.64"]);
  assertEquals(
    assertThrows(() => choose(["al"], all, "kernel"), Error).message.split(";")[1],
    " there is alu.32, alu.64, fib.32",
  );
});
