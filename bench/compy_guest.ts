/** A guest in compy. */
import { Machine } from "../mod.ts";
import { ownClock } from "./clock.ts";
import { Guest, type GuestOptions } from "./guest.ts";

/** Longer than any guest runs; in virtual time, which differs from the host's. */
const LIMIT = "1h";

/** A guest in compy. */
export class CompyGuest extends Guest {
  constructor(private readonly vm: Machine, clock: () => number) {
    super(clock);
    vm.serial.tap((text) => this.receive(text));
  }

  override async run(marks: readonly string[], input = ""): Promise<number[]> {
    const seen = this.serial.seen(marks), { serial } = this.vm;
    const expectAll = async () => {
      for (const mark of marks) await serial.expect(mark, { within: LIMIT });
    };
    await Promise.all([expectAll(), input === "" ? undefined : serial.write(input)]);
    return await seen;
  }

  /** Lets the guest run until it ends the machine by writing 0 to port F4h, as bare-metal kernels do. */
  async ended(): Promise<void> {
    const exit = await this.vm.exited;
    if (exit.kind !== "debug-exit" || exit.value !== 0) {
      throw new Error(`ended with ${exit.kind} instead of debug-exit 0`);
    }
  }

  override async close(): Promise<void> {
    await this.vm[Symbol.asyncDispose]();
  }
}

/** Starts a guest in compy. */
export async function startCompy(options: GuestOptions): Promise<CompyGuest> {
  const { kernel, linux, memory, accel, clock } = options;
  return new CompyGuest(
    await Machine.create({
      kernel,
      ...linux,
      memory: `${memory}M`,
      accel,
      devices: linux === undefined ? ["isa-debug-exit,iobase=0xf4,iosize=4"] : [],
      limits: { within: "none" },
    }),
    ownClock(clock),
  );
}
