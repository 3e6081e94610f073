import { assertEquals, assertThrows } from "@std/assert";
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import { PortMap } from "../../core/bus/port_map.ts";
import type { MachineControls } from "../../core/machine/board.ts";
import { ProcessorSet } from "../../core/machine/processor_set.ts";
import { ScriptedCpu } from "../../core/machine/testing.ts";
import { BoardError } from "./errors.ts";
import { createPc, type PcBoard, type PcOptions } from "./pc.ts";
import { Processors } from "./processors.ts";

const APIC = 0xfee00000, APIC_ID = APIC + 0x20, ICR = APIC + 0x300, ICR_HIGH = APIC + 0x310;

/** A processor whose pins are watched. */
class Pins extends ScriptedCpu {
  a20 = false;
  readonly heard: string[] = [];
  constructor(memory: MemoryMap) {
    super([{ op: "nop" }], new PortMap(), memory);
    Object.assign(this, {
      setA20: (enabled: boolean) => this.a20 = enabled,
      startup: (vector: number) => this.heard.push(`startup ${vector}`),
    });
  }
  override init(): void {
    this.heard.push("init");
  }
  override nmi(): void {
    this.heard.push("nmi");
  }
}

const CONTROLS: MachineControls = {
  powerOff: () => {},
  requestReset: () => {},
  debugExit: () => {},
  hold: () => {},
};

async function bench(
  processors: number,
  options: Partial<PcOptions> = {},
): Promise<{ board: PcBoard; cpus: Pins[] }> {
  const cpus: Pins[] = [];
  const board = await createPc({
    cpu: (bus) => {
      assertEquals([bus.index, bus.count], [cpus.length, processors]);
      cpus.push(new Pins(bus.memory));
      return cpus.at(-1)!;
    },
    processors,
    memory: 2 ** 21,
    kernel: { kernel: { file: "k", bytes: new Uint8Array([0xf4]) }, flat: {}, modules: [] },
    ...options,
  }, CONTROLS);
  return { board, cpus };
}

Deno.test("A board with one processor has no set of processors", async () => {
  const { board, cpus } = await bench(1);
  assertEquals(board.cpu === cpus[0], true);
});

Deno.test("A board has 1 to 16 processors", () => {
  for (const count of [0, 17, 2.5, NaN]) assertThrows(() => new Processors(count), BoardError);
});

Deno.test("Each processor finds its own local APIC at the same address", async () => {
  const { board, cpus } = await bench(3);
  const found: number[] = [];
  for (const cpu of cpus) {
    cpu.program = [{ op: "store", address: 0x600, value: 0 }, { op: "nop" }];
  }
  board.memory.watch(0x600, 1, { write: true }, () => {
    found.push(board.memory.read(APIC_ID, 4) >>> 24);
  });
  // A turn each.
  for (let i = 0; i < 3; i++) board.cpu.run(10_000);
  assertEquals([...new Set(found)], [0, 1, 2]);
});

Deno.test("Messages reach the processors that they name, and A20 reaches all", async () => {
  const { board, cpus } = await bench(3);
  const { memory } = board;
  // To all others; to the third; to all others.
  memory.write(ICR, 4, 0xc4500);
  memory.write(ICR_HIGH, 4, 2 << 24);
  memory.write(ICR, 4, 0x4608);
  memory.write(ICR, 4, 0xc4400);
  assertEquals(cpus.map(({ heard }) => heard), [
    [],
    ["init", "nmi"],
    ["init", "startup 8", "nmi"],
  ]);
  const gate = (open: boolean) => {
    board.ports.write(0x92, 1, open ? 2 : 0);
    return cpus.map(({ a20 }) => a20);
  };
  assertEquals(gate(true), [true, true, true]);
  assertEquals(gate(false), [false, false, false]);
});

Deno.test("The board's processors are one to its machine", async () => {
  const { board } = await bench(4);
  assertEquals(board.cpu instanceof ProcessorSet, true);
  assertEquals(board.cpu.processors?.length, 4);
  assertEquals(board.chips.filter(({ name }) => name.startsWith("lapic")).length, 4);
});
