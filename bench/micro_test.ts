import { runMicro } from "./micro.ts";

const KERNELS =
  "alu sieve memcpy chase fib interp nbody matmul muldiv smc portio pgfault int80 fastsys";

for (const name of KERNELS.split(" ")) {
  Deno.test(`the micro-benchmark ${name} computes what it should`, async () => {
    await runMicro(name, true);
  });
}
