import { assertEquals } from "@std/assert";
import type { TranslatedRegion, TranslationStatistics } from "../machine/cpu.ts";
import { formatRegion, formatTranslation } from "./translation.ts";
import { disassemble } from "./disassemble.ts";

const REGION: TranslatedRegion = {
  number: 7,
  instructions: 123_456,
  heat: 300_000.4,
  threshold: 250_000,
  replaces: 2,
  bits: 32,
  page: 0xc0100000,
  host: 0x101000,
  entries: [0xc0100010],
  blocks: [
    {
      address: 0xc0100010,
      instructions: [
        { address: 0xc0100010, bytes: new Uint8Array([0x49]) },
        { address: 0xc0100011, bytes: new Uint8Array([0x75, 0xfd]) },
      ],
      ending: { kind: "branch", targets: [0xc0100010, 0xc0100013] },
    },
    {
      address: 0xc0100013,
      instructions: [{ address: 0xc0100013, bytes: new Uint8Array([0xc3]) }],
      ending: { kind: "indirect", targets: [] },
    },
  ],
  text: "return n;",
  hostTime: 1.25,
};

Deno.test("in_asm lists a region's guest code by block", () => {
  assertEquals(formatRegion(REGION, ["in_asm"], disassemble).split("\n"), [
    "----------------",
    "IN: region 7",
    "block 0xc0100010, entry 0",
    "0xc0100010:  49                             dec ecx",
    "0xc0100011:  75 fd                          jne short 0xc0100010",
    "block 0xc0100013",
    "0xc0100013:  c3                             ret",
  ]);
});

Deno.test("op tells what a region is made of and why it was translated", () => {
  assertEquals(formatRegion(REGION, ["op"], disassemble).split("\n"), [
    "----------------",
    "OP: region 7",
    "3 instructions of 32-bit code in 2 blocks, page 0xc0100000 at offset 0x101000 of host memory",
    "translated after 123456 instructions: 300000 were interpreted in its page, 250000 make it hot",
    "takes the place of 2 regions",
    "block 0xc0100010, entry 0: 2 instructions, branches to 0xc0100010 or goes on at 0xc0100013",
    "block 0xc0100013: 1 instruction, goes where a register or memory says",
    "text: 9 characters, 1.3 ms of host time",
  ]);
  const first = formatRegion({ ...REGION, threshold: 0 }, ["op"], disassemble);
  assertEquals(first.split("\n")[3], "translated after 123456 instructions: at first sight");
});

Deno.test("out_js is the text, and comes after the other items", () => {
  const lines = formatRegion(REGION, ["out_js"], disassemble).split("\n");
  assertEquals(lines, ["----------------", "OUT: region 7", "return n;"]);
  const all = formatRegion(REGION, ["out_js", "op", "in_asm"], disassemble);
  assertEquals(all.match(/^\w+: region 7$/gm), ["IN: region 7", "OP: region 7", "OUT: region 7"]);
});

Deno.test("Addresses of 64-bit code's upper half are shown as such", () => {
  const at = -0x7f000000; // ffffffff81000000h
  const region: TranslatedRegion = {
    ...REGION,
    bits: 64,
    page: at,
    entries: [at],
    blocks: [{
      address: at,
      instructions: [{ address: at, bytes: new Uint8Array([0x48, 0x31, 0xc0]) }],
      ending: { kind: "jump", targets: [at + 0x80] },
    }],
  };
  const lines = formatRegion(region, ["in_asm", "op"], disassemble).split("\n");
  assertEquals(lines[2], "block 0xffffffff81000000, entry 0");
  assertEquals(lines[3], "0xffffffff81000000:  48 31 c0                       xor rax, rax");
  assertEquals(
    lines.at(-2),
    "block 0xffffffff81000000, entry 0: 1 instruction, jumps to 0xffffffff81000080",
  );
});

Deno.test("Statistics are shown as a table, with shares where all instructions are known", () => {
  const statistics: TranslationStatistics = {
    regions: 3,
    bytes: 12_345,
    compiled: 5,
    instructions: 77,
    invalidated: 1,
    replaced: 2,
    unworthy: 3,
    evicted: 0,
    forgotten: 4,
    entered: 1000,
    executed: 50_000,
    exits: { budget: 750, memory: 250 },
    compileTime: 12.4,
    longestCompile: 6.6,
  };
  assertEquals(formatTranslation(statistics, 200_000).split("\n"), [
    "regions               3  12,345 characters",
    "translated            5  77 instructions",
    "invalidated           1  since the guest changed their code",
    "replaced              2  by regions with more, or made in another way",
    "unworthy              3  did too little each time",
    "evicted               0  given up to make room",
    "forgotten             4  with all code",
    "entered           1,000  50.0 instructions each time",
    "executed         50,000  instructions, 25.0 % of all",
    "left: budget        750  75.0 %",
    "left: memory        250  25.0 %",
    "compile time         12  ms of host time",
    "longest compile       7  ms of host time",
  ]);
  const fresh = formatTranslation({ ...statistics, entered: 0, executed: 0, exits: {} });
  assertEquals(fresh.split("\n")[7], "entered           0  0.0 instructions each time");
});
