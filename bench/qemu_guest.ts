/** A guest in QEMU, executed by its translator (TCG). */
import { clockOf } from "./clock.ts";
import { Guest, type GuestOptions } from "./guest.ts";

class QemuGuest extends Guest {
  /** What QEMU said on its standard error. */
  private complaints = "";
  private readonly input: WritableStreamDefaultWriter<Uint8Array>;

  constructor(private readonly child: Deno.ChildProcess, clock: () => number) {
    super(clock);
    this.input = child.stdin.getWriter();
    this.read();
    this.listen();
  }

  private async listen(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const part of this.child.stderr) {
      this.complaints += decoder.decode(part, { stream: true });
    }
  }

  private async read(): Promise<void> {
    const decoder = new TextDecoder("latin1");
    for await (const part of this.child.stdout) this.receive(decoder.decode(part));
    await this.child.status;
    this.serial.fail(`QEMU ended (${this.complaints.trim()})`);
  }

  override async run(marks: readonly string[], input = ""): Promise<number[]> {
    const seen = this.serial.seen(marks);
    if (input !== "") await this.input.write(new TextEncoder().encode(input));
    return await seen;
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
        ? ["-nodefaults"]
        : ["-cpu", linux.cpu, "-initrd", linux.initrd, "-append", linux.append]),
      ...["-display", "none", "-serial", "stdio", "-monitor", "none", "-net", "none", "-no-reboot"],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return new QemuGuest(child, clockOf(child.pid, clock));
}
