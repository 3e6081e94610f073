import { assertEquals, assertThrows } from "@std/assert";
import { BlockError } from "./block_device.ts";
import { MemoryDevice } from "./memory_device.ts";
import { Overlay } from "./overlay.ts";

Deno.test("Overlay agrees with a plain array under random accesses and leaves the base alone", () => {
  const size = 5 * 65536 + 1536;
  const base = new MemoryDevice(Uint8Array.from({ length: size }, (_, i) => i * 7 & 0xff));
  const untouched = base.bytes.slice();
  const overlay = new Overlay(base);
  const model = base.bytes.slice();
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor(seed / 2 ** 32 * below);
  };
  for (let round = 0; round < 500; round++) {
    const offset = random(size);
    const length = random(Math.min(size - offset, round % 10 === 0 ? 200000 : 3000) + 1);
    if (random(2) === 0) {
      const bytes = new Uint8Array(length).fill(round & 0xff);
      overlay.write(offset, bytes);
      model.set(bytes, offset);
    } else assertEquals(overlay.read(offset, length), model.slice(offset, offset + length));
  }
  assertEquals(overlay.read(0, size), model);
  assertEquals(base.bytes, untouched);
  overlay.discard();
  assertEquals(overlay.allocated, 0);
  assertEquals(overlay.read(0, size), untouched);
});

Deno.test("Overlay over a read-only drive takes writes, within its size", () => {
  const overlay = new Overlay(new MemoryDevice(1024, { readOnly: true }));
  overlay.write(0, new Uint8Array([1]));
  assertEquals(overlay.read(0, 2), new Uint8Array([1, 0]));
  assertThrows(() => overlay.write(1024, new Uint8Array(1)), BlockError, "not within");
});

Deno.test("MemoryDevice rounds up to sectors, refuses emptiness and read-only writes", () => {
  assertEquals(new MemoryDevice(new Uint8Array(513)).size, 1024);
  assertThrows(() => new MemoryDevice(0), BlockError, "has no bytes");
  const disk = new MemoryDevice(512, { readOnly: true });
  assertThrows(() => disk.write(0, new Uint8Array(1)), BlockError, "takes no writes");
});
