/** A running board as a script drives it. */
import { type CharBackend, joinBackend } from "../char/backend.ts";
import { SerialLine } from "../char/serial_line.ts";
import { ADDRESS_LIMIT, NOT_DIRECT } from "../bus/memory_map.ts";
import { PAGE_SIZE } from "../bus/host_memory.ts";
import { type Arrival, ExecutionStops } from "../expect/execution.ts";
import { Keyboard } from "../expect/keyboard.ts";
import { memoryProbe, portProbe, type Probe, type ProbeContext } from "../expect/probes.ts";
import { Screen } from "../expect/screen.ts";
import { SerialStream } from "../expect/serial_stream.ts";
import type { Board } from "./board.ts";
import type { CpuRegisters, TranslationStatistics } from "./cpu.ts";
import { type Duration, nanoseconds } from "./duration.ts";
import { type Disassembler, type Exit, GuestFailureError, type MachineReport } from "./exit.ts";
import { type ControlLatch, RunLoop } from "./run_loop.ts";
import { hashState, type MachineSnapshot, putSnapshot, takeSnapshot } from "./state_image.ts";

/** Virtual time that a wait may take unless it or the machine says otherwise. */
const DEFAULT_WITHIN: Duration = "2min";
/** Instructions in a report. */
const REPORTED = 12;

/** When a machine gives up. */
export interface Limits {
  /** Virtual time of each wait that does not give its own `within`. Default 2 minutes; `"none"` for no limit. */
  within?: Duration | "none";
  /** Virtual time since power-on after which every wait fails. Default none. */
  virtual?: Duration;
  /** Host time spent executing the guest after which every wait fails. Default none. */
  host?: Duration;
}

/** How a machine behaves, whatever its board. */
export interface MachineSettings {
  /** When it gives up. */
  limits?: Limits;
  /**
   * Text on any serial port that fails every wait, now and later. As everywhere on a stream, lines of a terminal
   * end in `\r\n`, and `.` does not match `\r`: write `/Kernel panic.*\r?\n/`.
   */
  failOn?: readonly (string | RegExp)[];
  /** A guest's reset request ends the machine instead of resetting it. Default false. */
  noReboot?: boolean;
  /** What a triple fault does: ends the machine (default), or resets it as QEMU does. */
  tripleFault?: "exit" | "reset";
  /** What `writeLine` ends lines with. Default `"\n"`. */
  newline?: "\n" | "\r" | "\r\n";
  /** Never lets virtual time run ahead of the host's: for a machine that a person talks to. Default false. */
  realTime?: boolean;
  /** What the serial ports are joined to on the host, in order, besides the script. */
  serial?: readonly (CharBackend | undefined)[];
}

/** A promise of the machine's end that runs the guest only when somebody waits for it. */
class Exited implements Promise<Exit> {
  readonly [Symbol.toStringTag] = "Promise";
  constructor(private readonly wait: () => Promise<Exit>) {}
  then<A = Exit, B = never>(
    onfulfilled?: ((exit: Exit) => A | PromiseLike<A>) | null,
    onrejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.wait().then(onfulfilled, onrejected);
  }
  catch<B = never>(
    onrejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<Exit | B> {
    return this.wait().catch(onrejected);
  }
  finally(onfinally?: (() => void) | null): Promise<Exit> {
    return this.wait().finally(onfinally);
  }
}

/** The boards of machines, for the parts of the emulator that look behind the public interface. */
const BOARDS = new WeakMap<BoardMachine, Board>();

/** The parts of a machine: for debuggers, monitors and tests inside the emulator. */
export function boardOf(machine: BoardMachine): Board {
  return BOARDS.get(machine)!;
}

/**
 * A board with a run loop and everything that a script can await. The guest runs only while at least
 * one wait is pending, and stops on the instruction that satisfies it.
 */
export class BoardMachine implements AsyncDisposable {
  /** The serial ports in order: COM1 first. */
  readonly serialPorts: readonly SerialStream[];
  /** The guest's screen. */
  readonly screen: Screen;
  /** The guest's keyboard. */
  readonly keyboard: Keyboard;
  /** Resolves when the machine ends, and says how. Awaiting it runs the guest; it has no default time limit. */
  readonly exited: Promise<Exit>;
  private readonly loop: RunLoop;
  private readonly lines: SerialLine[];
  private readonly closers: (() => Promise<void>)[] = [];
  private readonly probes: ProbeContext;
  private readonly stops: ExecutionStops;
  private disposing: Promise<void> | undefined;

