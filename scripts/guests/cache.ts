/** A directory of things that were fetched or built, safe for several processes at once. */
import { dirname, fromFileUrl, join } from "@std/path";
import { ensureDir, exists } from "@std/fs";

/** The cache's root: `$COMPY_CACHE`, or `.cache` beside `deno.json`. */
export function cacheRoot(): string {
  return Deno.env.get("COMPY_CACHE") || fromFileUrl(new URL("../../.cache", import.meta.url));
}

/**
 * Runs `work` while no other process that uses the same cache does so under the same key. The lock is the
 * operating system's and vanishes with the process that holds it.
 */
export async function withLock<T>(key: string, work: () => Promise<T>): Promise<T> {
  const path = join(cacheRoot(), "locks", key.replaceAll("/", "-") + ".lock");
  await ensureDir(dirname(path));
  using file = await Deno.open(path, { create: true, write: true });
  await file.lock(true);
  try {
    return await work();
  } finally {
    await file.unlock();
  }
}

async function complete(dir: string, needs: readonly string[]): Promise<boolean> {
  if (!await exists(dir)) return false;
  for (const path of needs) if (!await exists(join(dir, path))) return false;
  return true;
}

/**
 * The directory `key` of the cache, holding at least the files `needs`. `fill` is called to make it when it
 * is not there: it writes into an empty directory that takes its place only when all went well.
 *
 * @throws {Error} when a needed file is missing after `fill`
 */
export async function cachedDirectory(
  key: string,
  needs: readonly string[],
  fill: (dir: string) => Promise<void>,
): Promise<string> {
  const dir = join(cacheRoot(), key);
  if (await complete(dir, needs)) return dir;
  return await withLock(key, async () => {
    if (await complete(dir, needs)) return dir;
    await ensureDir(dirname(dir));
    const fresh = await Deno.makeTempDir({ dir: dirname(dir), prefix: ".new-" });
    try {
      await fill(fresh);
      for (const path of needs) {
        if (!await exists(join(fresh, path))) throw new Error(`${key} has no ${path}`);
      }
      if (await exists(dir)) await Deno.remove(dir, { recursive: true });
      await Deno.rename(fresh, dir);
    } catch (error) {
      await Deno.remove(fresh, { recursive: true }).catch(() => {});
      throw error;
    }
    return dir;
  });
}
