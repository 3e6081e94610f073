import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { INDIRECT } from "../bus/memory_map.ts";
import type { CharBackend } from "../char/backend.ts";
import { StateError } from "../chip.ts";
import {
  GuestFailureError,
  LimitError,
  MachineEndedError,
  type MachineError,
  WaitTimeoutError,
} from "./exit.ts";
import { BoardMachine, type MachineSettings } from "./machine.ts";
import { ControlLatch } from "./run_loop.ts";
import { scriptedBoard, sends, type Step } from "./testing.ts";

function make(program: Step[], settings: MachineSettings = {}) {
  const board = scriptedBoard(program);
  const latch = new ControlLatch();
  board.ports.watch(0xf4, 1, { write: true }, ({ value }) => latch.debugExit(value));
  const vm = new BoardMachine(
    board,
    latch,
    settings,
    () => Promise.resolve(({ ip }) => `step ${ip}`),
  );
  return { board, vm };
}

const EXIT: Step[] = [{ op: "out", port: 0xf4, value: 0x10 }];
const HALT: Step[] = [{ op: "hlt" }];

/** A guest that sends back what it receives. */
const ECHO: Step[] = [
  { op: "in", port: 0x3fd },
  { op: "jz", mask: 1, to: 0 },
  { op: "in", port: 0x3f8 },
  { op: "outa", port: 0x3f8 },
  { op: "jump", to: 0 },
];

