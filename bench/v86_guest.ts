/** A guest in v86. */
import { V86 } from "v86";
import { ownClock } from "./clock.ts";
import { Guest, type GuestOptions } from "./guest.ts";

const COM1 = 0;
/** What v86 throws, out of its own timer, when a Multiboot guest writes to port F4h. */
const HALT = "HALT";

class V86Guest extends Guest {
  constructor(private readonly emulator: V86, clock: () => number) {
    super(clock);
    emulator.add_listener("serial0-output-byte", (byte: number) => {
      this.receive(String.fromCharCode(byte));
    });
    const whenHalted = (event: Event, error: unknown) => {
      if (error !== HALT) return;
      event.preventDefault();
      this.serial.fail("the guest ended");
    };
    globalThis.addEventListener("error", (event) => whenHalted(event, event.error));
    globalThis.addEventListener("unhandledrejection", (event) => whenHalted(event, event.reason));
  }

  override run(marks: readonly string[], input = ""): Promise<number[]> {
    const seen = this.serial.seen(marks);
    if (input !== "") this.emulator.serial_send_bytes(COM1, new TextEncoder().encode(input));
    return seen;
  }

  override async close(): Promise<void> {
    await this.emulator.destroy();
  }
}

async function image(path: string): Promise<{ buffer: ArrayBuffer }> {
  return { buffer: (await Deno.readFile(path)).buffer };
}

/** Starts a guest in v86. */
export async function startV86(options: GuestOptions): Promise<Guest> {
  const { arch, kernel, linux, memory, firmware, clock } = options;
  if (arch !== "i386") throw new Error("v86 runs 32-bit guests only");
  const images = linux === undefined ? { multiboot: await image(kernel) } : {
    bios: await image(firmware!.bios),
    vga_bios: await image(firmware!.vgaBios),
    bzimage: await image(kernel),
    initrd: await image(linux.initrd),
    cmdline: linux.append,
  };
  return new V86Guest(
    new V86({
      ...images,
      wasm_path: new URL("./v86.wasm", import.meta.resolve("v86")).pathname,
      memory_size: memory * 1024 * 1024,
      vga_memory_size: 8 * 1024 * 1024,
      autostart: true,
      disable_speaker: true,
    }),
    ownClock(clock),
  );
}
