/**
 * Finds the basic blocks of a region: what can be reached within its pages from where it begins, and the functions
 * that are called there as parts of it.
 *
 * Code is named by labels. Those of the region's own pages are offsets. What is part of the region once more for one
 * of the calls to it has that call's number times {@linkcode CALL} added.
 */
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
  /** Host page number of its own pages by the number of pages from the first, which is 0. */
  pages: ReadonlyMap<number, number>;
  /** Likewise of pages that functions called there are in. */
  borrowed: ReadonlyMap<number, number>;
}

/** See above. */
const CALL = 2 ** 32;

/** The offset of a label. */
export function offsetOf(label: number): number {
  return label | 0;
}

/** The number of the call that a label's code is there for; 0 for the region's own. */
export function callOf(label: number): number {
  return Math.round((label - offsetOf(label)) / CALL);
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
  /** RET, or a jump or call through a register or memory; and where RET of a function that is part leads. */
  | { kind: "indirect"; call: boolean; back?: number }
  /** What follows at `to` is the interpreter's to execute. */
  | { kind: "stop"; to: number };

/** A basic block. All of it is in one page. `start`, and what endings lead to, are labels. */
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
  calls: CallLimits;
}

/** Bounds of functions that become part of a region at calls. */
export interface CallLimits {
  /** Most instructions of one, and of all together. */
  each: number;
  all: number;
  /** Calls within each other. */
  depth: number;
  /** Like {@linkcode Limits.known}, in all pages; has the page of the offset be one of {@linkcode Source.borrowed} if it can be. */
  known: (offset: number) => boolean;
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
function decodes(decoder: Decoder, code: Source, offset: number) {
  const { bytes, bits, protectedMode, pages, borrowed } = code;
  const host = pages.get(offset >> 12) ?? borrowed.get(offset >> 12);
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
  return new Finder(decoder, code, starts, limits, meaning).find();
}

/** A function that is part of a region: the call that it is there for, and what that call is part of. */
interface Part {
  readonly target: number;
  /** Where it returns to; undefined for a jump to it. */
  readonly back: number | undefined;
  readonly outer: number;
  readonly depth: number;
}

class Finder {
  /** By label, with undefined for what is not translated. */
  private readonly decoded = new Map<number, Placed | undefined>();
  private readonly leaders: Set<number>;
  private readonly resumes = new Set<number>();
  private readonly work: number[];
  private left: number;
  /** Functions that are parts, by the number of the call, the first being the region itself. */
  private readonly parts: Part[] = [{ target: NaN, back: undefined, outer: 0, depth: 0 }];
  /** Where calls and jumps to such lead, by their own labels. */
  private readonly inlined = new Map<number, number>();
  private readonly sizes = new Map<number, number>();
  private room: number;

  constructor(
    private readonly decoder: Decoder,
    private readonly code: Source,
    private readonly starts: readonly number[],
    private readonly limits: Limits,
    private readonly meaning: (insn: Insn) => boolean,
  ) {
    this.leaders = new Set(starts);
    this.work = [...starts];
    this.left = limits.instructions;
    this.room = limits.calls.all;
  }

  find(): Discovery {
    this.follow();
    const blocks = this.blocks(), { resumes } = this;
    for (const label of resumes) if (!blocks.has(label)) resumes.delete(label);
    this.forgetReturns(blocks);
    return { blocks, resumes };
  }

  private insnAt(offset: number): Insn | undefined {
    if (!decodes(this.decoder, this.code, offset)) return undefined;
    const insn = { ...this.decoder.result }, to = offset + insn.length + insn.immediate;
    // In 64-bit code an offset is extended by its sign: what is farther away has none.
    const far = insn.long && to !== (to | 0) && insn.form.operands.some(({ kind }) => kind === "J");
    return !far && translatable(insn, this.meaning) ? insn : undefined;
  }

  private at(label: number): Placed | undefined {
    const { decoded } = this;
    if (decoded.has(label)) return decoded.get(label);
    const own = callOf(label) === 0, offset = offsetOf(label);
    const insn = !own || this.left > 0 ? this.insnAt(offset) : undefined;
    // Of what is there for a call all was counted before.
    if (insn !== undefined && own) this.left -= weight(insn);
    const placed = insn === undefined ? undefined : { insn, offset };
    decoded.set(label, placed);
    return placed;
  }

  private wanted(label: number): boolean {
    if (callOf(label) !== 0) {
      return this.leaders.has(label) || this.limits.calls.known(offsetOf(label));
    }
    return this.code.pages.has(label >> 12) &&
      (this.leaders.has(label) || this.limits.known(label));
  }

  private lead(label: number): void {
    if (this.leaders.has(label) || !this.wanted(label)) return;
    this.leaders.add(label);
    this.work.push(label);
  }

  /** Leads to what follows where the region may be left for the interpreter, and has it be entered there again. */
  private resume(label: number): void {
    if (callOf(label) !== 0 || !this.wanted(label)) return;
    this.resumes.add(label);
    this.lead(label);
  }

  private follow(): void {
    const { work } = this, visited = new Set<number>();
    while (work.length > 0) {
      let label = work.shift()!;
      for (;;) {
        if (visited.has(label)) break;
        visited.add(label);
        const placed = this.at(label);
        if (placed === undefined) {
          // The instruction may be one that only the interpreter does: come back after it.
          const length = lengthOf(this.decoder, this.code, offsetOf(label));
          if (length > 0) this.resume(label + length);
          break;
        }
        const next = label + placed.insn.length;
        if (this.leads(label, placed.insn)) break;
        // A block is of one page.
        if (next >> 12 !== label >> 12) this.lead(next);
        if (this.leaders.has(next) || next >> 12 !== label >> 12) break;
        label = next;
      }
    }
  }

