/** A guest in QEMU, executed by its translator (TCG). */
import { clockOf } from "./clock.ts";
import { Guest, type GuestOptions } from "./guest.ts";

/** What QEMU exits with when a guest writes 0 to its isa-debug-exit. */
const EXIT_0 = 1;

class QemuGuest extends Guest {
  private readonly input: WritableStreamDefaultWriter<Uint8Array>;

  constructor(private readonly child: Deno.ChildProcess, clock: () => number) {
    super(clock);
    this.input = child.stdin.getWriter();
    this.read();
  }

  private async read(): Promise<void> {
    const decoder = new TextDecoder("latin1");
    for await (const part of this.child.stdout) this.receive(decoder.decode(part));
    this.serial.fail("QEMU ended");
  }

  override async run(marks: readonly string[], input = ""): Promise<number[]> {
    const seen = this.serial.seen(marks);
    if (input !== "") await this.input.write(new TextEncoder().encode(input));
    return await seen;
  }

  override async ended(): Promise<void> {
    const { code } = await this.child.status;
    if (code !== EXIT_0) throw new Error(`QEMU ended with status ${code} instead of ${EXIT_0}`);
  }

  override async close(): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.input.abort().catch(() => {});
    await this.child.status;
  }
}

/** Starts a guest in QEMU. */
export function startQemu(options: GuestOptions): Guest {
  const { kernel, linux, memory, qemu, clock } = options;
  if (qemu === undefined) throw new Error("there is no QEMU");
  const [command, ...first] = qemu;
  const child = new Deno.Command(command, {
    args: [
      ...first,
      ...["-accel", "tcg", "-machine", "pc", "-m", String(memory), "-smp", "1", "-kernel", kernel],
      ...(linux === undefined
        ? ["-nodefaults", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        : ["-cpu", linux.cpu, "-initrd", linux.initrd, "-append", linux.append]),
      ...["-display", "none", "-serial", "stdio", "-monitor", "none", "-net", "none", "-no-reboot"],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  return new QemuGuest(child, clockOf(child.pid, clock));
}
