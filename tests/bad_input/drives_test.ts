/** Drives that fail while the guest uses them: the guest gets an ATA error, the host is told which file and why. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import {
  BlockError,
  type BlockErrorKind,
  HostFailureError,
  Machine,
  type MachineOptions,
  MemoryDevice,
} from "../../mod.ts";
import { type Code, dword, label, rel32, rel8, word } from "../boots/assemble.ts";
import { COMPY, withDirectory } from "./command.ts";
import { multiboot } from "./images.ts";

const SECTOR = 512;
/** Sectors that the guest uses. */
const COUNT = 8;
/** ATA: status and error bits. */
const ERR = 0x01, BSY = 0x80;

/** mov dx, port; mov al, value; out dx, al */
const out = (port: number, ...value: Code[]): Code => [[0x66, 0xba, word(port)], value, 0xee];
const al = (value: number): Code => [0xb0, value & 0xff];
/** mov al, bl: the sector */
const SECTOR_NUMBER: Code = [0x88, 0xd8];
/** Where the guest has its data. */
const BUFFER = 0x180000;

/**
 * A guest that writes sectors from `first` on, a multiple of 256, by PIO, each filled with its number's low
 * byte, or reads them. It tells of each its status at port 0x80, and its error register there too after a
 * failure. Then it writes 0 to debug-exit.
 */
function pio(command: "read" | "write", first = 0): Uint8Array<ArrayBuffer> {
  const write = command === "write";
  return multiboot([
    0xfc, // cld
    ...[0xbc, dword(BUFFER)], // mov esp, buffer: the stack lies below it
    out(0x3f6, al(0x02)), // no interrupts
    ...[0x30, 0xdb], // xor bl, bl
    label("next"),
    out(0x1f6, al(0xe0 | (first >>> 24))), // LBA, master
    out(0x1f2, al(1)),
    out(0x1f3, SECTOR_NUMBER),
    out(0x1f4, al(first >>> 8)),
    out(0x1f5, al(first >>> 16)),
    out(0x1f7, al(write ? 0x30 : 0x20)), // WRITE or READ SECTOR
    ...[0xe8, rel32("wait")], // call wait
    ...[0xa8, ERR, 0x75, rel8("told")], // test al, ERR; jnz told
    ...[0xbf, dword(BUFFER)], // mov edi, buffer
    ...[0xb9, dword(SECTOR)], // mov ecx, 512
    SECTOR_NUMBER,
    ...[0xf3, 0xaa], // rep stosb
    ...[0xbe, dword(BUFFER)], // mov esi, buffer
    ...[0xbf, dword(BUFFER)], // mov edi, buffer
    ...[0xb9, dword(SECTOR / 2)], // mov ecx, 256
    ...[0x66, 0xba, word(0x1f0)], // mov dx, data register
    ...[0xf3, 0x66, write ? 0x6f : 0x6d], // rep outsw, rep insw
    ...[0xe8, rel32("wait")], // call wait
    label("told"),
    ...[0xe6, 0x80], // out 0x80, al
    ...[0xa8, ERR, 0x74, rel8("fine")], // test al, ERR; jz fine
    ...[0x66, 0xba, word(0x1f1)], // mov dx, error register
    ...[0xec, 0xe6, 0x80], // in al, dx; out 0x80, al
    label("fine"),
    ...[0xfe, 0xc3], // inc bl
    ...[0x80, 0xfb, COUNT], // cmp bl, COUNT
    ...[0x0f, 0x82, rel32("next")], // jb next
    ...[0xb0, 0x00, 0xe6, 0xf4], // mov al, 0; out 0xf4, al
    label("wait"),
    ...[0x66, 0xba, word(0x1f7)], // mov dx, status register
    label("busy"),
    0xec, // in al, dx
    ...[0xa8, BSY, 0x75, rel8("busy")], // test al, BSY; jnz busy
    0xc3, // ret
  ]);
}

const MACHINE: MachineOptions = {
  memory: "2M",
  devices: ["isa-debug-exit,iobase=0xf4,iosize=1"],
  limits: { within: "10s" },
};

/** The statuses and errors that the guest told of. */
function told(vm: Machine): number[] {
  return recorders.get(vm)!();
}
const recorders = new WeakMap<Machine, () => number[]>();

async function make(options: MachineOptions): Promise<Machine> {
  const vm = await Machine.create({ ...MACHINE, ...options });
  const recorder = vm.port(0x80).record();
  recorders.set(vm, () => recorder.entries.map(({ value }) => value));
  return vm;
}

/** A drive in memory that fails from a sector on. */
class Failing extends MemoryDevice {
  constructor(private readonly kind: BlockErrorKind, private readonly from: number) {
    super(64 * SECTOR, { source: "failing.img" });
  }
  private check(offset: number): void {
    if (offset < this.from * SECTOR) return;
    throw new BlockError(this.kind, this.source, "the host's disk had enough");
  }
  override read(offset: number, length: number): Uint8Array {
    this.check(offset);
    return super.read(offset, length);
  }
  override write(offset: number, bytes: Uint8Array): void {
    this.check(offset);
    super.write(offset, bytes);
  }
}

