/** The seam between the machine and the parts it is made of: what a board offers, and what it may ask of the machine. */
import type { PortMap } from "../bus/port_map.ts";
import type { MemoryMap } from "../bus/memory_map.ts";
import type { Chip } from "../chip.ts";
import type { Display } from "../display/display.ts";
import type { KeySink } from "../expect/keyboard.ts";
import type { VirtualClock } from "./clock.ts";
import type { Cpu, InterruptAcknowledge, LocalApicPort, PortBus } from "./cpu.ts";

/**
 * The wires by which chips end or hold the machine. All may be called from within a port or memory
 * access or an alarm; they end the running slice after the instruction that is executing.
 */
export interface MachineControls {
  /** The guest switched the power off (ACPI S5, APM). */
  powerOff(): void;
  /** The guest asked for a reset of the whole board (8042 pulse, port 92h, port CF9h). */
  requestReset(): void;
  /** The guest wrote `value` to `isa-debug-exit`. The exit status is `(value << 1) | 1`. */
  debugExit(value: number): void;
  /**
   * Executes no further instruction until `work` has settled: for host input and output that the
   * guest must not be told of before it has happened. Virtual time stands still meanwhile. A rejection
   * ends the machine with a host error.
   */
  hold(work: Promise<unknown>): void;
}

/** What a processor is joined to. */
export interface CpuBus {
  readonly memory: MemoryMap;
  readonly ports: PortBus;
  /** The interrupt acknowledge cycle, answered by the interrupt controller. */
  readonly acknowledge: InterruptAcknowledge;
  readonly clock: VirtualClock;
  /** Its local APIC; none on a board without. */
  readonly apic?: LocalApicPort;
  /** Its number, which is its initial APIC ID; 0, the default, is the bootstrap processor. */
  readonly index?: number;
  /** How many processors the board has, 1 (default) to 16: what CPUID tells. */
  readonly count?: number;
}

/** Makes a processor of a board. The board calls it once for each, when its bus is complete. */
export type CpuFactory = (bus: CpuBus) => Cpu;

/** The host's side of a UART: one byte at a time, in both directions. */
export interface SerialEndpoint {
  /** `serial0` is the first port (COM1). */
  readonly name: string;
  /** Called with each byte that the guest has transmitted, from within the guest's instruction or an alarm. Set by the machine. */
  onTransmit: (byte: number) => void;
  /** Whether a byte given now would reach the guest: the receiver is empty enough and has finished the previous one. */
  canReceive(): boolean;
  /** Gives one byte to the receiver. Only when {@linkcode SerialEndpoint.canReceive}. */
  receive(byte: number): void;
  /** Called whenever {@linkcode SerialEndpoint.canReceive} may have become true. Set by the machine. */
  onCanReceive: () => void;
}

/** A complete board, as a board's factory returns it, in the state after power-on. */
export interface Board {
  readonly cpu: Cpu;
  readonly memory: MemoryMap;
  readonly ports: PortMap;
  readonly clock: VirtualClock;
  /** Every chip but the processor, in a fixed order: the order of snapshots and state hashes. */
  readonly chips: readonly Chip[];
  /** The serial ports in order: COM1 first. */
  readonly serial: readonly SerialEndpoint[];
  readonly display?: Display;
  readonly keyboard?: KeySink;
  /** Whether nothing could interrupt a processor that halts, since all is masked. Default: something could. */
  interruptsMasked?(): boolean;
  /** A hardware reset of everything, as by the reset line: processor, chips, the firmware's or loader's entry state. */
  reset(): void;
  /** Closes what the board holds open on the host: drive files. Called once. */
  dispose(): Promise<void>;
}

/** Makes a board. `controls` work from the first instruction on, not while the board is being made. */
export type BoardFactory<Options> = (
  options: Options,
  controls: MachineControls,
) => Promise<Board>;
