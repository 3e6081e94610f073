/**
 * Compiles, runs and deletes programs in a guest for hours, and watches what the host's process holds:
 *
 *     deno run -A tests/jit/soak.ts [--minutes 60] [--accel jit|interp] [--processors N]
 *
 * boots Debian's 32-bit kernel, has it touch its memory, and then over and over has a shell make ELF programs of
 * random instructions that change themselves, run each twice and compare, delete them, and run scripts and gzip
 * (`soak/guest.ts`). Prints resident memory, V8's heap and external memory, and the translator's statistics every
 * minute. Fails if resident memory at the end (median of the last minute) is more than 10 % above what it was
 * after the first five minutes (median of the minute before), or if a program gives something else the second time.
 */
import { parseArgs } from "node:util";
import { type Engine, formatTranslation, Machine } from "../../mod.ts";
import { linuxGuest, READY } from "../../scripts/guests/initramfs.ts";
import { SOAK_FILES } from "./soak/guest.ts";

const MINUTE = 60_000, MIB = 2 ** 20;
/** Minutes until memory is taken for settled, and how much it may grow from then on. */
const SETTLED = 5, GROWTH = 0.1;

/** What the process held at a time, in bytes. */
interface Sample {
  /** Milliseconds since the rounds began. */
  at: number;
  memory: Deno.MemoryUsage;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Median of the resident memory in the minute before a time. */
function residentAt(samples: readonly Sample[], time: number): number {
  return median(
    samples.filter(({ at }) => at > time - MINUTE && at <= time).map(({ memory }) => memory.rss),
  );
}

function line({ at, memory: { rss, heapTotal, heapUsed, external } }: Sample): string {
  const sizes = Object.entries({ rss, heapTotal, heapUsed, external })
    .map(([name, bytes]) => `${name} ${(bytes / MIB).toFixed(1)} MiB`);
  return `${(at / MINUTE).toFixed(1).padStart(5)} min  ${sizes.join("  ")}`;
}

async function main(): Promise<number> {
  const { values: args } = parseArgs({
    args: Deno.args,
    options: {
      minutes: { type: "string", default: "60" },
      accel: { type: "string", default: "jit" },
      processors: { type: "string", default: "1" },
    },
  });
  const minutes = Number(args.minutes);
  if (!(minutes > SETTLED)) {
    throw new Error(`--minutes takes a number above ${SETTLED}, not ${args.minutes}`);
  }
  const { kernel, initrd } = await linuxGuest({ files: SOAK_FILES });
  await using vm = await Machine.create({
    memory: "96M",
    kernel,
    initrd,
    append: "console=ttyS0 cryptomgr.notests",
    accel: args.accel as Engine,
    processors: Number(args.processors),
    failOn: [/Kernel panic/, /Oops/],
    limits: { within: "none" },
  });
  const run = async (command: string): Promise<string> => {
    const { stdout, status } = await vm.serial.run(command, { within: "30min" });
    if (status !== 0) throw new Error(`${command} ended with ${status}:\n${stdout}`);
    return stdout.trim();
  };
  await vm.serial.expect(READY);
  await run("dmesg -n 1; fill");
  const began = performance.now();
  const samples: Sample[] = [];
  let rounds = 0, printed = 0;
  for (;;) {
    await run(`round ${rounds++}`);
    const sample = { at: performance.now() - began, memory: Deno.memoryUsage() };
    samples.push(sample);
    if (sample.at >= printed * MINUTE) {
      const { regions = 0, compiled = 0, invalidated = 0 } = vm.translation ?? {};
      console.log(
        `${line(sample)}  ${rounds} rounds  ${
          (vm.instructions / 1e6).toFixed(0)
        } M instructions  ` +
          `regions ${regions}, translated ${compiled}, invalidated ${invalidated}`,
      );
      printed = Math.floor(sample.at / MINUTE) + 1;
    }
    if (sample.at >= minutes * MINUTE) break;
  }
  if (vm.translation !== undefined) {
    console.log(formatTranslation(vm.translation, vm.instructions));
  }
  const settled = residentAt(samples, SETTLED * MINUTE), last = samples[samples.length - 1].at;
  const end = residentAt(samples, last), growth = end / settled - 1;
  const holds = growth <= GROWTH;
  console.log(
    `${holds ? "ok" : "FAILED"}: ${rounds} rounds; resident ${
      (settled / MIB).toFixed(1)
    } MiB after ` +
      `${SETTLED} minutes, ${(end / MIB).toFixed(1)} MiB at the end: ${
        (100 * growth).toFixed(1)
      } %`,
  );
  return holds ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
