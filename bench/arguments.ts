/** The command line of the benchmarks. */
import type { Engine } from "../mod.ts";
import { didYouMean } from "../core/text.ts";

const ENGINES = ["interp", "jit"] as const;
const WHAT = ["boot", "amd64", "micro"] as const;

/** What to measure. */
export interface BenchArguments {
  what: (typeof WHAT)[number];
  runs: number;
  small: boolean;
  /** compy's engine; its default when there is none. */
  accel?: Engine;
  /** Micro-benchmarks to run; all when there are none. */
  names: string[];
  help: boolean;
}

/**
 * Reads the command line.
 *
 * @throws {Error} naming what is wrong
 */
export function parseBenchArguments(args: readonly string[]): BenchArguments {
  const result: BenchArguments = { what: "boot", runs: 3, small: false, names: [], help: false };
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--help" || arg === "-h") result.help = true;
    else if (arg === "--small") result.small = true;
    else if (arg === "--accel") {
      const given = args[++i], engine = ENGINES.find((name) => name === given);
      if (engine === undefined) throw new Error(`--accel needs one of ${ENGINES.join(", ")}`);
      result.accel = engine;
    } else if (arg === "--runs") {
      result.runs = Number(args[++i]);
      if (!Number.isInteger(result.runs) || result.runs < 1) {
        throw new Error("--runs needs a whole number, at least 1");
      }
    } else if (arg.startsWith("-")) {
      const near = didYouMean(arg, ["--runs", "--small", "--accel", "--help"]);
      throw new Error(`unknown option ${arg}${near}`);
    } else words.push(arg);
  }
  const [what = "boot", ...names] = words;
  const found = WHAT.find((w) => w === what);
  if (found === undefined) {
    throw new Error(`there is no benchmark "${what}"${didYouMean(what, WHAT)}`);
  }
  if (found !== "micro" && names.length > 0) throw new Error(`${found} takes no "${names[0]}"`);
  return { ...result, what: found, names };
}
