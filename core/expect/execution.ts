/** Execution as a script waits for it: that a processor comes to an instruction. */
import { type Duration, nanoseconds } from "../machine/duration.ts";
import type { ProbeContext } from "./probes.ts";

/** Where a processor is about to go on. */
export interface Arrival {
  /** Linear address of the instruction, which was not executed yet; of the upper half below zero. */
  linear: number;
  /** Its code segment. */
  cs: number;
  /** Its offset in the code segment; in 64-bit code the linear address. */
  ip: number;
  /** Number of the processor. */
  processor: number;
  /** Virtual nanoseconds since power-on. */
  time: number;
}

/** Half of the 48-bit addresses of 64-bit code, which are canonical. */
const HALF = 2 ** 47;

/**
 * A linear address as the processors tell of it.
 *
 * @throws {RangeError} for what is no canonical address
 */
function linearAddress(address: number | bigint): number {
  const linear = typeof address === "bigint"
    ? Number(address === BigInt.asUintN(64, address) ? BigInt.asIntN(64, address) : address)
    : address;
  if (!Number.isInteger(linear) || linear < -HALF || linear >= HALF) {
    const told = typeof address === "bigint" ? `0x${address.toString(16)}` : `${address}`;
    throw new RangeError(
      `${told} is no linear address: give a whole number below 2^47, or one of the upper half as a bigint ` +
        "from 0xffff800000000000n on",
    );
  }
  return linear;
}

/** The addresses that are waited for, of all waits of a machine. */
export class ExecutionStops {
  private readonly waits = new Map<number, Set<(arrival: Arrival) => void>>();

  constructor(private readonly context: ProbeContext) {
    context.cpu.onStop = (linear) => this.arrived(linear);
  }

  /** Waits until a processor is about to execute the instruction at a linear address. */
  reach(address: number | bigint, within?: Duration): Promise<Arrival> {
    const linear = linearAddress(address), { loop } = this.context;
    const told = BigInt.asUintN(64, BigInt(linear)).toString(16);
    return loop.wait<Arrival>(`execution to reach 0x${told}`, {
      within: within === undefined ? this.context.within : nanoseconds(within),
      arm: (wait) => {
        const resolve = (arrival: Arrival) => wait.resolve(arrival);
        const list = this.waits.get(linear);
        if (list === undefined) this.waits.set(linear, new Set([resolve]));
        else list.add(resolve);
        this.tell();
        return () => {
          const list = this.waits.get(linear)!;
          list.delete(resolve);
          if (list.size === 0) this.waits.delete(linear);
          this.tell();
        };
      },
    });
  }

  private tell(): void {
    this.context.cpu.stopAt(new Set(this.waits.keys()));
  }

  private arrived(linear: number): void {
    const { cpu, clock } = this.context, { cs, ip } = cpu.location;
    const arrival: Arrival = {
      linear,
      cs,
      ip,
      processor: cpu.currentProcessor ?? 0,
      time: clock.now(),
    };
    for (const resolve of [...this.waits.get(linear) ?? []]) resolve(arrival);
  }
}
