import { runMicro } from "./micro.ts";

const KERNELS =
  "alu sieve memcpy chase fib interp nbody matmul muldiv smc portio pgfault int80 fastsys";

for (const name of KERNELS.split(" ")) {
  for (const width of [32, 64]) {
    Deno.test(`the ${width}-bit micro-benchmark ${name} computes what it should`, async () => {
      await runMicro(`${name}.${width}`, true, "jit");
    });
  }
}
