import { assert, assertEquals, assertThrows } from "@std/assert";
import { HostMemory } from "../bus/host_memory.ts";
import { MemoryMap } from "../bus/memory_map.ts";
import { PortMap } from "../bus/port_map.ts";
import { StateError } from "../chip.ts";
import { ProcessorSet } from "./processor_set.ts";
import { ScriptedCpu, type Step } from "./testing.ts";

const TURN = 100;

interface Bench {
  set: ProcessorSet;
  cpus: ScriptedCpu[];
  /** Each write to port 0x80: processor, value, instructions of all by then. */
  writes: [processor: number, value: number, at: number][];
  counts(): number[];
}

/** Processors that execute programs, each of its own or all the same, on one memory. */
function bench(...programs: Step[][]): Bench {
  const memory = new MemoryMap(new HostMemory(0x1000));
  memory.addRam("ram", 0, 0x1000, memory.host.allocate(0x1000));
  const ports = new PortMap();
  const cpus = programs.map((program) => new ScriptedCpu(program, ports, memory));
  const set = new ProcessorSet(cpus, TURN);
  const writes: Bench["writes"] = [];
  ports.claim("port80", 0x80, 1, {
    read: () => 0,
    write: (_offset, _size, value) => {
      writes.push([set.currentProcessor, value, set.instructions]);
    },
  });
  // Port 0x90 interrupts the processor whose number is written to it; taking the interrupt ends it.
  ports.claim("port90", 0x90, 1, {
    read: () => 0,
    write: (_offset, _size, value) => cpus[value].setIntr(true),
  });
  for (const cpu of cpus) cpu.onInterrupt = () => cpu.setIntr(false);
  return { set, cpus, writes, counts: () => cpus.map((cpu) => cpu.instructions) };
}

const NOPS: Step[] = [{ op: "nop" }];
const HALTS: Step[] = [{ op: "sti" }, { op: "hlt" }, { op: "out", port: 0x80, value: 7 }, {
  op: "jump",
  to: 1,
}];

Deno.test("ProcessorSet gives each processor turns of the same length, in order", () => {
  const { set, counts } = bench(NOPS, NOPS, NOPS);
  set.run(250);
  assertEquals([counts(), set.currentProcessor, set.instructions], [[100, 100, 50], 2, 250]);
  set.run(120);
  assertEquals([counts(), set.currentProcessor, set.instructions], [[170, 100, 100], 0, 370]);
});

Deno.test("ProcessorSet stops where any processor does, and its turns stay as they are", () => {
  const { set, counts } = bench(NOPS, Array.from({ length: 50 }, (): Step => ({ op: "nop" })));
  const stops: [number, number, number][] = [];
  set.onStop = (linear) => {
    stops.push([set.currentProcessor, linear, set.instructions]);
    set.endSlice();
  };
  set.stopAt(new Set([0x10003]));
  set.run(1000);
  assertEquals([stops, counts()], [[[1, 0x10003, 103]], [100, 3]]);
  set.run(20);
  set.run(1000);
  assertEquals([stops.slice(1), counts()], [[[1, 0x10003, 153]], [100, 53]]);
  set.stopAt(new Set());
  set.run(100);
  assertEquals([stops.length, counts()], [2, [153, 100]]);
});

Deno.test("ProcessorSet interleaves alike in slices of any length", () => {
  const programs: Step[][] = [
    // Wakes the third now and then, and the second too.
    [
      ...Array.from({ length: 60 }, (): Step => ({ op: "nop" })),
      { op: "out", port: 0x90, value: 2 },
      { op: "out", port: 0x80, value: 1 },
      ...Array.from({ length: 70 }, (): Step => ({ op: "nop" })),
      { op: "out", port: 0x90, value: 1 },
    ],
    // Spins, halts, and takes an interrupt that was there before it halted.
    [
      { op: "sti" },
      { op: "pause" },
      { op: "out", port: 0x80, value: 2 },
      { op: "pause" },
      { op: "cli" },
      { op: "out", port: 0x90, value: 1 },
      { op: "sti" },
      { op: "hlt" },
      { op: "nop" },
      { op: "hlt" },
    ],
    HALTS,
  ];
  const runs = [1, 2, 3, 7, 64, 99, 100, 101, 5000].map((slice) => {
    const { set, writes, counts } = bench(...programs);
    while (set.instructions < 5000) set.run(Math.min(slice, 5000 - set.instructions));
    return { writes, counts: counts(), state: set.snapshot() };
  });
  for (const processor of [0, 1, 2]) {
    assert(runs[0].writes.some(([by]) => by === processor), `no write of processor ${processor}`);
  }
  for (const run of runs) assertEquals(run, runs[0]);
});

