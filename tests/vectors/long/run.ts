/**
 * Runs the recorded vectors of 64-bit code on an engine. As a program it reports every form that fails:
 *
 *     deno run -A tests/vectors/long/run.ts [--engine=interp] [--mode=block|both] [--most=N] [--all] [text in a variant's name]
 */
import { Decoder, Formatter, FormatterSyntax } from "iced-x86";
import { ENGINES, type Mode } from "../engine.ts";
import { dataFile, readRecording } from "../pack.ts";
import { hashBytes } from "../prng.ts";
import { undefinedFlags, undefinedResult } from "../undefined_flags.ts";
import { buildJob } from "./builder.ts";
import { LongVectorMachine } from "./engine.ts";
import { LONG_GROUPS, type Variant } from "./forms.ts";
import { encodeJob, type Job, type Result, stateWords } from "./job.ts";
import { ARENA_SIZE, BASE_MEMORY } from "./machine.ts";
import { ResultReader } from "./pack.ts";

/** What to run. */
export interface LongOptions {
  /** A name in `ENGINES`. */
  engine: string;
  /** "both" (default) takes turns from case to case; "block" leaves out what cannot run on. */
  mode?: "block" | "both";
  /** Only variants whose name contains this. */
  filter?: string;
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
  /** Reports of failed cases; the first few. */
  reports: string[];
}

/** The arena's doublewords before a case: base content with the case's patches. */
export class MemoryBefore {
  private readonly bytes = BASE_MEMORY.slice(0, ARENA_SIZE);
  private readonly words = new Int32Array(this.bytes.buffer);

  /** Runs `use` with the patches of `job` applied. */
  with<T>(job: Job, use: (words: Int32Array) => T): T {
    for (const p of job.patches) this.bytes.set(p.bytes, p.offset);
    try {
      return use(this.words);
    } finally {
      for (const p of job.patches) {
        this.bytes.set(BASE_MEMORY.subarray(p.offset, p.offset + p.bytes.length), p.offset);
      }
    }
  }
}

const NAMES = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
const hex = (value: number | bigint): string =>
  (typeof value === "bigint" ? BigInt.asUintN(64, value) : value >>> 0).toString(16);

function codeOf(job: Job): Uint8Array {
  return job.patches.at(-1)!.bytes.subarray(0, job.length);
}

/** What differs from the recording; also lists the words of the arena that changed. */
function compare(
  variant: Variant,
  job: Job,
  want: Result,
  got: Result,
  before: Int32Array,
  after: Int32Array,
  changed: number[],
): string[] {
  const differences: string[] = [];
  const check = (what: string, w: number | bigint, g: number | bigint) => {
    if (w !== g) differences.push(`    ${what}: expected ${hex(w)}, got ${hex(g)}`);
  };
  const { form, operandSize } = variant;
  const bits = form.rmSize === "b" ? 8 : operandSize === 0 ? 32 : operandSize;
  const low = Int32Array.from({ length: 8 }, (_, i) => job.gpr[2 * i]);
  const c = { form, job: { gpr: low }, bits, immediate: codeOf(job).at(-1)! };
  const anyResult = undefinedResult(c);
  // AMD's processors have pushed by the time ENTER finds that its last push cannot be done (../deviations.ts).
  const anyMemory = anyResult || (form.mnemonic === "enter" && want.vector >= 0);
  check("vector", want.vector, got.vector);
  const frame = form.mnemonic === "enter" && want.vector === 14 && got.vector === 14;
  if (!frame) check("error code", want.error, got.error);
  // ENTER's frame may be probed in any order (../deviations.ts): CR2 and the error code are any item's.
  if (!frame) check("CR2", want.cr2, got.cr2);
  check("RIP", want.rip, got.rip);
  for (let i = 0; i < 32 && !anyResult; i++) {
    check(`${NAMES[i >> 1]}${(i & 1) === 0 ? "" : " high"}`, want.gpr[i], got.gpr[i]);
  }
  const mask = ~undefinedFlags(c);
  check("rflags", want.eflags & mask, got.eflags & mask);
  if (want.state !== undefined) {
    for (let i = 0; i < want.state.length; i++) {
      check(
        i >= 40 ? `XMM${(i - 40) >> 2}[${i & 3}]` : `state[${i}]`,
        want.state[i],
        got.state![i],
      );
    }
  }
  for (let i = 0; i < ARENA_SIZE / 4; i += 4) {
    const same = (before[i] ^ after[i]) | (before[i + 1] ^ after[i + 1]) |
      (before[i + 2] ^ after[i + 2]) | (before[i + 3] ^ after[i + 3]);
    if (same === 0) continue;
    for (let k = i; k < i + 4; k++) if (before[k] !== after[k]) changed.push(k);
  }
  const expected = new Map(want.memory.map(([offset, value]) => [offset / 4, value | 0]));
  for (const i of new Set([...changed, ...expected.keys()])) {
    if (!anyMemory) check(`arena+${hex(i * 4)}`, expected.get(i) ?? before[i], after[i]);
  }
  return differences;
}

