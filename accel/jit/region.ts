/** Writes the text of a region: its blocks in structured form, with what is loaded before and stored after. */
import type { Binder } from "../x86/binder.ts";
import type { Insn } from "../x86/decoder.ts";
import { TLB_WRITE } from "../x86/mmu.ts";
import * as S from "../x86/state.ts";
import { CURRENT, LONG_BASE, PAGE_IP, PAGE_IP_HI, PLACE_END, TLB_BASE } from "../interp/record.ts";
import { JitBinder, type Jump } from "./binder.ts";
import { accessesPort, emitDirect, invalidatesPage } from "./direct.ts";
import { type Block, callOf, type Discovery, offsetOf } from "./discover.ts";
import {
  Emitter,
  EXIT_COUNT,
  EXIT_FLAGS,
  EXIT_REASON,
  LEFT_ATTENTION,
  LEFT_BUDGET,
  LEFT_INDIRECT,
  LEFT_JUMP,
  LEFT_OTHER,
} from "./emitter.ts";
import { LongJitBinder } from "./long_binder.ts";
import { x87Frame } from "./x87.ts";
import { type Graph, type Shape, shape } from "./structure.ts";

/** What writing a region needs of the engine. */
export interface RegionContext {
  long: boolean;
  /** Whether accesses to memory near each other share a check. */
  grouped: boolean;
  /** Emits the meaning of an instruction; false if it has none but a helper. */
  meaning: (binder: Binder) => boolean;
  /** The place of a record that tells that the processor is at an offset. */
  marker: (offset: number, next: number) => number;
  /** Host page number of its pages, by the number of pages from the first. */
  pages: ReadonlyMap<number, number>;
}

/** The text of a region. */
export interface RegionText {
  /** Body of `function(n,e)`: executes up to `n` instructions from entry `e` on, and gives what is left. */
  body: string;
  /** Offsets by entry number. */
  entries: number[];
  instructions: number;
  blocks: number;
  /** The ways out, which the body calls `EX`. */
  exits: Int32Array<ArrayBuffer>;
}

/** Word of `WHY` that holds the page in which a region of several was entered while it calls a helper, else this. */
export const ENTRY_PAGE = 4, NO_PAGE = -1;
/** Places that an indirect jump is compared with, at most. */
const MOST_WAYS = 16;
/** Places at which a region may be entered, at most. */
const MOST_ENTRIES = 24;

/** Writes the regions's function. */
export function writeRegion(
  discovery: Discovery,
  starts: readonly number[],
  context: RegionContext,
): RegionText {
  return new Writer(discovery, starts, context).write();
}

class Writer {
  private readonly e: Emitter;
  private readonly ids = new Map<number, number>();
  private readonly nodes: (Block | undefined)[] = [undefined];
  private readonly redirects = new Map<number, number[]>();
  private graph!: Graph;
  private shape!: Shape;
  /** Where RET and the like may lead within the region. */
  private readonly returns: number[] = [];
  private readonly reach = new Map<number, number>();
  private entries: number[] = [];

  constructor(
    private readonly discovery: Discovery,
    private readonly starts: readonly number[],
    private readonly context: RegionContext,
  ) {
    this.e = new Emitter(context.long, context.grouped);
  }

  write(): RegionText {
    const { discovery, e } = this;
    for (const block of discovery.blocks.values()) {
      this.ids.set(block.start, this.nodes.length);
      this.nodes.push(block);
    }
    for (const block of discovery.blocks.values()) {
      const { ending } = block;
      // What is there for one call returns to that only.
      if (ending.kind !== "call" || callOf(ending.to) !== 0) continue;
      if (this.ids.has(ending.to) && this.ids.has(ending.back)) {
        if (!this.returns.includes(ending.back)) this.returns.push(ending.back);
      }
    }
    this.entries = [];
    for (const offset of [...this.starts, ...discovery.resumes]) {
      if (this.entries.length < MOST_ENTRIES && !this.entries.includes(offset)) {
        this.entries.push(offset);
      }
    }
    this.addLoops();
    this.graph = { successors: this.edges(), dispatch: new Map() };
    this.shape = shape(this.graph);
    for (const [node, targets] of this.graph.dispatch) {
      for (const target of targets) {
        const list = this.redirects.get(target);
        if (list === undefined) this.redirects.set(target, [node]);
        else list.push(node);
      }
    }
    e.emit("X:{");
    this.tree(0);
    e.emit("}");
    let instructions = 0;
    for (const block of discovery.blocks.values()) instructions += block.insns.length;
    return {
      body: this.frame(e.lines.join("\n")),
      entries: this.entries,
      instructions,
      blocks: discovery.blocks.size,
      exits: Int32Array.from(e.exits),
    };
  }

