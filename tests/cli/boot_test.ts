/** `deno task boot`, as a user runs it. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { guestTest } from "../../scripts/guests/testing.ts";

const SCRIPT = fromFileUrl(new URL("../../scripts/boot-test.ts", import.meta.url));

async function boot(args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", SCRIPT, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

guestTest(
  "boot-test boots Debian's kernel to a shell, works there, and switches it off",
  async () => {
    const { code, stdout, stderr } = await boot([]);
    assertEquals(code, 0, stderr + stdout.slice(-2000));
    assertMatch(stdout, /Linux version 6\.\d+/);
    assertMatch(stdout, /ok: the guest made 1 MiB of data: [0-9a-f]{64}/);
    const [, guest] = /made 1 MiB of data: (\w+)/.exec(stdout)!;
    assertStringIncludes(stdout, `ok: the host reads the same from the image file: ${guest}`);
    assertStringIncludes(stdout, "ok: poweroff ends the machine");
    assertMatch(stdout, /\d million instructions, [\d.]+ s of virtual time, [\d.]+ s of host time/);
  },
);

Deno.test("boot-test explains itself and its options", async () => {
  const help = await boot(["--help"]);
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "--kernel FILE");
  const wrong = await boot(["--kernal", "x"]);
  assertEquals([wrong.code, wrong.stderr], [
    2,
    `boot: unknown option --kernal (did you mean "--kernel"?)\n`,
  ]);
});

Deno.test("boot-test says what to pass on a host without apt, and names files it cannot use", async () => {
  const empty = await Deno.makeTempDir();
  try {
    const bare = await boot([], { COMPY_CACHE: empty, PATH: empty });
    assertEquals(bare.code, 1);
    assertStringIncludes(bare.stderr, "this host has no apt-get");
    assertStringIncludes(bare.stderr, "--kernel FILE");
    assertStringIncludes(bare.stderr, "--initrd FILE");
    const missing = join(empty, "vmlinuz");
    const absent = await boot(["--kernel", missing, "--initrd", missing]);
    assertEquals(absent.code, 1);
    assertStringIncludes(absent.stderr, missing);
    assertEquals(/\n {4}at /.test(absent.stderr), false, absent.stderr);
  } finally {
    await Deno.remove(empty, { recursive: true });
  }
});