function report(variant: Variant, index: number, job: Job, differences: string[]): string {
  const code = codeOf(job), decoder = new Decoder(64, code, 0);
  decoder.ip = BigInt.asUintN(64, job.rip);
  const insn = decoder.decode(), formatter = new Formatter(FormatterSyntax.Nasm);
  const text = formatter.format(insn);
  [insn, formatter, decoder].forEach((o) => o.free());
  const registers = NAMES.map((n, i) =>
    `${n} ${hex(job.gpr[2 * i + 1]).padStart(8, "0")}'${hex(job.gpr[2 * i]).padStart(8, "0")}`
  );
  const bytes = (b: Uint8Array) => [...b].map((x) => x.toString(16).padStart(2, "0")).join(" ");
  return [
    `${variant.name} #${index}`,
    `  ${bytes(code)}   ${text}   at ${hex(job.rip)} rflags ${hex(job.eflags)}`,
    ...[0, 4, 8, 12].map((i) => `  ${registers.slice(i, i + 4).join(" ")}`),
    ...job.patches.slice(0, -1).filter((p) => p.bytes.length <= 32)
      .map((p) => `  arena+${hex(p.offset)}: ${bytes(p.bytes)}`),
    ...differences,
  ].join("\n");
}

/**
 * Runs the vectors of 64-bit code of one group.
 *
 * @throws {Error} when the recording does not fit the inputs that are made today
 */
export async function runLong(group: string, options: LongOptions): Promise<Outcome[]> {
  const { engine, mode: wanted = "both", filter = "", most = Infinity } = options;
  const recording = await readRecording(dataFile(group));
  let machine = new LongVectorMachine(ENGINES[engine]);
  const memory = new MemoryBefore();
  const outcomes: Outcome[] = [];
  for (const variant of LONG_GROUPS[group]) {
    if (!variant.name.includes(filter)) continue;
    const recorded = recording.outputs.get(variant.name);
    const outcome: Outcome = { variant, run: 0, translated: 0, failed: 0, reports: [] };
    outcomes.push(outcome);
    if (recorded === undefined || recorded.cases !== variant.cases) {
      throw new Error(`${variant.name} is not recorded: run tests/vectors/long/record.ts`);
    }
    const reader = new ResultReader(recorded.bytes);
    let hash = 0x811c9dc5;
    for (let i = 0; i < Math.min(variant.cases, most); i++) {
      const job = buildJob(variant, i);
      hash = hashBytes(encodeJob(job), hash);
      const differences = memory.with(job, (before) => {
        const state = job.fx === undefined ? undefined : stateWords(job.fx);
        const want = reader.next(job, before, state);
        // Running on needs something to run into: a jump to itself stands behind the instruction.
        const goesOn = want.vector >= 0 || want.rip === job.rip + BigInt(job.length);
        const after = job.patches.at(-1)!.offset + job.length;
        // And must still stand there when it is over.
        const overwritten = want.memory.some(([at]) => at + 4 > after && at < after + 2);
        const runsOn = goesOn && want.steps < 64 && !overwritten;
        if (wanted === "block" && !runsOn) return [];
        const mode: Mode = runsOn && (i % 2 === 1 || wanted === "block") ? "block" : "step";
        outcome.run++;
        const compiled = machine.cpu.translation?.compiled ?? 0;
        const changed: number[] = [];
        try {
          machine.prepare(job);
          const got = machine.execute(job, mode);
          if (mode === "block") got.steps = want.steps;
          const found = compare(variant, job, want, got, before, machine.arena, changed);
          machine.restore(job, changed);
          if ((machine.cpu.translation?.compiled ?? 0) > compiled) outcome.translated++;
          return found;
        } catch (thrown) {
          machine = new LongVectorMachine(ENGINES[engine]);
          return [thrown instanceof Error ? `${thrown.stack}` : `threw ${String(thrown)}`];
        }
      });
      if (differences.length === 0) continue;
      outcome.failed++;
      if (outcome.reports.length < 3) outcome.reports.push(report(variant, i, job, differences));
    }
    if (most === Infinity && hash !== recorded.inputs) {
      throw new Error(
        `the inputs of ${variant.name} are not those recorded: run tests/vectors/long/record.ts`,
      );
    }
  }
  return outcomes;
}

if (import.meta.main) {
  const options: LongOptions = { engine: "interp" };
  let all = false;
  for (const arg of Deno.args) {
    if (arg.startsWith("--engine=")) options.engine = arg.slice(9);
    else if (arg === "--mode=block") options.mode = "block";
    else if (arg === "--mode=both") options.mode = "both";
    else if (arg.startsWith("--most=")) options.most = Number(arg.slice(7));
    else if (arg === "--all") all = true;
    else options.filter = arg;
  }
  const start = performance.now();
  const outcomes: Outcome[] = [];
  for (const group of Object.keys(LONG_GROUPS)) {
    outcomes.push(...await runLong(group, options));
  }
  const bad = outcomes.filter((o) => o.failed > 0);
  for (const o of bad) {
    console.log(`${o.variant.name}: ${o.failed} of ${o.run} cases differ`);
    for (const text of o.reports.slice(0, all ? 3 : 1)) console.log(text);
  }
  const cases = outcomes.reduce((n, o) => n + o.run, 0);
  const translated = outcomes.reduce((n, o) => n + o.translated, 0);
  const how = translated === 0 ? "" : ` (${translated} of them translated)`;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${bad.length} of ${outcomes.length} variants differ, ${cases} cases${how}, ${seconds} s`,
  );
  Deno.exit(bad.length === 0 ? 0 : 1);
}
