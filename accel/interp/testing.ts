/** A processor with flat memory for tests: 1 MiB of RAM from 0 and recorded ports. */
import { HostMemory } from "../../core/bus/host_memory.ts";
import { MemoryMap } from "../../core/bus/memory_map.ts";
import { PortMap } from "../../core/bus/port_map.ts";
import { VirtualClock } from "../../core/machine/clock.ts";
import { ProcessorSet } from "../../core/machine/processor_set.ts";
import type { CpuBus } from "../x86/cpu.ts";
import { type CpuModel, parseCpuModel } from "../x86/models.ts";
import * as S from "../x86/state.ts";
import { setSegment } from "../x86/system/segments.ts";
import { Interpreter } from "./interpreter.ts";

/** What makes the processors of tests: another engine's tests put their own here, and import tests of this one. */
export const engine: {
  make: (bus: CpuBus, model: CpuModel, peer?: Interpreter) => Interpreter;
} = { make: (bus, model, peer) => new Interpreter(bus, model, peer) };

/** A processor and what it is wired to. */
export interface TestMachine {
  cpu: Interpreter;
  memory: MemoryMap;
  ports: PortMap;
  R: Int32Array;
  /** Puts bytes into memory. */
  put(address: number, ...bytes: number[]): void;
}

/** What a processor for tests starts with. */
export interface TestMachineOptions {
  bits?: 16 | 32;
  ip?: number;
  model?: string;
  /** Bytes of host memory before its RAM. */
  hostOffset?: number;
}

/** A processor in flat 32-bit protected mode at ring 0, or in real mode, about to execute at `ip`. */
export function testMachine(
  { bits = 32, ip = 0x1000, model = "max", hostOffset = 0 }: TestMachineOptions = {},
): TestMachine {
  const memory = new MemoryMap(new HostMemory(hostOffset + (1 << 20)));
  memory.host.allocate(hostOffset);
  memory.addRam("ram", 0, 1 << 20, memory.host.allocate(1 << 20));
  const ports = new PortMap(), clock = new VirtualClock(0);
  const cpu = engine.make(
    { memory, ports, clock, acknowledge: () => 0x20 },
    parseCpuModel(model),
  );
  clock.instructions = () => cpu.instructions;
  start(cpu, bits, ip);
  return {
    cpu,
    memory,
    ports,
    R: cpu.x86.R,
    put: (address, ...bytes) => memory.writeBlock(address, new Uint8Array(bytes)),
  };
}

/** Several processors and what they are wired to. */
export interface TestProcessors extends Omit<TestMachine, "cpu" | "R"> {
  set: ProcessorSet;
  cpus: Interpreter[];
}

/** Processors that share memory, waiting as after a reset: the first at its reset vector, the others for a start-up message. */
export function testProcessors(
  count: number,
  { turn, model = "max" }: { turn?: number; model?: string } = {},
): TestProcessors {
  const memory = new MemoryMap(new HostMemory(1 << 20));
  memory.addRam("ram", 0, 1 << 20, memory.host.allocate(1 << 20));
  const ports = new PortMap(), clock = new VirtualClock(0);
  const cpus: Interpreter[] = [];
  for (let index = 0; index < count; index++) {
    const bus = { memory, ports, clock, acknowledge: () => 0x20, index, count };
    cpus.push(engine.make(bus, parseCpuModel(model), cpus[0]));
  }
  const set = new ProcessorSet(cpus, turn);
  clock.instructions = () => set.instructions;
  set.setA20(true);
  return {
    set,
    cpus,
    memory,
    ports,
    put: (address, ...bytes) => memory.writeBlock(address, new Uint8Array(bytes)),
  };
}

/** Puts a processor into flat 32-bit protected mode at ring 0, or into real mode, about to execute at `ip`. */
export function start(cpu: Interpreter, bits: 16 | 32, ip: number): void {
  const { R } = cpu.x86;
  cpu.setA20(true);
  R[S.ACTIVITY] = 0;
  if (bits === 32) {
    R[S.CR0] |= S.CR0_PE;
    for (const s of [S.ES, S.SS, S.DS, S.FS, S.GS]) setSegment(cpu.x86, s, 0x10, 0, -1, 0xc093);
    setSegment(cpu.x86, S.CS, 0x08, 0, -1, 0xc09b);
  } else {
    for (const s of [S.ES, S.CS, S.SS, S.DS, S.FS, S.GS]) {
      setSegment(cpu.x86, s, 0, 0, 0xffff, 0x93);
    }
  }
  R[S.EFLAGS] = 2;
  R[S.RIP] = ip;
  R[S.RSP] = 0x8000;
}
