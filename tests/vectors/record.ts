/**
 * Records the vectors again on this machine's processor:
 *
 *     tests/vectors/recorder/build.sh /tmp/recorder
 *     deno run -A tests/vectors/record.ts /tmp/recorder [group…]
 */
import { deflateSync } from "node:zlib";
import { Buffer } from "node:buffer";
import { buildJob, ESP } from "./builder.ts";
import type { Variant } from "./form.ts";
import { GROUPS, groupVariants } from "./forms.ts";
import { decodeResult, encodeJob, type Job, type Result } from "./job.ts";
import { ARENA, BASE_MEMORY, selectorBase } from "./machine.ts";
import {
  dataFile,
  type Header,
  inputHash,
  MemoryBefore,
  packFile,
  Writer,
  writeResult,
} from "./pack.ts";

/** Runs all jobs in one process of the recorder. */
function execute(recorder: string, inputs: Uint8Array[]): DataView {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/jobs`;
  try {
    const file = Deno.openSync(path, { write: true, create: true });
    const write = (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    };
    write(BASE_MEMORY);
    const chunk = new Uint8Array(inputs.reduce((n, b) => n + b.length, 0));
    let at = 0;
    for (const b of inputs) {
      chunk.set(b, at);
      at += b.length;
    }
    write(chunk);
    file.close();
    const { code, signal } = new Deno.Command("sh", {
      args: ["-c", '"$0" < "$1" > "$2"', recorder, path, `${dir}/results`],
      stderr: "inherit",
    }).outputSync();
    if (code !== 0) throw new Error(`${recorder} ended with ${signal ?? code}`);
    const out = Deno.readFileSync(`${dir}/results`);
    return new DataView(out.buffer);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** PUSHF shows the TF that the recording sets: takes it out of what was pushed. */
function hidePushedTrapFlag(job: Job, result: Result, before: Int32Array): void {
  const ss = job.seg[2];
  const wide = selectorBase(ss) === 0 || ss === 0x07;
  const sp = wide ? result.gpr[ESP] : result.gpr[ESP] & 0xffff;
  const byte = selectorBase(ss) + sp + 1 - ARENA;
  const offset = byte & ~3;
  const entry = result.memory.find(([at]) => at === offset);
  const old = before[offset / 4] >>> 0;
  const value = ((entry?.[1] ?? old) & ~(1 << ((byte & 3) * 8))) >>> 0;
  result.memory = result.memory.filter((e) => e !== entry);
  if (value !== old) result.memory.push([offset, value]);
  result.memory.sort((a, b) => a[0] - b[0]);
}

function recordGroup(recorder: string, group: string, host: string): void {
  const variants = groupVariants(group);
  const jobs: { variant: Variant; job: Job; input: Uint8Array }[] = [];
  for (const variant of variants) {
    for (let i = 0; i < variant.cases; i++) {
      const job = buildJob(variant, i);
      jobs.push({ variant, job, input: encodeJob(job) });
    }
  }
  const results = execute(recorder, jobs.map((j) => j.input));
  const header: Header = { format: 1, host, variants: [] };
  const out = new Writer(), memory = new MemoryBefore();
  let at = 0, index = 0;
  for (const variant of variants) {
    const start = out.length;
    let hash: number | undefined;
    for (let i = 0; i < variant.cases; i++) {
      const { job, input } = jobs[index++];
      hash = inputHash(hash ?? 0x811c9dc5, input);
      const { result, next } = decodeResult(results, at, job);
      at = next;
      memory.with(job, (before) => {
        if (variant.form.mnemonic === "pushf" && result.vector < 0) {
          hidePushedTrapFlag(job, result, before);
        }
        writeResult(out, job, result, before);
      });
    }
    header.variants.push([variant.name, variant.cases, hash ?? 0, out.length - start]);
  }
  if (at !== results.byteLength) throw new Error("the recorder said more than it was asked");
  const packed = deflateSync(Buffer.from(packFile(header, out.take())), { level: 9 });
  Deno.writeFileSync(dataFile(group), packed);
  console.log(`${group}: ${variants.length} variants, ${index} cases, ${packed.length} bytes`);
}

if (import.meta.main) {
  const [recorder, ...groups] = Deno.args;
  if (recorder === undefined) {
    console.error("usage: record.ts RECORDER [GROUP…]; build the recorder with recorder/build.sh");
    Deno.exit(2);
  }
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "?";
  const ids = ["cpu family", "model", "stepping"].map((key) =>
    new RegExp(`^${key}\\s*: (.*)$`, "m").exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1]
  ).join("/");
  const host = `${cpu} (${ids}), Linux ${Deno.osRelease()}`;
  for (const group of groups.length > 0 ? groups : Object.keys(GROUPS)) {
    recordGroup(recorder, group, host);
  }
}
