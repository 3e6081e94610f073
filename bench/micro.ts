/** The micro-benchmarks in compy. */
import { fromFileUrl, join } from "@std/path";
import { didYouMean } from "../core/text.ts";
import { type Engine, Machine } from "../mod.ts";
import { median, saveResult } from "./results.ts";

/** What to run, and how large. */
export interface MicroOptions {
  /** Kernels to run, as in `alu.32`, or `alu` for both widths; all when there are none. */
  names?: readonly string[];
  /** The engine; the machine's default when there is none. */
  accel?: Engine;
  /** A tenth of the full size. */
  small?: boolean;
}

/** One run of one kernel. */
export interface MicroRun {
  /** Host time between the kernel's two marks. */
  seconds: number;
  /** Instructions between the two. */
  instructions: number;
}

interface Expected {
  [name: string]: { [label: string]: string };
}

function directory(small: boolean): string {
  return fromFileUrl(new URL(`./microbench/${small ? "out10" : "out100"}`, import.meta.url));
}

async function expectedChecksums(small: boolean): Promise<Expected> {
  return JSON.parse(await Deno.readTextFile(join(directory(small), "expected.json")));
}

/**
 * Runs one kernel.
 *
 * @throws {Error} when it computes something else than it should
 */
export async function runMicro(
  file: string,
  small: boolean,
  accel?: Engine,
): Promise<MicroRun> {
  const expected = (await expectedChecksums(small))[file], [name] = file.split(".");
  await using vm = await Machine.create({
    kernel: join(directory(small), `${file}.elf`),
    accel,
    memory: "64M",
    devices: ["isa-debug-exit,iobase=0xf4,iosize=4"],
    limits: { within: "none" },
  });
  await vm.serial.expect(`@START ${name}`);
  const started = performance.now(), before = vm.instructions;
  await vm.serial.expect(`@END ${name}`);
  const seconds = (performance.now() - started) / 1000;
  const instructions = vm.instructions - before;
  const exit = await vm.exited;
  const output = vm.serial.transcript();
  for (const [label, checksum] of Object.entries(expected)) {
    if (
      !output.includes(`${label} ${checksum}\r\n`) && !output.includes(`${label} ${checksum}\n`)
    ) {
      throw new Error(`${name} should have printed "${label} ${checksum}", and printed ${output}`);
    }
  }
  if (exit.kind !== "debug-exit" || exit.value !== 0) {
    throw new Error(`${name} ended with ${exit.kind} instead of debug-exit 0`);
  }
  return { seconds, instructions };
}

/** Runs the kernels `runs` times each, and prints the median times and speeds. */
export async function benchMicro(runs: number, options: MicroOptions = {}): Promise<void> {
  const { small = false } = options;
  const all = Object.keys(await expectedChecksums(small));
  const asked = options.names?.length ? options.names : all;
  const names = asked.flatMap((name) => {
    const found = all.filter((one) => one === name || one.startsWith(`${name}.`));
    if (found.length > 0) return found;
    throw new Error(
      `there is no kernel "${name}"${didYouMean(name, all)}; there is ${all.join(", ")}`,
    );
  });
  const results: Record<string, MicroRun[]> = {};
  const failures: string[] = [];
  console.log("kernel      median s       MIPS  runs");
  for (const name of names) {
    const done: MicroRun[] = results[name] = [];
    try {
      for (let run = 0; run < runs; run++) done.push(await runMicro(name, small, options.accel));
    } catch (error) {
      console.log(`${name.padEnd(10)} FAILED`);
      failures.push(`${name}: ${(error as Error).message}`);
      delete results[name];
      continue;
    }
    const seconds = median(done.map((run) => run.seconds));
    const mips = done[0].instructions / seconds / 1e6;
    console.log(
      `${name.padEnd(10)} ${seconds.toFixed(3).padStart(9)} ${mips.toFixed(1).padStart(10)}  ` +
        done.map((run) => run.seconds.toFixed(3)).join(" "),
    );
  }
  if (failures.length > 0) throw new Error(failures.join("\n"));
  console.log(`written to ${await saveResult("micro", { small, accel: options.accel, results })}`);
}
