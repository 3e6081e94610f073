import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import type { CharBackend } from "../../core/char/backend.ts";
import { openCharDevice } from "./char_device.ts";

const EVENTS = { onQuit: () => {}, onHelp: () => {} };
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** The next input that a device reports. */
function input(device: CharBackend): Promise<string> {
  return new Promise((resolve) =>
    device.onInput = (data) => {
      resolve(text(data));
      return Promise.resolve();
    }
  );
}

async function withDirectory(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("a file takes what the guest sends, from its beginning or appended", () =>
  withDirectory(async (dir) => {
    const path = join(dir, "out");
    for (const append of [false, false, true]) {
      const device = await openCharDevice({ kind: "file", path, append }, EVENTS);
      device.write(bytes("hello\n"));
      await device.close();
    }
    assertEquals(await Deno.readTextFile(path), "hello\nhello\n");
  }));

Deno.test("a file stays as it is until the machine is made", () =>
  withDirectory(async (dir) => {
    const path = join(dir, "out"), other = join(dir, "other");
    await Deno.writeTextFile(path, "precious");
    for (const file of [path, other]) {
      const device = await openCharDevice({ kind: "file", path: file, append: false }, EVENTS);
      await device.close();
    }
    assertEquals(await Deno.readTextFile(path), "precious");
    await assertRejects(() => Deno.stat(other), Deno.errors.NotFound);
    const device = await openCharDevice({ kind: "file", path, append: false }, EVENTS);
    device.begin?.();
    await device.close();
    assertEquals(await Deno.readTextFile(path), "");
  }));

Deno.test("a file that cannot be opened is named", () =>
  withDirectory(async (dir) => {
    const path = join(dir, "none", "out");
    const request = { kind: "file", path, append: false } as const;
    await assertRejects(() => openCharDevice(request, EVENTS), Error, `cannot open ${path}`);
    const directory = { ...request, path: dir };
    await assertRejects(() => openCharDevice(directory, EVENTS), Error, "it is a directory");
  }));

Deno.test("a Unix socket serves one peer after the other, in both directions", () =>
  withDirectory(async (dir) => {
    const path = join(dir, "s");
    const device = await openCharDevice({ kind: "unix", path, server: true, wait: false }, EVENTS);
    for (const word of ["one", "two"]) {
      const peer = await Deno.connect({ transport: "unix", path });
      const got = input(device);
      await peer.write(bytes(word));
      assertEquals(await got, word);
      device.write(bytes(`${word}!`));
      const buffer = new Uint8Array(10);
      assertEquals(text(buffer.subarray(0, (await peer.read(buffer))!)), `${word}!`);
      peer.close();
    }
    await device.close();
  }));

Deno.test("a socket's file that nobody listens on any more is replaced", () =>
  withDirectory(async (dir) => {
    const path = join(dir, "s");
    const request = { kind: "unix", path, server: true, wait: false } as const;
    Deno.listen({ transport: "unix", path }).close();
    const device = await openCharDevice(request, EVENTS);
    await assertRejects(() => openCharDevice(request, EVENTS), Error, `cannot open unix:${path}`);
    await device.close();
    await Deno.writeTextFile(join(dir, "precious"), "data");
    await assertRejects(
      () => openCharDevice({ ...request, path: join(dir, "precious") }, EVENTS),
      Error,
      "cannot open unix:",
    );
    assertEquals(await Deno.readTextFile(join(dir, "precious")), "data");
  }));

Deno.test("a TCP client joins a server, and nobody there is an error", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const request = { kind: "tcp", host: "127.0.0.1", port, server: false, wait: true } as const;
  const device = await openCharDevice(request, EVENTS);
  const peer = await listener.accept();
  device.write(bytes("out"));
  const buffer = new Uint8Array(10);
  assertEquals(text(buffer.subarray(0, (await peer.read(buffer))!)), "out");
  await device.close();
  peer.close();
  listener.close();
  await assertRejects(
    () => openCharDevice(request, EVENTS),
    Error,
    `cannot open tcp:127.0.0.1:${port}`,
  );
});

Deno.test("what a socket's peer does not read is dropped beyond a mebibyte", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const device = await openCharDevice(
    { kind: "tcp", host: "127.0.0.1", port, server: false, wait: true },
    EVENTS,
  );
  const peer = await listener.accept();
  for (let i = 0; i < 640; i++) device.write(new Uint8Array(65536));
  await device.close();
  let received = 0;
  const buffer = new Uint8Array(65536);
  for (let count; (count = await peer.read(buffer).catch(() => null)) !== null;) received += count;
  assertEquals(received < 40 * 2 ** 20 / 2, true, `${received}`);
  peer.close();
  listener.close();
});
