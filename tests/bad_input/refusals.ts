/** A machine that must not come into being, asked for by a script and by the command. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Machine, type MachineOptions } from "../../mod.ts";
import { compy, withDirectory } from "./command.ts";

/** Something that is refused. */
export interface Refusal {
  /** What it is, in words that follow "is refused:". */
  what: string;
  /** Files to write before, by name. */
  files?: Record<string, Uint8Array>;
  /** Options of `Machine.create`; `@name` stands for the path of a file. Without, only the command is tried. */
  options?: Record<string, unknown>;
  /** Arguments of the command, `@name` likewise. Without, only the script is tried. */
  args?: string[];
  /** Parts of the message; `@name` likewise. */
  message: string[];
}

/** Every file of a directory with its contents. */
async function contents(dir: string): Promise<[string, Uint8Array][]> {
  const files: [string, Uint8Array][] = [];
  for await (const { name, isFile } of Deno.readDir(dir)) {
    if (isFile) files.push([name, await Deno.readFile(join(dir, name))]);
  }
  return files.sort(([a], [b]) => a < b ? -1 : 1);
}

/** Puts paths in for `@name`. */
function inDirectory<T>(dir: string, value: T): T {
  if (typeof value === "string") return value.replaceAll("@", `${dir}/`) as T;
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => inDirectory(dir, item)) as T;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, inDirectory(dir, item)]),
  ) as T;
}

/** Refuses nothing by itself: what a case gives besides is what is wrong. */
const PRECIOUS = new TextEncoder().encode("precious\n");

async function check(dir: string, refusal: Refusal): Promise<void> {
  const { files = {}, options, args } = inDirectory(dir, refusal);
  const message = inDirectory(dir, refusal.message);
  for (const [name, bytes] of Object.entries(files)) await Deno.writeFile(join(dir, name), bytes);
  for (const name of ["serial", "log"]) await Deno.writeFile(join(dir, name), PRECIOUS);
  const before = await contents(dir);
  if (options !== undefined) {
    const error = await assertRejects(
      () => Machine.create(options as unknown as MachineOptions),
      Error,
    );
    assert(error.name !== "Error" && error.name !== "TypeError", `${error.name}: ${error.message}`);
    for (const part of message) assertStringIncludes(error.message, part);
  }
  if (args !== undefined) {
    const kept = ["-serial", `file:${dir}/serial`, "-D", `${dir}/log`, "-d", "exec"];
    const { code, stdout, stderr } = await compy(...args, ...kept);
    assertEquals([code, stdout], [1, ""], stderr);
    for (const part of message) assertStringIncludes(stderr, part);
    assert(stderr.startsWith("compy: "), stderr);
    assert(!/\n {4}at |Error:/.test(stderr), `no stack trace: ${stderr}`);
    assertEquals(stderr.split("\n").length, 2, "one line");
  }
  assertEquals(await contents(dir), before, "nothing is written");
}

/** Registers a test of refusals. */
export function refusalTest(name: string, refusals: readonly Refusal[]): void {
  Deno.test(name, async (t) => {
    for (const refusal of refusals) {
      await t.step(refusal.what, () => withDirectory((dir) => check(dir, refusal)));
    }
  });
}
