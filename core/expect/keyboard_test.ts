import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MachineEndedError, WaitTimeoutError } from "../machine/exit.ts";
import { BoardMachine } from "../machine/machine.ts";
import { ControlLatch } from "../machine/run_loop.ts";
import { scriptedBoard, type Step } from "../machine/testing.ts";
import { chordKeys, type KeySink } from "./keyboard.ts";

/** A guest that reads one key event after another from port 0x60. */
const READER: Step[] = [{ op: "in", port: 0x60 }, { op: "jump", to: 0 }];

function make(program: Step[]) {
  const log: string[] = [];
  let waiting = false, max = 0;
  const put = (event: string) => {
    if (waiting) max = 2;
    waiting = true;
    log.push(event);
  };
  const sink: KeySink = {
    keyDown: (key) => put(`+${key}`),
    keyUp: (key) => put(`-${key}`),
    get idle() {
      return !waiting;
    },
    onIdle: () => {},
  };
  const board = scriptedBoard(program, { keyboard: sink });
  const latch = new ControlLatch();
  board.ports.watch(0x60, 1, { read: true }, () => {
    if (!waiting) return;
    waiting = false;
    if (log.at(-1) === "+delete") latch.powerOff();
    sink.onIdle();
  });
  return { vm: new BoardMachine(board, latch), log, overrun: () => max > 1 };
}

Deno.test("Text is typed with the US layout, one key after the guest has read the last", async () => {
  const { vm, log, overrun } = make(READER);
  await vm.keyboard.type("aB 1!\n");
  assertEquals(
    log.join(" "),
    "+a -a +shift +b -b -shift +spc -spc +1 -1 +shift +1 -1 -shift +ret -ret",
  );
  assertEquals(overrun(), false);
  assertThrows(() => vm.keyboard.type("aé"), RangeError, '"é"');
});

Deno.test("Every printable ASCII character has a key", async () => {
  const { vm } = make(READER);
  await vm.keyboard.type(
    Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join(""),
  );
});

Deno.test("Named keys and chords are pressed and released in reverse", async () => {
  const { vm, log } = make(READER);
  await vm.keyboard.press("Ctrl-Alt-F1");
  await vm.keyboard.press("Enter");
  assertEquals(log.join(" "), "+ctrl +alt +f1 -f1 -alt -ctrl +ret -ret");
  assertEquals(chordKeys("Ctrl--"), ["ctrl", "minus"]);
  assertEquals(chordKeys("Ctrl+C"), ["ctrl", "c"]);
  assertEquals(chordKeys("?"), ["shift", "slash"]);
  assertEquals(chordKeys("PageUp"), ["pgup"]);
  assertEquals(chordKeys("kp_add"), ["kp_add"]);
  assertThrows(() => vm.keyboard.press("Entre"), RangeError, 'did you mean "enter"?');
  assertThrows(() => vm.keyboard.press("Ctrl-Nope"), RangeError, '"Nope"');
});

Deno.test("Texts typed at the same time come one after the other", async () => {
  const { vm, log } = make(READER);
  await Promise.all([vm.keyboard.type("ab"), vm.keyboard.press("c")]);
  assertEquals(log.join(""), "+a-a+b-b+c-c");
});

Deno.test("Keys are 10 ms of virtual time apart, also for a guest that halts meanwhile", async () => {
  const { vm, log } = make(READER);
  await vm.keyboard.type("ab");
  assert(vm.virtualTime >= 10_000_000 && vm.virtualTime < 10_100_000, `${vm.virtualTime}`);
  await vm.keyboard.press("c");
  assert(vm.virtualTime >= 20_000_000 && vm.virtualTime < 20_100_000, `${vm.virtualTime}`);
  assertEquals(log.join(""), "+a-a+b-b+c-c");
  const halts = make([{ op: "in", port: 0x60 }, { op: "in", port: 0x60 }, { op: "sti" }, {
    op: "hlt",
  }, { op: "jump", to: 0 }]);
  await halts.vm.keyboard.type("ab");
  assertEquals([halts.log.join(""), halts.vm.exit?.kind], ["+a-a+b-b", "dead-halt"]);
});

Deno.test("Keys that the guest does not read time out and are released", async () => {
  const { vm, log } = make([{ op: "jump", to: 0 }]);
  await assertRejects(
    () => vm.keyboard.press("Shift-a", { within: 1 }),
    WaitTimeoutError,
    "the guest to read the key Shift-a",
  );
  assertEquals(log.join(""), "+shift-shift");
});

Deno.test("A chord that ends the machine was read", async () => {
  const { vm } = make(READER);
  await vm.keyboard.press("Ctrl-Alt-Delete");
  assertEquals((await vm.exited).kind, "power-off");
  await assertRejects(() => vm.keyboard.type("x"), MachineEndedError);
});

Deno.test("A machine that has ended reads no key, although its keyboard takes one", async () => {
  const { vm } = make([{ op: "hlt" }]);
  assertEquals((await vm.exited).kind, "dead-halt");
  await assertRejects(() => vm.keyboard.type("x"), MachineEndedError);
});
