/**
 * Runs guests on the interpreter and on the translator, and compares everything that a guest could notice. Where
 * they part it says after which instruction, and what differed. As a program:
 *
 *     deno run -A tests/jit/boots.ts [--guest NAME,...] [--to MILLIONS] [--every MILLIONS] [--eager | --soon] [--full]
 *         [--pieces N] [--memory MIB] [--regions FILE]
 *
 * --guest    i386, amd64, smp4, amd64-smp4, pae (Linux), work, work-amd64, work-smp4 (programs
 *            within it, from some 2,200 million instructions on: give --to 4000), grub, ovmf, memtest86, kernels (all of
 *            bench/microbench), or one such as alu.32; default i386,amd64,smp4,kernels
 * --to       the end, 1000 by default; kernels run to their own unless it is given
 * --every    how often everything is compared, 10 by default; the processors are ten times as often
 * --eager    translates at first sight, which is slow
 * --soon     translates what is hot much sooner than usual
 * --full     takes the kernels at their full size
 * --memory   RAM in MiB, if it is not to be the guest's own
 * --pieces   has the translator run at most so many instructions at once, and any number up to that
 * --regions  writes all regions to a file, as `-d in_asm,op,out_js` would
 */
import type { JitOptions } from "../../accel/jit/translator.ts";
import { disassemble } from "../../core/debug/disassemble.ts";
import { formatRegion } from "../../core/debug/translation.ts";
import { kernel, kernelNames, LINUX_NAMES, linuxBoot, type LinuxName, OTHERS } from "./guests.ts";
import type { MakeOptions } from "./guests.ts";
import { Lockstep, type Parting } from "./lockstep.ts";

const MILLION = 1_000_000;
/** Where states' hashes are taken, in instructions. */
const MARKS = [1, 10, 100, 1000].map((millions) => millions * MILLION);

/** How far two engines agreed. */
export interface Agreement {
  /** Instructions executed, up to the guest's end if that came before. */
  instructions: number;
  /** Hash of the whole state at each mark, and at the end. */
  hashes: { instructions: number; hash: string }[];
  /** What they differ in at the end of the run, "" if in nothing. */
  differences: string;
  parting?: Parting;
  /** Regions that were entered. */
  entered: number;
}

/** How a guest is run. */
export interface CompareOptions {
  /** Instructions to run. */
  to: number;
  /** Instructions between two comparisons of everything. Default 10 million. */
  every?: number;
  eager?: boolean;
  /** Translates what is hot much sooner than usual. */
  soon?: boolean;
  /** Most instructions that the translator runs at once. */
  pieces?: number;
  trace?: JitOptions["trace"];
  /** Told of each hash. */
  onHash?: (instructions: number, hash: string) => void;
}

/** Runs a guest on both engines, side by side. */
export async function compareEngines(
  options: MakeOptions,
  { to, every = 10 * MILLION, eager = false, soon = false, pieces, trace, onHash }: CompareOptions,
): Promise<Agreement> {
  const lockstep = await Lockstep.create(options, {
    jit: { eager, trace, ...(soon ? { sample: 1000, hot: 3000, trial: 64, join: 64 } : {}) },
  });
  lockstep.b.pieces = pieces;
  const hashes: Agreement["hashes"] = [];
  const take = () => {
    const { instructions } = lockstep, [hash, other] = [lockstep.a.hash, lockstep.b.hash];
    if (hash !== other) return `the hashes are ${hash} and ${other}`;
    hashes.push({ instructions, hash });
    onHash?.(instructions, hash);
    return "";
  };
  const step = Math.max(1, Math.ceil(every / 10));
  let differences = "", parting: Parting | undefined, at = 0;
  lockstep.agree();
  while (at < to && !lockstep.ended && differences === "") {
    const mark = MARKS.find((one) => one > at) ?? Infinity;
    const whole = Math.min(to, mark, (Math.floor(at / every) + 1) * every);
    at = Math.min(whole, (Math.floor(at / step) + 1) * step);
    lockstep.go(at);
    differences = lockstep.compareProcessors();
    if (differences !== "" || at !== whole && !lockstep.ended) continue;
    differences = lockstep.compare();
    if (differences !== "") continue;
    if (at === mark || at === to || lockstep.ended) differences = take();
    lockstep.agree();
  }
  if (differences !== "") parting = lockstep.bisect(at);
  const { instructions, translator: { translation: { entered } } } = lockstep;
  await lockstep.dispose();
  return { instructions, hashes, differences, parting, entered };
}

