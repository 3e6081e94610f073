/** What an engine that translates code tells of it, as text: the items that QEMU's `-d` has for it, and its statistics. */
import type {
  ExecutedInstruction,
  TranslatedBlock,
  TranslatedInstruction,
  TranslatedRegion,
  TranslationStatistics,
} from "../machine/cpu.ts";

/** Turns an instruction into assembly text. */
export type InstructionText = (one: Omit<ExecutedInstruction, "cs" | "linear">) => string;

/**
 * Something to trace: `in_asm` is the guest code of each translated region, `op` what the region is made of and
 * why, `out_js` the JavaScript that it became.
 */
export type TraceItem = "in_asm" | "op" | "out_js";

/** What can be traced of translated code; the names are QEMU's, but for the last. */
export const TRACE_ITEMS: readonly { name: TraceItem; about: string }[] = [
  { name: "in_asm", about: "guest code of each region that is translated (-accel jit)" },
  { name: "op", about: "what each region is made of: blocks, entries, heat, size (-accel jit)" },
  { name: "out_js", about: "the JavaScript that each region became (-accel jit)" },
];

const RULE = "-".repeat(16);

/** An address: canonical ones of the upper half are below zero as numbers. */
function address(value: number, bits: 32 | 64): string {
  const text = bits === 64
    ? BigInt.asUintN(64, BigInt(value)).toString(16)
    : (value >>> 0).toString(16);
  return `0x${text.padStart(bits / 4, "0")}`;
}

/** A count with its unit, in the plural where that fits. */
function count(value: number, unit: string): string {
  return `${value} ${unit}${value === 1 ? "" : "s"}`;
}

/** Where a block leads. */
function ending({ ending: { kind, targets } }: TranslatedBlock, bits: 32 | 64): string {
  const [first, second] = targets.map((target) => address(target, bits));
  switch (kind) {
    case "branch":
      return `branches to ${first} or goes on at ${second}`;
    case "call":
      return `calls ${first}, which returns to ${second}`;
    case "jump":
      return `jumps to ${first}`;
    case "next":
      return `goes on at ${first}`;
    case "stop":
      return `leaves ${first} to the interpreter`;
    case "indirect":
      return "goes where a register or memory says";
  }
}

function assembly(
  { address: at, bytes }: TranslatedInstruction,
  bits: 32 | 64,
  disassemble: InstructionText,
): string {
  const code = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `${address(at, bits)}:  ${code.padEnd(30)} ${disassemble({ bytes, bits, ip: at })}`;
}

/** Describes a region by the items given, each with a line of its own before it. */
export function formatRegion(
  region: TranslatedRegion,
  items: readonly TraceItem[],
  disassemble: InstructionText,
): string {
  const { number, bits, blocks, entries, text, heat, threshold, replaces } = region;
  const lines: string[] = [];
  const entry = (at: number) => {
    const found = entries.indexOf(at);
    return found < 0 ? "" : `, entry ${found}`;
  };
  if (items.includes("in_asm")) {
    lines.push(RULE, `IN: region ${number}`);
    for (const { address: at, instructions } of blocks) {
      lines.push(`block ${address(at, bits)}${entry(at)}`);
      for (const one of instructions) lines.push(assembly(one, bits, disassemble));
    }
  }
  if (items.includes("op")) {
    const size = blocks.reduce((sum, { instructions }) => sum + instructions.length, 0);
    lines.push(
      RULE,
      `OP: region ${number}`,
      `${count(size, "instruction")} of ${bits}-bit code in ${count(blocks.length, "block")}, ` +
        `page ${address(region.page, bits)} at offset 0x${region.host.toString(16)} of host memory`,
      `translated after ${count(region.instructions, "instruction")}: ` +
        (threshold === 0
          ? "at first sight"
          : `${Math.round(heat)} were interpreted in its page, ${
            Math.round(threshold)
          } make it hot`),
    );
    if (replaces > 0) lines.push(`takes the place of ${count(replaces, "region")}`);
    for (const block of blocks) {
      const { address: at, instructions } = block;
      lines.push(
        `block ${address(at, bits)}${entry(at)}: ${count(instructions.length, "instruction")}, ` +
          ending(block, bits),
      );
    }
    lines.push(
      `text: ${count(text.length, "character")}, ${region.hostTime.toFixed(1)} ms of host time`,
    );
  }
  if (items.includes("out_js")) lines.push(RULE, `OUT: region ${number}`, text);
  return lines.join("\n");
}

/** A count in groups of three digits. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * Statistics of translated code as text, in the manner of QEMU's `info jit`.
 *
 * ```ts
 * import { formatTranslation, Machine } from "@compy/compy";
 *
 * // mov ecx, 3000000; L: dec ecx; jnz L; hlt
 * const guest = new Uint8Array([0xb9, 0xc0, 0xc6, 0x2d, 0x00, 0x49, 0x75, 0xfd, 0xf4]);
 * const flat = { address: 0x100000, mode: "protected" } as const;
 * await using vm = await Machine.create({ kernel: guest, flat, memory: "2M", accel: "jit" });
 * await vm.exited;
 * const text = formatTranslation(vm.translation!, vm.instructions);
 * if (!/regions +1 /.test(text)) throw new Error(text);
 * ```
 *
 * @param statistics what {@linkcode BoardMachine.translation} gives
 * @param instructions instructions that the machine executed in all, to tell shares; left out where that is 0
 */
export function formatTranslation(statistics: TranslationStatistics, instructions = 0): string {
  const { regions, bytes, compiled, entered, executed, exits } = statistics;
  const per = (value: number, of: number) => (of === 0 ? 0 : value / of).toFixed(1);
  const rows: [string, number, string][] = [
    ["regions", regions, `${grouped(bytes)} characters`],
    ["translated", compiled, `${grouped(statistics.instructions)} instructions`],
    ["invalidated", statistics.invalidated, "since the guest changed their code"],
    ["replaced", statistics.replaced, "by regions with more, or made in another way"],
    ["unworthy", statistics.unworthy, "did too little each time"],
    ["evicted", statistics.evicted, "given up to make room"],
    ["forgotten", statistics.forgotten, "with all code"],
    ["entered", entered, `${per(executed, entered)} instructions each time`],
    [
      "executed",
      executed,
      instructions === 0
        ? "instructions"
        : `instructions, ${per(100 * executed, instructions)} % of all`,
    ],
    ...Object.entries(exits).map(([why, times]): [string, number, string] => [
      `left: ${why}`,
      times,
      `${per(100 * times, entered)} %`,
    ]),
  ];
  const times: [string, number, string][] = [
    ["compile time", Math.round(statistics.compileTime), "ms of host time"],
    ["longest compile", Math.round(statistics.longestCompile), "ms of host time"],
  ];
  const all = [...rows, ...times];
  const names = Math.max(...all.map(([name]) => name.length));
  const values = Math.max(...all.map(([, value]) => grouped(value).length));
  return all.map(([name, value, about]) =>
    `${name.padEnd(names)}  ${grouped(value).padStart(values)}  ${about}`
  ).join("\n");
}
