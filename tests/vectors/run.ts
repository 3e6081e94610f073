/**
 * Runs recorded vectors on an engine. As a program it reports every form that fails:
 *
 *     deno run -A tests/vectors/run.ts [--engine=interp] [--mode=step|block|both] [--most=N] [--all] [text in a variant's name]
 */
import { Decoder, Formatter, FormatterSyntax } from "iced-x86";
import { buildJob } from "./builder.ts";
import { codeOf, compare, hex } from "./compare.ts";
import { ENGINES, type Mode, VectorMachine } from "./engine.ts";
import type { Variant } from "./form.ts";
import { GROUPS, groupVariants } from "./forms.ts";
import { encodeJob, type Job } from "./job.ts";
import { ARENA, ARENA_SIZE, type Env, selectorBase } from "./machine.ts";
import {
  dataFile,
  type Expected,
  inputHash,
  MemoryBefore,
  readRecording,
  ResultReader,
} from "./pack.ts";

/** What to run. */
export interface RunOptions {
  /** A name in `ENGINES`. */
  engine?: string;
  /** "both" takes turns from case to case. */
  mode: Mode | "both";
  /** Only variants whose name contains this. */
  filter?: string;
  /** Only variants in this kind of code segment. */
  env?: Env;
  /** Only so many cases of each variant; then it is not checked that the inputs are those recorded. */
  most?: number;
}

/** How one variant fared. */
export interface Outcome {
  variant: Variant;
  run: number;
  /** Cases whose code the engine translated; 0 of an engine that does not translate. */
  translated: number;
  failed: number;
  /** Reports of failed cases, in full; the first few. */
  reports: string[];
}

const REPORTS = 3;

/** The instruction's text. */
function disassemble(code: Uint8Array, bits: 16 | 32, eip: number): string {
  const decoder = new Decoder(bits, code, 0);
  decoder.ip = BigInt(eip >>> 0);
  const insn = decoder.decode();
  const formatter = new Formatter(FormatterSyntax.Nasm);
  const text = formatter.format(insn);
  insn.free();
  formatter.free();
  decoder.free();
  return text;
}

function stateText(job: Job): string {
  if (job.fx === undefined) return "";
  const lines: string[] = [];
  const view = new DataView(job.fx.buffer);
  lines.push(
    `  fcw ${hex(view.getUint16(0, true))} fsw ${hex(view.getUint16(2, true))} ftw ${
      hex(job.fx[4])
    } mxcsr ` +
      hex(view.getUint32(24, true)),
  );
  const big = (at: number, n: number) =>
    [...job.fx!.subarray(at, at + n)].reverse().map(byteHex).join("");
  for (let i = 0; i < 8; i++) {
    lines.push(`  st${i} ${big(32 + 16 * i, 10)}  xmm${i} ${big(160 + 16 * i, 16)}`);
  }
  return lines.join("\n") + "\n";
}

const byteHex = (b: number): string => b.toString(16).padStart(2, "0");

function report(variant: Variant, index: number, job: Job, differences: string[]): string {
  const code = codeOf(job), names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
  const bits = variant.env === "seg16" ? 16 : 32;
  const patches = job.patches.slice(0, -1).filter((p) => p.bytes.length <= 32)
    .map((p) => `  arena+${hex(p.offset)}: ${[...p.bytes].map(byteHex).join(" ")}`);
  return [
    `${variant.name} #${index}`,
    `  ${[...code].map(byteHex).join(" ")}   ${disassemble(code, bits, job.eip)}`,
    `  ${names.map((n, i) => `${n} ${hex(job.gpr[i])}`).join(" ")} eip ${hex(job.eip)} eflags ${
      hex(job.eflags)
    }`,
    `  es cs ss ds fs gs ${job.seg.map(hex).join(" ")}`,
    ...patches,
    stateText(job) + differences.map((d) => `    ${d}`).join("\n"),
  ].join("\n");
}

/**
 * For running on after the instruction: puts a jump to itself where the instruction leads. Undefined where that
 * cannot be, because the place is not free or does not stand still.
 */
function held(job: Job, expected: Expected): Job | undefined {
  if (expected.vector >= 0 || expected.eip === ((job.eip + job.length) >>> 0)) return job;
  if (expected.eip === (job.eip >>> 0)) return undefined;
  const offset = (selectorBase(expected.seg[1]) + expected.eip - ARENA) | 0;
  if (offset < 0 || offset + 2 > ARENA_SIZE) return undefined;
  const wide = 16;
  if (job.patches.some((p) => offset + 2 > p.offset && offset < p.offset + p.bytes.length + wide)) {
    return undefined;
  }
  if (expected.memory.some(([at]) => at + 4 > offset && at < offset + 2)) return undefined;
  return { ...job, patches: [{ offset, bytes: Uint8Array.of(0xeb, 0xfe) }, ...job.patches] };
}