/** Says how two engines parted; "" if they did not. */
export function describeParting({ instructions, differences, parting }: Agreement): string {
  if (differences === "") return "";
  if (parting === undefined) {
    return `the engines differ at or before ${instructions} instructions: ${differences}\n` +
      "From the last comparison on, with what was translated by then, it did not happen again: " +
      "compare more often (--every).";
  }
  const registers = Object.entries(parting.registers)
    .map(([name, value]) => `${name} ${value.toString(16)}`);
  return [
    `the engines were the same after ${parting.last} instructions, and are not after ${parting.first}:`,
    parting.differences,
    "Interpreter and translator, in this order. The interpreter's last instructions:",
    ...parting.recent.map((one) => `  ${one.ip.toString(16)}  ${disassemble(one)}`),
    `and its registers: ${registers.join(" ")}`,
  ].join("\n");
}

/** The value of an option, or undefined. */
function option(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1];
}

function millions(name: string): number | undefined {
  const text = option(name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} takes a number of millions above 0, not ${text}`);
  return Math.round(value * MILLION);
}

/** All guests that a name stands for. */
async function guests(name: string): Promise<[string, MakeOptions, number][]> {
  if ((LINUX_NAMES as string[]).includes(name)) {
    return [[name, await linuxBoot(name as LinuxName), 1000 * MILLION]];
  }
  if (Object.hasOwn(OTHERS, name)) return [[name, await OTHERS[name](), 1000 * MILLION]];
  const kernels = kernelNames();
  const wanted = name === "kernels" ? kernels : kernels.filter((one) => one === name);
  if (wanted.length === 0) {
    throw new Error(
      `no guest ${name}: there are ${
        [...LINUX_NAMES, ...Object.keys(OTHERS), "kernels", ...kernels].join(", ")
      }`,
    );
  }
  return Promise.all(
    wanted.map(async (one): Promise<[string, MakeOptions, number]> => [
      one,
      await kernel(one, Deno.args.includes("--full")),
      Infinity,
    ]),
  );
}

async function main(): Promise<number> {
  const KNOWN = ["--guest", "--to", "--every", "--memory", "--pieces", "--regions"];
  const FLAGS = ["--eager", "--soon", "--full"];
  for (let i = 0; i < Deno.args.length; i++) {
    if (KNOWN.includes(Deno.args[i])) i++;
    else if (!FLAGS.includes(Deno.args[i])) {
      console.error(`unknown option ${Deno.args[i]}: there are ${[...KNOWN, ...FLAGS].join(", ")}`);
      return 2;
    }
  }
  const names = (option("guest") ?? "i386,amd64,smp4,kernels").split(",");
  const to = millions("to"), every = millions("every"), regions = option("regions");
  const file = regions === undefined
    ? undefined
    : await Deno.open(regions, { write: true, create: true, truncate: true });
  const encoder = new TextEncoder();
  const trace: JitOptions["trace"] = file && ((region) => {
    const text = formatRegion(region, ["in_asm", "op", "out_js"], disassemble);
    file.writeSync(encoder.encode(text + "\n"));
  });
  let failed = 0;
  for (const name of names) {
    for (const [guest, options, end] of await guests(name)) {
      const began = performance.now();
      const memory = option("memory");
      const sized: MakeOptions = memory === undefined
        ? options
        : () => ({ ...options(), memory: Number(memory) * 2 ** 20 });
      const agreement = await compareEngines(sized, {
        to: to ?? end,
        every,
        eager: Deno.args.includes("--eager"),
        soon: Deno.args.includes("--soon"),
        pieces: option("pieces") === undefined ? undefined : Number(option("pieces")),
        trace,
        onHash: (instructions, hash) => console.log(`${guest}: ${instructions} ${hash}`),
      });
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      const problem = describeParting(agreement);
      if (problem === "") {
        const { instructions, entered } = agreement;
        console.log(
          `${guest}: the same to ${instructions} instructions, ${entered} entries, ${seconds} s`,
        );
      } else {
        console.log(`${guest}: ${problem}`);
        failed++;
      }
    }
  }
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
