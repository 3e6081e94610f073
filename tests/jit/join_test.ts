/** Regions that lead to each other, and functions that are called, become part of one over several pages, and nothing differs. */
import { assert, assertEquals } from "@std/assert";
import type { TranslatedRegion } from "../../core/machine/cpu.ts";
import type { JitOptions } from "../../accel/jit/translator.ts";
import { abs16, assemble, type Code, label, rel32, rel8 } from "../boots/assemble.ts";
import type { PcBoard } from "../../hw/boards/pc.ts";
import type { BoardOptions } from "./half.ts";
import { Lockstep } from "./lockstep.ts";

/** Two pages of code, which call each other. */
const FIRST = 0x8000, SECOND = 0x9000;
/** Translated and joined much sooner than usual; and what is called is part of the caller's region, or not. */
const SOON: JitOptions = { sample: 1000, hot: 2000, trial: 16, join: 64 };
const WAYS: Record<string, JitOptions> = {
  "that lead to each other": { ...SOON, call: 0 },
  "of which one calls the other": { ...SOON, join: Infinity },
};
/** What the second page begins with. */
const FUNCTION: Code = [
  ...[0x8d, 0x14, 0x98], // lea edx, [eax + ebx * 4]
  ...[0xa8, 7, 0x75, rel8("return")], // test al, 7; jnz
  ...[0xf7, 0xda, 0xd1, 0xc3], // neg edx; rol ebx, 1
  label("return"),
  0xc3,
];

/** A loop that calls the second page for ever, after a prelude; `first` begins each of its turns. */
function board(
  first: number[],
  prelude: number[] = [],
  called: Code = FUNCTION,
): () => BoardOptions {
  const start = [
    ...prelude,
    ...first,
    ...[0x40, 0x01, 0xd3], // inc eax; add ebx, edx
    ...[0x89, 0xc1, 0x81, 0xe1, 0xff, 0, 0, 0], // mov ecx, eax; and ecx, FFh
    ...[0x89, 0x1c, 0x8d, 0, 0, 4, 0], // mov [40000h + ecx * 4], ebx
  ];
  const bytes = new Uint8Array(0x2000).fill(0xcc), call = start.length + 5;
  bytes.set(start);
  bytes.set(
    [0xe8, ...int32(SECOND - FIRST - call), 0xe9, ...int32(prelude.length - call - 5)],
    start.length,
  );
  bytes.set(assemble(SECOND, called), SECOND - FIRST);
  return () => ({
    memory: 2 ** 21,
    kernel: {
      kernel: { file: "program", bytes },
      flat: { address: FIRST, mode: "protected" },
    },
  });
}

function int32(value: number): number[] {
  return [...new Uint8Array(new Int32Array([value]).buffer)];
}

/** Runs both engines, compared often; gives the regions that are made from both pages. */
async function joined(
  way: JitOptions,
  options: () => BoardOptions,
  each: (lockstep: Lockstep, at: number) => void = () => {},
  prepare: (board: PcBoard) => void = () => {},
): Promise<TranslatedRegion[]> {
  const told: TranslatedRegion[] = [];
  const lockstep = await Lockstep.create(options, {
    jit: { ...way, trace: (region) => void told.push(region) },
  });
  for (const { board } of [lockstep.a, lockstep.b]) prepare(board);
  for (let at = 7_919; at < 400_000; at += 7_919) {
    assertEquals(lockstep.advance(at), "", `at ${at} instructions`);
    each(lockstep, at);
  }
  assert(lockstep.translator.translation.executed > 200_000);
  await lockstep.dispose();
  return told.filter(({ blocks }) => new Set(blocks.map(({ address }) => address >> 12)).size > 1);
}

