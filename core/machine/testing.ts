/** Machines for the unit tests of core: a processor that executes a scripted list of steps. No part of the product imports this. */
import { HostMemory } from "../bus/host_memory.ts";
import { MemoryMap } from "../bus/memory_map.ts";
import { PortMap } from "../bus/port_map.ts";
import type { Chip, State } from "../chip.ts";
import { checkState, copyState } from "../chip.ts";
import type { Board, SerialEndpoint } from "./board.ts";
import { VirtualClock } from "./clock.ts";
import type { Cpu, CpuActivity, CpuRegisters, ExecutedInstruction } from "./cpu.ts";

/** One instruction of the scripted processor. */
export type Step =
  | { op: "out"; port: number; value: number }
  /** Reads a port into the accumulator. */
  | { op: "in"; port: number }
  /** Writes the accumulator to a port. */
  | { op: "outa"; port: number }
  | { op: "store"; address: number; value: number }
  | { op: "load"; address: number }
  | { op: "nop" }
  | { op: "jump"; to: number }
  /** Jumps when the accumulator masked with `mask` is zero. */
  | { op: "jz"; mask: number; to: number }
  | { op: "hlt" }
  | { op: "sti" }
  | { op: "cli" }
  | { op: "pause" }
  | { op: "crash" };

/** A processor that executes steps; INTR enters `handler` and returns to the interrupted step after `iret`-less `handlerLength` steps. */
export class ScriptedCpu implements Cpu {
  readonly name = "cpu";
  private state = {
    instructions: 0,
    pc: 0,
    accumulator: 0,
    interrupts: 0,
    ifFlag: false,
    intr: false,
    activity: "running" as string,
  };
  private left = 0;
  private busy = false;
  /** Called for each accepted interrupt: acknowledges it at its source. */
  onInterrupt: () => void = () => {};
  onPause: () => void = () => {};
  onStop: (linear: number) => void = () => {};
  private stops: ReadonlySet<number> = new Set();
  /** Instructions at which it stopped last, which it does once. */
  private stoppedAt = -1;
  /** Longest slice asked for. */
  longestSlice = 0;

  constructor(
    public program: Step[],
    readonly ports: PortMap,
    readonly memory: MemoryMap,
  ) {}

  get instructions(): number {
    return this.state.instructions;
  }
  get activity(): CpuActivity {
    return this.state.activity as CpuActivity;
  }
  get ready(): boolean {
    const { activity, intr, ifFlag } = this.state;
    return activity === "running" || (activity === "halted" && intr && ifFlag);
  }
  get interruptsEnabled(): boolean {
    return this.state.ifFlag;
  }
  get location(): { cs: number; ip: number; linear: number } {
    return { cs: 0x1000, ip: this.state.pc, linear: 0x10000 + this.state.pc };
  }
  get interrupts(): number {
    return this.state.interrupts;
  }