  /** Successor nodes of every node; the root's are the entries. */
  private edges(): number[][] {
    return this.nodes.map((block) =>
      block === undefined
        ? this.entries.map((offset) => this.ids.get(offset)!)
        : this.targets(block)
    );
  }

  private targets(block: Block): number[] {
    const { ending } = block, offsets: number[] = [];
    switch (ending.kind) {
      case "branch":
        offsets.push(ending.taken, ending.to);
        break;
      case "next":
      case "jump":
      case "call":
        offsets.push(ending.to);
        break;
      case "indirect":
        offsets.push(...this.ways(block));
        break;
    }
    return offsets.filter((o) => this.ids.has(o)).map((o) => this.ids.get(o)!);
  }

  /** Where the region's outermost loops begin it can be entered too, so that the next slice goes on there. */
  private addLoops(): void {
    const plain = shape({ successors: this.edges(), dispatch: new Map() });
    for (const header of plain.headers) {
      const block = this.nodes[header];
      if (block === undefined || callOf(block.start) !== 0) continue;
      if (this.entries.includes(block.start)) continue;
      let outer = plain.dominator[header];
      while (outer !== 0 && !plain.headers.has(outer)) outer = plain.dominator[outer];
      if (outer === 0 && this.entries.length < MOST_ENTRIES) this.entries.push(block.start);
    }
  }

  /** Surrounds the body with loads and stores of the registers it uses. */
  private frame(body: string): string {
    const { e } = this;
    const used = [...e.used].sort((a, b) => a - b), written = used.filter((n) => e.written.has(n));
    const highs = (f: (n: number) => string, list: number[]) => e.long ? list.map(f) : [];
    const offset = e.indirect ? `EX[z]===-1?x:EX[z]` : "EX[z]";
    // The carry in int32 operations: comparing unsigned takes doubles, and a division is slow.
    const high = `(piph+(s>>31)+(((pip+s)^-2147483648)<(s^-2147483648)?1:0))|0`;
    const rip = e.long
      ? `const s=${offset};R[${S.RIP}]=(pip+s)|0;R[${S.RIP + 1}]=${
        e.indirect ? `y!==0?xh:${high}` : high
      };`
      : `R[${S.RIP}]=(pip+(${offset}))|0;`;
    const save = [
      ...written.map((n) => `R[${n * 2}]=r${n};`),
      ...highs((n) => `R[${n * 2 + 1}]=r${n}h;`, written),
      `R[${S.FR}]=fr;R[${S.FC}]=fc;`,
    ].join("");
    const load = [
      ...used.map((n) => `r${n}=R[${n * 2}];`),
      ...highs((n) => `r${n}h=R[${n * 2 + 1}];`, used),
      `fr=R[${S.FR}];fc=R[${S.FC}];`,
    ].join("");
    const pageIp = this.context.pages.size === 1
      ? e.long ? `const pip=R[${PAGE_IP}],piph=R[${PAGE_IP_HI}];` : `const pip=R[${PAGE_IP}];`
      : this.firstPage();
    const x87 = x87Frame(e.long);
    const [x87Save, x87Load] = e.x87 ? [x87.save, x87.load] : ["", ""];
    const declare = [
      ...used.map((n) => `r${n}=R[${n * 2}]`),
      ...highs((n) => `r${n}h=R[${n * 2 + 1}]`, used),
      `fr=R[${S.FR}],fc=R[${S.FC}],fk=0,fd=0,fs=0,z=0,b=0,o=0`,
      ...(e.long ? ["q=0,fdh=0,fsh=0,frh=0"] : []),
      ...(e.indirect ? ["x=0"] : []),
      ...(e.indirect && e.long ? ["xh=0,y=0"] : []),
      ...(e.tells ? [e.long ? "m=0,mh=0" : "m=0"] : []),
      ...(e.x87 ? [x87.declare] : []),
    ].join(",");
    return [
      `let ${declare};`,
      // Assigned before each use: without values to begin with V8 has nothing to do for them.
      ...(e.locals.size === 0 ? [] : [`var ${[...e.locals].join(",")};`]),
      e.long ? `const lb=R[${LONG_BASE}];` : `const tr=R[${TLB_BASE}],tw=tr+${TLB_WRITE};`,
      pageIp,
      ...[...e.constants].map(([name, value]) => `const ${name}=${value};`),
      body.replaceAll("/*save*/", save).replaceAll("/*load*/", load)
        .replaceAll("/*x87save*/", x87Save).replaceAll("/*x87load*/", x87Load),
      `if(EX[z+${EXIT_FLAGS}]>=0)fk=EX[z+${EXIT_FLAGS}];`,
      e.settle("fk"),
      save,
      x87Save,
      `${rip}WHY[0]=EX[z+${EXIT_REASON}];WHY[1]=z;`,
      ...(e.tells ? [e.long ? "WHY[2]=m;WHY[3]=mh;" : "WHY[2]=m;"] : []),
      `return (n+EX[z+${EXIT_COUNT}])|0;`,
    ].join("\n");
  }

