/** The benchmarks: the same work in compy, in v86 and in QEMU's translator, in turn. See `docs/bench.md`. */
import { fromFileUrl, join } from "@std/path";
import { ensureDir } from "@std/fs";
import { qemu } from "../scripts/guests/qemu.ts";
import { type BenchArguments, parseBenchArguments } from "./arguments.ts";
import { benchBoot } from "./boot.ts";
import { circumstances, v86Version } from "./circumstances.ts";
import type { Plan } from "./measure.ts";
import { benchMicro } from "./micro.ts";
import { publish } from "./publish.ts";
import type { Circumstances, Result, Row } from "./results.ts";
import { benchShell } from "./shell.ts";
import { resultDocument } from "./table.ts";

const HELP = `Usage: deno task bench [all|boot|amd64] [--runs N] [--accel ENGINE] [--peers NAMES]
       deno task bench micro [--small] [options] [KERNEL…]
       deno task bench shell [options] [JOB…]
       deno task bench publish FILE…

  all      everything below (default)
  boot     a 32-bit Linux kernel to its shell's first line
  amd64    a 64-bit Linux kernel to its shell's first line
  micro    the kernels in bench/microbench, or those named: alu is alu.32 and alu.64
  shell    commands in Linux's shell, or those named: gzip is gzip.i386 and gzip.amd64
  publish  puts the figures of earlier runs, by their JSON files, into docs/bench.md

  --runs   how often each is run; default 3
  --accel  compy's engine, interp or jit; default the machine's default
  --peers  what compy is compared with: v86, qemu, both (default), or none
  --clock  host (default), or processor: that of the thread that emulates, for hosts with other work
  --small  the kernels at a tenth of their size
`;

/** All rows that are asked for, each as soon as it has been measured. */
async function* measure(plan: Plan, args: BenchArguments): AsyncGenerator<Row> {
  const { what, names, small } = args, all = what === "all";
  if (all || what === "boot") yield await benchBoot(plan, "i386");
  if (all || what === "amd64") yield await benchBoot(plan, "amd64");
  if (all || what === "micro") yield* benchMicro(plan, names, small);
  if (all || what === "shell") yield* benchShell(plan, names);
}

/** Where the results of a run that begins now go, without the ending. */
async function resultPath(what: string): Promise<string> {
  const dir = fromFileUrl(new URL("./results", import.meta.url));
  await ensureDir(dir);
  const stamp = new Date().toISOString().replaceAll(/[-:]/g, "").slice(0, 15);
  return join(dir, `${what}-${stamp}`);
}

async function run(args: BenchArguments): Promise<void> {
  const versions: Circumstances["versions"] = {};
  const plan: Plan = args;
  if (args.peers.includes("v86")) versions.v86 = await v86Version();
  if (args.peers.includes("qemu")) {
    const { programs, version } = await qemu();
    versions.qemu = version;
    plan.qemu = programs;
  }
  const before = await circumstances(args, versions);
  const path = await resultPath(args.what), rows: Row[] = [];
  let result: Result = { circumstances: before, rows };
  for await (const row of measure(plan, args)) {
    rows.push(row);
    const load: [number, number] = [before.load[0], Deno.loadavg()[0]];
    result = { circumstances: { ...before, load }, rows };
    // After each row: a run that is broken off leaves what it had.
    await Deno.writeTextFile(`${path}.json`, JSON.stringify(result, null, 2) + "\n");
    await Deno.writeTextFile(`${path}.md`, resultDocument(result));
  }
  console.log(`\n${resultDocument(result)}\nwritten: ${path}.md and .json`);
  const failures = rows.flatMap((row) =>
    Object.entries(row.failed).map(([peer, why]) => `${row.group} ${row.name} in ${peer}: ${why}`)
  );
  if (failures.length > 0) throw new Error(`failed:\n${failures.join("\n")}`);
}

async function main(args: BenchArguments): Promise<void> {
  if (args.help) console.log(HELP);
  else if (args.what !== "publish") await run(args);
  else console.log(`written: ${(await publish(args.names)).join(", ")}`);
}

if (import.meta.main) {
  try {
    await main(parseBenchArguments(Deno.args));
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