  run(limit: number): void {
    this.longestSlice = Math.max(this.longestSlice, limit);
    this.left = limit;
    this.busy = true;
    const { state } = this;
    while (this.left > 0) {
      if (state.intr && state.ifFlag && state.activity !== "shutdown") {
        state.activity = "running";
        state.interrupts++;
        this.onInterrupt();
      }
      if (state.activity !== "running") break;
      const { linear } = this.location;
      if (this.stops.has(linear) && this.stoppedAt !== state.instructions) {
        this.stoppedAt = state.instructions;
        this.onStop(linear);
        break;
      }
      const step = this.program[state.pc % this.program.length];
      let next = state.pc + 1;
      if (step.op === "out") this.ports.write(step.port, 1, step.value);
      else if (step.op === "in") state.accumulator = this.ports.read(step.port, 1);
      else if (step.op === "outa") this.ports.write(step.port, 1, state.accumulator);
      else if (step.op === "store") this.memory.write(step.address, 1, step.value);
      else if (step.op === "load") state.accumulator = this.memory.read(step.address, 1);
      else if (step.op === "jump") next = step.to;
      else if (step.op === "jz") next = (state.accumulator & step.mask) === 0 ? step.to : next;
      else if (step.op === "hlt") state.activity = "halted";
      else if (step.op === "sti") state.ifFlag = true;
      else if (step.op === "cli") state.ifFlag = false;
      else if (step.op === "pause") this.onPause();
      else if (step.op === "crash") state.activity = "shutdown";
      state.pc = next % this.program.length;
      state.instructions++;
      this.left--;
    }
    this.busy = false;
  }
  stopAt(addresses: ReadonlySet<number>): void {
    this.stops = addresses;
    this.stoppedAt = this.state.instructions;
  }
  endSlice(): void {
    if (this.busy) this.left = 1;
  }
  shortenSlice(count: number): void {
    if (this.busy) this.left = Math.min(this.left, count);
  }
  setIntr(level: boolean): void {
    this.state.intr = level;
  }
  nmi(): void {}
  setA20(): void {}
  startup(): void {}
  init(): void {
    this.reset();
  }
  registers(): CpuRegisters {
    return { EAX: this.state.accumulator, EIP: this.state.pc };
  }
  recent(count: number): ExecutedInstruction[] {
    return count === 0
      ? []
      : [{ cs: 0x1000, ip: this.state.pc, linear: 0, bytes: new Uint8Array([0x90]), bits: 16 }];
  }
  peekLinear(): Uint8Array | undefined {
    return undefined;
  }
  reset(): void {
    Object.assign(this.state, {
      pc: 0,
      accumulator: 0,
      ifFlag: false,
      intr: false,
      activity: "running",
    });
  }
  snapshot(): State {
    return copyState(this.state);
  }
  restore(state: State): void {
    checkState(this.name, state, this.state);
    Object.assign(this.state, copyState(state));
  }
}

/** A UART of one byte each way: port 0x3f8 is data, 0x3fd bit 0 says that a byte waits. */
export class ScriptedUart implements Chip, SerialEndpoint {
  readonly name = "serial0";
  private state = { received: -1 };
  onTransmit: (byte: number) => void = () => {};
  onCanReceive: () => void = () => {};
  constructor(ports: PortMap) {
    ports.claim("serial0", 0x3f8, 8, {
      read: (offset) => {
        if (offset === 5) return 0x20 | (this.state.received >= 0 ? 1 : 0);
        if (offset !== 0) return 0;
        const byte = Math.max(0, this.state.received);
        this.state.received = -1;
        this.onCanReceive();
        return byte;
      },
      write: (offset, _size, value) => {
        if (offset === 0) this.onTransmit(value);
      },
    });
  }
  canReceive(): boolean {
    return this.state.received < 0;
  }
  receive(byte: number): void {
    this.state.received = byte;
  }
  reset(): void {
    this.state.received = -1;
  }
  snapshot(): State {
    return copyState(this.state);
  }
  restore(state: State): void {
    checkState(this.name, state, this.state);
    Object.assign(this.state, copyState(state));
  }
}

/** A scripted board of 64 KiB RAM at 0 and a UART. */
export interface ScriptedBoard extends Board {
  readonly cpu: ScriptedCpu;
  readonly uart: ScriptedUart;
  disposed: boolean;
}

/** Makes a {@linkcode ScriptedBoard} that executes `program`. */
export function scriptedBoard(
  program: Step[],
  extra: Pick<Board, "display" | "keyboard"> = {},
): ScriptedBoard {
  const memory = new MemoryMap(new HostMemory(0x10000));
  memory.addRam("ram", 0, 0x10000, memory.host.allocate(0x10000));
  const ports = new PortMap();
  const cpu = new ScriptedCpu(program, ports, memory);
  const uart = new ScriptedUart(ports);
  const board: ScriptedBoard = {
    cpu,
    uart,
    memory,
    ports,
    clock: new VirtualClock(),
    chips: [uart],
    serial: [uart],
    disposed: false,
    reset: () => {
      cpu.reset();
      uart.reset();
    },
    dispose: () => {
      board.disposed = true;
      return Promise.resolve();
    },
    ...extra,
  };
  return board;
}

/** Steps that send text through the UART. */
export function sends(text: string): Step[] {
  return [...new TextEncoder().encode(text)].map((value) => ({ op: "out", port: 0x3f8, value }));
}
