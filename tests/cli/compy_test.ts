/** The `compy` command as a user runs it: a process with arguments, standard streams and an exit status. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const KERNEL = join(ROOT, "bench/microbench/out10/smc.32.elf");
const DEBUG_EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"];

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

function spawn(args: readonly string[], stdin: "null" | "piped"): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "scripts/compy.ts"), ...args],
    env: { NO_COLOR: "1" },
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outcome(child: Deno.ChildProcess): Promise<Outcome> {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

const compy = (...args: string[]) => outcome(spawn(args, "null"));

async function withDirectory(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/**
 * A flat Multiboot kernel of hand-assembled code: a Multiboot header with load addresses, then `code`.
 */
function multiboot(code: readonly number[]): Uint8Array {
  const MAGIC = 0x1badb002, ADDRESSES = 1 << 16, BASE = 0x100000;
  const header = [MAGIC, ADDRESSES, -(MAGIC + ADDRESSES), BASE, BASE, 0, 0, BASE + 32];
  const bytes = new Uint8Array(32 + code.length);
  const view = new DataView(bytes.buffer);
  header.forEach((word, i) => view.setUint32(i * 4, word >>> 0, true));
  bytes.set(code, 32);
  return bytes;
}

/** Reads COM1 and writes what it read plus one, until it reads `q`; then exits by writing 0x21 to port 0xf4. */
const ECHO = [
  ...[0x66, 0xba, 0xfd, 0x03], // wait: mov dx, 0x3fd
  ...[0xec, 0xa8, 0x01], // in al, dx; test al, 1
  ...[0x74, 0xf7], // jz wait
  ...[0x66, 0xba, 0xf8, 0x03, 0xec], // mov dx, 0x3f8; in al, dx
  ...[0x3c, 0x71, 0x74, 0x05], // cmp al, 'q'; je quit
  ...[0xfe, 0xc0, 0xee], // inc al; out dx, al
  ...[0xeb, 0xe9], // jmp wait
  ...[0xb0, 0x21, 0xe6, 0xf4], // quit: mov al, 0x21; out 0xf4, al
];

Deno.test("compy runs a kernel and exits with the status that QEMU makes of isa-debug-exit", async () => {
  const { code, stdout, stderr } = await compy(
    "-kernel",
    KERNEL,
    "-serial",
    "stdio",
    ...DEBUG_EXIT,
  );
  assertMatch(stdout, /@START smc\r?\n@END smc\r?\nsmc 0000000047bc1425\r?\n/);
  assertEquals([code, stderr], [1, ""]);
});

Deno.test("compy takes QEMU's options with two dashes as well", async () => {
  const { code, stdout } = await compy(
    ...[
      "--kernel",
      KERNEL,
      "--serial",
      "stdio",
      "--display",
      "none",
      "-m",
      "64M",
      "-cpu",
      "pentium3",
    ],
    ...["--no-reboot", "-icount", "shift=2", "-accel", "interp", "-M", "pc", "-smp", "1"],
    ...["-monitor", "none", "-net", "none"],
    ...DEBUG_EXIT,
  );
  assertStringIncludes(stdout, "smc 0000000047bc1425");
  assertEquals(code, 1);
});

Deno.test("compy joins standard input and output to the first serial port with -nographic", () =>
  withDirectory(async (dir) => {
    const kernel = join(dir, "echo.bin");
    await Deno.writeFile(kernel, multiboot(ECHO));
    const child = spawn(["-nographic", "-kernel", kernel, ...DEBUG_EXIT], "piped");
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("HAL\x01"));
    await writer.write(new TextEncoder().encode("q"));
    await writer.close();
    const { code, stdout, stderr } = await outcome(child);
    // Ctrl-A means nothing special where standard input is no terminal.
    assertEquals([code, stdout, stderr], [0x43, "IBM\x02", ""]);
  }));

const hasScript = await new Deno.Command("script", { args: ["--version"] }).output()
  .then(({ success }) => success, () => false);

