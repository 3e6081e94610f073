/** Several processors on a whole board: start-up by messages, shared memory, interrupts, repeatability. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type Engine,
  Machine,
  MachineEndedError,
  type MachineOptions,
  OptionError,
} from "../../mod.ts";
import { measureEventLoop } from "../../core/machine/event_loop_testing.ts";
import { abs16, assemble, type Code, dword, label, rel8, word } from "../boots/assemble.ts";

/** Where application processors start, and the bootstrap processor. */
const TRAMPOLINE = 0x8000, ENTRY = 0x9000;
/** Counters: processors that have started, those that took an NMI, and what all add to. */
const STARTED = 0x600, INTERRUPTED = 0x604, SUM = 0x608, LOCK = 0x60c;
const ICR = 0xfee00300, SPURIOUS = 0xfee000f0;
/** All processors but the sender; edge, assert. */
const OTHERS = 0xc4000, INIT = 0x500, STARTUP = 0x600, NMI = 0x400;

/** Adds 1 to SUM a hundred times under a lock, reading and writing apart. 16- or 32-bit code alike. */
function addUnderLock(bits: 16 | 32, name: string): Code {
  const at = (address: number): Code => bits === 16 ? word(address) : dword(address);
  const direct = bits === 16 ? 0x06 : 0x05;
  return [
    ...[0xb9, bits === 16 ? word(100) : dword(100)], // mov (e)cx, 100
    label(`${name} next`),
    ...[0xb0, 1], // mov al, 1
    label(`${name} try`),
    ...[0x86, direct, at(LOCK)], // xchg al, [LOCK]
    ...[0x84, 0xc0], // test al, al
    ...[0x74, rel8(`${name} got`)], // jz
    ...[0xf3, 0x90], // pause
    ...[0xeb, rel8(`${name} try`)], // jmp
    label(`${name} got`),
    ...[0xa1, at(SUM)], // mov (e)ax, [SUM]
    0x40, // inc (e)ax
    ...[0xa3, at(SUM)], // mov [SUM], (e)ax
    ...[0xc6, direct, at(LOCK), 0], // mov byte [LOCK], 0
    ...[0x49], // dec (e)cx
    ...[0x75, rel8(`${name} next`)], // jnz
  ];
}

/** Starts all other processors, adds with them, interrupts them while they halt, and halts itself. */
function program(count: number): Uint8Array {
  const send = (command: number): Code => [0xc7, 0x05, dword(ICR), dword(command)]; // mov dword [ICR], command
  return assemble(TRAMPOLINE, [
    0xfa, // cli
    ...[0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0], // xor ax, ax; mov ds, ax; mov ss, ax
    ...[0xb8, word(0x100), 0xf0, 0x0f, 0xc1, 0x06, word(0x610)], // mov ax, 100h; lock xadd [610h], ax
    ...[0x05, word(0x3000), 0x89, 0xc4], // add ax, 3000h; mov sp, ax: a stack for each
    addUnderLock(16, "ap"),
    ...[0xf0, 0xff, 0x06, word(STARTED)], // lock inc word [STARTED]
    label("ap halt"),
    0xf4, // hlt
    ...[0xeb, rel8("ap halt")],
    label("nmi"),
    ...[0xf0, 0xff, 0x06, word(INTERRUPTED)], // lock inc word [INTERRUPTED]
    0xcf, // iret
    { fill: ENTRY - TRAMPOLINE },
    ...[0xc7, 0x05, dword(2 * 4), abs16("nmi"), word(0)], // mov dword [8], nmi
    ...[0xc7, 0x05, dword(SPURIOUS), dword(0x1ff)], // mov dword [SPURIOUS], 1FFh
    send(OTHERS | INIT),
    send(OTHERS | STARTUP | (TRAMPOLINE >>> 12)),
    send(OTHERS | STARTUP | (TRAMPOLINE >>> 12)),
    addUnderLock(32, "bsp"),
    label("wait"),
    ...[0xf3, 0x90], // pause
    ...[0x66, 0x81, 0x3d, dword(STARTED), word(count - 1)], // cmp word [STARTED], count - 1
    ...[0x75, rel8("wait")], // jne
    send(OTHERS | NMI),
    label("spin"), // without PAUSE, interrupts off
    ...[0x66, 0x81, 0x3d, dword(INTERRUPTED), word(count - 1)], // cmp word [INTERRUPTED], count - 1
    ...[0x75, rel8("spin")], // jne
    ...[0xa1, dword(SUM), 0xe7, 0x80], // mov eax, [SUM]; out 80h, eax
    0xf4, // hlt
  ]);
}

function options(processors: number, accel: Engine = "interp"): MachineOptions {
  return {
    accel,
    kernel: program(processors),
    flat: { address: TRAMPOLINE, mode: "protected", eip: ENTRY },
    memory: "2M",
    processors,
  };
}

/** A little-endian doubleword of guest memory. */
function read(vm: Machine, address: number): number {
  return new DataView(vm.readMemory(address, 4).buffer).getUint32(0, true);
}

