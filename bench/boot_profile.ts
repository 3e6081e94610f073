/**
 * Where the processor time of a boot, of a command in Linux's shell, or of a bare-metal kernel goes.
 *
 * `deno run -A bench/boot_profile.ts [--guest i386|amd64] [--accel interp|jit] [--to MILLIONS] [--every MILLIONS]
 * [--smp N] [--memory SIZE] [--run COMMAND | --kernel NAME]` boots Linux to its shell's first line, or to so many
 * million instructions, and prints a line for every 100 million; with `--run` it boots to the shell and tells of
 * that command; with `--kernel alu.32` it runs that kernel of `bench/microbench`. A line has the processor time of
 * the thread that emulates (on Linux), that of the whole process with V8's background threads, host time, the speed
 * by the first, and with the translator what its statistics gained: regions made and invalidated, regions
 * entered, the share of all instructions that regions executed, instructions for each entry, and why regions were
 * left, as shares.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { type Engine, Machine, type TranslationStatistics } from "../mod.ts";
import { linuxGuest, READY } from "../scripts/guests/initramfs.ts";
import { ownClock } from "./clock.ts";
import { kernelOptions, marksOf } from "./micro.ts";

const MILLION = 1e6;
/** By what bare-metal kernels end the machine. */
const EXIT = "isa-debug-exit,iobase=0xf4,iosize=4";

/** What the process has used so far, in seconds. */
function clock(): { thread: number; all: number; host: number } {
  const { user, system } = process.cpuUsage(), all = (user + system) / 1e6;
  const thread = Deno.build.os === "linux" ? threadClock() / 1000 : all;
  return { thread, all, host: performance.now() / 1000 };
}

const threadClock = ownClock("processor");

/** What the translator did between two looks at its statistics, as columns. */
function translated(
  before: TranslationStatistics,
  after: TranslationStatistics,
  instructions: number,
): string {
  const entered = after.entered - before.entered, executed = after.executed - before.executed;
  const reasons = Object.entries(after.exits)
    .map(([why, count]) => ({ why, share: (count - before.exits[why]) / Math.max(entered, 1) }))
    .filter(({ share }) => share >= 0.005)
    .sort((a, b) => b.share - a.share)
    .map(({ why, share }) => `${why} ${(100 * share).toFixed(0)}%`);
  const columns = [
    String(after.compiled - before.compiled).padStart(6),
    String(after.invalidated - before.invalidated).padStart(6),
    String(after.regions).padStart(6),
    (entered / MILLION).toFixed(2).padStart(8),
    (100 * executed / instructions).toFixed(1).padStart(6),
    (executed / Math.max(entered, 1)).toFixed(1).padStart(7),
  ];
  return `${columns.join(" ")}  ${reasons.join(", ")}`;
}

/** Reads a number of millions from the command line. */
function millions(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!(value > 0)) throw new Error(`--${name} needs a number of millions above 0`);
  return Math.round(value * MILLION);
}

/** Prints what happens until `end`, or until the machine has executed `to` instructions in all. */
async function profile(
  vm: Machine,
  end: Promise<unknown>,
  { every, to }: { every: number; to: number },
): Promise<void> {
  const jit = vm.translation !== undefined;
  console.log(
    "   insn/M  thread s    all s   host s    MIPS" +
      (jit ? "    made  inval   live  entr./M   in %  insn/e  left by" : ""),
  );
  let ended = false;
  const ending = end.then(() => ended = true);
  const start = clock(), first = vm.instructions;
  let last = start, instructions = first, statistics = vm.translation;
  while (!ended && vm.instructions < to) {
    await Promise.race([ending, vm.run({ instructions: Math.min(every, to - vm.instructions) })]);
    const now = clock(), done = vm.instructions - instructions, after = vm.translation;
    if (done === 0) continue;
    const thread = now.thread - last.thread;
    const columns = [thread, now.all - last.all, now.host - last.host];
    console.log(
      `${(vm.instructions / MILLION).toFixed(0).padStart(9)}  ` +
        columns.map((value) => value.toFixed(2).padStart(8)).join(" ") +
        ` ${(done / thread / MILLION).toFixed(0).padStart(7)}` +
        (jit ? `  ${translated(statistics!, after!, done)}` : ""),
    );
    last = now;
    instructions = vm.instructions;
    statistics = after;
  }
  console.log(
    `${((vm.instructions - first) / MILLION).toFixed(1)} million instructions, ` +
      `${(last.thread - start.thread).toFixed(2)} s of the thread, ` +
      `${(last.all - start.all).toFixed(2)} s of all threads, ` +
      `${(last.host - start.host).toFixed(2)} s of host time`,
  );
  // The wait for the end goes with the machine.
  if (!ended) ending.catch(() => {});
}

if (import.meta.main) {
  const { values: args } = parseArgs({
    args: Deno.args,
    options: {
      guest: { type: "string" },
      accel: { type: "string" },
      to: { type: "string" },
      every: { type: "string" },
      smp: { type: "string" },
      memory: { type: "string" },
      run: { type: "string" },
      kernel: { type: "string" },
    },
  });
  const arch = args.guest ?? "i386";
  if (arch !== "i386" && arch !== "amd64") throw new Error("--guest needs one of i386, amd64");
  const every = millions("every", args.every, 100), to = millions("to", args.to, 1e6);
  const options = {
    memory: args.memory ?? "128M",
    processors: args.smp === undefined ? undefined : Number(args.smp),
    accel: args.accel as Engine | undefined,
    limits: { within: "none" },
  } as const;
  const { initrd, kernel } = args.kernel === undefined
    ? await linuxGuest({ arch })
    : { kernel: kernelOptions(args.kernel, false).kernel, initrd: undefined };
  await using vm = await Machine.create(
    initrd === undefined
      ? { ...options, kernel, devices: [EXIT] }
      : { ...options, kernel, initrd, append: "console=ttyS0" },
  );
  const limits = { every, to }, { serial } = vm;
  const within = { within: "1h" } as const;
  if (args.kernel !== undefined) {
    const [start, end] = marksOf(args.kernel);
    await serial.expect(start, within);
    await profile(vm, serial.expect(end, within), limits);
  } else if (args.run !== undefined) {
    await serial.expect(READY, within);
    await profile(vm, serial.run(args.run, within), limits);
  } else await profile(vm, serial.expect(READY, within), limits);
}
