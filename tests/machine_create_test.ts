import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  BlockError,
  BoardError,
  ImageError,
  Machine,
  MachineEndedError,
  type MachineOptions,
  MemoryDevice,
  OptionError,
  WaitTimeoutError,
} from "../mod.ts";
import { boardOf } from "../core/machine/machine.ts";

/** Real mode code: sends `text` through COM1, then `rest`. */
function says(text: string, rest: number[]): Uint8Array {
  const bytes = [...new TextEncoder().encode(text)];
  return new Uint8Array([0xba, 0xf8, 0x03, ...bytes.flatMap((b) => [0xb0, b, 0xee]), ...rest]);
}

const SPIN = [0xeb, 0xfe];
/** cli; hlt */
const DEAD = [0xfa, 0xf4];
/** lidt with a limit of 0, then ud2: nothing can be delivered. */
const CRASH = [0x0f, 0x01, 0x1e, 0x00, 0x7e, 0x0f, 0x0b];

const flat = {};

Deno.test("A wrong option is refused, and the nearest right one named", async () => {
  const kernel = new Uint8Array(DEAD);
  const cases: [MachineOptions | Record<string, unknown>, string, string][] = [
    [{ kernal: "x" }, "kernal", 'did you mean "kernel"?'],
    [{ kernel, flat, accel: "interpr" }, "accel", 'did you mean "interp"?'],
    [{ kernel, flat, board: "q35" }, "board", "none of pc"],
    [{ kernel, flat, cpu: "pentum3" }, "cpu", '"pentium3"'],
    [{ kernel, flat, cpu: "max,-see2" }, "cpu", "sse2"],
    [{ kernel, flat, memory: "12 apples" }, "memory", '"128M"'],
    [{ kernel, flat, icountShift: 11 }, "icountShift", "0 to 10"],
    [{ kernel, flat, limits: { withn: 1 } }, "withn", 'did you mean "within"?'],
    [{ kernel, flat, tripleFault: "rest" }, "tripleFault", 'did you mean "reset"?'],
    [{ kernel, flat, drives: [{ fil: "a" }] }, "fil", 'did you mean "file"?'],
    [{ kernel, flat, drives: [{ media: "floppy", file: "a" }] }, "media", "disk, cdrom"],
    [{ kernel, flat, drives: [{}] }, "drives", "one of file, bytes and device"],
    [{ kernel, firmware: kernel }, "firmware", "give one of them"],
    [{}, "kernel", "give one of them"],
    [{ firmware: kernel, append: "quiet" }, "append", "give kernel too"],
    [{ kernel: 5 }, "kernel", "Uint8Array"],
    [{ kernel: "/no/such/file" }, "kernel", "cannot read /no/such/file: there is no such file"],
    [{ kernel, initrd: "/no/such/initrd" }, "initrd", "/no/such/initrd"],
  ];
  for (const [options, option, part] of cases) {
    const error = await assertRejects(() => Machine.create(options as MachineOptions), OptionError);
    assertEquals(error.option, option);
    assertStringIncludes(error.message, part);
  }
});

Deno.test("What the board or a file cannot be is refused by name", async () => {
  const kernel = new Uint8Array(DEAD);
  await assertRejects(() => Machine.create({ kernel, flat, memory: 4096 }), BoardError, "memory");
  await assertRejects(
    () => Machine.create({ kernel, flat, devices: ["isa-debug-exot"] }),
    BoardError,
    "isa-debug-exit",
  );
  await assertRejects(() => Machine.create({ kernel }), ImageError, "(kernel)");
  await assertRejects(
    () => Machine.create({ firmware: new Uint8Array(1000) }),
    ImageError,
    "(firmware)",
  );
  await assertRejects(
    () => Machine.create({ kernel, flat, drives: ["/no/such/disk.img"] }),
    BlockError,
    "/no/such/disk.img",
  );
});

