import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { measureEventLoop } from "./event_loop_testing.ts";
import type { MachineReport } from "./exit.ts";
import {
  type Exit,
  GuestFailureError,
  HostFailureError,
  LimitError,
  MachineEndedError,
  WaitTimeoutError,
} from "./exit.ts";
import { ControlLatch, RunLoop, type RunLoopOptions, type Wait } from "./run_loop.ts";
import { scriptedBoard, type Step } from "./testing.ts";

const SPIN: Step[] = [{ op: "nop" }, { op: "jump", to: 0 }];

function make(program: Step[], options: RunLoopOptions = {}) {
  const board = scriptedBoard(program);
  const latch = new ControlLatch();
  const loop: RunLoop = new RunLoop({
    cpu: board.cpu,
    clock: board.clock,
    reset: board.reset,
    latch,
    report: (): Promise<MachineReport> =>
      Promise.resolve({
        cs: 0,
        ip: board.cpu.location.ip,
        registers: board.cpu.registers(),
        recent: [],
        instructions: board.cpu.instructions,
        virtualTime: board.clock.now(),
        hostTime: loop.hostTime,
        serial: {},
      }),
  }, options);
  /** Waits for a write to a port. */
  const written = (port: number, options: { within?: number } = {}) =>
    loop.wait<number>(`port 0x${port.toString(16)}`, {
      ...options,
      arm: (wait) =>
        board.ports.watch(port, 1, { write: true }, (access) => wait.resolve(access.value)),
    });
  const exited = () => loop.wait<Exit>("the end", { atEnd: (wait, exit) => wait.resolve(exit) });
  return { board, latch, loop, written, exited };
}

