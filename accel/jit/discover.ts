/** Finds the basic blocks of a region: what can be reached within its pages from where it begins. */
import { DECODED, type Decoder, type Insn } from "../x86/decoder.ts";
import type { Operand } from "../x86/operands.ts";
import { STRING_HELPERS } from "../x86/strings.ts";

/**
 * Where a region's code is. Offsets are those of linear addresses from its first page's: pages next to each other
 * need not be so in host memory.
 */
export interface Source {
  bytes: Uint8Array;
  bits: 32 | 64;
  protectedMode: boolean;
  /** Host page number by the number of pages from the first, which is 0. */
  pages: ReadonlyMap<number, number>;
}

/** An instruction with its offset. */
export interface Placed {
  readonly insn: Insn;
  readonly offset: number;
}

/** How a block ends. */
export type Ending =
  /** Goes on to the next block. */
  | { kind: "next"; to: number }
  /** The last instruction is a conditional jump. */
  | { kind: "branch"; taken: number; to: number }
  | { kind: "jump"; to: number }
  | { kind: "call"; to: number; back: number }
  /** RET, or a jump or call through a register or memory. */
  | { kind: "indirect"; call: boolean }
  /** What follows at `to` is the interpreter's to execute. */
  | { kind: "stop"; to: number };

/** A basic block. All of it is in one page. */
export interface Block {
  readonly start: number;
  readonly insns: Placed[];
  ending: Ending;
}

/** What a region consists of. */
export interface Discovery {
  readonly blocks: Map<number, Block>;
  /** Where calls return to and where instructions that are not translated go on: places to come in again. */
  readonly resumes: Set<number>;
}

/** Bounds and knowledge that discovery goes by. */
export interface Limits {
  /** Most instructions of a region; those with long texts count for several, see {@linkcode weight}. */
  instructions: number;
  /** Whether code at an offset is known to the interpreter; what is not is left to it. */
  known: (offset: number) => boolean;
  /** Which ways of the conditional jump at an offset are known to be gone: to its target, to the next instruction. */
  ways: (offset: number, target: number, next: number) => [boolean, boolean];
}

const CONDITIONAL = /^(j(?!mp)|loop)/;
/** Operand kinds that helpers of regions get. */
const KNOWN = new Set(["E", "G", "Z", "R", "M", "F", "O", "I", "J", "one", "S", "C", "D", "ST"]);
for (const kind of "VWUPQN") KNOWN.add(kind);

/** Whether an instruction can be called as a helper from a region. */
function callable(insn: Insn): boolean {
  const { row, operands } = insn.form;
  if (row.control === true || Object.hasOwn(STRING_HELPERS, row.semantic)) return false;
  const small = (o: Operand) =>
    KNOWN.has(o.kind) &&
    !(("EWQFO".includes(o.kind)) && (o.bytes > 16 || o.bytes === -1 || o.bytes === -2));
  return operands.every(small);
}

/** How many others an instruction stands for in length of text: those of x87, MMX and SSE are long. */
function weight({ form: { row: { guard = "" } } }: Insn): number {
  return guard === "x87" || guard === "mmx" || guard === "sse" ? 3 : 1;
}

/** What counts for {@linkcode Limits.instructions}. */
export function weigh({ blocks }: Discovery): number {
  let sum = 0;
  for (const { insns } of blocks.values()) for (const { insn } of insns) sum += weight(insn);
  return sum;
}

/** Whether the region's code may contain an instruction. */
export function translatable(insn: Insn, meaning: (insn: Insn) => boolean): boolean {
  const { row, operands } = insn.form;
  if (insn.memory && insn.segment === 1 && !operands.some((o) => o.kind === "M")) return false;
  const jumps = operands.some((o) => o.kind === "J") ||
    ["ret", "jmp_near", "call_near"].includes(row.semantic);
  if (jumps) return insn.operandSize === (insn.long ? 64 : 32);
  return meaning(insn) || callable(insn);
}

/** Decodes the instruction at an offset, if it is in one page; the decoder holds it then. */
function decodes(decoder: Decoder, { bytes, bits, protectedMode, pages }: Source, offset: number) {
  const host = pages.get(offset >> 12);
  if (host === undefined) return false;
  const at = host * 0x1000 + (offset & 0xfff), end = (host + 1) * 0x1000;
  return decoder.decode(bytes, at, end, bits, protectedMode) === DECODED;
}