Deno.test("Drives that were opened are closed when the machine cannot be made", async () => {
  let closed = 0;
  const device = new MemoryDevice(512);
  device.close = () => void closed++;
  await assertRejects(() =>
    Machine.create({
      kernel: new Uint8Array(DEAD),
      flat,
      drives: [{ device }, "/no/such/disk.img"],
    }), BlockError);
  assertEquals(closed, 1);
  const vm = await Machine.create({ kernel: new Uint8Array(DEAD), flat, drives: [{ device }] });
  await vm[Symbol.asyncDispose]();
  assertEquals(closed, 2);
});

Deno.test("A guest stops on the byte that was awaited, and goes on from there", async () => {
  await using vm = await Machine.create({ kernel: says("abc", SPIN), flat, memory: "2M" });
  await vm.serial.expect("b");
  assertEquals(vm.serial.unread, "");
  const hash = vm.stateHash();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(vm.stateHash(), hash);
  await vm.serial.expect("c");
});

Deno.test("A dead halt and a triple fault end the machine and fail waits", async () => {
  await using dead = await Machine.create({ kernel: says("x", DEAD), flat, memory: "2M" });
  await assertRejects(() => dead.serial.expect("y"), MachineEndedError, "halted for good");
  const crash = new Uint8Array([...CRASH]);
  await using vm = await Machine.create({ kernel: crash, flat, memory: "2M" });
  const error = await assertRejects(() => vm.serial.expect("y"), MachineEndedError, "triple fault");
  assertEquals(error.exit?.kind, "triple-fault");
  assertStringIncludes(error.message, "lidt [0x7e00]");
});

Deno.test("A time-out shows the instructions that the guest was executing", async () => {
  await using vm = await Machine.create({ kernel: says("up\n", SPIN), flat, memory: "2M" });
  const error = await assertRejects(
    () => vm.serial.expect("never", { within: "100us" }),
    WaitTimeoutError,
  );
  assertStringIncludes(error.message, "jmp short 0x7c0c");
  assertStringIncludes(error.message, "| up");
  assert((error.report?.instructions ?? 0) > 0);
});

Deno.test("A time-out hints at what nearly matched, and at a screen without text", async () => {
  const kernel = says("Panic: no init\r\n", SPIN);
  await using vm = await Machine.create({ kernel, flat, memory: "2M" });
  const fails = (wait: Promise<unknown>, hint: string) =>
    assertRejects(() => wait, WaitTimeoutError, `of virtual time\nhint: ${hint}`);
  const within = "100us";
  await fails(vm.serial.expect(/Panic: .*\n/, { within }), "/Panic: .*\\n/ would match if lines");
  await fails(
    vm.serial.first({ a: "x", b: "no INIT" }, { within }),
    '"no INIT" would match if upper',
  );
  await vm.serial.expect("init");
  await fails(vm.serial.expect("Panic", { within }), '"Panic" matches text that an earlier wait');
  await vm.serial.expectNot("panic", { within });
  await fails(vm.screen.expect("login", { within }), "the screen is empty");
});

Deno.test("Two machines made alike reach the same hash, whatever the sizes of their slices", async () => {
  // Counts in memory for ever, with the timer's interrupt off.
  const kernel = new Uint8Array([0x31, 0xc0, 0x8e, 0xd8, 0xff, 0x06, 0x00, 0x05, 0xeb, 0xfa]);
  const options: MachineOptions = { kernel, flat, memory: "2M" };
  await using one = await Machine.create(options);
  await using two = await Machine.create(options);
  await one.run({ instructions: 100_000 });
  for (let i = 0; i < 100; i++) await two.run({ instructions: 1000 });
  assertEquals(one.instructions, 100_000);
  assertEquals(one.stateHash(), two.stateHash());
  assertEquals(one.virtualTime, two.virtualTime);
});

Deno.test("A machine goes back to a snapshot and takes the same way again", async () => {
  const kernel = says("one two", SPIN);
  await using vm = await Machine.create({ kernel, flat, memory: "2M" });
  await vm.serial.expect("one");
  const hash = vm.stateHash();
  const snapshot = vm.snapshot();
  await vm.serial.expect("two");
  const later = vm.stateHash();
  vm.restore(snapshot);
  assertEquals(vm.stateHash(), hash);
  await vm.serial.expect("two");
  assertEquals(vm.stateHash(), later);
  await using other = await Machine.create({ kernel, flat, memory: "2M" });
  other.restore(snapshot);
  await other.serial.expect("two");
  assertEquals(other.stateHash(), later);
});