Deno.test("The guest moves only while something is awaited", async () => {
  const { board, written } = make([
    { op: "nop" },
    { op: "out", port: 0x80, value: 1 },
    { op: "nop" },
    { op: "out", port: 0x80, value: 2 },
    { op: "jump", to: 4 },
  ]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(board.cpu.instructions, 0);
  assertEquals(await written(0x80), 1);
  assertEquals(board.cpu.instructions, 2, "stopped on the very instruction");
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(board.cpu.instructions, 2);
  assertEquals(await written(0x80), 2);
  assertEquals(board.cpu.instructions, 4);
});

Deno.test("A script that waits again at once, even after many promises, misses nothing", async () => {
  const { written, exited, latch, board } = make([
    { op: "out", port: 0x80, value: 1 },
    { op: "out", port: 0x80, value: 2 },
    { op: "out", port: 0x80, value: 3 },
    { op: "out", port: 0xf4, value: 0 },
  ]);
  board.ports.watch(0xf4, 1, { write: true }, (access) => latch.debugExit(access.value));
  const end = exited();
  const deep = async (n: number): Promise<number> =>
    n === 0 ? await written(0x80) : await deep(n - 1);
  assertEquals([await deep(20), await deep(20), await deep(20)], [1, 2, 3]);
  const exit = await end;
  assertEquals(exit.kind === "debug-exit" && exit.status, 1);
});

Deno.test("An alarm ends a slice on its exact instruction, also when it is set within the slice", async () => {
  const { board, loop } = make([
    { op: "out", port: 0x70, value: 0 },
    { op: "nop" },
    { op: "jump", to: 1 },
  ]);
  const fired: number[] = [];
  const alarm = board.clock.createAlarm("late", () => fired.push(board.cpu.instructions));
  const inner = board.clock.createAlarm("inner", () => fired.push(board.cpu.instructions));
  alarm.set(8 * 1000);
  board.ports.watch(0x70, 1, { write: true }, () => inner.setIn(8 * 10 - 3));
  await loop.wait("2000 instructions", { instructions: 2000, atDeadline: (w) => w.resolve(0) });
  assertEquals(fired, [10, 1000]);
  assertEquals(board.cpu.instructions, 2000);
});

Deno.test("HLT with interrupts enabled skips to the next alarm at once", async () => {
  const { board, written } = make([
    { op: "sti" },
    { op: "hlt" },
    { op: "out", port: 0x80, value: 7 },
  ]);
  const alarm = board.clock.createAlarm("timer", () => board.cpu.setIntr(true));
  board.cpu.onInterrupt = () => board.cpu.setIntr(false);
  alarm.set(3600e9);
  const began = performance.now();
  assertEquals(await written(0x80), 7);
  assert(performance.now() - began < 500);
  assertEquals(board.clock.now(), 3600e9 + 8);
  assertEquals(board.cpu.instructions, 3);
});

Deno.test("HLT with interrupts disabled ends the machine and fails waits at once", async () => {
  const { board, written, exited } = make([{ op: "nop" }, { op: "hlt" }]);
  board.clock.createAlarm("timer", () => {}).set(3600e9);
  const error = await assertRejects(() => written(0x80), MachineEndedError, "halted for good");
  assertStringIncludes(error.message, "interrupts disabled");
  assertStringIncludes(error.message, "waiting for port 0x80");
  const exit = await exited();
  assertEquals(exit.kind, "dead-halt");
  assertEquals(exit.instructions, 2);
});

Deno.test("HLT without any alarm that could end it ends the machine", async () => {
  const { exited } = make([{ op: "sti" }, { op: "hlt" }]);
  const exit = await exited();
  assertEquals(exit.kind === "dead-halt" && exit.reason.includes("nothing pending"), true);
});

Deno.test("A halted machine with a live input sleeps until the input comes", async () => {
  const { board, loop, written } = make([
    { op: "sti" },
    { op: "hlt" },
    { op: "out", port: 0x80, value: 9 },
  ]);
  loop.hasLiveInput = () => true;
  board.cpu.onInterrupt = () => board.cpu.setIntr(false);
  // The input comes some time after the halt, however long the host took to get there.
  const send = (): void => {
    if (board.cpu.activity !== "halted") return void setTimeout(send, 5);
    setTimeout(() => {
      board.cpu.setIntr(true);
      loop.wake();
    }, 20);
  };
  send();
  assertEquals(await written(0x80), 9);
  assertEquals(board.clock.now(), 24);
});

Deno.test("A triple fault ends the machine, or resets it when so configured", async () => {
  const one = make([{ op: "nop" }, { op: "crash" }]);
  assertEquals((await one.exited()).kind, "triple-fault");
  const two = make([{ op: "out", port: 0x80, value: 1 }, { op: "crash" }], {
    tripleFault: "reset",
  });
  assertEquals(await two.written(0x80), 1);
  assertEquals(await two.written(0x80), 1, "it started anew");
  const three = make([{ op: "crash" }], { tripleFault: "reset", noReboot: true });
  assertEquals((await three.exited()).kind, "reset");
});

Deno.test("A reset request resets the board, or ends the machine with noReboot", async () => {
  const program: Step[] = [
    { op: "out", port: 0x80, value: 5 },
    { op: "out", port: 0xcf9, value: 6 },
    { op: "out", port: 0x81, value: 1 },
  ];
  for (const noReboot of [false, true]) {
    const { board, latch, written, exited } = make(program, { noReboot });
    board.ports.watch(0xcf9, 1, { write: true }, () => latch.requestReset());
    board.ports.watch(0x81, 1, { write: true }, () => {
      throw new Error("ran past the reset");
    });
    assertEquals(await written(0x80), 5);
    if (noReboot) assertEquals((await exited()).kind, "reset");
    else assertEquals(await written(0x80), 5);
  }
});

Deno.test("Power-off ends the machine on its instruction; later waits fail at once", async () => {
  const { board, latch, written, exited } = make([{ op: "out", port: 0x64, value: 1 }, ...SPIN]);
  board.ports.watch(0x64, 1, { write: true }, () => latch.powerOff());
  const exit = await exited();
  assertEquals(exit.kind, "power-off");
  assertEquals(board.cpu.instructions, 1);
  await assertRejects(() => written(0x80), MachineEndedError, "switched the power off");
  assertEquals((await exited()).kind, "power-off");
});

Deno.test("A wait ends at its virtual deadline, to the instruction, and says what it waited for", async () => {
  const { board, written } = make(SPIN);
  const error = await assertRejects(
    () => written(0x80, { within: 80_000 }),
    WaitTimeoutError,
    "timed out waiting for port 0x80 within 80 us of virtual time",
  );
  assertEquals(board.cpu.instructions, 10_000);
  assertEquals(error.report?.virtualTime, 80_000);
});

Deno.test("A deadline does not depend on the sizes of slices", async () => {
  const { board, loop, written } = make(SPIN);
  const one = loop.wait("a", { within: 999_999, atDeadline: (w) => w.resolve(0) });
  await one;
  assertEquals(board.cpu.instructions, 125_000);
  await assertRejects(() => written(0x80, { within: 1 }), WaitTimeoutError);
  assertEquals(board.cpu.instructions, 125_001);
});

Deno.test("Limits of virtual and host time fail every wait, now and later", async () => {
  const virtual = make(SPIN, { virtualLimit: 8000 });
  await assertRejects(() => virtual.written(0x80), LimitError, "8 us of virtual time");
  await assertRejects(() => virtual.exited(), LimitError);
  assertEquals(virtual.board.cpu.instructions, 1000);
  const host = make(SPIN, { hostLimit: 30 });
  await assertRejects(() => host.written(0x80), LimitError, "host time");
  assert(host.loop.hostTime < 200);
});

Deno.test("A declared failure rejects every wait", async () => {
  const { board, loop, written, exited } = make([
    { op: "nop" },
    { op: "out", port: 0x80, value: 1 },
    ...SPIN,
  ]);
  board.ports.watch(
    0x80,
    1,
    { write: true },
    () =>
      loop.fail((what, report) =>
        new GuestFailureError(`bad thing while waiting for ${what}`, report)
      ),
  );
  await assertRejects(
    () => written(0x81),
    GuestFailureError,
    "bad thing while waiting for port 0x81",
  );
  await assertRejects(() => exited(), GuestFailureError);
  assertEquals(board.cpu.instructions, 2);
});

Deno.test("An exception inside the machine fails the waits and nothing else", async () => {
  const { board, written } = make([{ op: "out", port: 0x80, value: 1 }]);
  board.ports.claim("bad", 0x80, 1, {
    read: () => 0,
    write: () => {
      throw new Error("disk full: a.img");
    },
  });
  const error = await assertRejects(() => written(0x81), HostFailureError, "disk full: a.img");
  assertEquals((error.cause as Error).message, "disk full: a.img");
});

Deno.test("A held machine executes nothing until the work is done", async () => {
  const { board, latch, written } = make([
    { op: "out", port: 0x1f7, value: 1 },
    { op: "out", port: 0x80, value: 1 },
  ]);
  let done = false;
  board.ports.watch(0x1f7, 1, { write: true }, () =>
    latch.hold(
      new Promise<void>((resolve) =>
        setTimeout(() => {
          assertEquals(board.cpu.instructions, 1);
          done = true;
          resolve();
        }, 20)
      ),
    ));
  await written(0x80);
  assert(done);
  assertEquals(board.cpu.instructions, 2);
});

Deno.test("Work that the machine is held for and that fails ends the machine", async () => {
  const { board, latch, written } = make([{ op: "out", port: 0x1f7, value: 1 }, ...SPIN]);
  board.ports.watch(
    0x1f7,
    1,
    { write: true },
    () => latch.hold(Promise.reject(new Error("hda.img is gone"))),
  );
  await assertRejects(() => written(0x80), HostFailureError, "hda.img is gone");
});

Deno.test("Host timers of 10 ms stay within 50 ms while the guest spins", async () => {
  const { loop } = make(SPIN);
  setTimeout(() => void loop.stop("enough"), 500);
  const { longest, longestTick, turns } = await measureEventLoop(() =>
    assertRejects(() => loop.wait("never", {}), MachineEndedError, "enough")
  );
  assert(longest <= 50 && longestTick <= 60 && turns > 5, `${longest}, ${longestTick}, ${turns}`);
});

Deno.test("A slow processor gets short slices", async () => {
  const { board, loop } = make([{ op: "out", port: 0x80, value: 0 }, { op: "jump", to: 0 }]);
  board.ports.watch(0x80, 1, { write: true }, () => {
    const until = performance.now() + 0.004;
    while (performance.now() < until);
  });
  const limits: number[] = [];
  const run = board.cpu.run.bind(board.cpu);
  board.cpu.run = (limit) => {
    limits.push(limit);
    run(limit);
  };
  await loop.wait("n", { instructions: 100_000, atDeadline: (w) => w.resolve(0) });
  // 2 us an instruction: slices of 2 ms are 1000 instructions.
  assert(Math.max(...limits.slice(8)) <= 2000, limits.slice(0, 20).join());
});

Deno.test("A machine paced by host time does not run ahead of it", async () => {
  const { board, loop } = make([{ op: "sti" }, { op: "hlt" }, { op: "jump", to: 0 }], {
    realTime: true,
  });
  const tick = board.clock.createAlarm("tick", () => {
    board.cpu.setIntr(true);
    tick.setIn(1e6);
  });
  tick.setIn(1e6);
  board.cpu.onInterrupt = () => board.cpu.setIntr(false);
  const began = performance.now();
  await loop.wait("100 ms", { within: 100e6, atDeadline: (w) => w.resolve(0) });
  assert(performance.now() - began >= 95);
});

Deno.test("Two waits at once: the first satisfied stops the guest, the other goes on", async () => {
  const { board, written } = make([
    { op: "out", port: 0x80, value: 1 },
    { op: "out", port: 0x81, value: 2 },
    { op: "nop" },
    { op: "jump", to: 2 },
  ]);
  const both = Promise.all([written(0x80), written(0x81)]);
  assertEquals(await both, [1, 2]);
  assertEquals(board.cpu.instructions, 2);
});

Deno.test("A wait that is satisfied when it is made needs no guest", async () => {
  const { board, loop } = make(SPIN);
  assertEquals(await loop.wait("now", { arm: (wait: Wait<number>) => wait.resolve(4) }), 4);
  assertEquals(board.cpu.instructions, 0);
});

Deno.test("A processor that halted on the last instruction of a slice still takes its interrupt", async () => {
  for (let first = 1; first < 6; first++) {
    const { board, loop, written } = make([
      { op: "sti" },
      { op: "out", port: 0x70, value: 0 },
      { op: "hlt" },
      { op: "out", port: 0x80, value: 1 },
    ]);
    board.cpu.onInterrupt = () => board.cpu.setIntr(false);
    const alarm = board.clock.createAlarm("irq", () => board.cpu.setIntr(true));
    board.ports.watch(0x70, 1, { write: true }, () => alarm.setIn(16));
    await loop.wait("slice", { instructions: first, atDeadline: (w) => w.resolve(0) });
    if (first < 4) await written(0x80);
    assertEquals(board.cpu.interrupts, 1);
  }
});
