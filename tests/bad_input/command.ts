/** The `compy` command in a process of its own. */
import { fromFileUrl } from "@std/path";

/** Its script. */
export const COMPY: string = fromFileUrl(new URL("../../scripts/compy.ts", import.meta.url));

/** How a process ended. */
export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the command to its end. */
export async function compy(...args: string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", COMPY, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(60_000),
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Gives `work` a directory that vanishes afterwards. */
export async function withDirectory(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
