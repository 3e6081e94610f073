/**
 * Which instruction forms a boot executes most: the source of `accel/interp/hot_forms.ts`.
 *
 * `deno run -A bench/profile.ts [--arch i386|amd64] [--cpu MODEL] [--every N] [--run COMMAND]` boots that guest to
 * its shell, looks at 500 instructions in every N (default a million) of the boot or, if given, of a command, and
 * prints each form that has a function of its own (`-`) or a case in the loop (`+`) with its share and the running
 * sum, in percent.
 */
import { parseArgs } from "node:util";
import { Interpreter } from "../accel/interp/interpreter.ts";
import { boardOf } from "../core/machine/machine.ts";
import { Machine } from "../mod.ts";
import { HOT_FORMS } from "../accel/interp/hot_forms.ts";
import { linuxGuest, READY } from "../scripts/guests/initramfs.ts";

const SAMPLE = 500;

if (import.meta.main) {
  const { values: args } = parseArgs({
    args: Deno.args,
    options: {
      arch: { type: "string" },
      cpu: { type: "string" },
      every: { type: "string" },
      run: { type: "string" },
    },
  });
  const arch = args.arch === "amd64" ? "amd64" : "i386";
  const every = Number(args.every ?? 1e6) || 1e6;
  const { kernel, initrd } = await linuxGuest({ arch });
  const hot = new Set(HOT_FORMS);
  await using vm = await Machine.create({
    kernel,
    initrd,
    append: "console=ttyS0",
    memory: "256M",
    cpu: args.cpu ?? "max",
  });
  const { cpu } = boardOf(vm);
  if (!(cpu instanceof Interpreter)) throw new Error("only the interpreter can be profiled");
  const tally = new Map<string, number>();
  const shell = () => vm.serial.expect(READY, { within: "10min" });
  if (args.run !== undefined) await shell();
  let ended = false;
  const end = (args.run === undefined ? shell() : vm.serial.run(args.run, { within: "10min" }))
    .then(() => ended = true);
  while (!ended) {
    await Promise.race([end, vm.run({ instructions: every })]);
    cpu.profile(SAMPLE, tally);
  }
  const total = [...tally.values()].reduce((a, b) => a + b, 0);
  let sum = 0;
  for (const [form, count] of [...tally].sort((a, b) => b[1] - a[1])) {
    sum += count;
    console.log(
      `${(100 * count / total).toFixed(3).padStart(7)} ${
        (100 * sum / total).toFixed(2).padStart(6)
      }  ${hot.has(form) ? "+" : "-"} ${form}`,
    );
  }
}
