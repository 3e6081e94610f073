/**
 * Gives a control-flow graph the shape of structured code: loops where the flow allows them, a dispatch
 * where a loop is entered at more than one place (Ramsey, "Beyond Relooper", 2022).
 */

/** A node of the graph. Nodes are numbers; the root is 0. */
export interface Graph {
  /** Successors by node. */
  readonly successors: number[][];
  /** Dispatch nodes, with what each chooses between. */
  readonly dispatch: Map<number, number[]>;
}

/** What the emission of structured code goes by. */
export interface Shape {
  readonly graph: Graph;
  /** Position in reverse postorder; -1 for what cannot be reached. */
  readonly order: number[];
  readonly dominator: number[];
  /** Nodes that loops begin at. */
  readonly headers: Set<number>;
  /** Nodes that more than one forward edge leads to. */
  readonly merges: Set<number>;
  /** Children in the dominator tree. */
  readonly children: number[][];
}

/** Strongly connected components of the nodes given, without edges into `removed`. */
function components(successors: number[][], nodes: Set<number>): number[][] {
  const index = new Map<number, number>(), low = new Map<number, number>();
  const stack: number[] = [], on = new Set<number>(), found: number[][] = [];
  for (const root of nodes) {
    if (index.has(root)) continue;
    const frames: { node: number; at: number }[] = [{ node: root, at: 0 }];
    while (frames.length > 0) {
      const frame = frames[frames.length - 1], { node } = frame;
      if (frame.at === 0) {
        index.set(node, index.size);
        low.set(node, index.get(node)!);
        stack.push(node);
        on.add(node);
      }
      const next = successors[node].filter((s) => nodes.has(s));
      let descended = false;
      while (frame.at < next.length) {
        const s = next[frame.at++];
        if (!index.has(s)) {
          frames.push({ node: s, at: 0 });
          descended = true;
          break;
        }
        if (on.has(s)) low.set(node, Math.min(low.get(node)!, index.get(s)!));
      }
      if (descended) continue;
      if (next.length === 0 || frame.at >= next.length) {
        frames.pop();
        const parent = frames[frames.length - 1];
        if (parent !== undefined) {
          low.set(parent.node, Math.min(low.get(parent.node)!, low.get(node)!));
        }
        if (low.get(node) === index.get(node)) {
          const component: number[] = [];
          for (;;) {
            const n = stack.pop()!;
            on.delete(n);
            component.push(n);
            if (n === node) break;
          }
          found.push(component);
        }
      }
    }
  }
  return found;
}

/** Makes every loop have one header, by dispatch nodes; gives the headers. */
function reduce(graph: Graph): Set<number> {
  const { successors, dispatch } = graph, headers = new Set<number>();
  const handle = (nodes: Set<number>) => {
    for (const component of components(successors, nodes)) {
      const inside = new Set(component);
      if (component.length === 1 && !successors[component[0]].includes(component[0])) continue;
      const entries = new Set<number>();
      successors.forEach((list, node) => {
        if (!inside.has(node)) { for (const s of list) if (inside.has(s)) entries.add(s); }
      });
      let header: number;
      if (entries.size === 1) header = [...entries][0];
      else {
        header = successors.length;
        const targets = [...entries];
        for (const list of successors) {
          list.forEach((s, i) => {
            if (entries.has(s)) list[i] = header;
          });
        }
        successors.push(targets);
        dispatch.set(header, targets);
      }
      headers.add(header);
      inside.delete(header);
      handle(inside);
    }
  };
  // What cannot be reached has loops that nothing enters.
  const reached = new Set([0]);
  for (const node of reached) for (const s of successors[node]) reached.add(s);
  handle(reached);
  return headers;
}

/** Analyses a graph whose root is node 0. Adds dispatch nodes to it. */
export function shape(graph: Graph): Shape {
  const headers = reduce(graph);
  const { successors } = graph, size = successors.length;
  const post: number[] = [], state = new Uint8Array(size);
  const frames = [{ node: 0, at: 0 }];
  state[0] = 1;
  while (frames.length > 0) {
    const frame = frames[frames.length - 1];
    const list = successors[frame.node];
    if (frame.at < list.length) {
      const s = list[frame.at++];
      if (state[s] === 0) {
        state[s] = 1;
        frames.push({ node: s, at: 0 });
      }
    } else {
      post.push(frame.node);
      frames.pop();
    }
  }
  const sequence = post.reverse(), order = new Array<number>(size).fill(-1);
  sequence.forEach((node, i) => order[node] = i);
  const predecessors: number[][] = Array.from({ length: size }, () => []);
  for (const node of sequence) for (const s of successors[node]) predecessors[s].push(node);
  const dominator = new Array<number>(size).fill(-1);
  dominator[0] = 0;
  const meet = (a: number, b: number) => {
    while (a !== b) {
      while (order[a] > order[b]) a = dominator[a];
      while (order[b] > order[a]) b = dominator[b];
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const node of sequence.slice(1)) {
      let best = -1;
      for (const p of predecessors[node]) {
        if (dominator[p] >= 0) best = best < 0 ? p : meet(p, best);
      }
      if (dominator[node] !== best) {
        dominator[node] = best;
        changed = true;
      }
    }
  }
  const merges = new Set<number>(), children: number[][] = Array.from({ length: size }, () => []);
  for (const node of sequence.slice(1)) {
    if (predecessors[node].filter((p) => order[p] < order[node]).length > 1) merges.add(node);
    children[dominator[node]].push(node);
  }
  return { graph, order, dominator, headers, merges, children };
}