Deno.test("ProcessorSet lets PAUSE end a turn while another processor has something to do", () => {
  const spin: Step[] = [{ op: "pause" }, { op: "nop" }];
  const { set, counts } = bench(spin, NOPS);
  set.run(101);
  assertEquals(counts(), [1, 100]);
  set.run(103);
  assertEquals(counts(), [4, 200]);
});

Deno.test("ProcessorSet lets processors that all spin take turns at every PAUSE", () => {
  const spin: Step[] = [{ op: "pause" }, { op: "nop" }];
  const { set, counts } = bench(spin, spin, spin);
  set.run(2997);
  assertEquals(counts(), [999, 999, 999]);
});

Deno.test("ProcessorSet lets a processor that spins alone go on", () => {
  const spin: Step[] = [{ op: "pause" }, { op: "nop" }];
  const halts: Step[] = [{ op: "hlt" }];
  const { set, cpus, counts } = bench(spin, halts);
  set.run(1000);
  assertEquals(counts(), [999, 1]);
  assertEquals(cpus[0].longestSlice, TURN);
});

Deno.test("ProcessorSet passes over processors that halt, and wakes them at the next turn", () => {
  const { set, cpus, writes, counts } = bench(NOPS, HALTS);
  set.run(500);
  assertEquals(counts(), [498, 2]);
  cpus[1].setIntr(true);
  set.run(200);
  // The running turn had two instructions left.
  assertEquals(writes, [[1, 7, 502]]);
  assertEquals(counts(), [695, 5]);
});

Deno.test("ProcessorSet halts when all do, and runs whichever is interrupted", () => {
  const { set, cpus, writes } = bench(HALTS, HALTS);
  set.run(500);
  assertEquals([set.activity, set.instructions, set.ready], ["halted", 4, false]);
  assertEquals(set.interruptsEnabled, true);
  set.run(500);
  assertEquals(set.instructions, 4);
  cpus[1].setIntr(true);
  assertEquals(set.ready, true);
  set.run(500);
  assertEquals(writes, [[1, 7, 4]]);
});

Deno.test("ProcessorSet is in shutdown as soon as one processor is", () => {
  const { set, counts } = bench(NOPS, [{ op: "nop" }, { op: "crash" }], NOPS);
  set.run(1000);
  assertEquals([set.activity, counts(), set.currentProcessor], ["shutdown", [100, 2, 0], 1]);
});

Deno.test("ProcessorSet ends a slice in the middle of a turn, and the turn goes on", () => {
  const out: Step[] = [{ op: "nop" }, { op: "out", port: 0xe9, value: 0 }, { op: "nop" }];
  const { set, cpus, counts } = bench(out, NOPS);
  cpus[0].ports.claim("end", 0xe9, 1, { read: () => 0, write: () => set.endSlice() });
  set.run(1000);
  assertEquals(counts(), [2, 0]);
  set.run(1000);
  assertEquals(counts(), [5, 0]);
  set.run(95);
  assertEquals(counts(), [8, 0]);
});

Deno.test("ProcessorSet restores a snapshot in the middle of a turn, and refuses one of another machine", () => {
  const make = () => bench([...NOPS, { op: "pause" }, ...NOPS], NOPS, HALTS);
  const a = make(), b = make();
  a.set.run(1234);
  const state = a.set.snapshot();
  b.set.restore(state);
  assertEquals(b.set.snapshot(), state);
  a.set.run(777);
  b.set.run(777);
  assertEquals(b.set.snapshot(), a.set.snapshot());
  const before = b.set.snapshot();
  for (
    const wrong of [
      { ...state, current: 3 },
      { ...state, turnLeft: TURN + 1 },
      { ...state, processors: [] },
      { ...state, processors: [...(state.processors as []).slice(1), { pc: 0 }] },
      bench(NOPS, NOPS).set.snapshot(),
    ]
  ) {
    assertThrows(() => b.set.restore(wrong), StateError);
    assertEquals(b.set.snapshot(), before);
  }
});

Deno.test("ProcessorSet starts with the first processor after a reset", () => {
  const { set, counts } = bench(NOPS, NOPS);
  set.run(150);
  set.reset();
  set.run(30);
  assertEquals([counts(), set.instructions], [[130, 50], 180]);
});
