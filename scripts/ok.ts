/**
 * The gate, `deno task ok`: format, lint, types, documentation, import rule, tests. Runs them all, says at the end
 * which failed, and exits with 1 if any did. With `--except-tests` all but the tests.
 */
import { fromFileUrl } from "@std/path";

const ROOT = fromFileUrl(new URL("..", import.meta.url));

const STEPS: readonly { name: string; args: readonly string[] }[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "types", args: ["check", "."] },
  { name: "documentation", args: ["doc", "--lint", "mod.ts"] },
  { name: "import rule", args: ["run", "-A", "scripts/check_imports.ts"] },
  { name: "tests", args: ["task", "test"] },
];

interface Result {
  name: string;
  ok: boolean;
  seconds: number;
}

const results: Result[] = [];
const exceptTests = Deno.args.includes("--except-tests");
for (const { name, args } of STEPS) {
  if (exceptTests && name === "tests") continue;
  console.log(`--- ${name}: deno ${args.join(" ")}`);
  const started = performance.now();
  // `deno doc` prints the documentation itself, which nobody reads here.
  const quiet = args[0] === "doc";
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: quiet ? "null" : "inherit",
    stderr: "inherit",
  }).spawn().status;
  results.push({ name, ok: success, seconds: (performance.now() - started) / 1000 });
}

console.log("---");
for (const { name, ok, seconds } of results) {
  console.log(`${ok ? "ok    " : "FAILED"}  ${name} (${seconds.toFixed(1)} s)`);
}
if (results.some(({ ok }) => !ok)) Deno.exit(1);