  /**
   * Takes over a board.
   *
   * @param board a board in its power-on state; the machine owns it from now on
   * @param latch what the board was given as its `MachineControls`
   */
  constructor(
    private readonly board: Board,
    latch: ControlLatch,
    settings: MachineSettings = {},
    private readonly disassembler?: () => Promise<Disassembler>,
  ) {
    BOARDS.set(this, board);
    const { limits = {} } = settings;
    const { cpu, clock } = board;
    this.loop = new RunLoop({
      cpu,
      clock,
      reset: () => board.reset(),
      interruptsMasked: () => board.interruptsMasked?.() ?? false,
      latch,
      report: () => this.report(),
    }, {
      noReboot: settings.noReboot,
      tripleFault: settings.tripleFault,
      realTime: settings.realTime,
      virtualLimit: limits.virtual === undefined ? undefined : nanoseconds(limits.virtual),
      hostLimit: limits.host === undefined ? undefined : nanoseconds(limits.host) / 1e6,
    });
    const { loop } = this;
    const within = limits.within === "none"
      ? undefined
      : nanoseconds(limits.within ?? DEFAULT_WITHIN);
    this.lines = board.serial.map((endpoint) => new SerialLine(endpoint));
    const newline = settings.newline ?? "\n";
    this.serialPorts = this.lines.map((line) => new SerialStream({ loop, line, within, newline }));
    this.screen = new Screen({ loop, display: board.display, within });
    this.keyboard = new Keyboard({ loop, sink: board.keyboard, within });
    this.probes = { loop, cpu, clock, within };
    this.stops = new ExecutionStops(this.probes);
    this.exited = new Exited(() =>
      loop.wait<Exit>("the machine to end", { atEnd: (wait, exit) => wait.resolve(exit) })
    );
    for (const pattern of settings.failOn ?? []) this.failOn(pattern);
    this.join(settings.serial ?? []);
  }

  /** Makes a pattern on any serial port a failure. */
  private failOn(pattern: string | RegExp): void {
    for (const stream of this.serialPorts) {
      stream.watch(pattern, (text) =>
        this.loop.fail((what, report) =>
          new GuestFailureError(
            `${stream.name} sent ${JSON.stringify(text)}, which failOn declares a failure, ` +
              `while waiting for ${what}`,
            report,
          )
        ));
    }
  }

  /** Joins the serial ports to the host. */
  private join(backends: readonly (CharBackend | undefined)[]): void {
    if (backends.length > this.lines.length) {
      throw new RangeError(
        `${backends.length} serial backends, but the board has ${this.lines.length} serial ports`,
      );
    }
    for (const [i, backend] of backends.entries()) {
      if (backend === undefined) continue;
      this.closers.push(joinBackend(this.lines[i], backend, () => this.loop.wake()));
    }
    this.loop.hasLiveInput = () =>
      backends.some((backend) => backend !== undefined && backend.live !== false);
  }

  /** The first serial port. */
  get serial(): SerialStream {
    if (this.serialPorts.length === 0) throw new Error("this machine has no serial port");
    return this.serialPorts[0];
  }

  /** Instructions executed since power-on. */
  get instructions(): number {
    return this.board.cpu.instructions;
  }

  /** Virtual nanoseconds since power-on. */
  get virtualTime(): number {
    return this.board.clock.now();
  }

  /** Host milliseconds during which the guest ran. */
  get hostTime(): number {
    return this.loop.hostTime;
  }

  /** How the machine ended; undefined while it has not. */
  get exit(): Exit | undefined {
    return this.loop.exit;
  }