/**
 * Runs all vectors of a group.
 *
 * @throws {Error} when the recording does not fit the inputs that are made today
 */
export async function runGroup(group: string, options: RunOptions): Promise<Outcome[]> {
  const recording = await readRecording(dataFile(group));
  const make = ENGINES[options.engine ?? "interp"];
  let machine = new VectorMachine(make);
  const memory = new MemoryBefore();
  const outcomes: Outcome[] = [];
  for (const variant of groupVariants(group)) {
    if (options.filter !== undefined && !variant.name.includes(options.filter)) continue;
    if (options.env !== undefined && variant.env !== options.env) continue;
    const recorded = recording.outputs.get(variant.name);
    const outcome: Outcome = { variant, run: 0, translated: 0, failed: 0, reports: [] };
    outcomes.push(outcome);
    if (recorded === undefined || recorded.cases !== variant.cases) {
      throw new Error(`${variant.name} is not recorded: run tests/vectors/record.ts`);
    }
    const reader = new ResultReader(recorded.bytes);
    let hash = 0x811c9dc5;
    for (let i = 0; i < Math.min(variant.cases, options.most ?? Infinity); i++) {
      const job = buildJob(variant, i);
      hash = inputHash(hash, encodeJob(job));
      const expected = memory.with(job, (before) => reader.next(job, before));
      const wanted = options.mode === "both" ? (i % 2 === 0 ? "step" : "block") : options.mode;
      const standing = wanted === "block" && expected.steps < 64 ? held(job, expected) : undefined;
      if (standing === undefined && options.mode === "block") continue;
      const runnable = standing ?? job, mode = standing === undefined ? "step" : "block";
      outcome.run++;
      let differences: string[];
      const compiled = machine.cpu.translation?.compiled ?? 0;
      try {
        differences = memory.with(
          runnable,
          (before) => runCase(machine, variant, runnable, expected, before, mode),
        );
      } catch (thrown) {
        differences = [thrown instanceof Error ? `${thrown.stack}` : `threw ${String(thrown)}`];
        machine = new VectorMachine(make);
      }
      if ((machine.cpu.translation?.compiled ?? 0) > compiled) outcome.translated++;
      if (differences.length === 0) continue;
      outcome.failed++;
      if (outcome.reports.length < REPORTS) {
        outcome.reports.push(report(variant, i, job, differences));
      }
    }
    if (options.most === undefined && hash !== recorded.inputs) {
      throw new Error(
        `the inputs of ${variant.name} are not those recorded: run tests/vectors/record.ts`,
      );
    }
  }
  return outcomes;
}

function runCase(
  machine: VectorMachine,
  variant: Variant,
  job: Job,
  expected: Expected,
  before: Int32Array,
  mode: Mode,
): string[] {
  const changed: number[] = [];
  machine.prepare(job);
  const got = machine.execute(job, mode, variant.form.options.shadow === true);
  const differences = compare(variant, job, expected, got, before, machine.arena, changed);
  machine.restore(job, changed);
  return differences;
}

if (import.meta.main) {
  const options: RunOptions = { mode: "both" };
  let all = false;
  for (const arg of Deno.args) {
    if (arg.startsWith("--engine=")) options.engine = arg.slice(9);
    else if (arg === "--mode=block") options.mode = "block";
    else if (arg === "--mode=step") options.mode = "step";
    else if (arg === "--mode=both") options.mode = "both";
    else if (arg.startsWith("--most=")) options.most = Number(arg.slice(7));
    else if (arg === "--all") all = true;
    else options.filter = arg;
  }
  let failed = 0;
  for (const group of Object.keys(GROUPS)) {
    const start = performance.now();
    const outcomes = await runGroup(group, options);
    const bad = outcomes.filter((o) => o.failed > 0);
    for (const o of bad) {
      console.log(`${o.variant.name}: ${o.failed} of ${o.run} cases differ`);
      for (const text of o.reports.slice(0, all ? REPORTS : 1)) console.log(text);
    }
    failed += bad.length;
    const run = outcomes.reduce((n, o) => n + o.run, 0);
    const translated = outcomes.reduce((n, o) => n + o.translated, 0);
    const how = translated === 0 ? "" : ` (${translated} of them translated)`;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(
      `${group}: ${bad.length} of ${outcomes.length} variants differ, ${run} cases${how}, ${seconds} s`,
    );
  }
  Deno.exit(failed === 0 ? 0 : 1);
}
