/** The kernels of `bench/microbench`. */
import { fromFileUrl, join } from "@std/path";
import { didYouMean } from "../core/text.ts";
import type { GuestOptions, Peer } from "./guest.ts";
import { alternate, peersFor, type Plan } from "./measure.ts";
import type { Row } from "./results.ts";
import { Session } from "./session.ts";

const MEMORY_MIB = 64;

interface Expected {
  [kernel: string]: { [label: string]: string };
}

function directory(small: boolean): string {
  return fromFileUrl(new URL(`./microbench/${small ? "out10" : "out100"}`, import.meta.url));
}

async function expectedChecksums(small: boolean): Promise<Expected> {
  return JSON.parse(await Deno.readTextFile(join(directory(small), "expected.json")));
}

/** What `portio` sums up, small and not, where CMOS RAM reads 0 whatever was written: v86 does not keep it. */
const CMOS_FORGETS = { small: "00000000492d15c5", full: "000000007ad7d5c2" };

/** What a kernel prints around its work; and then the ends of that line and of the one with the checksum. */
export function marksOf(kernel: string): string[] {
  const [name] = kernel.split(".");
  return [`@START ${name}`, `@END ${name}`, "\n", "\n"];
}

/** The machine for a kernel, `alu.32` for instance. */
export function kernelOptions(kernel: string, small: boolean): GuestOptions {
  const arch = kernel.endsWith(".64") ? "amd64" : "i386";
  return { arch, memory: MEMORY_MIB, kernel: join(directory(small), `${kernel}.elf`) };
}

/**
 * Checks what a kernel printed.
 *
 * @throws {Error} when it computed something else than it should
 */
export async function checkKernel(
  kernel: string,
  { small, peer = "compy" }: { small: boolean; peer?: Peer },
  text: string,
): Promise<void> {
  const expected = peer === "v86" && kernel === "portio.32"
    ? { portio: CMOS_FORGETS[small ? "small" : "full"] }
    : (await expectedChecksums(small))[kernel];
  const lines = text.split(/\r?\n/);
  for (const [label, checksum] of Object.entries(expected)) {
    if (lines.includes(`${label} ${checksum}`)) continue;
    throw new Error(`${kernel} should have printed "${label} ${checksum}", and printed ${text}`);
  }
}

/** The names that are meant: `alu` is `alu.32` and `alu.64`; all when none is given. */
export function choose(names: readonly string[], all: readonly string[], what: string): string[] {
  if (names.length === 0) return [...all];
  return names.flatMap((name) => {
    const found = all.filter((one) => one === name || one.startsWith(`${name}.`));
    if (found.length > 0) return found;
    const near = didYouMean(name, all);
    throw new Error(`there is no ${what} "${name}"${near}; there is ${all.join(", ")}`);
  });
}

/** Runs the kernels, or those named. */
export async function* benchMicro(
  plan: Plan,
  names: readonly string[],
  small: boolean,
): AsyncGenerator<Row> {
  for (const kernel of choose(names, Object.keys(await expectedChecksums(small)), "kernel")) {
    const [name, width] = kernel.split(".");
    const options = { ...kernelOptions(kernel, small), accel: plan.accel, clock: plan.clock };
    const { arch } = options, qemu = plan.qemu?.[arch];
    yield await alternate(
      { group: width === "32" ? "kernels-32" : "kernels-64", name },
      { runs: plan.runs, peers: peersFor(plan, arch) },
      async (peer) => {
        const session = await Session.start(peer, { ...options, qemu });
        try {
          const { times: [start, end], text } = await session.run(marksOf(kernel));
          await checkKernel(kernel, { small, peer }, text);
          return (end - start) / 1000;
        } finally {
          await session.close();
        }
      },
    );
  }
}