  /** What the engine translated so far; undefined of an engine that does not translate. */
  get translation(): TranslationStatistics | undefined {
    const { cpu } = this.board;
    const all = (cpu.processors ?? [cpu]).map((one) => one.translation);
    const [first] = all;
    if (first === undefined) return undefined;
    // Processors share regions and count apart how they use them.
    const exits: Record<string, number> = {};
    let entered = 0, executed = 0;
    for (const one of all) {
      entered += one!.entered;
      executed += one!.executed;
      for (const [why, count] of Object.entries(one!.exits)) {
        exits[why] = (exits[why] ?? 0) + count;
      }
    }
    return { ...first, entered, executed, exits };
  }

  /** The processor's registers, by their names in Intel's manual. */
  registers(): CpuRegisters {
    return this.board.cpu.registers();
  }

  /**
   * I/O ports to wait for or to record.
   *
   * @throws {RangeError} when the ports are not within 0 to 0xffff
   */
  port(base: number, count = 1): Probe {
    return portProbe(this.probes, this.board.ports, base, count);
  }

  /**
   * Physical memory, of RAM or of a device, to wait for or to record. Instruction fetches do not count.
   *
   * @throws {RangeError} when the range is not within 64 GiB
   */
  memory(address: number, length = 1): Probe {
    return memoryProbe(this.probes, this.board.memory, address, length);
  }

  /**
   * Waits until a processor is about to execute the instruction at a linear address; nothing of it is done then. If
   * one is there now, that does not count. Nothing costs anything but code in the address's page, as long as the wait
   * lasts: there some half a million instructions a second are executed.
   *
   * @param address of the upper half as a bigint, 0xffffffff81000000n
   * @param options.within virtual time after which the wait fails. Default: the machine's `limits.within`
   * @throws {RangeError} when the address is not canonical
   */
  reach(address: number | bigint, { within }: { within?: Duration } = {}): Promise<Arrival> {
    return this.stops.reach(address, within);
  }

  /**
   * Runs the guest for a virtual time or for a number of instructions.
   *
   * @param options exactly one of `for` and `instructions`
   */
  run(options: { for: Duration } | { instructions: number }): Promise<void> {
    const atDeadline = (wait: { resolve(value: void): void }) => wait.resolve();
    if ("for" in options) {
      const within = nanoseconds(options.for);
      return this.loop.wait<void>("virtual time to pass", { within, atDeadline });
    }
    const { instructions } = options;
    if (!Number.isSafeInteger(instructions) || instructions < 0) {
      throw new RangeError(
        `cannot run ${instructions} instructions: give a whole number from 0 on`,
      );
    }
    return this.loop.wait<void>("instructions to be executed", { instructions, atDeadline });
  }

  /**
   * Copies bytes out of the guest's physical memory, without any effect that the guest could notice.
   *
   * @throws {RangeError} when part of the range is neither RAM nor ROM
   */
  readMemory(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.eachPiece(address, length, (host, at, count) => {
      bytes.set(this.board.memory.host.bytes.subarray(host, host + count), at);
    });
    return bytes;
  }

  /**
   * Writes bytes into the guest's physical memory, ROM included. No watch is triggered.
   *
   * @throws {RangeError} when part of the range is neither RAM nor ROM; nothing is written then
   */
  writeMemory(address: number, bytes: Uint8Array): void {
    const { memory } = this.board;
    this.eachPiece(address, bytes.length, () => {});
    this.eachPiece(address, bytes.length, (host, at, count) => {
      memory.host.bytes.set(bytes.subarray(at, at + count), host);
      memory.host.touch(host);
      if (memory.codePages[Math.floor(host / PAGE_SIZE)] !== 0) memory.onCodeWrite(host, count);
    });
  }

  /** Splits a range of physical memory into pieces of host memory. */
  private eachPiece(
    address: number,
    length: number,
    piece: (host: number, at: number, count: number) => void,
  ): void {
    if (!(Number.isInteger(address) && address >= 0 && address + length <= ADDRESS_LIMIT)) {
      throw new RangeError(`memory range ${address}+${length} is not within 64 GiB`);
    }
    for (let at = 0; at < length;) {
      const here = address + at;
      const host = this.board.memory.hostOffset(here);
      if (host === NOT_DIRECT) {
        throw new RangeError(`there is neither RAM nor ROM at physical 0x${here.toString(16)}`);
      }
      const count = Math.min(length - at, PAGE_SIZE - (here & (PAGE_SIZE - 1)));
      piece(host, at, count);
      at += count;
    }
  }