/** Follows the code from `starts` on. */
export function discover(
  decoder: Decoder,
  code: Source,
  starts: readonly number[],
  limits: Limits,
  meaning: (insn: Insn) => boolean,
): Discovery {
  const decoded = new Map<number, Placed | undefined>();
  const leaders = new Set<number>(starts), resumes = new Set<number>();
  const work = [...starts], visited = new Set<number>();
  let left = limits.instructions;
  const at = (offset: number): Placed | undefined => {
    if (decoded.has(offset)) return decoded.get(offset);
    let placed: Placed | undefined;
    if (left > 0 && decodes(decoder, code, offset)) {
      const insn = { ...decoder.result };
      if (translatable(insn, meaning)) {
        placed = { insn, offset };
        left -= weight(insn);
      }
    }
    decoded.set(offset, placed);
    return placed;
  };
  const wanted = (offset: number) =>
    code.pages.has(offset >> 12) && (leaders.has(offset) || limits.known(offset));
  const lead = (offset: number) => {
    if (!wanted(offset) || leaders.has(offset)) return;
    leaders.add(offset);
    work.push(offset);
  };
  while (work.length > 0) {
    let offset = work.shift()!;
    for (;;) {
      if (visited.has(offset)) break;
      visited.add(offset);
      const placed = at(offset);
      if (placed === undefined) {
        // The instruction may be one that only the interpreter does: come back after it.
        const length = lengthOf(decoder, code, offset);
        if (length > 0 && wanted(offset + length)) {
          resumes.add(offset + length);
          lead(offset + length);
        }
        break;
      }
      const { insn } = placed, next = offset + insn.length, { semantic } = insn.form.row;
      if (CONDITIONAL.test(semantic)) {
        const target = next + insn.immediate, [taken, passed] = limits.ways(offset, target, next);
        if (taken) lead(target);
        if (passed) lead(next);
        break;
      }
      if (semantic === "jmp") {
        lead(next + insn.immediate);
        break;
      }
      if (semantic === "call") {
        lead(next + insn.immediate);
        if (wanted(next)) resumes.add(next);
        lead(next);
        break;
      }
      if (semantic === "call_near") {
        if (wanted(next)) resumes.add(next);
        lead(next);
        break;
      }
      if (semantic === "jmp_near" || semantic === "ret") break;
      if (insn.repeat !== 0 && Object.hasOwn(STRING_HELPERS, semantic) && wanted(next)) {
        // A long repetition is the interpreter's: come back after it.
        resumes.add(next);
        lead(next);
      }
      // A block is of one page.
      if (next >> 12 !== offset >> 12) lead(next);
      if (leaders.has(next) || next >> 12 !== offset >> 12) break;
      offset = next;
    }
  }
  const blocks = new Map<number, Block>();
  for (const leader of leaders) {
    if (decoded.get(leader) === undefined) continue;
    const insns: Placed[] = [];
    let ending: Ending | undefined, offset = leader;
    while (ending === undefined) {
      const placed = decoded.get(offset);
      if (placed === undefined) {
        ending = { kind: "stop", to: offset };
        break;
      }
      insns.push(placed);
      const { insn } = placed, next = offset + insn.length, { semantic } = insn.form.row;
      if (CONDITIONAL.test(semantic)) {
        ending = { kind: "branch", taken: next + insn.immediate, to: next };
      } else if (semantic === "jmp") ending = { kind: "jump", to: next + insn.immediate };
      else if (semantic === "call") {
        ending = { kind: "call", to: next + insn.immediate, back: next };
      } else if (semantic === "jmp_near" || semantic === "ret") {
        ending = { kind: "indirect", call: false };
      } else if (semantic === "call_near") ending = { kind: "indirect", call: true };
      else if (leaders.has(next)) ending = { kind: "next", to: next };
      offset = next;
    }
    blocks.set(leader, { start: leader, insns, ending });
  }
  for (const offset of resumes) if (!blocks.has(offset)) resumes.delete(offset);
  return { blocks, resumes };
}

/** Calls of what a region contains return within it: it need not be entered there. */
export function forgetReturns({ blocks, resumes }: Discovery): void {
  for (const { ending } of blocks.values()) {
    if (ending.kind === "call" && blocks.has(ending.to)) resumes.delete(ending.back);
  }
}

/**
 * The starts from which all others are reached. A region needs no other entries: each would break up the loops
 * that it is in.
 */
export function leading({ blocks }: Discovery, starts: readonly number[]): number[] {
  const reached = (start: number) => {
    const found = new Set([start]);
    for (const at of found) {
      const ending = blocks.get(at)?.ending;
      if (ending === undefined || ending.kind === "indirect" || ending.kind === "stop") continue;
      found.add(ending.to);
      if (ending.kind === "branch") found.add(ending.taken);
      if (ending.kind === "call") found.add(ending.back);
    }
    return found;
  };
  let chosen: { start: number; all: Set<number> }[] = [];
  for (const start of starts) {
    if (!blocks.has(start) || chosen.some(({ all }) => all.has(start))) continue;
    const all = reached(start);
    chosen = chosen.filter((one) => !all.has(one.start));
    chosen.push({ start, all });
  }
  return chosen.map(({ start }) => start);
}

/** Length of an instruction that is valid but not translated; 0 where there is none. */
function lengthOf(decoder: Decoder, code: Source, offset: number): number {
  if (!decodes(decoder, code, offset)) return 0;
  const { semantic } = decoder.result.form.row;
  return ["jmp_far", "iret", "retf", "ud", "sysexit", "sysret"].includes(semantic)
    ? 0
    : decoder.result.length;
}
