/**
 * Where a boot's processor time goes.
 *
 * `deno run -A bench/boot_profile.ts [--guest i386|amd64] [--accel interp|jit] [--to MILLIONS] [--every MILLIONS]
 * [--smp N] [--memory SIZE]` boots Linux to its shell's first line, or to so many million instructions, and prints a
 * line for every 100 million: the processor time that the process used (V8's background threads included), host
 * time, the speed by processor time, and with the translator what its statistics gained: regions made and
 * invalidated, regions entered, the share of all instructions that regions executed, instructions for each entry,
 * and why regions were left, as shares.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { type Engine, Machine, type TranslationStatistics } from "../mod.ts";
import { linuxGuest, READY } from "../scripts/guests/initramfs.ts";

const MILLION = 1e6;

/** What the process has used so far, in seconds. */
function clock(): { cpu: number; host: number } {
  const { user, system } = process.cpuUsage();
  return { cpu: (user + system) / 1e6, host: performance.now() / 1000 };
}

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
    },
  });
  const arch = args.guest ?? "i386";
  if (arch !== "i386" && arch !== "amd64") throw new Error("--guest needs one of i386, amd64");
  const every = millions("every", args.every, 100), to = millions("to", args.to, 1e6);
  const { kernel, initrd } = await linuxGuest({ arch });
  await using vm = await Machine.create({
    kernel,
    initrd,
    append: "console=ttyS0",
    memory: args.memory ?? "128M",
    processors: args.smp === undefined ? undefined : Number(args.smp),
    accel: args.accel as Engine | undefined,
    limits: { within: "none" },
  });
  const jit = vm.translation !== undefined;
  console.log(
    "   insn/M    cpu s   host s    MIPS" +
      (jit ? "    made  inval   live  entr./M  in %   insn/e  left by" : ""),
  );
  let ended = false;
  const end = vm.serial.expect(READY, { within: "10min" }).then(() => ended = true);
  const start = clock();
  let last = start, instructions = vm.instructions, statistics = vm.translation;
  while (!ended && vm.instructions < to) {
    await Promise.race([end, vm.run({ instructions: Math.min(every, to - vm.instructions) })]);
    const now = clock(), done = vm.instructions - instructions, after = vm.translation;
    if (done === 0) continue;
    const cpu = now.cpu - last.cpu;
    console.log(
      `${(vm.instructions / MILLION).toFixed(0).padStart(9)} ${cpu.toFixed(2).padStart(8)} ` +
        `${(now.host - last.host).toFixed(2).padStart(8)} ` +
        `${(done / cpu / MILLION).toFixed(0).padStart(7)}` +
        (jit ? `  ${translated(statistics!, after!, done)}` : ""),
    );
    last = now;
    instructions = vm.instructions;
    statistics = after;
  }
  console.log(
    `${ended ? "the shell" : "the end"} after ${(vm.instructions / MILLION).toFixed(1)} million ` +
      `instructions, ${(last.cpu - start.cpu).toFixed(2)} s of processor time, ` +
      `${(last.host - start.host).toFixed(2)} s of host time`,
  );
  // The wait for the shell goes with the machine.
  if (!ended) end.catch(() => {});
}
