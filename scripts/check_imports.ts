/**
 * Checks who imports whom: `core` imports neither `hw` nor `accel`, these two import only `core`, `mod.ts` joins
 * the three, and no relative import leaves the repository. Tests obey too, but for what lies in `tests`, `scripts`
 * and `bench`, which may import anything.
 */
import { dirname, fromFileUrl, join, relative, resolve } from "@std/path";

/** The rooms with rules, and the rooms that each may import from besides itself. */
const RULES: Readonly<Record<string, readonly string[]>> = {
  core: [],
  hw: ["core"],
  accel: ["core"],
};

/** Room of files at the top level, such as `mod.ts`. */
const TOP = "";

/** One import that breaks a rule. */
export interface Violation {
  file: string;
  line: number;
  problem: string;
}

const IMPORT =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\bimport\.meta\.resolve\(\s*)(["'])(\.{0,2}\/[^"']*)\1/g;

function room(path: string): string {
  const slash = path.indexOf("/");
  return slash < 0 ? TOP : path.slice(0, slash);
}

/** Checks the text of one file. @param file its path from the repository's root, with slashes */
export function checkSource(file: string, source: string): Violation[] {
  const violations: Violation[] = [];
  const from = room(file);
  const allowed = RULES[from];
  for (const match of source.matchAll(IMPORT)) {
    const line = source.slice(0, match.index).split("\n").length;
    const specifier = match[2];
    const report = (problem: string) => violations.push({ file, line, problem });
    if (specifier.startsWith("/")) {
      report(`imports "${specifier}" by an absolute path`);
      continue;
    }
    const target = join(dirname(file), specifier);
    if (target.startsWith("..")) {
      report(`imports "${specifier}", outside of the repository`);
      continue;
    }
    const to = room(target);
    if (allowed === undefined || to === from || allowed.includes(to)) continue;
    const others = allowed.length === 0 ? "nothing else" : `only ${allowed.join(" and ")}`;
    report(
      `imports "${specifier}" from ${to === TOP ? "the top level" : to}: ${from} imports ${others}`,
    );
  }
  return violations;
}

async function sources(dir: string, found: string[] = []): Promise<string[]> {
  for await (const entry of Deno.readDir(dir)) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = join(dir, entry.name);
    if (entry.isDirectory) await sources(path, found);
    else if (entry.name.endsWith(".ts")) found.push(path);
  }
  return found;
}

/** Checks all TypeScript files below a directory. */
export async function checkImports(root: string): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (const path of (await sources(resolve(root))).sort()) {
    const file = relative(resolve(root), path).replaceAll("\\", "/");
    violations.push(...checkSource(file, await Deno.readTextFile(path)));
  }
  return violations;
}

if (import.meta.main) {
  const violations = await checkImports(fromFileUrl(new URL("..", import.meta.url)));
  for (const { file, line, problem } of violations) console.error(`${file}:${line}: ${problem}`);
  if (violations.length > 0) Deno.exit(1);
}
