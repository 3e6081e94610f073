/**
 * Records the vectors of 64-bit code on this machine's processor:
 *
 *     tests/vectors/recorder/build64.sh /tmp/recorder64
 *     deno run -A tests/vectors/long/record.ts /tmp/recorder64 [group…]
 */
import { dataFile, packFile } from "../pack.ts";
import { hashBytes } from "../prng.ts";
import { buildJob } from "./builder.ts";
import { LONG_GROUPS } from "./forms.ts";
import { decodeResult, encodeJob, type Result, stateWords } from "./job.ts";
import { BASE_MEMORY, HIGH, LOW } from "./machine.ts";
import { Writer, writeResult } from "./pack.ts";
import { MemoryBefore } from "./run.ts";

async function execute(recorder: string, input: Uint8Array<ArrayBuffer>): Promise<DataView> {
  const child = new Deno.Command(recorder, { stdin: "piped", stdout: "piped" }).spawn();
  const [, output] = await Promise.all([
    new Blob([input]).stream().pipeTo(child.stdin),
    child.output(),
  ]);
  if (!output.success) throw new Error(`the recorder failed: ${output.code} ${output.signal}`);
  return new DataView(output.stdout.buffer, output.stdout.byteOffset, output.stdout.length);
}

/** PUSHF shows the TF that the recording sets: takes it out of what was pushed. */
function hidePushedTrapFlag(result: Result, before: Int32Array): void {
  const sp = (BigInt(result.gpr[9] >>> 0) << 32n) | BigInt(result.gpr[8] >>> 0);
  const byte = Number(sp + 1n - (sp >= HIGH ? HIGH : LOW)), offset = byte & ~3;
  const old = before[offset / 4], entry = result.memory.find(([at]) => at === offset);
  const value = (entry?.[1] ?? old) & ~(1 << ((byte & 3) * 8));
  result.memory = result.memory.filter((e) => e !== entry);
  if (value !== old) result.memory.push([offset, value]);
  result.memory.sort((a, b) => a[0] - b[0]);
}

const memory = new MemoryBefore();

async function recordGroup(recorder: string, group: string, host: string): Promise<void> {
  const outputs = new Writer();
  const variants: [string, number, number, number][] = [];
  for (const variant of LONG_GROUPS[group]) {
    const jobs = Array.from({ length: variant.cases }, (_, i) => buildJob(variant, i));
    const encoded = jobs.map(encodeJob);
    const size = encoded.reduce((n, e) => n + e.length, BASE_MEMORY.length);
    const input = new Uint8Array(size);
    input.set(BASE_MEMORY);
    let at = BASE_MEMORY.length, hash = 0x811c9dc5;
    for (const e of encoded) {
      input.set(e, at);
      at += e.length;
      hash = hashBytes(e, hash);
    }
    const view = await execute(recorder, input);
    const from = outputs.length;
    let next = 0;
    for (const job of jobs) {
      const decoded = decodeResult(view, next, job);
      next = decoded.next;
      if (variant.form.mnemonic === "pushf" && decoded.result.vector < 0) {
        memory.with(job, (before) => hidePushedTrapFlag(decoded.result, before));
      }
      const state = job.fx === undefined ? undefined : stateWords(job.fx);
      memory.with(job, (before) => writeResult(outputs, job, decoded.result, before, state));
    }
    if (next !== view.byteLength) {
      throw new Error(`${variant.name}: the recorder reported too much`);
    }
    variants.push([variant.name, variant.cases, hash, outputs.length - from]);
  }
  const header = { format: 1 as const, host, variants };
  const file = packFile(header, outputs.take());
  const stream = new Blob([file]).stream().pipeThrough(new CompressionStream("deflate"));
  await Deno.writeFile(dataFile(group), new Uint8Array(await new Response(stream).arrayBuffer()));
  console.log(
    `${group}: ${variants.length} variants, ${variants.reduce((n, v) => n + v[1], 0)} cases`,
  );
}

const info = await Deno.readTextFile("/proc/cpuinfo");
const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(info)?.[1] ?? "?";
const ids = ["cpu family", "model", "stepping"].map(field).join("/");
const host = `${field("model name")} (${ids}), Linux ${Deno.osRelease()}`;
const [recorder, ...groups] = Deno.args;
for (const group of groups.length > 0 ? groups : Object.keys(LONG_GROUPS)) {
  await recordGroup(recorder, group, host);
}
