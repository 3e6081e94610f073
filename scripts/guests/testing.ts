/** Tests that need a guest from Debian. */
import { canFetchDebian } from "./debian.ts";

const canFetch = await canFetchDebian();

/**
 * Registers a test that needs {@linkcode fetchDebian}. On a host without apt it is reported as ignored, or, where
 * `COMPY_NO_SKIP=1` is set as in the project's CI, run and so failed.
 */
export function guestTest(name: string, test: (t: Deno.TestContext) => void | Promise<void>): void {
  Deno.test({ name, ignore: !canFetch && Deno.env.get("COMPY_NO_SKIP") !== "1", fn: test });
}
