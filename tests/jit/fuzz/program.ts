/** A fuzzed program: made from a seed, of pieces that can be left out. */
import { Assembler, bytesOf, type Label } from "./assembler.ts";
import { Context, NOT_ZERO } from "./context.ts";
import { DOUBLES, FLOATS, numbers } from "./floating.ts";
import { type Image, kernelImage } from "./kernel.ts";
import * as L from "./layout.ts";
import type { Setup } from "./layout.ts";
import { emitNodes, grow, type Node } from "./structure.ts";
import { Prng } from "../../vectors/prng.ts";

/** A program as it is run. */
export interface Program {
  readonly seed: number;
  readonly setup: Setup;
  /** Memory at the start, in pieces. */
  readonly image: Image;
  /** Physical addresses of bytes of constants in the code. */
  readonly constants: readonly number[];
  /** Numbers of the pieces that it was built of. */
  readonly pieces: readonly Node[];
}

function chooseSetup(rng: Prng): Setup {
  const bits = rng.chance(50) ? 32 : 64;
  return {
    bits,
    ring: rng.chance(50) ? 0 : 3,
    paging: bits === 64 ? "long" : rng.pick(["none", "32-bit", "32-bit", "PAE"] as const),
    high: bits === 64 && rng.chance(50),
    timer: rng.chance(60) ? rng.pick([3001, 9973, 40009, 200003]) : 0,
    writeProtect: rng.chance(50),
    alignment: rng.chance(40),
  };
}

/** Makes the program of a seed, without some of its pieces. */
export function makeProgram(seed: number, without: ReadonlySet<number> = new Set()): Program {
  const rng = new Prng(Math.imul(seed, 0x9e3779b1)), setup = chooseSetup(rng), ids = { next: 0 };
  const size = rng.pick([3, 8, 20, 40]);
  const bodies = Array.from({ length: rng.below(5) }, () => ({
    start: rng.next(),
    pops: rng.chance(20) ? rng.range(1, 3) : 0,
    nodes: grow(rng, rng.range(1, size), ids),
  }));
  const main = grow(rng, size, ids), start = rng.next();
  const a = new Assembler(L.linear(setup, L.CODE), setup.bits), c = new Context(a, setup);
  c.rng = new Prng(start);
  const entry = L.CODE, first: Label = {}, ready: Label = {};
  a.jump(first);
  // Functions come last to first, since each calls only those before it in memory.
  bodies.forEach(({ start, pops, nodes }) => {
    const rng = new Prng(start), label: Label = {};
    if (rng.chance(30)) a.fill(a.here + rng.below(0x1000), 0xcc);
    a.bind(label);
    c.times = 30;
    emitNodes(c, nodes, without);
    if (pops > 0) a.put(0xc2, pops * setup.bits / 8, 0);
    else a.put(0xc3);
    c.routines.push({ label, pops });
  });
  c.times = 1;
  a.bind(first);
  for (let n = 0; n < 8; n++) a.store(c.at(L.POINTERS + 8 * n), c.at(L.DATA + 0x1800 * n), true);
  a.bind(ready);
  emitNodes(c, main, without);
  a.op([0xff], 0, { disp: c.at(L.ROUNDS) });
  // Once more, for as many rounds as anyone lets it.
  a.op([0x83], 7, { disp: c.at(L.ROUNDS) }, { immediate: [0] });
  a.branch(NOT_ZERO, ready);
  a.put(0xf4);
  const bytes = a.finish();
  if (bytes.length > L.CODE_END - L.CODE) throw new RangeError("the program does not fit");
  const data = new Prng(seed ^ 0x5ca1ab1e);
  const { doubles, floats } = numbers(() => data.next() / 2 ** 32);
  const image = [
    ...kernelImage(setup, entry, c.twins),
    { address: L.CODE, bytes },
    { address: L.DATA, bytes: data.bytes(0x3000) },
    { address: L.DATA + DOUBLES, bytes: new Uint8Array(doubles.buffer as ArrayBuffer) },
    { address: L.DATA + FLOATS, bytes: new Uint8Array(floats.buffer as ArrayBuffer) },
    { address: L.SHIFTING, bytes: data.bytes(0x400) },
    { address: L.CELLS, bytes: new Uint8Array(bytesOf(0, 4)) },
  ];
  const pieces: Node[] = [];
  const list = (nodes: readonly Node[]) => {
    for (const node of nodes) {
      pieces.push(node);
      node.children.forEach(list);
    }
  };
  bodies.forEach(({ nodes }) => list(nodes));
  list(main);
  const constants = c.immediates.map(({ label }) => (label.at! - 1) & 0x7fffffff);
  return { seed, setup, image, constants, pieces };
}
