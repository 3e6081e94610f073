/** The command line of the benchmarks. */
import type { Engine } from "../mod.ts";
import { didYouMean } from "../core/text.ts";
import { type Clock, CLOCKS, type Peer, PEERS } from "./guest.ts";

const ENGINES = ["interp", "jit"] as const;
const WHAT = ["all", "boot", "amd64", "micro", "shell", "publish"] as const;
/** Those that take names. */
const NAMED: readonly string[] = ["micro", "shell", "publish"];
const OPTIONS = ["--runs", "--small", "--accel", "--peers", "--clock", "--help"];

/** What to measure. */
export interface BenchArguments {
  what: (typeof WHAT)[number];
  runs: number;
  small: boolean;
  /** compy's engine; its default when there is none. */
  accel?: Engine;
  /** What takes part, compy last. */
  peers: Peer[];
  /** Kernels or jobs to run, all when there are none; or files to publish. */
  names: string[];
  clock: Clock;
  help: boolean;
}

function parsePeers(text: string | undefined): Peer[] {
  const others = PEERS.filter((peer) => peer !== "compy");
  const given = text === "none" ? [] : (text ?? "").split(",");
  for (const name of given) {
    if (others.some((peer) => peer === name)) continue;
    throw new Error(`--peers needs names out of ${others.join(", ")}, with commas, or none`);
  }
  return [...others.filter((peer) => given.includes(peer)), "compy"];
}

/**
 * Reads the command line.
 *
 * @throws {Error} naming what is wrong
 */
export function parseBenchArguments(args: readonly string[]): BenchArguments {
  const result: BenchArguments = {
    what: "all",
    runs: 3,
    small: false,
    peers: parsePeers("v86,qemu"),
    names: [],
    clock: "host",
    help: false,
  };
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--help" || arg === "-h") result.help = true;
    else if (arg === "--small") result.small = true;
    else if (arg === "--peers") result.peers = parsePeers(args[++i]);
    else if (arg === "--accel") {
      const given = args[++i], engine = ENGINES.find((name) => name === given);
      if (engine === undefined) throw new Error(`--accel needs one of ${ENGINES.join(", ")}`);
      result.accel = engine;
    } else if (arg === "--clock") {
      const given = args[++i], clock = CLOCKS.find((name) => name === given);
      if (clock === undefined) throw new Error(`--clock needs one of ${CLOCKS.join(", ")}`);
      result.clock = clock;
    } else if (arg === "--runs") {
      result.runs = Number(args[++i]);
      if (!Number.isInteger(result.runs) || result.runs < 1) {
        throw new Error("--runs needs a whole number, at least 1");
      }
    } else if (arg.startsWith("-")) {
      throw new Error(`unknown option ${arg}${didYouMean(arg, OPTIONS)}`);
    } else words.push(arg);
  }
  const [what = "all", ...names] = words;
  const found = WHAT.find((w) => w === what);
  if (found === undefined) {
    throw new Error(`there is no benchmark "${what}"${didYouMean(what, WHAT)}`);
  }
  if (!NAMED.includes(found) && names.length > 0) {
    throw new Error(`${found} takes no "${names[0]}"`);
  }
  if (found === "publish" && names.length === 0 && !result.help) {
    throw new Error("publish needs the JSON files that earlier runs have written");
  }
  return { ...result, what: found, names };
}