/** What an image holds when the guest has written its first sectors. */
function written(length: number, sectors: number): Uint8Array {
  const image = new Uint8Array(length);
  for (let i = 0; i < sectors; i++) image.fill(i, i * SECTOR, (i + 1) * SECTOR);
  return image;
}

/** Statuses of commands that went well. */
const isGood = (status: number) => (status & (ERR | BSY)) === 0;

Deno.test("A drive that fails ends the machine with the name and the cause, and keeps what it has", async () => {
  for (const kind of ["no-space", "io", "shrunk", "missing"] as const) {
    const device = new Failing(kind, 5);
    await using vm = await make({ kernel: pio("write"), drives: [{ device }] });
    const error = await assertRejects(
      () => vm.serial.expect("never"),
      HostFailureError,
      'while waiting for serial0: "never": failing.img: the host\'s disk had enough',
    );
    assert(error.cause instanceof BlockError && error.cause.kind === kind);
    assertEquals(told(vm).length, 5);
    assert(told(vm).every(isGood));
    assertEquals(device.bytes, written(device.size, 5));
    // Every later wait says the same.
    await assertRejects(async () => await vm.exited, HostFailureError, "failing.img");
    await assertRejects(() => vm.run({ for: 1 }), HostFailureError, "failing.img");
  }
});

Deno.test("A drive that fails gives the guest an ATA error, and the guest goes on", async () => {
  for (const command of ["read", "write"] as const) {
    const device = new Failing("io", 5);
    const options = { kernel: pio(command), drives: [{ device }], driveErrors: "report" } as const;
    await using vm = await make(options);
    assertEquals((await vm.exited).kind, "debug-exit");
    const entries = told(vm);
    assertEquals(entries.length, COUNT + 3);
    assert(entries.slice(0, 5).every(isGood));
    for (let i = 5; i < entries.length; i += 2) {
      assertEquals(entries[i] & ERR, ERR);
      assert(entries[i + 1] !== 0, "the error register says what");
    }
    assertEquals(device.bytes, command === "write" ? written(device.size, 5) : device.bytes);
  }
});

Deno.test("An image that is cut short meanwhile is named", () =>
  withDirectory(async (dir) => {
    const file = join(dir, "disk.img");
    await Deno.writeFile(file, new Uint8Array(64 * SECTOR));
    await using vm = await make({ kernel: pio("read"), drives: [{ file }] });
    await vm.port(0x80).nextWrite();
    await Deno.truncate(file, 3 * SECTOR);
    const error = await assertRejects(async () => await vm.exited, HostFailureError, file);
    assertStringIncludes(error.message, "the file ends at 1536, it had 32768 bytes when");
    assertEquals(told(vm).length, 3);
    assertEquals((await Deno.stat(file)).size, 3 * SECTOR);
  }));

Deno.test("An image that is deleted meanwhile is named before anything is lost in it", () =>
  withDirectory(async (dir) => {
    const file = join(dir, "disk.img");
    await Deno.writeFile(file, new Uint8Array(64 * SECTOR));
    await using vm = await make({ kernel: pio("write"), drives: [{ file }] });
    await vm.port(0x80).nextWrite();
    await Deno.remove(file);
    await assertRejects(
      async () => await vm.exited,
      HostFailureError,
      `${file}: the file has been deleted`,
    );
    assertEquals(told(vm).length, 1);
  }));

Deno.test({
  name: "The command names an image that the host lets grow no further, and exits with 1",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    withDirectory(async (dir) => {
      // Deno's own caches stay below the limit; the guest's first sectors lie just below it, too.
      const LIMIT = 128 * 2 ** 20 + 3 * 1024, FITTING = 6;
      const file = join(dir, "disk.img"), kernel = join(dir, "kernel");
      await Deno.writeFile(file, new Uint8Array());
      await Deno.truncate(file, 2 * LIMIT);
      await Deno.writeFile(kernel, pio("write", LIMIT / SECTOR - FITTING));
      const { code, stdout, stderr } = await new Deno.Command("bash", {
        args: [
          ...["-c", `ulimit -f ${LIMIT / 1024}; exec "$@"`, "bash"],
          ...[Deno.execPath(), "run", "-A", COMPY, "-kernel", kernel, "-hda", file],
          ...["-no-reboot", "-serial", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
        ],
        env: { NO_COLOR: "1" },
        stdin: "null",
        signal: AbortSignal.timeout(60_000),
      }).output();
      const message = new TextDecoder().decode(stderr);
      assertEquals([code, stdout.length], [1, 0], message);
      assertStringIncludes(message, `${file}: cannot write: File too large`);
      assertEquals(/\n {4}at /.test(message), false, message);
      using image = await Deno.open(file);
      await image.seek(LIMIT - FITTING * SECTOR, Deno.SeekMode.Start);
      const bytes = new Uint8Array((FITTING + 1) * SECTOR);
      await image.read(bytes);
      // What fitted was written, and nothing behind it.
      assertEquals(bytes.subarray(0, FITTING * SECTOR), written(FITTING * SECTOR, FITTING));
      assert(bytes.subarray(FITTING * SECTOR).every((byte) => byte === 0));
    }),
});