Deno.test({
  name: "compy takes the keys of a terminal raw, and Ctrl-A as its own",
  // util-linux's `script` gives it a terminal.
  ignore: !hasScript,
  fn: () =>
    withDirectory(async (dir) => {
      const kernel = join(dir, "echo.bin");
      await Deno.writeFile(kernel, multiboot(ECHO));
      const command = [Deno.execPath(), "run", "-A", join(ROOT, "scripts/compy.ts")];
      const child = new Deno.Command("script", {
        args: ["-qec", [...command, "-nographic", "-kernel", kernel].join(" "), "/dev/null"],
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const reader = child.stdout.getReader();
      const writer = child.stdin.getWriter();
      let seen = "";
      const exchange = async (keys: string, answer: string) => {
        await writer.write(new TextEncoder().encode(keys));
        while (!seen.includes(answer)) {
          const { done, value } = await reader.read();
          if (done) throw new Error(`the command ended after ${JSON.stringify(seen)}`);
          seen += new TextDecoder().decode(value);
        }
      };
      await exchange("HAL", "IBM");
      // Ctrl-C comes back as the next character, and so does a doubled Ctrl-A.
      await exchange("\x03", "\x04");
      await exchange("\x01\x01", "\x02");
      await exchange("\x01h", "Ctrl-A X       quit");
      await writer.write(new TextEncoder().encode("\x01x"));
      assertEquals((await child.status).code, 0);
      await writer.close().catch(() => {});
      await reader.cancel();
    }),
});

Deno.test("compy serves a serial port on a Unix socket", () =>
  withDirectory(async (dir) => {
    const kernel = join(dir, "echo.bin"), path = join(dir, "serial");
    await Deno.writeFile(kernel, multiboot(ECHO));
    const child = spawn(
      ["-kernel", kernel, "-serial", `unix:${path},server`, ...DEBUG_EXIT],
      "null",
    );
    let peer: Deno.Conn | undefined;
    for (let tries = 0; peer === undefined; tries++) {
      peer = await Deno.connect({ transport: "unix", path }).catch(() => undefined);
      if (tries > 200) throw new Error("nobody listens");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await peer.write(new TextEncoder().encode("a"));
    const buffer = new Uint8Array(4);
    assertEquals([await peer.read(buffer), buffer[0]], [1, 0x62]);
    await peer.write(new TextEncoder().encode("q"));
    const { code, stderr } = await outcome(child);
    peer.close();
    assertEquals(code, 0x43);
    assertStringIncludes(stderr, `compy: waiting for a connection to unix:${path}`);
  }));

Deno.test("compy writes serial output and the log to files", () =>
  withDirectory(async (dir) => {
    const serial = join(dir, "serial"), log = join(dir, "log"), kernel = join(dir, "k");
    // mov dx, 0x3f8; mov al, 'x'; out dx, al; out 0xf4, al
    await Deno.writeFile(
      kernel,
      multiboot([0x66, 0xba, 0xf8, 0x03, 0xb0, 0x78, 0xee, 0xb0, 0x00, 0xe6, 0xf4]),
    );
    const { code, stdout } = await compy(
      ...["-kernel", kernel, "-serial", "null", "-serial", "null", "-d", "exec,cpu", "-D", log],
      ...DEBUG_EXIT,
    );
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(await Deno.readTextFile(log), "mov al, 0x78");
    await compy("-kernel", kernel, "-serial", `file:${serial}`, ...DEBUG_EXIT);
    assertEquals(await Deno.readTextFile(serial), "x");
  }));

Deno.test("compy tells with -d what it translates, and at the end how much", () =>
  withDirectory(async (dir) => {
    const log = join(dir, "log");
    const { code } = await compy(
      ...["-kernel", KERNEL, "-serial", "null", "-accel", "jit", ...DEBUG_EXIT],
      ...["-d", "in_asm,op,out_js,stats", "-D", log],
    );
    assertEquals(code, 1);
    const text = await Deno.readTextFile(log);
    for (const part of ["IN: region 1\n", "OP: region 1\n", "OUT: region 1\n"]) {
      assertStringIncludes(text, part);
    }
    const translated = Number(/^translated +(\d+) /m.exec(text)?.[1]);
    assertEquals(text.match(/^OUT: region /gm)?.length, translated);
  }));

Deno.test("compy copies port 0xe9 to where -debugcon says", () =>
  withDirectory(async (dir) => {
    const kernel = join(dir, "k");
    await Deno.writeFile(
      kernel,
      multiboot([0xb0, 0x68, 0xe6, 0xe9, 0xb0, 0x69, 0xe6, 0xe9, 0xe6, 0xf4]),
    );
    const { stdout } = await compy("-kernel", kernel, "-debugcon", "stdio", ...DEBUG_EXIT);
    assertEquals(stdout, "hi");
  }));

Deno.test("compy ends with an explanation when the guest halts for good", () =>
  withDirectory(async (dir) => {
    const kernel = join(dir, "k");
    await Deno.writeFile(kernel, multiboot([0xfa, 0xf4]));
    const { code, stderr } = await compy("-kernel", kernel);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "halted for good");
    assertStringIncludes(stderr, "hlt");
  }));

Deno.test("compy ends on a triple fault with -no-reboot", () =>
  withDirectory(async (dir) => {
    const kernel = join(dir, "k");
    // xor eax, eax; push eax; push eax; lidt [esp]; int3
    await Deno.writeFile(
      kernel,
      multiboot([0x31, 0xc0, 0x50, 0x50, 0x0f, 0x01, 0x1c, 0x24, 0xcc]),
    );
    const { code, stderr } = await compy("-kernel", kernel, "-no-reboot");
    assertEquals(code, 0);
    assertStringIncludes(stderr, "triple fault");
  }));

Deno.test("compy prints its help, its version, and lists", async () => {
  const help = await compy("--help");
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "-kernel FILE");
  assertMatch((await compy("-version")).stdout, /^compy version \d+\.\d+\.\d+\n$/);
  assertStringIncludes((await compy("-device", "help")).stdout, "isa-debug-exit");
  assertStringIncludes((await compy("-cpu", "help")).stdout, "pentium3");
  assertStringIncludes((await compy("-machine", "help")).stdout, "pc");
  assertStringIncludes((await compy("-accel", "help")).stdout, "interp");
});

Deno.test("compy's errors name the option, the file and the nearest right word", () =>
  withDirectory(async (dir) => {
    const missing = join(dir, "vmlinuz");
    const expected: [string[], RegExp | string][] = [
      [["-kernal", "x"], `compy: unknown option -kernal (did you mean "-kernel"?)\n`],
      [["-kernel", missing], missing],
      [["-kernel", KERNEL, "-hda", missing], missing],
      [["-kernel", KERNEL, "-m", "9999G"], /memory|RAM/],
      [["-kernel", KERNEL, "-cpu", "pentum"], `did you mean "pentium"?`],
      [["-kernel", KERNEL, "-serial", `file:${join(dir, "none", "x")}`], "cannot open"],
      [["-bios", missing], missing],
    ];
    for (const [args, message] of expected) {
      const { code, stdout, stderr } = await compy(...args);
      assertEquals([code, stdout], [1, ""], stderr);
      if (typeof message === "string") assertStringIncludes(stderr, message);
      else assertMatch(stderr, message);
      assertEquals(/^compy: /m.test(stderr) && !/\n {4}at /.test(stderr), true, stderr);
    }
  }));
