/** Linux to the shell's first line, in compy and in others. */
import { fromFileUrl } from "@std/path";
import { seabios } from "../scripts/guests/guests.ts";
import { linuxGuest, READY } from "../scripts/guests/initramfs.ts";
import type { Engine } from "../mod.ts";
import { median, saveResult } from "./results.ts";

const APPEND = "console=ttyS0";
const MEMORY_MIB = 128;
/** A boot that takes longer has failed. */
const LIMIT_MS = 600_000;

/** Runs a program of this folder and returns what it printed as JSON. */
async function measure(program: string, args: readonly string[]): Promise<{ seconds: number }> {
  const path = fromFileUrl(new URL(program, import.meta.url));
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", path, ...args],
    stdin: "null",
    stderr: "inherit",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  const text = new TextDecoder().decode(output.stdout).trim();
  if (!output.success) throw new Error(`${program} failed with status ${output.code}: ${text}`);
  return JSON.parse(text.split("\n").at(-1)!);
}

/** A program that boots, with its arguments. */
interface Peer {
  program: string;
  args: readonly string[];
}

/** Runs the peer and compy in turn, `runs` times each, and prints every time and the ratio of the medians. */
async function compare(
  result: { name: string; release: string },
  runs: number,
  rival: string,
  peers: Record<string, Peer>,
): Promise<void> {
  const results: Record<string, { seconds: number }[]> = { [rival]: [], compy: [] };
  for (let run = 1; run <= runs; run++) {
    for (const peer of [rival, "compy"]) {
      const one = await measure(peers[peer].program, peers[peer].args);
      results[peer].push(one);
      console.log(`run ${run}  ${peer.padEnd(5)}  ${one.seconds.toFixed(2).padStart(7)} s`);
    }
  }
  const of = (peer: string) => median(results[peer].map(({ seconds }) => seconds));
  const medians = { [rival]: of(rival), compy: of("compy") };
  const ratio = medians.compy / medians[rival];
  console.log(
    `median ${rival} ${medians[rival].toFixed(2)} s, compy ${medians.compy.toFixed(2)} s`,
  );
  console.log(`compy takes ${ratio.toFixed(2)} times ${rival}'s time`);
  const { name, release } = result;
  const path = await saveResult(name, { release, memory: MEMORY_MIB, results, medians, ratio });
  console.log(`written to ${path}`);
}

/** Debian's kernel for 32-bit PCs, in compy and in v86. */
export async function benchBoot(runs: number, accel: Engine = "interp"): Promise<void> {
  const { kernel, initrd, release } = await linuxGuest();
  const { bios, vgaBios } = await seabios();
  const args = [kernel, initrd, bios, vgaBios, APPEND, String(MEMORY_MIB), READY];
  console.log(`Linux ${release}, ${MEMORY_MIB} MiB, "${APPEND}", until "${READY}"`);
  await compare({ name: "boot", release }, runs, "v86", {
    v86: { program: "./v86_boot.ts", args },
    compy: { program: "./compy_boot.ts", args: [...args, "max", accel] },
  });
}

/** What `qemu-system-x86_64` says its version is. */
async function qemuVersion(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("qemu-system-x86_64", { args: ["--version"] })
      .output();
    return new TextDecoder().decode(stdout).split("\n")[0];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error("there is no qemu-system-x86_64: install Debian's package qemu-system-x86");
  }
}

/** Debian's 64-bit kernel, in compy and in QEMU's translator with the processor of the same name. */
export async function benchAmd64(runs: number, accel: Engine = "interp"): Promise<void> {
  const version = await qemuVersion();
  const { kernel, initrd, release } = await linuxGuest({ arch: "amd64" });
  const cpu = "qemu64", memory = String(MEMORY_MIB);
  console.log(`Linux ${release}, ${memory} MiB, ${cpu}, "${APPEND}", until "${READY}"; ${version}`);
  await compare({ name: "amd64", release }, runs, "qemu", {
    qemu: { program: "./qemu_boot.ts", args: [kernel, initrd, cpu, APPEND, memory, READY] },
    compy: {
      program: "./compy_boot.ts",
      args: [kernel, initrd, "", "", APPEND, memory, READY, cpu, accel],
    },
  });
}