for (const count of [1, 2, 4, 16]) {
  Deno.test(`${count} processor${count > 1 ? "s start, add and interrupt" : " needs no other"}`, async () => {
    await using vm = await Machine.create(options(count));
    const write = vm.port(0x80).nextWrite({ within: "1s" });
    assertEquals((await write).value, 100 * count);
    const exit = await vm.exited;
    assertEquals(exit.kind, "dead-halt");
    assertEquals([read(vm, STARTED), read(vm, INTERRUPTED)], [count - 1, count - 1]);
    assertEquals(read(vm, SUM), 100 * count);
    assertEquals(exit.processors?.length, count > 1 ? count : undefined);
    if (count > 1) {
      assertEquals(exit.processor, 0);
      assert(exit.processors!.every(({ activity }) => activity === "halted"));
      assertEquals(exit.processors![1].cs, TRAMPOLINE >>> 4);
    }
  });
}

Deno.test("Several processors reach the same state in slices of any length, from a snapshot, on any engine", async () => {
  await using first = await Machine.create(options(4));
  await first.run({ instructions: 5_432 });
  const snapshot = structuredClone(first.snapshot());
  const middle = first.stateHash();
  await first.run({ instructions: 8_000 });
  const { instructions } = first, end = first.stateHash();

  await using pieces = await Machine.create(options(4, "jit"));
  for (let size = 1; pieces.instructions < 5_432; size = (size * 7 + 3) % 997) {
    await pieces.run({ instructions: Math.min(size, 5_432 - pieces.instructions) });
  }
  assertEquals(pieces.stateHash(), middle);
  await pieces.run({ instructions: 1 });
  await pieces.run({ instructions: 7_999 });
  assertEquals([pieces.instructions, pieces.stateHash()], [instructions, end]);

  await using restored = await Machine.create(options(4, "jit"));
  restored.restore(snapshot);
  assertEquals(restored.stateHash(), middle);
  await restored.run({ instructions: 8_000 });
  assertEquals([restored.instructions, restored.stateHash()], [instructions, end]);
});

Deno.test("A report lists all processors, and says which executed last", async () => {
  await using vm = await Machine.create(options(3));
  await vm.exited;
  const error = await assertRejects(() => vm.serial.expect("x"), MachineEndedError);
  assertStringIncludes(error.message, "registers of processor 0 (halted, executed last):");
  assertStringIncludes(error.message, "registers of processor 2 (halted):");
  assertStringIncludes(error.message, "last instructions of processor 0:");
});

Deno.test("A triple fault of any processor ends the machine", async () => {
  const kernel = assemble(TRAMPOLINE, [
    ...[0x0f, 0x01, 0x1e, word(0x7000), 0x0f, 0x0b], // lidt [7000h], with a limit of 0; ud2
    { fill: ENTRY - TRAMPOLINE },
    ...[0xc7, 0x05, dword(ICR), dword(OTHERS | INIT)], // mov dword [ICR], INIT
    ...[0xc7, 0x05, dword(ICR), dword(OTHERS | STARTUP | (TRAMPOLINE >>> 12))],
    ...[0xf3, 0x90, 0xeb, 0xfc], // pause; jmp
  ]);
  const flat = { address: TRAMPOLINE, mode: "protected", eip: ENTRY } as const;
  await using vm = await Machine.create({ kernel, flat, memory: "2M", processors: 2 });
  const exit = await vm.exited;
  assertEquals([exit.kind, exit.processor], ["triple-fault", 1]);
  assertEquals(exit.processors!.map(({ activity }) => activity), ["running", "shutdown"]);
});

Deno.test("Processors that all spin leave the event loop its turns", async () => {
  const kernel = assemble(TRAMPOLINE, [
    ...[0xf3, 0x90, 0xeb, 0xfc], // pause; jmp
    { fill: ENTRY - TRAMPOLINE },
    ...[0xc7, 0x05, dword(ICR), dword(OTHERS | INIT)],
    ...[0xc7, 0x05, dword(ICR), dword(OTHERS | STARTUP | (TRAMPOLINE >>> 12))],
    ...[0xf3, 0x90, 0xeb, 0xfc], // pause; jmp
  ]);
  const flat = { address: TRAMPOLINE, mode: "protected", eip: ENTRY } as const;
  await using vm = await Machine.create({ kernel, flat, memory: "2M", processors: 4 });
  const stretches = await measureEventLoop(() => vm.run({ instructions: 1_000_000 }));
  assert(stretches.longest <= 50, `the event loop had no turn for ${stretches.longest} ms`);
  assertEquals(
    (await vm.report()).processors!.map((one) => one.activity),
    Array(4).fill("running"),
  );
});

Deno.test("A number of processors that cannot be is refused", async () => {
  const kernel = new Uint8Array([0xf4]);
  for (const processors of [0, 17, 1.5, -1, "4" as unknown as number]) {
    const error = await assertRejects(
      () => Machine.create({ kernel, flat: {}, processors }),
      OptionError,
    );
    assertStringIncludes(error.message, "processors: ");
    assertStringIncludes(error.message, "1 to 16");
  }
});
