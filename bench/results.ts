/** Where measurements go, and how they are told. */
import { fromFileUrl, join } from "@std/path";
import { ensureDir } from "@std/fs";

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values to take the median of");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Writes a measurement with the circumstances to `bench/results` and returns the file's path. */
export async function saveResult(name: string, result: unknown): Promise<string> {
  const dir = fromFileUrl(new URL("./results", import.meta.url));
  await ensureDir(dir);
  const date = new Date().toISOString();
  const path = join(dir, `${name}-${date.replaceAll(/[-:]/g, "").slice(0, 15)}.json`);
  const circumstances = {
    date,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    arch: Deno.build.arch,
    cpus: navigator.hardwareConcurrency,
  };
  await Deno.writeTextFile(path, JSON.stringify({ ...circumstances, result }, null, 2) + "\n");
  return path;
}