  /** The first page's linear address, the region being entered in any of its pages. */
  private firstPage(): string {
    const { e } = this, table = e.exits.length;
    for (const offset of this.entries) e.exits.push(offset & -0x1000);
    if (!e.long) return `const pe=R[${PAGE_IP}],pip=(pe-EX[${table}+e])|0;`;
    // One that lies around a multiple of 4 GiB is the interpreter's: all pages have the same high half.
    return `const pe=R[${PAGE_IP}],p0=(pe>>>0)-EX[${table}+e],pip=p0|0,piph=R[${PAGE_IP_HI}];` +
      `if(p0<0||p0>4294967295){WHY[0]=${LEFT_OTHER};WHY[1]=0;return n;}`;
  }

  /** Emits leaving the region where its code in the page of `to` is not there for the processor, coming from another page. */
  private cross(from: number, to: number): void {
    const { e } = this, page = to & -0x1000;
    if (page === (from & -0x1000)) return;
    const holds = `FETCH(pip,${e.long ? "piph," : ""}${page},${this.context.pages.get(to >> 12)})`;
    e.emit(`if(!${holds})${e.exit(offsetOf(to), LEFT_JUMP)}`);
  }

  /** Emits a node and all that it dominates. */
  private tree(node: number): void {
    const { shape, e } = this;
    const header = shape.headers.has(node);
    if (header) e.emit(`L${node}:for(;;){`);
    const below = shape.children[node].filter((child) => shape.merges.has(child))
      .sort((a, b) => shape.order[b] - shape.order[a]);
    for (const child of below) e.emit(`M${child}:{`);
    this.node(node);
    for (const child of below.reverse()) {
      e.emit("}");
      e.join();
      this.tree(child);
    }
    if (header) e.emit("}");
  }

  /** Whether the budget is looked at where a node begins. */
  private checks(node: number): boolean {
    const { shape } = this;
    const above = shape.dominator[node];
    return shape.headers.has(node) || shape.merges.has(node) || above === 0 ||
      this.graph.dispatch.has(above);
  }

  /** Most instructions from a node on until the budget is looked at again. */
  private length(node: number): number {
    const known = this.reach.get(node);
    if (known !== undefined) return known;
    let most = 0;
    for (const next of this.graph.successors[node]) {
      if (!this.checks(next) && next !== node) most = Math.max(most, this.length(next));
    }
    const length = (this.nodes[node]?.insns.length ?? 0) + most;
    this.reach.set(node, length);
    return length;
  }

  private node(node: number): void {
    const { e, graph } = this;
    if (node === 0) {
      this.choose("e", this.entries.map((offset, i) => [i, this.ids.get(offset)!]), 0);
      return;
    }
    const targets = graph.dispatch.get(node);
    if (targets !== undefined) {
      this.choose("b", targets.map((target) => [target, target]), node);
      return;
    }
    const block = this.nodes[node]!;
    if (this.checks(node)) {
      e.emit(`if(n<${this.length(node)})${e.exit(offsetOf(block.start), LEFT_BUDGET)}`);
    }
    this.block(block, node);
  }

  private choose(variable: string, cases: [number, number][], from: number): void {
    const { e } = this, saved = e.save();
    if (cases.length === 1) {
      this.go(from, cases[0][1]);
      return;
    }
    e.emit(`switch(${variable}){`);
    cases.forEach(([value, target], i) => {
      e.emit(i === cases.length - 1 ? "default:{" : `case ${value}:{`);
      e.restore(saved);
      this.go(from, target);
      e.emit("}");
    });
    e.emit("}");
  }