  /** Refuses what cannot be done inside an instruction. */
  private checkBetweenInstructions(what: string): void {
    if (this.loop.executing) {
      throw new Error(`${what} is possible only between two instructions, not from a listener`);
    }
  }

  /**
   * Takes the whole state of the machine: memory, processor, devices, time. What the guest has not yet
   * taken of the input sent to it, and the contents of drives, are not part of it.
   */
  snapshot(): MachineSnapshot {
    this.checkBetweenInstructions("a snapshot");
    return takeSnapshot(this.board);
  }

  /**
   * Puts the machine into a state taken from it, or from one made with the same options. A machine that
   * had ended runs again. Pending input is withdrawn, and the cursors of serial ports stand at their ends.
   *
   * @throws {StateError} when the state does not fit, saying where; the machine is unchanged then
   */
  restore(snapshot: MachineSnapshot): void {
    this.checkBetweenInstructions("restoring");
    if (this.disposing !== undefined) throw new Error("the machine is disposed");
    if (this.loop.waiting) {
      throw new Error("restoring is not possible while something is awaited");
    }
    putSnapshot(this.board, snapshot);
    for (const line of this.lines) line.clear();
    for (const stream of this.serialPorts) stream.skip();
    this.keyboard.restart();
    this.loop.revive();
  }

  /**
   * SHA-256 in hexadecimal over everything that the guest could notice. Two machines in the same state
   * have the same hash, on any host and with any engine.
   */
  stateHash(): string {
    this.checkBetweenInstructions("hashing the state");
    return hashState(this.board);
  }

  /**
   * Presses the reset button: the board starts anew, whatever `noReboot` says. A machine that had ended
   * runs again. Memory, instructions and time stay.
   */
  reset(): void {
    this.checkBetweenInstructions("a reset");
    if (this.disposing !== undefined) throw new Error("the machine is disposed");
    this.loop.revive();
    this.board.reset();
  }

  /** Describes the machine as it is now. */
  async report(): Promise<MachineReport> {
    const { cpu, clock, display } = this.board;
    const disassemble = await this.disassembler?.();
    const { cs, ip } = cpu.location;
    const serial: Record<string, string> = {};
    for (const stream of this.serialPorts) {
      const tail = stream.tail();
      if (tail !== "") serial[stream.name] = tail;
    }
    const screen = display?.textLines()?.map((line) => line.trimEnd());
    while (screen?.at(-1) === "") screen.pop();
    return {
      cs,
      ip,
      registers: cpu.registers(),
      recent: cpu.recent(REPORTED).map((instruction) => ({
        ...instruction,
        text: disassemble?.(instruction) ?? "",
      })),
      ...(cpu.processors === undefined ? {} : {
        processor: cpu.currentProcessor,
        processors: cpu.processors.map((one) => ({
          activity: one.activity,
          cs: one.location.cs,
          ip: one.location.ip,
          registers: one.registers(),
        })),
      }),
      instructions: cpu.instructions,
      virtualTime: clock.now(),
      hostTime: this.loop.hostTime,
      serial,
      ...(screen !== undefined && screen.length > 0 ? { screen } : {}),
    };
  }

  /** Stops the machine for good. `exited` resolves, all other waits reject. */
  async stop(reason = "by the script"): Promise<void> {
    await this.loop.stop(reason);
  }

  /** Stops the machine and closes everything that it holds open on the host. */
  [Symbol.asyncDispose](): Promise<void> {
    this.disposing ??= this.dispose();
    return this.disposing;
  }

  /** Stops and closes. */
  private async dispose(): Promise<void> {
    await this.loop.stop("it was disposed");
    // All are closed, even if one of them fails.
    const results = await Promise.allSettled([
      ...this.closers.map((close) => close()),
      this.board.dispose(),
    ]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }
}