Deno.test("The board is reset by the guest's request, unless the script wants to hear of it", async () => {
  // Writes 1 to port 0x80, then 6 to port 0xcf9.
  const kernel = new Uint8Array([
    ...[0xb0, 0x01, 0xe6, 0x80, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee],
    ...SPIN,
  ]);
  await using vm = await Machine.create({ kernel, flat, memory: "2M" });
  await vm.port(0x80).nextWrite();
  await vm.port(0x80).nextWrite({ within: "1ms" });
  await using ends = await Machine.create({ kernel, flat, memory: "2M", noReboot: true });
  assertEquals((await ends.exited).kind, "reset");
});

Deno.test("Devices of the board and the processor agree about interrupts and time", async () => {
  // IVT entry 8 to a handler that writes to port 0x80 and acknowledges; PIT at 100 Hz; sti; hlt; jmp.
  const kernel = new Uint8Array([
    ...[0x31, 0xc0, 0x8e, 0xd8], // ds = 0
    ...[0xc7, 0x06, 0x20, 0x00, 0x40, 0x7c, 0xa3, 0x22, 0x00], // IVT[8] = 0:7c40
    ...[
      0xb0,
      0x11,
      0xe6,
      0x20,
      0xb0,
      0x08,
      0xe6,
      0x21,
      0xb0,
      0x04,
      0xe6,
      0x21,
      0xb0,
      0x01,
      0xe6,
      0x21,
    ], // PIC
    ...[0xb0, 0xfe, 0xe6, 0x21], // unmask IRQ 0
    ...[0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x9c, 0xe6, 0x40, 0xb0, 0x2e, 0xe6, 0x40], // PIT: 11932
    ...[0xfb, 0xf4, 0xeb, 0xfd], // sti; hlt; jmp hlt
  ]);
  const image = new Uint8Array(0x60);
  image.set(kernel);
  image.set([0xb0, 0x20, 0xe6, 0x80, 0xe6, 0x20, 0xcf], 0x40);
  await using vm = await Machine.create({ kernel: image, flat, memory: "2M" });
  const first = await vm.port(0x80).nextWrite({ within: "1s" });
  const second = await vm.port(0x80).nextWrite({ within: "1s" });
  assertEquals(Math.abs(second.time - first.time - 1e9 * 11932 / 1193182) < 20_000, true);
  assert(boardOf(vm).cpu.activity === "running");
  assert(vm.instructions < 1000);
});

Deno.test("a kernel's jump to F000:FFF0 resets a machine without firmware", async () => {
  // jmp 0xf000:0xfff0
  const kernel = Uint8Array.of(0xea, 0xf0, 0xff, 0x00, 0xf0);
  await using vm = await Machine.create({ kernel, flat: {}, noReboot: true });
  assertEquals((await vm.exited).kind, "reset");
});

Deno.test("a processor that halts with all interrupts masked will never wake, and is reported", async () => {
  // mov al, 0xff; out 0x21, al; sti; hlt; jmp hlt
  const masked = [0xb0, 0xff, 0xe6, 0x21, 0xfb, 0xf4, 0xeb, 0xfd];
  await using vm = await Machine.create({ kernel: new Uint8Array(masked), flat, memory: "2M" });
  const exit = await vm.exited;
  assert(exit.kind === "dead-halt" && exit.reason === "HLT with all interrupts masked", exit.kind);
  // mov ebx, 0xfee000f0; mov dword [ebx], 0x1ff: an enabled local APIC might bring one.
  const enable = [0xbb, 0xf0, 0x00, 0xe0, 0xfe, 0xc7, 0x03, 0xff, 0x01, 0x00, 0x00];
  await using other = await Machine.create({
    kernel: new Uint8Array([...enable, ...masked]),
    flat: { mode: "protected", address: 0x7c00 },
    memory: "2M",
  });
  await other.run({ for: "100ms" });
  assertEquals(boardOf(other).cpu.activity, "halted");
});
