import { assertEquals, assertThrows } from "@std/assert";
import { type BlockDevice, BlockError } from "../core/block/block_device.ts";
import { MemoryDevice } from "../core/block/memory_device.ts";
import { type State, StateError } from "../core/chip.ts";
import { PflashCfi01 } from "./pflash_cfi01.ts";

const SIZE = 0x10000;

function bench(block: BlockDevice = new MemoryDevice(new Uint8Array(SIZE).fill(0xff))) {
  const array = block.read(0, SIZE);
  const modes: boolean[] = [];
  const changes: [number, number][] = [];
  const errors: BlockError[] = [];
  const chip = new PflashCfi01("pflash0", {
    array,
    block,
    arrayMode: (on) => void modes.push(on),
    changed: (offset, length) => void changes.push([offset, length]),
    onError: (error) => void errors.push(error),
  });
  chip.reset();
  modes.length = 0;
  const write = (offset: number, ...values: number[]) => {
    for (const value of values) chip.registers.write(offset, 1, value);
  };
  const read = (offset: number) => chip.registers.read(offset, 1);
  const kept = (offset: number, length: number) => [...block.read(offset, length)];
  return { chip, array, modes, changes, errors, write, read, kept };
}

Deno.test("programming turns ones into zeros, in the array and in what keeps it, and never back", () => {
  const { write, read, kept, array, changes } = bench();
  write(0x123, 0x40, 0x5a);
  assertEquals(read(0), 0x80);
  write(0x123, 0x10, 0xf0);
  assertEquals(read(0), 0x80);
  assertEquals([array[0x123], kept(0x123, 1)[0]], [0x50, 0x50]);
  assertEquals(changes, [[0x123, 1], [0x123, 1]]);
  write(0, 0xff);
  assertEquals(read(0x123), 0x50);
});

Deno.test("reads leave the array at a command and come back at Read Array", () => {
  const { write, modes, read } = bench();
  write(0, 0x70);
  assertEquals([modes, read(5)], [[false], 0x80]);
  write(0, 0x90, 0x40, 0x00);
  assertEquals(modes, [false]);
  write(0, 0xff);
  assertEquals([modes, read(5)], [[false, true], 0xff]);
});

Deno.test("an erased block reads as ones, its neighbours as before", () => {
  const bytes = new Uint8Array(SIZE).fill(0x33);
  const { write, read, kept } = bench(new MemoryDevice(bytes));
  write(0x1fff, 0x20, 0xd0);
  assertEquals(read(0), 0x80);
  assertEquals([0xfff, 0x1000, 0x1fff, 0x2000].map((at) => kept(at, 1)[0]), [
    0x33,
    0xff,
    0xff,
    0x33,
  ]);
});

Deno.test("an erase that is not confirmed is a sequence error and erases nothing", () => {
  const { write, read, kept } = bench(new MemoryDevice(new Uint8Array(SIZE)));
  write(0, 0x20, 0x55);
  assertEquals([read(0), kept(0, 1)[0]], [0xb0, 0]);
  write(0, 0x50);
  assertEquals(read(0), 0);
});

Deno.test("the buffer is programmed at its confirmation, wherever its bytes lie in it", () => {
  const { write, read, kept } = bench();
  write(0x200, 0xe8);
  assertEquals(read(0), 0x80);
  write(0x200, 2);
  write(0x2ff, 3);
  write(0x210, 1);
  write(0x211, 2);
  assertEquals(kept(0x210, 2), [0xff, 0xff]);
  write(0x200, 0xd0);
  assertEquals(read(0), 0x80);
  assertEquals([kept(0x210, 2), kept(0x2ff, 1)], [[1, 2], [3]]);
  assertEquals(kept(0x20f, 1), [0xff]);
});

Deno.test("a buffer that is left, or not confirmed, is a sequence error and programs nothing", () => {
  const { write, read, kept } = bench();
  write(0x200, 0xe8, 1);
  write(0x200, 0);
  write(0x300, 0);
  assertEquals(read(0), 0xb0);
  write(0x200, 0x50, 0xe8, 0);
  write(0x200, 0);
  write(0x200, 0x70);
  assertEquals(read(0), 0xb0);
  assertEquals([kept(0x200, 1), kept(0x300, 1)], [[0xff], [0xff]]);
});