  /** Leads to where an instruction leads, if it may end a block. Whether it does. */
  private leads(label: number, insn: Insn): boolean {
    const { semantic } = insn.form.row, next = label + insn.length;
    const to = label - offsetOf(label) + ((offsetOf(next) + insn.immediate) | 0);
    if (CONDITIONAL.test(semantic)) {
      const [taken, passed] = this.limits.ways(offsetOf(label), offsetOf(to), offsetOf(next));
      if (taken) this.lead(to);
      if (passed) this.lead(next);
      return true;
    }
    if (semantic === "jmp") {
      const outside = callOf(label) === 0 && !this.code.pages.has(to >> 12);
      if (!outside || !this.inline(label, to, undefined)) this.lead(to);
      return true;
    }
    if (semantic === "call") {
      if (this.inline(label, to, next)) {
        this.resume(next);
        this.lead(next);
      } else if (callOf(label) === 0) {
        this.lead(to);
        this.resume(next);
      }
      return true;
    }
    if (semantic === "call_near") {
      this.resume(next);
      return true;
    }
    if (semantic === "jmp_near" || semantic === "ret") return true;
    if (insn.repeat !== 0 && Object.hasOwn(STRING_HELPERS, semantic)) {
      // A long repetition is the interpreter's: come back after it.
      this.resume(next);
    }
    return false;
  }

  /** Has the function that is called or jumped to at a label be part of the region, if it is small. Whether it is. */
  private inline(label: number, to: number, back: number | undefined): boolean {
    const { parts, limits: { calls } } = this, target = offsetOf(to), outer = callOf(label);
    const { depth } = parts[outer];
    if (this.inlined.has(label)) return true;
    if (depth >= calls.depth || this.starts.includes(target)) return false;
    for (let n = outer; n !== 0; n = parts[n].outer) if (parts[n].target === target) return false;
    const size = this.sizes.get(target) ?? this.measure(target);
    this.sizes.set(target, size);
    if (size > calls.each || size > this.room) return false;
    this.room -= size;
    const inside = target + parts.push({ target, back, outer, depth: depth + 1 }) * CALL - CALL;
    this.inlined.set(label, inside);
    this.lead(inside);
    return true;
  }

  /** Instructions of a function, without those that it calls; infinite where it is too large or not all translated. */
  private measure(target: number): number {
    const { calls, ways } = this.limits, found = new Set<number>(), work = [target];
    let size = 0;
    while (work.length > 0) {
      const offset = work.pop()!;
      if (found.has(offset) || !calls.known(offset)) continue;
      found.add(offset);
      const insn = this.insnAt(offset);
      if (insn === undefined || (size += weight(insn)) > calls.each) return Infinity;
      const { semantic } = insn.form.row, next = offset + insn.length;
      const to = (next + insn.immediate) | 0;
      if (CONDITIONAL.test(semantic)) {
        const [taken, passed] = ways(offset, to, next);
        if (taken) work.push(to);
        if (passed) work.push(next);
      } else if (semantic === "jmp") work.push(to);
      else if (!["jmp_near", "ret"].includes(semantic)) work.push(next);
    }
    return size === 0 ? Infinity : size;
  }

  private blocks(): Map<number, Block> {
    const { decoded, leaders } = this, blocks = new Map<number, Block>();
    for (const leader of leaders) {
      if (decoded.get(leader) === undefined) continue;
      const insns: Placed[] = [];
      let ending: Ending | undefined, label = leader;
      while (ending === undefined) {
        const placed = decoded.get(label);
        if (placed === undefined) {
          ending = { kind: "stop", to: label };
          break;
        }
        insns.push(placed);
        ending = this.ending(label, placed.insn);
        label += placed.insn.length;
      }
      blocks.set(leader, { start: leader, insns, ending });
    }
    return blocks;
  }

  private ending(label: number, insn: Insn): Ending | undefined {
    const next = label + insn.length, { semantic } = insn.form.row;
    const to = this.inlined.get(label) ??
      label - offsetOf(label) + ((offsetOf(next) + insn.immediate) | 0);
    if (CONDITIONAL.test(semantic)) return { kind: "branch", taken: to, to: next };
    if (semantic === "jmp") return { kind: "jump", to };
    if (semantic === "call") return { kind: "call", to, back: next };
    if (semantic === "ret") {
      return { kind: "indirect", call: false, back: this.parts[callOf(label)].back };
    }
    if (semantic === "jmp_near") return { kind: "indirect", call: false };
    if (semantic === "call_near") return { kind: "indirect", call: true };
    return this.leaders.has(next) ? { kind: "next", to: next } : undefined;
  }

  /** Where a function that is part always returns within the region it need not be entered. */
  private forgetReturns(blocks: ReadonlyMap<number, Block>): void {
    const { parts, resumes } = this, left = new Set<number>();
    for (const { start, ending } of blocks.values()) {
      const returns = ending.kind === "branch" ||
        (ending.kind === "indirect" ? ending.back !== undefined : blocks.has(ending.to));
      if (returns) continue;
      for (let n = callOf(start); n !== 0; n = parts[n].outer) left.add(n);
    }
    parts.forEach(({ back }, n) => {
      if (back !== undefined && !left.has(n)) resumes.delete(back);
    });
  }
}

/** Calls of what a region contains return within it: it need not be entered there. */
export function forgetReturns({ blocks, resumes }: Discovery): void {
  for (const { ending } of blocks.values()) {
    if (ending.kind === "call" && callOf(ending.to) === 0 && blocks.has(ending.to)) {
      resumes.delete(ending.back);
    }
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
