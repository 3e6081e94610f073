/** Waiting for execution to reach an address: exact, with either engine, and unnoticed by the guest. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Machine, type MachineOptions, WaitTimeoutError } from "../../mod.ts";
import { abs16, assemble, type Code, dword, label, rel32, rel8, word } from "../boots/assemble.ts";

const ENGINES = ["interp", "jit"] as const;
const START = 0x8000;

/** Registers that programs count in. */
function counts(vm: Machine): { eax: unknown; ecx: unknown } {
  const { eax, ecx } = vm.registers();
  return { eax, ecx };
}

function guest(code: Code, options: MachineOptions = {}): MachineOptions {
  const kernel = assemble(START, code);
  return { memory: "2M", kernel, flat: { address: START, mode: "protected" }, ...options };
}

/** Calls a function, which begins in the page behind, for ever; eax counts the calls. */
const CALLS: Code = [
  label("again"),
  ...[0xe8, rel32("function")], // call
  ...[0xeb, rel8("again")], // jmp
  Array(0x1000 - 7).fill(0x90),
  label("function"),
  ...[0x40, 0xc3], // inc eax; ret
];
const FUNCTION = START + 0x1000;

for (const accel of ENGINES) {
  Deno.test(`Execution stops before an instruction is done, each time it comes (${accel})`, async () => {
    await using vm = await Machine.create(guest(CALLS, { accel }));
    await using other = await Machine.create(guest(CALLS, { accel }));
    // Long enough for the translator to have translated it.
    await vm.run({ instructions: 3_000_000 });
    let calls: number | undefined;
    for (let n = 0; n < 3; n++) {
      const { linear, cs, ip, processor } = await vm.reach(FUNCTION);
      assertEquals({ linear, cs, ip, processor }, {
        linear: FUNCTION,
        cs: vm.registers().cs,
        ip: FUNCTION,
        processor: 0,
      });
      assertEquals(vm.registers().eip, FUNCTION);
      const eax = vm.registers().eax as number;
      calls ??= eax;
      assertEquals(eax, calls + n);
    }
    await vm.run({ instructions: 1_000_000 });
    await other.run({ instructions: vm.instructions });
    assertEquals(vm.stateHash(), other.stateHash());
  });

  Deno.test(`Several waits for addresses come true in the order of execution (${accel})`, async () => {
    await using vm = await Machine.create(guest(CALLS, { accel }));
    await vm.reach(START);
    const start = vm.instructions, order: string[] = [];
    const note = (name: string) => (({ linear }: { linear: number }) => {
      order.push(`${name} ${linear.toString(16)} at ${vm.instructions - start}`);
    });
    await Promise.all([
      vm.reach(FUNCTION + 1).then(note("return")),
      vm.reach(FUNCTION).then(note("function")),
      vm.reach(FUNCTION).then(note("function too")),
      vm.reach(START + 5).then(note("jump")),
    ]);
    assertEquals(order, [
      "function 9000 at 1",
      "function too 9000 at 1",
      "return 9001 at 2",
      "jump 8005 at 3",
    ]);
  });

  Deno.test(`A repeated string instruction is reached once, and where it stands does not count (${accel})`, async () => {
    await using vm = await Machine.create(guest([
      label("again"),
      ...[0xb9, dword(1000)], // mov ecx, 1000
      ...[0xbf, dword(0x20000)], // mov edi, 20000h
      label("fill"),
      ...[0xf3, 0xab], // rep stosd
      ...[0x40, 0xeb, rel8("again")], // inc eax; jmp
    ], { accel }));
    await vm.reach(START);
    const start = vm.instructions;
    for (let n = 0; n < 3; n++) {
      await vm.reach(START + 10);
      assertEquals(counts(vm), { eax: n, ecx: 1000 });
      assertEquals(vm.instructions - start, n * 1004 + 2);
    }
  });

  Deno.test(`The first instruction of an interrupt's handler is reached before it is done (${accel})`, async () => {
    // INT 20h, whose handler is in a page of its own.
    const code: Code = [
      ...[0x0f, 0x01, 0x1d, abs16("idtr"), word(0)], // lidt [idtr]
      label("again"),
      ...[0xcd, 0x20, 0xeb, rel8("again")], // int 20h; jmp
      label("idtr"),
      ...[word(0x21 * 8 - 1), abs16("table"), word(0)],
      label("table"),
      Array(0x20).fill([dword(0), dword(0)]),
      ...[abs16("handler"), word(0x10), word(0x8e00), word(0)],
      Array(0x1000).fill(0x90),
      label("handler"),
      ...[0x40, 0xcf], // inc eax; iret
    ];
    await using vm = await Machine.create(guest(code, { accel }));
    const handler = START + assemble(START, code).length - 2;
    for (let n = 0; n < 3; n++) {
      await vm.reach(handler);
      assertEquals(vm.registers().eax, n);
    }
  });

  Deno.test(`Real-mode addresses are linear ones (${accel})`, async () => {
    // A far jump to 0900:0010, which is 9010h, and a loop there.
    const code = [
      ...[0xea, 0x10, 0x00, 0x00, 0x09],
      ...Array(0x1010 - 5).fill(0x90),
      ...[0x40, 0xeb, 0xfd], // inc ax; jmp
    ];
    await using vm = await Machine.create({
      memory: "2M",
      kernel: Uint8Array.from(code),
      flat: { address: START },
      accel,
    });
    await vm.reach(START);
    const start = vm.instructions;
    const { linear, cs, ip } = await vm.reach(0x9010);
    assertEquals({ linear, cs, ip, count: vm.instructions - start }, {
      linear: 0x9010,
      cs: 0x900,
      ip: 0x10,
      count: 1,
    });
    await vm.reach(0x9010);
    assertEquals(vm.instructions - start, 3);
  });

  Deno.test(`64-bit code is reached in the upper half of the addresses (${accel})`, async () => {
    const PML4 = 0x10000, PDPT = 0x11000, PD = 0x12000;
    const store = (at: number, value: number) => [0xc7, 0x05, dword(at), dword(value)];
    const code: Code = [
      ...store(PML4, PDPT | 3),
      ...store(PML4 + 511 * 8, PDPT | 3),
      ...store(PDPT, PD | 3),
      ...store(PDPT + 510 * 8, PD | 3),
      ...store(PD, 0x83), // 2 MiB
      ...[0xb8, dword(0x20), 0x0f, 0x22, 0xe0], // mov eax, PAE; mov cr4, eax
      ...[0xb8, dword(PML4), 0x0f, 0x22, 0xd8], // mov eax, PML4; mov cr3, eax
      ...[0xb9, dword(0xc0000080 | 0), 0x0f, 0x32, 0x80, 0xcc, 0x01, 0x0f, 0x30], // EFER.LME
      ...[0x0f, 0x20, 0xc0, 0x0d, dword(0x80000000 | 0), 0x0f, 0x22, 0xc0], // CR0.PG
      ...[0x0f, 0x01, 0x15, abs16("gdtr"), word(0)], // lgdt [gdtr]
      ...[0xea, abs16("long"), word(0), word(8)], // jmp 8:long
      label("gdtr"),
      ...[word(15), abs16("gdt"), word(0)],
      label("gdt"),
      ...[dword(0), dword(0), dword(0), dword(0x00209a00)],
      label("long"),
      // mov rax, FFFFFFFF80000000h + loop; xor ecx, ecx; jmp rax
      ...[0x48, 0xc7, 0xc0, abs16("loop"), word(0x8000), 0x31, 0xc9, 0xff, 0xe0],
      Array(0x1000).fill(0x90),
      label("loop"),
      ...[0xff, 0xc1, 0xeb, rel8("loop")], // inc ecx; jmp
    ];
    await using vm = await Machine.create(guest(code, { accel, cpu: "qemu64" }));
    const loop = START + assemble(START, code).length - 4;
    const address = 0xffffffff80000000n + BigInt(loop);
    for (let n = 0; n < 3; n++) {
      const { linear } = await vm.reach(address);
      assertEquals(linear, Number(BigInt.asIntN(64, address)));
      assertEquals(vm.registers().rip, address);
      assertEquals(vm.registers().rcx, BigInt(n));
    }
    await vm.run({ instructions: 1_000_000 });
    const before = vm.registers().rcx as bigint;
    await vm.reach(address);
    assertEquals((vm.registers().rcx as bigint) - before <= 1n, true);
  });
}

Deno.test("Waiting for execution is the same with either engine, and leaves no trace", async () => {
  const hashes: string[] = [];
  for (const accel of ENGINES) {
    await using vm = await Machine.create(guest(CALLS, { accel }));
    const places: unknown[] = [];
    for (let n = 0; n < 50; n++) {
      await vm.run({ instructions: 7919 * n });
      const { time } = await vm.reach(n % 2 === 0 ? FUNCTION : START);
      places.push([time, vm.instructions, vm.stateHash()]);
    }
    hashes.push(JSON.stringify(places));
  }
  assertEquals(hashes[0], hashes[1]);
});

Deno.test("An address that execution never reaches, or that is none, says so", async () => {
  await using vm = await Machine.create(guest(CALLS));
  await assertRejects(
    () => vm.reach(0x100000, { within: "1ms" }),
    WaitTimeoutError,
    "timed out waiting for execution to reach 0x100000 within 1 ms of virtual time",
  );
  for (const address of [-(2 ** 48), 2 ** 47, 0.5, NaN, 0x800000000000n, 0x10000000000008000n]) {
    assertThrows(() => vm.reach(address), RangeError, "is no linear address");
  }
});
