/**
 * The benchmarks.
 *
 * `deno task bench` boots one kernel, initial RAM disk and command line to the shell's first line in compy and in
 * v86, alternating, each run in a process of its own, and prints the ratio of the medians. `deno task bench amd64`
 * does the same with a 64-bit kernel in compy and in QEMU's translator. `deno task bench micro`
 * times the micro-benchmarks in compy. Results are written to `bench/results`.
 */
import { parseBenchArguments } from "./arguments.ts";
import { benchAmd64, benchBoot } from "./boot.ts";
import { benchMicro } from "./micro.ts";

const HELP = `Usage: deno task bench [boot] [--runs N] [--accel ENGINE]
       deno task bench amd64 [--runs N] [--accel ENGINE]
       deno task bench micro [--runs N] [--accel ENGINE] [--small] [KERNEL…]

  boot     a Linux kernel to its shell's first line, in compy and in v86 (default)
  amd64    a 64-bit Linux kernel, in compy and in QEMU without KVM (an installed qemu-system-x86_64)
  micro    the kernels in bench/microbench, or those named, in compy
  --accel  compy's engine, interp or jit
  --runs   how often each is run; default 3
  --small  the micro-benchmarks at a tenth of their size
`;

if (import.meta.main) {
  try {
    const { what, runs, small, names, accel, help } = parseBenchArguments(Deno.args);
    if (help) console.log(HELP);
    else if (what === "boot") await benchBoot(runs, accel);
    else if (what === "amd64") await benchAmd64(runs, accel);
    else await benchMicro(runs, { small, names, accel });
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
