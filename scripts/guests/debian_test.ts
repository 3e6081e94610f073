import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { guestTest } from "./testing.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** Runs a program of ours with a cache of its own. */
async function run(code: string, env: Record<string, string>) {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", code],
    cwd: ROOT,
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

guestTest("fetchDebian fetches once, however many processes ask at the same time", async () => {
  const cache = await Deno.makeTempDir();
  try {
    const code = `import { seabios } from "./scripts/guests/guests.ts";
      console.log((await Deno.stat((await seabios()).bios256k)).size);`;
    const env = { COMPY_CACHE: cache };
    const both = await Promise.all([run(code, env), run(code, env)]);
    assertEquals(both.map((one) => [one.code, one.stdout]), [[0, "262144\n"], [0, "262144\n"]]);
    const fetched = both.map((one) => one.stderr).join("").match(/Fetching seabios/g) ?? [];
    assertEquals(fetched.length, 1);
    const again = await run(code, env);
    assertEquals([again.code, again.stdout, again.stderr], [0, "262144\n", ""]);
    const left = [...Deno.readDirSync(join(cache, "debian", "i386"))].map(({ name }) => name);
    assertEquals(left, ["seabios"]);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

guestTest("fetchDebian says what to do when the archive lacks a package", async () => {
  const cache = await Deno.makeTempDir();
  try {
    const { code, stderr } = await run(
      `import { fetchDebian } from "./scripts/guests/debian.ts";
      await fetchDebian("no-such-package-anywhere", { instead: "Pass --kernel FILE." });`,
      { COMPY_CACHE: cache },
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "have no no-such-package-anywhere for i386");
    assertStringIncludes(stderr, "Pass --kernel FILE.");
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

Deno.test("a host without apt is told what to pass instead", async () => {
  const empty = await Deno.makeTempDir();
  try {
    const { code, stderr } = await run(
      `import { linuxKernel } from "./scripts/guests/guests.ts"; await linuxKernel("i386");`,
      { COMPY_CACHE: empty, PATH: empty },
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "linux-image-686: this host has no apt-get");
    assertStringIncludes(stderr, "--kernel FILE");
    assertStringIncludes(stderr, "--initrd FILE");
  } finally {
    await Deno.remove(empty, { recursive: true });
  }
});
