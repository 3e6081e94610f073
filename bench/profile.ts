/**
 * Which instruction forms a boot executes most: the source of `accel/interp/hot_forms.ts`.
 *
 * `deno run -A bench/profile.ts [--every N]` boots the i386 guest to its shell, looks at 500 instructions
 * in every N (default a million) and prints each form with its share and the running sum, in percent.
 */
import { Interpreter } from "../accel/interp/interpreter.ts";
import { boardOf } from "../core/machine/machine.ts";
import { Machine } from "../mod.ts";
import { linuxGuest, READY } from "../scripts/guests/initramfs.ts";

const SAMPLE = 500;

if (import.meta.main) {
  const every = Number(Deno.args[Deno.args.indexOf("--every") + 1] ?? 1e6) || 1e6;
  const { kernel, initrd } = await linuxGuest();
  await using vm = await Machine.create({
    kernel,
    initrd,
    append: "console=ttyS0",
    memory: "256M",
  });
  const { cpu } = boardOf(vm);
  if (!(cpu instanceof Interpreter)) throw new Error("only the interpreter can be profiled");
  const tally = new Map<string, number>();
  let ready = false;
  const shell = vm.serial.expect(READY, { within: "10min" }).then(() => ready = true);
  while (!ready) {
    await Promise.race([shell, vm.run({ instructions: every })]);
    cpu.profile(SAMPLE, tally);
  }
  const total = [...tally.values()].reduce((a, b) => a + b, 0);
  let sum = 0;
  for (const [form, count] of [...tally].sort((a, b) => b[1] - a[1])) {
    sum += count;
    console.log(
      `${(100 * count / total).toFixed(3).padStart(7)} ${
        (100 * sum / total).toFixed(2).padStart(6)
      }  ${form}`,
    );
  }
}
