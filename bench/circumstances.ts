/** Under which circumstances something was measured. */
import { type Engine, Machine } from "../mod.ts";
import type { Clock } from "./guest.ts";
import type { Circumstances } from "./results.ts";

/** The version of v86 that npm has given. */
export async function v86Version(): Promise<string> {
  try {
    const file = new URL("../package.json", import.meta.resolve("v86"));
    const { version } = JSON.parse(await Deno.readTextFile(file));
    return `v86 ${version.split("+")[0]}`;
  } catch (error) {
    throw new Error(
      `v86 cannot be had from npm (${(error as Error).message}); --peers qemu goes without it`,
    );
  }
}

async function commit(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("git", {
      args: ["describe", "--always", "--dirty", "--exclude", "*"],
      cwd: new URL(".", import.meta.url),
    }).output();
    return new TextDecoder().decode(stdout).trim() || "unknown";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "unknown";
  }
}

async function processor(): Promise<string> {
  try {
    const text = await Deno.readTextFile("/proc/cpuinfo");
    return /^model name\s*:\s*(.*)$/m.exec(text)?.[1].trim() ?? Deno.build.arch;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return Deno.build.arch;
  }
}

/** The engine that a machine has by default. */
async function defaultEngine(): Promise<Engine> {
  await using vm = await Machine.create({ kernel: Uint8Array.of(0xf4), flat: {}, memory: "1M" });
  return vm.translation === undefined ? "interp" : "jit";
}

/** The circumstances of a measurement that begins now. */
export async function circumstances(
  { accel, clock }: { accel?: Engine; clock: Clock },
  versions: Circumstances["versions"],
): Promise<Circumstances> {
  return {
    date: new Date().toISOString(),
    commit: await commit(),
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    processor: await processor(),
    cpus: navigator.hardwareConcurrency,
    load: [Deno.loadavg()[0], Deno.loadavg()[0]],
    accel: accel ?? await defaultEngine(),
    clock,
    versions,
  };
}