for (const [name, way] of Object.entries(WAYS)) {
  Deno.test(`Pages ${name} become one region`, async () => {
    const [region] = await joined(way, board([]));
    assert(region !== undefined);
    assertEquals(region.page & 0xfff, 0);
    // The addresses told are those of the bytes told.
    const instructions = region.blocks.flatMap(({ instructions }) => instructions);
    assert(instructions.some(({ address, bytes }) => address === SECOND && bytes[0] === 0x8d));
    assert(instructions.some(({ address, bytes }) => address === FIRST && bytes[0] === 0x40));
  });

  Deno.test(`What changes in one of two pages ${name} is seen at once`, async () => {
    // A script changes what TEST AL, imm8 looks at.
    const at = SECOND + 4;
    const regions = await joined(way, board([]), ({ a, b }, count) => {
      if (count % 5 === 0) {
        for (const { board } of [a, b]) board.memory.write(at, 1, count & 15);
      }
    });
    assert(regions.length > 0);
    // test eax, FFFFh; jnz; xor byte [at], 8
    const changes = [0xa9, ...int32(0xffff), 0x75, 7, 0x80, 0x35, ...int32(at), 8];
    assert((await joined(way, board(changes))).length > 0);
  });

  Deno.test(`A region of pages ${name} is left where a page is another one`, async () => {
    // Linear page 9 is page 9 or A in turn; both have code.
    const table = 0x10000, directory = 0x11000;
    const other = [0x8d, 0x54, 0x98, 5, 0xc3]; // lea edx, [eax + ebx * 4 + 5]; ret
    const prelude = [
      ...[0xb8, ...int32(directory), 0x0f, 0x22, 0xd8], // mov eax, directory; mov cr3, eax
      ...[0x0f, 0x20, 0xc0, 0x0d, ...int32(0x80000000)], // mov eax, cr0; or eax, PG
      ...[0x0f, 0x22, 0xc0, 0x31, 0xc0], // mov cr0, eax; xor eax, eax
    ];
    const switches = [
      ...[0xa9, ...int32(0xfff), 0x75, 13], // test eax, FFFh; jnz
      ...[0x80, 0x35, ...int32(table + 9 * 4 + 1), 0x30], // xor byte [table + 9 * 4 + 1], 30h
      ...[0x0f, 0x20, 0xd9, 0x0f, 0x22, 0xd9], // mov ecx, cr3; mov cr3, ecx
    ];
    let turns = 0;
    const regions = await joined(way, board(switches, prelude), ({ a }) => {
      if (a.board.memory.read(table + 9 * 4, 4) >> 12 === 0xa) turns++;
    }, ({ memory }) => {
      for (let page = 0; page < 512; page++) memory.write(table + page * 4, 4, (page << 12) | 3);
      memory.write(directory, 4, table | 3);
      other.forEach((byte, i) => memory.write(0xa000 + i, 1, byte));
    });
    assert(regions.length > 0);
    assert(turns > 10, `${turns}`);
  });
}

/** Calls of a function that does odd things with what it returns to, or calls others. */
const FUNCTIONS: Record<string, Code> = {
  "returns elsewhere half of the time": [
    ...[0x8d, 0x14, 0x98, 0xa8, 1, 0x75, rel8("plain")], // lea edx, [eax + ebx * 4]; test al, 1; jnz
    ...[0x68, abs16("other"), 0, 0, 0xc3], // push other; ret
    label("other"),
    ...[0x42], // inc edx
    label("plain"),
    0xc3,
  ],
  "changes where it returns to": [
    ...[0x31, 0xd2, 0xa8, 3, 0x75, rel8("plain")], // xor edx, edx; test al, 3; jnz
    ...[0xc7, 4, 0x24, ...int32(FIRST)], // mov dword [esp], FIRST
    label("plain"),
    0xc3,
  ],
  "calls another one, which calls itself": [
    ...[0x89, 0xc1, 0x83, 0xe1, 7], // mov ecx, eax; and ecx, 7
    ...[0xe8, rel32("deeper"), 0x8d, 0x14, 0x0b, 0xc3], // call deeper; lea edx, [ebx + ecx]; ret
    label("deeper"),
    ...[0x49, 0x78, rel8("end"), 0xe8, rel32("deeper"), 0xd1, 0xc3], // dec ecx; js; call deeper; rol ebx, 1
    label("end"),
    0xc3,
  ],
  "jumps to another one": [
    ...[0x8d, 0x14, 0x98, 0xa8, 5, 0x75, rel8("other"), 0xd1, 0xc3, 0xe9, rel32("other")],
    ...[0xcc, 0xcc],
    label("other"),
    ...[0xf7, 0xda, 0xc3], // neg edx; ret
  ],
};

for (const [what, code] of Object.entries(FUNCTIONS)) {
  Deno.test(`A function that ${what} is part of the region that calls it`, async () => {
    const [region] = await joined({ ...SOON, join: Infinity }, board([], [], code));
    assert(region !== undefined);
  });
}
