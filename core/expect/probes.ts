/** I/O ports and memory as a script watches them. */
import { ADDRESS_LIMIT, type MemoryMap } from "../bus/memory_map.ts";
import type { PortMap } from "../bus/port_map.ts";
import type { VirtualClock } from "../machine/clock.ts";
import type { Cpu } from "../machine/cpu.ts";
import { type Duration, nanoseconds } from "../machine/duration.ts";
import type { RunLoop } from "../machine/run_loop.ts";

/** One access of the guest. */
export interface Access {
  /** Port number or physical address. */
  address: number;
  /** Width in bytes. */
  size: number;
  /** The value read or written, unsigned. */
  value: number;
  /** Whether it was a write. */
  write: boolean;
  /** Code segment of the instruction that was executing. */
  cs: number;
  /** Its offset in the code segment. */
  ip: number;
  /** Virtual nanoseconds since power-on. */
  time: number;
}

/** Which access is awaited. */
export interface AccessFilter {
  /** Only an access with this value. */
  value?: number;
  /** Only an access of this width in bytes. */
  size?: 1 | 2 | 4;
  /** Virtual time after which the wait fails. Default: the machine's `limits.within`. */
  within?: Duration;
}

/** A list of accesses that grows while the guest runs, until it is stopped. */
export interface Recorder extends Disposable {
  /** The accesses so far, oldest first. */
  readonly entries: readonly Access[];
  /** Ends the recording; the entries stay. */
  stop(): void;
}

/** What a probe needs of the machine. */
export interface ProbeContext {
  loop: RunLoop;
  cpu: Cpu;
  clock: VirtualClock;
  /** Default of `within` in virtual nanoseconds. */
  within: number | undefined;
}

type Watch = (
  on: { read?: boolean; write?: boolean },
  notify: (access: { address: number; size: number; value: number; write: boolean }) => void,
) => () => void;

/** A range of ports or of physical memory that a script can wait for. */
export class Probe {
  /** Made by the machine. */
  constructor(
    private readonly context: ProbeContext,
    private readonly label: string,
    private readonly watch: Watch,
  ) {}

  /** Waits until the guest writes to the range. The guest stops after the instruction that did. */
  nextWrite(filter: AccessFilter = {}): Promise<Access> {
    return this.next(true, filter);
  }

  /** Waits until the guest reads from the range. The guest stops after the instruction that did. */
  nextRead(filter: AccessFilter = {}): Promise<Access> {
    return this.next(false, filter);
  }

  /** Waits for one access. */
  private next(write: boolean, { value, size, within }: AccessFilter): Promise<Access> {
    const { loop } = this.context;
    const what =
      `a ${size === undefined ? "" : `${size}-byte `}${write ? "write to" : "read from"} ` +
      `${this.label}${value === undefined ? "" : ` of 0x${value.toString(16)}`}`;
    return loop.wait<Access>(what, {
      within: within === undefined ? this.context.within : nanoseconds(within),
      arm: (wait) =>
        this.watch({ read: !write, write }, (access) => {
          if (value !== undefined && access.value !== value) return;
          if (size !== undefined && access.size !== size) return;
          wait.resolve(this.complete(access));
        }),
    });
  }

  /** Records accesses from now on, without stopping the guest. */
  record(on: { reads?: boolean; writes?: boolean } = {}): Recorder {
    const { reads = true, writes = true } = on;
    const entries: Access[] = [];
    let end: (() => void) | undefined = this.watch(
      { read: reads, write: writes },
      (access) => entries.push(this.complete(access)),
    );
    const stop = () => {
      if (end !== undefined) this.context.loop.afterInstruction(end);
      end = undefined;
    };
    return { entries, stop, [Symbol.dispose]: stop };
  }

  /** Adds where and when an access happened. */
  private complete(access: Omit<Access, "cs" | "ip" | "time">): Access {
    const { cs, ip } = this.context.cpu.location;
    return { ...access, cs, ip, time: this.context.clock.now() };
  }
}

function hex(n: number): string {
  return `0x${n.toString(16)}`;
}

/**
 * A probe on I/O ports.
 *
 * @throws {RangeError} when the ports are not within 0 to 0xffff
 */
export function portProbe(
  context: ProbeContext,
  ports: PortMap,
  base: number,
  count: number,
): Probe {
  if (
    !Number.isInteger(base) || !Number.isInteger(count) || base < 0 || count < 1 ||
    base + count > 0x10000
  ) {
    throw new RangeError(`ports ${base}+${count} are not within 0 to 0xffff`);
  }
  const label = count === 1
    ? `port ${hex(base)}`
    : `ports ${hex(base)} to ${hex(base + count - 1)}`;
  return new Probe(
    context,
    label,
    (on, notify) =>
      ports.watch(
        base,
        count,
        on,
        ({ port, size, value, write }) => notify({ address: port, size, value, write }),
      ),
  );
}

/**
 * A probe on physical memory: RAM, ROM or registers.
 *
 * @throws {RangeError} when the range is not within 64 GiB
 */
export function memoryProbe(
  context: ProbeContext,
  memory: MemoryMap,
  address: number,
  length: number,
): Probe {
  if (
    !Number.isInteger(address) || !Number.isInteger(length) || address < 0 || length < 1 ||
    address + length > ADDRESS_LIMIT
  ) {
    throw new RangeError(`memory range ${address}+${length} is not within 64 GiB`);
  }
  const label = `memory ${hex(address)}${length === 1 ? "" : ` to ${hex(address + length - 1)}`}`;
  return new Probe(context, label, (on, notify) => memory.watch(address, length, on, notify));
}