Deno.test("Awaiting the end runs the guest to its end and says how and where it ended", async () => {
  const { board, vm } = make([...sends("bye\r\n"), ...EXIT]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(vm.instructions, 0, "a promise that nobody awaits runs nothing");
  const exit = await vm.exited;
  assert(exit.kind === "debug-exit");
  assertEquals([exit.value, exit.status], [0x10, 0x21]);
  assertEquals(exit.instructions, 6);
  assertEquals(exit.virtualTime, 48);
  assertEquals(exit.registers.EIP, 0);
  assertEquals(exit.recent[0].text, "step 0");
  assertEquals(exit.serial, { serial0: "bye\r\n" });
  assertEquals(vm.exit, exit);
  assertEquals((await vm.exited).kind, "debug-exit", "it can be awaited again");
  await vm[Symbol.asyncDispose]();
  assert(board.disposed);
});

Deno.test("Text that arrived before the end can still be matched after it", async () => {
  const { vm } = make([...sends("result: 42\n"), ...EXIT]);
  await vm.exited;
  assertEquals((await vm.serial.expect(/result: (\d+)\n/)).groups, ["42"]);
  await assertRejects(() => vm.serial.expect("more"), MachineEndedError, "debug-exit (status 33)");
});

Deno.test("A wait that times out tells all that is known", async () => {
  const { vm } = make([...sends("booting\r\n\x1b[1mstuck"), { op: "jump", to: 18 }]);
  const error = await assertRejects(
    () => vm.serial.expect(/login: $/, { within: "1ms" }),
    WaitTimeoutError,
  );
  for (
    const part of [
      "waiting for serial0: /login: $/ within 1 ms of virtual time",
      "after 125000 instructions, 1 ms of virtual",
      "last of serial0:",
      "| booting",
      "| \\e[1mstuck",
      "registers:",
      "EIP=",
      "last instructions:",
      "1000:",
      "step ",
    ]
  ) assertStringIncludes(error.message, part);
  assertEquals((error as MachineError).report?.instructions, 125_000);
});

Deno.test("A failOn pattern rejects what is awaited, whatever it is, on its very byte", async () => {
  const { vm } = make([...sends("ok\nKernel panic - no init"), ...sends("after"), ...EXIT], {
    failOn: [/Kernel panic/],
  });
  const error = await assertRejects(() => vm.port(0x80).nextWrite(), GuestFailureError);
  assertStringIncludes(error.message, `serial0 sent "Kernel panic"`);
  assertStringIncludes(error.message, "while waiting for a write to port 0x80");
  assertEquals(vm.instructions, "ok\nKernel panic".length);
  await assertRejects(() => vm.exited, GuestFailureError);
});

Deno.test("A pattern that cannot be on a stream is refused before anything runs", () => {
  const { vm } = make(HALT);
  assertThrows(() => vm.serial.expect(/.*/), TypeError, "empty string");
  assertThrows(() => vm.serial.first({ a: "x", b: /y.*$/ }), TypeError, "unbounded");
  assertThrows(() => make(HALT, { failOn: [/x*/] }), TypeError, "empty string");
});

Deno.test("Port accesses are awaited and recorded with where and when they happened", async () => {
  const { vm } = make([
    { op: "nop" },
    { op: "out", port: 0x80, value: 1 },
    { op: "in", port: 0x81 },
    { op: "out", port: 0x80, value: 2 },
    { op: "out", port: 0x82, value: 3 },
    ...EXIT,
  ]);
  const recorder = vm.port(0x80, 3).record();
  const two = await vm.port(0x80).nextWrite({ value: 2 });
  assertEquals(two, {
    address: 0x80,
    size: 1,
    value: 2,
    write: true,
    cs: 0x1000,
    ip: 3,
    time: 24,
  });
  assertEquals(vm.instructions, 4);
  recorder.stop();
  await vm.exited;
  assertEquals(recorder.entries.map(({ address, value, write }) => [address, value, write]), [
    [0x80, 1, true],
    [0x81, 0xff, false],
    [0x80, 2, true],
  ]);
  assertThrows(() => vm.port(0x10000), RangeError, "0xffff");
});

Deno.test("A read of a port is awaited", async () => {
  const { vm } = make([{ op: "out", port: 0x60, value: 1 }, { op: "in", port: 0x60 }, ...HALT]);
  assertEquals((await vm.port(0x60).nextRead({ size: 1 })).value, 0xff);
  await assertRejects(() => vm.port(0x60).nextRead(), MachineEndedError, "read from port 0x60");
});

Deno.test("Guest memory is awaited, recorded, read and written", async () => {
  const { board, vm } = make([
    { op: "store", address: 0x500, value: 7 },
    { op: "load", address: 0x2000 },
    { op: "outa", port: 0x80 },
    { op: "store", address: 0x501, value: 8 },
    ...EXIT,
  ]);
  vm.writeMemory(0x1ffe, new Uint8Array([1, 2, 3, 4]));
  assertEquals([...vm.readMemory(0x1fff, 2)], [2, 3]);
  const recorder = vm.memory(0x500, 2).record({ reads: false });
  const read = await vm.memory(0x2000).nextRead();
  assertEquals([read.value, read.address, read.ip], [3, 0x2000, 1]);
  assertEquals((await vm.port(0x80).nextWrite()).value, 3);
  const write = await vm.memory(0x501).nextWrite({ value: 8 });
  assertEquals(write.time, 24);
  assertEquals(recorder.entries.map(({ value }) => value), [7, 8]);
  recorder.stop();
  assertNotEquals(board.memory.writeEntry(0), INDIRECT, "the page is direct again");
  assertThrows(
    () => vm.readMemory(0xffff, 2),
    RangeError,
    "neither RAM nor ROM at physical 0x10000",
  );
  assertThrows(() => vm.writeMemory(0xffff, new Uint8Array(2)), RangeError);
  assertEquals(vm.readMemory(0xffff, 1)[0], 0, "nothing was written");
});

Deno.test("The guest runs for a virtual time or a number of instructions", async () => {
  const { vm } = make([{ op: "nop" }, { op: "jump", to: 0 }]);
  await vm.run({ instructions: 1234 });
  assertEquals(vm.instructions, 1234);
  await vm.run({ for: "1us" });
  assertEquals(vm.instructions, 1234 + 125);
  assertThrows(() => vm.run({ instructions: -1 }), RangeError);
});

Deno.test("What is written arrives at the guest's pace and comes back", async () => {
  const { vm } = make(ECHO);
  await vm.serial.write("héllo, 世界 ");
  await vm.serial.writeLine("end");
  const { before } = await vm.serial.expect("end\n");
  assertEquals(before, "héllo, 世界 ");
});

Deno.test("Input that the guest never takes times out", async () => {
  const { vm } = make([{ op: "jump", to: 0 }]);
  await assertRejects(
    () => vm.serial.write("abc", { within: 1 }),
    WaitTimeoutError,
    "serial0 to take 3 bytes",
  );
});

Deno.test("A snapshot brings back everything, hash and future included", async () => {
  const { vm } = make([
    ...sends("one\n"),
    { op: "store", address: 0x3000, value: 9 },
    ...sends("two\n"),
    ...EXIT,
  ]);
  await vm.serial.expect("one\n");
  const hash = vm.stateHash();
  const snapshot = structuredClone(vm.snapshot());
  assertEquals(vm.stateHash(), hash, "looking changes nothing");
  await vm.exited;
  const end = vm.stateHash();
  assert(end !== hash);
  vm.restore(snapshot);
  assertEquals(vm.stateHash(), hash);
  assertEquals(vm.exit, undefined);
  assertEquals(vm.instructions, 4);
  assertEquals(vm.readMemory(0x3000, 1)[0], 0);
  assertEquals((await vm.serial.expect("two\n")).before, "");
  await vm.exited;
  assertEquals(vm.stateHash(), end);
});

Deno.test("The reset button starts a machine anew, even one that has ended", async () => {
  const { vm } = make([...sends("boot\n"), ...EXIT]);
  await vm.exited;
  vm.serial.skip();
  vm.reset();
  assertEquals(vm.exit, undefined);
  assertEquals(await vm.serial.readLine(), "boot");
  assertEquals((await vm.exited).instructions, 12);
});

Deno.test("A snapshot that does not fit is refused and changes nothing", async () => {
  const { board, vm } = make([{ op: "nop" }, { op: "jump", to: 0 }]);
  await vm.run({ instructions: 10 });
  const good = vm.snapshot();
  await vm.run({ instructions: 10 });
  const hash = vm.stateHash();
  const bad = [
    { ...good, format: 2 as 1 },
    { ...good, shift: 4 },
    { ...good, memorySize: 4096 },
    { ...good, pages: new Uint32Array([99]), bytes: new Uint8Array(4096) },
    { ...good, skippedNs: -1 },
    { ...good, chips: [] },
    { ...good, cpu: { ...good.cpu, pc: "x" } },
    { ...good, chips: [{ name: "serial0", state: {} }] },
  ];
  for (const snapshot of bad) assertThrows(() => vm.restore(snapshot), StateError);
  assertEquals(vm.stateHash(), hash);
  board.ports.watch(0x80, 1, { write: true }, () => {
    assertThrows(() => vm.snapshot(), Error, "between two instructions");
  });
  const pending = assertRejects(() => vm.serial.expect("x"), MachineEndedError);
  assertThrows(() => vm.restore(good), Error, "awaited");
  await vm.stop();
  await pending;
});

Deno.test("A state's hash depends on every part of it", async () => {
  const hashes = new Set<string>();
  const { board, vm } = make([{ op: "jump", to: 0 }]);
  hashes.add(vm.stateHash());
  vm.writeMemory(0xffff, new Uint8Array([1]));
  hashes.add(vm.stateHash());
  board.uart.receive(0x41);
  hashes.add(vm.stateHash());
  board.clock.skipTo(5);
  hashes.add(vm.stateHash());
  await vm.run({ instructions: 1 });
  hashes.add(vm.stateHash());
  assertEquals(hashes.size, 5);
});

Deno.test("Disposing rejects what is awaited, resolves the end, and closes everything once", async () => {
  let closed = 0;
  const backend: CharBackend = {
    write: () => {},
    onInput: () => {},
    close: () => {
      closed++;
      return Promise.resolve();
    },
  };
  const { board, vm } = make([{ op: "jump", to: 0 }], { serial: [backend] });
  const waiting = assertRejects(() => vm.serial.expect("never"), MachineEndedError, "disposed");
  const end = vm.exited.then((exit) => exit.kind);
  await new Promise((resolve) => setTimeout(resolve, 10));
  await vm[Symbol.asyncDispose]();
  await vm[Symbol.asyncDispose]();
  await waiting;
  assertEquals(await end, "stopped");
  assertEquals(closed, 1);
  assert(board.disposed);
  await assertRejects(() => vm.port(0x80).nextWrite(), MachineEndedError);
});

Deno.test("A backend gets what the guest sends, in pieces, and all of it before it is closed", async () => {
  const written: Uint8Array[] = [];
  let open = true;
  const backend: CharBackend = {
    live: false,
    write: (bytes) => {
      assert(open);
      written.push(bytes);
    },
    onInput: () => {},
    close: () => {
      open = false;
      return Promise.resolve();
    },
  };
  const text = "x".repeat(10_000);
  const { vm } = make([...sends(text), ...EXIT], { serial: [backend] });
  await vm.exited;
  await vm[Symbol.asyncDispose]();
  assertEquals(written.reduce((sum, { length }) => sum + length, 0), 10_000);
  assert(written.length < 50);
  assertThrows(() => make(HALT, { serial: [backend, backend] }), RangeError, "1 serial ports");
});

Deno.test("A backend's input waits until the guest has taken it", async () => {
  const backend: CharBackend = {
    write: () => {},
    onInput: () => {},
    close: () => Promise.resolve(),
  };
  const { vm } = make(ECHO, { serial: [backend] });
  let taken = false;
  void Promise.resolve(backend.onInput(new TextEncoder().encode("typed\n"))).then(() => {
    taken = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(taken, false);
  await vm.serial.expect("typed\n");
  assertEquals(taken, true);
});

Deno.test("The machine's limit counts since power-on, over all waits", async () => {
  const { vm } = make([{ op: "jump", to: 0 }], { limits: { virtual: "2us" } });
  await vm.run({ for: "1us" });
  await assertRejects(() => vm.run({ for: "1.5us" }), LimitError, "2 us of virtual time");
  assertEquals(vm.virtualTime, 2000);
});

Deno.test("A machine without a port, a screen or a keyboard says so", () => {
  const { vm } = make(HALT);
  assertThrows(() => vm.screen.lines(), Error, "no display");
  assertThrows(() => vm.keyboard.type("a"), Error, "no keyboard");
});

Deno.test("Two runs of one script reach the same hash, whatever else the host does", async () => {
  const script = async () => {
    const { vm } = make(ECHO);
    await vm.serial.writeLine("first");
    await vm.serial.expect("first\n");
    await vm.run({ for: "100us" });
    await vm.serial.writeLine("second");
    await vm.serial.expect("second\n");
    return [vm.instructions, vm.stateHash()];
  };
  const alone = await script();
  const load = setInterval(() => {
    const until = performance.now() + 3;
    while (performance.now() < until);
  }, 4);
  const loaded = await Promise.all([script(), script()]);
  clearInterval(load);
  assertEquals(loaded, [alone, alone]);
});