Deno.test("a block whose lock bit is set takes neither program nor erase until all are cleared", () => {
  const { write, read, kept } = bench(new MemoryDevice(new Uint8Array(SIZE).fill(0xf0)));
  write(0x3000, 0x60, 0x01);
  assertEquals(read(0), 0x80);
  write(0x3004, 0x40, 0);
  assertEquals(read(0), 0x92);
  write(0x3004, 0x50, 0x20, 0xd0);
  assertEquals(read(0), 0xa2);
  write(0, 0x90);
  assertEquals([read(0x3002), read(0x2002)], [1, 0]);
  write(0, 0x50, 0x60, 0xd0);
  write(0x3004, 0x40, 0);
  assertEquals([read(0), kept(0x3004, 1)[0]], [0x80, 0]);
});

Deno.test("a chip whose image may not be written has all blocks locked", () => {
  const { write, read, kept } = bench(
    new MemoryDevice(new Uint8Array(SIZE).fill(0x11), { readOnly: true }),
  );
  write(0, 0x40, 0);
  assertEquals(read(0), 0x92);
  write(0, 0x50, 0x20, 0xd0);
  assertEquals([read(0), kept(0, 1)[0]], [0xa2, 0x11]);
});

Deno.test("the query structure tells the command set, the size and the blocks", () => {
  const { write, read } = bench();
  write(0x55, 0x98);
  const text = (at: number) => String.fromCharCode(read(at), read(at + 1), read(at + 2));
  assertEquals([text(0x10), text(0x31)], ["QRY", "PRI"]);
  assertEquals([read(0x13), read(0x14), read(0x15)], [1, 0, 0x31]);
  assertEquals([2 ** read(0x27), 2 ** read(0x2a)], [SIZE, 256]);
  assertEquals(read(0x2c), 1);
  const blocks = (read(0x2d) | read(0x2e) << 8) + 1, size = (read(0x2f) | read(0x30) << 8) * 256;
  assertEquals([blocks, size], [16, 4096]);
  assertEquals(read(0xff), 0);
});

Deno.test("a backend that fails shows as an error bit, and the array stays what is kept", () => {
  const below = new MemoryDevice(new Uint8Array(SIZE).fill(0xff));
  const failing: BlockDevice = {
    source: "full.fd",
    size: SIZE,
    readOnly: false,
    read: (offset, length) => below.read(offset, length),
    write: () => {
      throw new BlockError("no-space", "full.fd", "cannot write");
    },
    flush: () => {},
    close: () => {},
  };
  const { write, read, array, errors } = bench(failing);
  write(7, 0x40, 0);
  assertEquals([read(0), array[7]], [0x90, 0xff]);
  write(7, 0x50, 0x20, 0xd0);
  assertEquals(read(0), 0xa0);
  assertEquals(errors.map(({ kind }) => kind), ["no-space", "no-space"]);
});

Deno.test("a restore makes what is kept equal to the array", () => {
  const block = new MemoryDevice(new Uint8Array(SIZE).fill(0xff));
  const { chip, array, write, kept } = bench(block);
  const before = array.slice(), state = chip.snapshot();
  write(0x5005, 0x40, 0x12);
  array.set(before);
  chip.restore(state);
  assertEquals(kept(0x5005, 1), [0xff]);
});

Deno.test("a state that would program outside of the chip is refused", () => {
  const { chip, write } = bench();
  write(0x200, 0xe8, 0);
  write(0x200, 0);
  const state = chip.snapshot();
  const wrongs: State[] = [{ target: -1 }, { target: 0x201 }, { target: SIZE }, { remaining: 1 }];
  for (const wrong of wrongs) {
    assertThrows(() => chip.restore({ ...state, ...wrong }), StateError);
  }
  chip.restore(state);
});
