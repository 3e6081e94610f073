/** A guest in one of the emulators that are compared, driven by its serial port. */
import type { Engine } from "../mod.ts";
import { SerialText } from "./serial_text.ts";

/** The emulators. */
export const PEERS = ["compy", "v86", "qemu"] as const;

/** One of {@linkcode PEERS}. */
export type Peer = (typeof PEERS)[number];

/** The clocks that runs can be timed by. */
export const CLOCKS = ["host", "processor"] as const;

/** One of {@linkcode CLOCKS}. */
export type Clock = (typeof CLOCKS)[number];

/** The machine that a guest runs on. */
export interface GuestOptions {
  arch: "i386" | "amd64";
  /** Mebibytes. */
  memory: number;
  /** A bzImage, or a Multiboot file. */
  kernel: string;
  /** With a Linux kernel. */
  linux?: { initrd: string; append: string; cpu: string };
  /** compy's engine; its default when there is none. */
  accel?: Engine;
  /** Firmware for v86, which starts Linux by it. */
  firmware?: { bios: string; vgaBios: string };
  /** Whose time is taken: the host's (default), or the processor time of the thread that emulates. */
  clock?: Clock;
  /** QEMU's programs; see {@linkcode ../scripts/guests/qemu.ts}. */
  qemu?: readonly string[];
}

/** A running guest. */
export abstract class Guest {
  /** What the guest sent. */
  protected readonly serial: SerialText;

  /** @param clock milliseconds from some moment on */
  constructor(clock: () => number) {
    this.serial = new SerialText(clock);
  }

  /** All text that the guest sent. */
  get text(): string {
    return this.serial.text;
  }

  /** Takes what the guest sent. */
  protected receive(text: string): void {
    this.serial.add(text);
    if (Deno.env.has("BENCH_VERBOSE")) Deno.stderr.writeSync(new TextEncoder().encode(text));
  }

  /**
   * Sends `input` and lets the guest run until it has sent the texts `marks`, one after the other.
   *
   * @returns the times at which it had sent each, in milliseconds of its clock
   */
  abstract run(marks: readonly string[], input?: string): Promise<number[]>;

  /** Removes the machine. */
  abstract close(): Promise<void>;
}

/** What starts guests in one of the emulators. */
export async function starter(
  peer: Peer,
): Promise<(options: GuestOptions) => Guest | Promise<Guest>> {
  // Imported by need: the processes of others must not hold v86 or compy.
  if (peer === "compy") return (await import("./compy_guest.ts")).startCompy;
  if (peer === "v86") return (await import("./v86_guest.ts")).startV86;
  return (await import("./qemu_guest.ts")).startQemu;
}
