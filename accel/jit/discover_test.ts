import { assertEquals } from "@std/assert";
import { Decoder } from "../x86/decoder.ts";
import { ROWS } from "../x86/table.ts";
import { type CallLimits, callOf, discover, offsetOf } from "./discover.ts";

/** Blocks of code at offset 0 of a first page, and of a second page that it may borrow. */
function follow(first: number[], second: number[] = [], calls: Partial<CallLimits> = {}) {
  const bytes = new Uint8Array(0x2000).fill(0xcc);
  bytes.set(first);
  bytes.set(second, 0x1000);
  const { blocks, resumes } = discover(
    new Decoder(ROWS, () => true),
    { bytes, bits: 64, protectedMode: true, pages: new Map([[0, 0]]), borrowed: new Map([[1, 1]]) },
    [0],
    {
      instructions: 100,
      known: (offset) => bytes[offset] !== 0xcc,
      ways: () => [true, true],
      calls: {
        each: 10,
        all: 20,
        depth: 2,
        known: (offset) => offset >= 0 && offset < 0x2000 && bytes[offset] !== 0xcc,
        ...calls,
      },
    },
    () => true,
  );
  return {
    blocks: [...blocks.values()].map(({ start, ending }) => ({
      call: callOf(start),
      offset: offsetOf(start),
      ending: ending.kind,
    })),
    resumes: [...resumes],
  };
}

/** CALL of the second page's start from an offset. */
const callFrom = (offset: number) => [0xe8, 0xfb - offset & 0xff, 0x0f, 0, 0];

Deno.test("Functions in other pages are there once for each call, and need no entry behind it", () => {
  const { blocks, resumes } = follow([...callFrom(0), ...callFrom(5), 0xc3], [
    0x48,
    0x89,
    0xc8,
    0xc3,
  ]);
  assertEquals(blocks, [
    { call: 0, offset: 0, ending: "call" },
    { call: 1, offset: 0x1000, ending: "indirect" },
    { call: 0, offset: 5, ending: "call" },
    { call: 2, offset: 0x1000, ending: "indirect" },
    { call: 0, offset: 10, ending: "indirect" },
  ]);
  assertEquals(resumes, []);
});

Deno.test("What a call leads to is left alone where it is too long, or all would be", () => {
  const long = [...callFrom(0), 0xc3],
    outside = [
      { call: 0, offset: 0, ending: "call" },
      { call: 0, offset: 5, ending: "indirect" },
    ];
  for (const limits of [{ each: 3 }, { all: 3 }, { depth: 0 }]) {
    const { blocks, resumes } = follow(long, [0x90, 0x90, 0x90, 0xc3], limits);
    assertEquals(blocks, outside);
    assertEquals(resumes, [5]);
  }
  assertEquals(follow(long, [0x90, 0x90, 0x90, 0xc3], { each: 4, all: 4, depth: 1 }).resumes, []);
});

Deno.test("A function that may go elsewhere has an entry behind its call", () => {
  // call rax; ret
  assertEquals(follow([...callFrom(0), 0xc3], [0xff, 0xd0, 0xc3]).resumes, [5]);
});

Deno.test("A jump of 64-bit code beyond what offsets can tell is the interpreter's", () => {
  assertEquals(follow([0x90, 0xe9, 0xff, 0xff, 0xff, 0x7f]).blocks, [
    { call: 0, offset: 0, ending: "stop" },
  ]);
  assertEquals(follow([0x90, 0xe9, 0, 0, 0, 0x7f]).blocks, [
    { call: 0, offset: 0, ending: "jump" },
  ]);
});