  private block(block: Block, node: number): void {
    const { e, context } = this;
    let jump: JitBinder["jump"];
    e.vectors.forget();
    e.needs = e.count + this.length(node);
    e.values.begin();
    for (const { insn, offset } of block.insns) {
      e.at = offset;
      e.next = offset + insn.length;
      const binder = this.binder(insn);
      jump = undefined;
      if (!e.long && insn.form.row.semantic === "leave" && insn.operandSize === 32) {
        binder.leaveFrame();
      } else if (!context.meaning(binder) && !emitDirect(binder)) {
        const marker = context.marker(e.at, e.next), words = { current: CURRENT, end: PLACE_END };
        // Helpers are told the page; regions are left in the one that they were entered in.
        const several = context.pages.size > 1;
        if (several) e.emit(`R[${PAGE_IP}]=(pip+(${e.at & -0x1000}))|0;WHY[${ENTRY_PAGE}]=pe;`);
        if (accessesPort(insn)) binder.callPort(marker, words);
        else if (invalidatesPage(insn)) binder.callInvalidate(marker, words);
        else binder.callHelper(marker, words);
        if (several) e.emit(`R[${PAGE_IP}]=pe;WHY[${ENTRY_PAGE}]=${NO_PAGE};`);
        // Something happened that the run loop must see to before the next instruction.
        e.emit(
          `if(cpu.attention){n=((R[${PLACE_END}]-${marker})>>3)-1;${
            e.leave(e.next, LEFT_ATTENTION)
          }}`,
        );
      }
      jump = binder.jump;
      if (jump === undefined || jump.condition === undefined) e.count++;
    }
    const { ending } = block;
    switch (ending.kind) {
      case "stop":
        e.emit(e.exit(offsetOf(ending.to), LEFT_OTHER));
        break;
      case "next":
      case "jump":
      case "call":
        this.goOffset(node, block, ending.to);
        break;
      case "branch": {
        const { condition, commit } = jump!;
        commit?.();
        e.count++;
        e.emit(`if(${condition}){`);
        const saved = e.save();
        this.goOffset(node, block, ending.taken);
        e.emit("}");
        e.restore(saved);
        this.goOffset(node, block, ending.to);
        break;
      }
      case "indirect":
        this.indirect(node, jump!, block);
        break;
    }
  }

  private binder(insn: Insn): JitBinder {
    return this.e.long ? new LongJitBinder(this.e, insn) : new JitBinder(this.e, insn);
  }

  /** Where within the region an indirect ending is expected to lead: behind its calls, a jump also to where it was entered. */
  private ways(block: Block): number[] {
    const { ending } = block;
    if (ending.kind !== "indirect" || ending.call) return [];
    if (ending.back !== undefined) return [ending.back].filter((at) => this.ids.has(at));
    if (callOf(block.start) !== 0) return [];
    const jumps = block.insns[block.insns.length - 1].insn.form.row.semantic === "jmp_near";
    const starts = jumps ? this.starts.filter((at) => this.ids.has(at)).slice(0, MOST_WAYS) : [];
    return [...new Set([...this.returns, ...starts])];
  }

  private indirect(node: number, { to, toHigh }: Jump, block: Block): void {
    const { e } = this, ways = this.ways(block);
    const target = e.fresh();
    e.assign(target, `(${to}-pip)|0`);
    if (ways.length > 0) {
      const saved = e.save();
      for (const offset of ways) {
        e.emit(
          `if(${target}===${offsetOf(offset)}${toHigh === undefined ? "" : `&&${toHigh}===piph`}){`,
        );
        e.restore(saved);
        this.cross(block.start, offset);
        this.go(node, this.ids.get(offset)!);
        e.emit("}");
      }
      e.restore(saved);
    }
    if (toHigh !== undefined) {
      // The difference from the page's start is taken as unsigned then: only its low half counts.
      e.emit(`y=1;xh=${toHigh};`);
    }
    e.emit(e.exit(target, LEFT_INDIRECT));
  }

  private goOffset(from: number, block: Block, offset: number): void {
    const target = this.ids.get(offset);
    if (target === undefined) this.e.emit(this.e.exit(offsetOf(offset), LEFT_JUMP));
    else {
      this.cross(block.start, offset);
      this.go(from, target);
    }
  }

  /** Emits going from a node to another. */
  private go(from: number, block: number): void {
    const { e, shape } = this;
    let target = block;
    const list = this.redirects.get(block);
    if (list !== undefined) {
      const at = list.indexOf(from) + 1;
      if (at < list.length) target = list[at];
      if (at === 0) e.emit(`b=${block};`);
    }
    const inline = shape.dominator[target] === from && !shape.merges.has(target) &&
      shape.order[target] > shape.order[from];
    if (inline && !this.checks(target)) {
      this.tree(target);
      return;
    }
    e.park();
    if (e.count !== 0) e.emit(`n=(n-${e.count})|0;`);
    e.count = 0;
    if (inline) {
      e.join();
      this.tree(target);
    } else if (shape.order[target] <= shape.order[from]) e.emit(`continue L${target};`);
    else e.emit(`break M${target};`);
  }
}
