/** What interferes with translated code from outside, or from within at places of its choice: nothing differs. */
import { assert, assertEquals } from "@std/assert";
import { Machine, type MachineOptions } from "../../mod.ts";
import { abs16, assemble, type Code, dword, label, rel32, rel8, word } from "../boots/assemble.ts";
import type { BoardOptions } from "./half.ts";
import { kernel } from "./guests.ts";
import { Lockstep } from "./lockstep.ts";

/** Where programs lie and start, and what the handlers write: a counter, and a list of return addresses. */
const START = 0x8000, COUNTER = 0x6000, LIST = 0x20000;
/** The local APIC's registers, and the vector of its interrupts. */
const APIC = 0xfee00000, APIC_VECTOR = 0x40;
/** The flat code segment of a flat image's protected mode. */
const CODE_SEGMENT = 0x10;

/** A program of a main part and an interrupt table in which one handler notes where it came from. */
function program(main: Code): Uint8Array<ArrayBuffer> {
  const gate = [abs16("handler"), word(CODE_SEGMENT), word(0x8e00), word(0)];
  return assemble(START, [
    ...[0x0f, 0x01, 0x1d, abs16("idtr"), word(0)], // lidt [idtr]
    ...[0xeb, 0], // jmp to what follows, which is looked up so
    main,
    label("handler"),
    ...[0x50, 0x51], // push eax; push ecx
    ...[0x8b, 0x0d, dword(COUNTER)], // mov ecx, [COUNTER]
    ...[0x8b, 0x44, 0x24, 8], // mov eax, [esp + 8]
    ...[0x89, 0x04, 0x8d, dword(LIST)], // mov [LIST + ecx * 4], eax
    ...[0x41, 0x81, 0xe1, dword(0x3fff)], // inc ecx; and ecx, 3FFFh
    ...[0x89, 0x0d, dword(COUNTER)], // mov [COUNTER], ecx
    ...[0x0f, 0x21, 0xf0, 0x01, 0x05, dword(COUNTER + 4)], // mov eax, dr6; add [COUNTER + 4], eax
    ...[0x83, 0xf9, 100], // cmp ecx, 100
    ...[0x75, rel8("return")], // jne
    ...[0x81, 0x64, 0x24, 16, dword(~0x100)], // and dword [esp + 16], ~TF
    ...[0x31, 0xc0, 0x0f, 0x23, 0xf8], // xor eax, eax; mov dr7, eax
    label("return"),
    ...[0xc7, 0x05, dword(APIC + 0xb0), dword(0)], // mov dword [EOI], 0
    // What a breakpoint of an instruction pushes has RF clear (SDM vol. 3, 17.3.1.1).
    ...[0x81, 0x4c, 0x24, 16, dword(0x10000)], // or dword [esp + 16], RF
    ...[0x59, 0x58, 0xcf], // pop ecx; pop eax; iret
    label("idtr"),
    ...[word((APIC_VECTOR + 1) * 8 - 1), abs16("table"), word(0)],
    label("table"),
    Array(APIC_VECTOR + 1).fill(gate),
  ]);
}

/** A loop that adds, stores, calls and branches, for ever; `between` comes in its middle. */
function work(name: string, between: Code = []): Code {
  return [
    label(name),
    ...[0x40, 0x01, 0xc3], // inc eax; add ebx, eax
    ...[0x89, 0xc1, 0x81, 0xe1, dword(0xff)], // mov ecx, eax; and ecx, FFh
    ...[0x89, 0x1c, 0x8d, dword(0x40000)], // mov [40000h + ecx * 4], ebx
    between,
    ...[0xe8, rel32(`${name} sub`)], // call
    ...[0xa9, dword(7)], // test eax, 7
    ...[0x75, rel8(name)], // jnz
    ...[0xd1, 0xc3, 0x11, 0xd6], // rol ebx, 1; adc esi, edx
    ...[0xeb, rel8(name)], // jmp
    label(`${name} sub`),
    ...[0x8d, 0x14, 0x98, 0xf7, 0xda, 0xc3], // lea edx, [eax + ebx * 4]; neg edx; ret
  ];
}

function board(bytes: Uint8Array<ArrayBuffer>): () => BoardOptions {
  return () => ({
    memory: 2 ** 21,
    kernel: {
      kernel: { file: "program", bytes },
      flat: { address: START, mode: "protected" },
    },
  });
}

/** Runs a program on both engines, compared every `step` instructions from a count on. */
async function compare(
  bytes: Uint8Array<ArrayBuffer>,
  { eager, from, to, step, prepare }: {
    eager: boolean;
    from: number;
    to: number;
    step: number;
    prepare?: (lockstep: Lockstep) => void;
  },
): Promise<{ peek: (address: number) => number; lockstep: Lockstep }> {
  const lockstep = await Lockstep.create(board(bytes), { jit: { eager } });
  prepare?.(lockstep);
  for (let at = from; at <= to && !lockstep.ended; at += step) {
    assertEquals(lockstep.advance(at), "", `at ${at} instructions`);
  }
  assert(lockstep.translator.translation.executed > to / 20, "hardly anything was translated");
  const { memory } = lockstep.a.board;
  await lockstep.dispose();
  return { peek: (address) => memory.read(address, 4) >>> 0, lockstep };
}

Deno.test("Accesses by FS with a limit are translated, and fault beyond it", async () => {
  const FS = 0x20, flat = [0xcf, 0x00], flags = 0x40, base = 3;
  const descriptor = (access: number, [high, middle]: number[], limit: number): Code => [
    ...[word(limit), word(0), middle, access, high, 0],
  ];
  const code = assemble(START, [
    ...[0x0f, 0x01, 0x15, abs16("gdtr"), word(0)], // lgdt [gdtr]
    ...[0x0f, 0x01, 0x1d, abs16("idtr"), word(0)], // lidt [idtr]
    ...[0xb8, dword(FS), 0x8e, 0xe0], // mov eax, FS; mov fs, ax
    label("again"),
    ...[0x40, 0x89, 0xc1, 0x81, 0xe1, dword(0xfff)], // inc eax; mov ecx, eax; and ecx, FFFh
    ...[0x8d, 0x0c, 0x8d, dword(6)], // lea ecx, [ecx * 4 + 6]
    ...[0x64, 0x03, 0x19], // add ebx, fs:[ecx]
    ...[0x64, 0x89, 0x01], // mov fs:[ecx], eax
    ...[0x64, 0x8a, 0x11], // mov dl, fs:[ecx]
    ...[0xeb, rel8("again")], // jmp
    label("handler"),
    ...[0x83, 0xc4, 4, 0x83, 0x04, 0x24, 3], // add esp, 4; add dword [esp], 3
    ...[0x47, 0xcf], // inc edi; iret
    label("gdtr"),
    ...[word(5 * 8 - 1), abs16("gdt"), word(0)],
    label("gdt"),
    Array(16).fill(0),
    descriptor(0x9b, flat, 0xffff),
    descriptor(0x93, flat, 0xffff),
    descriptor(0x93, [flags, base], 0x4000),
    label("idtr"),
    ...[word(14 * 8 - 1), abs16("table"), word(0)],
    label("table"),
    Array(14).fill([abs16("handler"), word(CODE_SEGMENT), word(0x8e00), word(0)]),
  ]);
  const found: unknown[] = [];
  for (const accel of ["interp", "jit"] as const) {
    const flat = { address: START, mode: "protected" } as const;
    await using vm = await Machine.create({ memory: "2M", kernel: code, flat, accel });
    await vm.run({ instructions: 3_000_000 });
    found.push([vm.registers(), vm.stateHash()]);
    assert(vm.registers().edi as number > 300, `${vm.registers().edi} faults`);
    if (accel === "interp") continue;
    const { executed, exits } = vm.translation!;
    assert(executed > 2_000_000, `${executed} instructions were translated`);
    assert(exits.fault < 10_000, `${exits.fault} accesses were left to the interpreter`);
  }
  assertEquals(found[0], found[1]);
});

for (const eager of [true, false]) {
  const how = eager ? "at first sight" : "when hot";
  // What is hot shows after some hundred thousand instructions.
  const warm = eager ? 3000 : 400_000;

  Deno.test(`Interrupts come at exact counts in code translated ${how}`, async () => {
    const { peek } = await compare(program(work("loop")), {
      eager,
      from: warm,
      to: warm + 100_000,
      step: 7_919,
      prepare: ({ a, b }) => {
        for (const { board: { clock, cpu } } of [a, b]) {
          let n = 0;
          const alarm = clock.createAlarm("test", () => {
            cpu.nmi();
            n = (n * 7 + 3) % 1009;
            alarm.setIn(8 * (n + 1));
          });
          alarm.set(warm * 8 + 8);
        }
      },
    });
    assert(peek(COUNTER) > 120, `${peek(COUNTER)} interrupts`);
    const places = new Set(Array.from({ length: peek(COUNTER) }, (_, i) => peek(LIST + i * 4)));
    assert(places.size > 10, `interrupts at ${places.size} places`);
  });

  Deno.test(`Ports arm alarms and raise interrupts at exact counts in code translated ${how}`, async () => {
    const ports: Code = [
      0x50, // push eax
      ...[0xa8, 0x3f, 0x75, rel8("armed")], // test al, 3Fh; jnz
      ...[0xb0, 0x30, 0xe6, 0x43], // mov al, 30h; out 43h, al
      ...[0x88, 0xd8, 0x24, 7, 0xe6, 0x40], // mov al, bl; and al, 7; out 40h, al
      ...[0x30, 0xc0, 0xe6, 0x40], // xor al, al; out 40h, al
      label("armed"),
      ...[0xe4, 0x40, 0x01, 0xc6], // in al, 40h; add esi, eax
      ...[0xb0, 0x20, 0xe6, 0x20], // mov al, 20h; out 20h, al
      ...[0xe4, 0x21, 0x00, 0xc2], // in al, 21h; add dl, al
      ...[0x89, 0xd8, 0xc0, 0xe8, 0x04, 0x0c, 0xfe], // mov eax, ebx; shr al, 4; or al, FEh
      ...[0x66, 0xba, word(0x21), 0xee], // mov dx, 21h; out dx, al
      ...[0x66, 0xed, 0x58], // in ax, dx; pop eax
    ];
    const code = program([
      ...[0xc7, 0x05, dword(APIC + 0xf0), dword(0x1ff)], // spurious interrupts: enabled
      ...[0xc7, 0x05, dword(APIC + 0x350), dword(0x700)], // LINT0: the 8259s
      0xfb, // sti
      work("loop", ports),
    ]);
    const { peek } = await compare(code, {
      eager,
      from: warm,
      to: warm + 100_000,
      step: 1_931,
    });
    const places = new Set(Array.from({ length: peek(COUNTER) }, (_, i) => peek(LIST + i * 4)));
    assert(peek(COUNTER) > 20, `${peek(COUNTER)} interrupts`);
    assert(places.size > 2, `interrupts at ${places.size} places`);
  });

  // What happens once, in the loop's middle: ecx is free there.
  const count = warm / 10 + 1000;
  const once = (what: Code): Code => [
    ...[0x3d, dword(count), 0x75, rel8("not yet")], // cmp eax, count; jne
    what,
    label("not yet"),
  ];

  Deno.test(`Single steps begin and end in code translated ${how}`, async () => {
    // pushf; or dword [esp], TF; popf
    const step = once([0x9c, 0x81, 0x0c, 0x24, dword(0x100), 0x9d]);
    const { peek } = await compare(program(work("loop", step)), {
      eager,
      from: warm,
      to: 2 * warm + 40_000,
      step: eager ? 5_003 : 20_011,
    });
    assertEquals(peek(COUNTER), 100);
  });

  Deno.test(`Breakpoints of the debug registers hit in code translated ${how}`, async () => {
    // DR0: execution of a NOP in the loop; DR1: writes of the doubleword that the loop stores to in 20 rounds.
    const stored = 0x40000 + 4 * ((count + 20) & 0xff);
    const set = once([
      ...[0xb9, abs16("breakpoint"), word(0), 0x0f, 0x23, 0xc1], // mov ecx, breakpoint; mov dr0, ecx
      ...[0xb9, dword(stored), 0x0f, 0x23, 0xc9], // mov ecx, stored; mov dr1, ecx
      ...[0xb9, dword(0x00d0000a), 0x0f, 0x23, 0xf9], // mov ecx, G0 | G1 | write | 4 bytes; mov dr7, ecx
    ]);
    const { peek } = await compare(
      program([work("loop", [set, label("breakpoint"), 0x90])]),
      { eager, from: warm, to: 2 * warm + 40_000, step: eager ? 5_003 : 20_011 },
    );
    assertEquals(peek(COUNTER), 100);
    const hits = Array.from({ length: 100 }, (_, i) => peek(LIST + i * 4));
    assertEquals(new Set(hits).size, 2);
  });

  Deno.test(`Pages come and go under code translated ${how}, its own too`, async () => {
    const directory = 0x70000, table = 0x71000, pages = 0x100000, entries = table + pages / 1024;
    const code = assemble(START, [
      ...[0x0f, 0x01, 0x15, abs16("gdtr"), word(0)], // lgdt [gdtr]
      ...[0x0f, 0x01, 0x1d, abs16("idtr"), word(0)], // lidt [idtr]
      ...[0xb9, dword(0x1ff)], // mov ecx, 1FFh
      label("fill"),
      ...[0x89, 0xc8, 0xc1, 0xe0, 12, 0x83, 0xc8, 3], // mov eax, ecx; shl eax, 12; or eax, 3
      ...[0x89, 0x04, 0x8d, dword(table)], // mov [table + ecx * 4], eax
      ...[0x49, 0x79, rel8("fill")], // dec ecx; jns
      ...[0xc7, 0x05, dword(directory), dword(table | 3)], // mov dword [directory], table | 3
      ...[0xb8, dword(directory), 0x0f, 0x22, 0xd8], // mov eax, directory; mov cr3, eax
      ...[0x0f, 0x20, 0xc0, 0x0d, dword(0x80010000)], // mov eax, cr0; or eax, PG | WP
      ...[0x0f, 0x22, 0xc0, 0xeb, 0], // mov cr0, eax; jmp to what follows
      // The next page becomes a copy of this one, in which the loop adds 3 instead of 1.
      ...[0xbe, dword(START), 0xbf, dword(START + 0x1000)], // mov esi, START; mov edi, START + 1000h
      ...[0xb9, dword(0x400), 0xf3, 0xa5], // mov ecx, 400h; rep movsd
      ...[0xbf, abs16("patch"), word(0)], // mov edi, patch
      ...[0xc6, 0x87, dword(0x1000), 3, 0x31, 0xc0], // mov byte [edi + 1000h], 3; xor eax, eax
      label("loop"),
      ...[0x40, 0x01, 0xc3, 0x89, 0xc1], // inc eax; add ebx, eax; mov ecx, eax
      ...[0x83, 0xe1, 0x3f, 0xc1, 0xe1, 12], // and ecx, 3Fh; shl ecx, 12
      ...[0x89, 0x99, dword(pages)], // mov [pages + ecx], ebx
      ...[0x03, 0x91, dword(pages + 4)], // add edx, [pages + ecx + 4]
      ...[0x83, 0xc6, label("patch"), 1], // add esi, 1
      ...[0xa8, 3, 0x75, rel8("keep")], // test al, 3; jnz
      ...[0xc1, 0xe9, 10], // shr ecx, 10
      ...[0x83, 0xa1, dword(entries), 0xfe], // and dword [entries + ecx], ~1
      ...[0x03, 0xb1, dword(entries)], // add esi, [entries + ecx]
      ...[0xc1, 0xe1, 10], // shl ecx, 10
      ...[0x0f, 0x01, 0xb9, dword(pages)], // invlpg [pages + ecx]
      label("keep"),
      ...[0xa8, 0x3f, 0x75, rel8("loop")], // test al, 3Fh; jnz
      ...[0x81, 0x35, dword(table + START / 1024), dword(0x1000)], // xor dword [entry of START], 1000h
      ...[0x0f, 0x01, 0x3d, dword(START)], // invlpg [START]
      ...[0x0f, 0x20, 0xd5, 0x01, 0xef], // mov ebp, cr2; add edi, ebp
      ...[0xeb, rel8("loop")], // jmp
      label("handler"),
      ...[0x50, 0x0f, 0x20, 0xd0, 0xc1, 0xe8, 12], // push eax; mov eax, cr2; shr eax, 12
      ...[0x83, 0x0c, 0x85, dword(table), 1], // or dword [table + eax * 4], 1
      ...[0xff, 0x05, dword(COUNTER)], // inc dword [COUNTER]
      ...[0x58, 0x83, 0xc4, 4, 0xcf], // pop eax; add esp, 4; iret
      label("gdtr"),
      ...[word(4 * 8 - 1), abs16("segments"), word(0)],
      label("segments"),
      ...[Array(16).fill(0), word(0xffff), word(0), word(0x9b00), word(0xcf)],
      ...[word(0xffff), word(0), word(0x9300), word(0xcf)],
      label("idtr"),
      ...[word(15 * 8 - 1), abs16("table"), word(0)],
      label("table"),
      Array(15).fill([abs16("handler"), word(CODE_SEGMENT), word(0x8e00), word(0)]),
    ]);
    const { peek } = await compare(code, {
      eager,
      // Two pages of code share the heat.
      from: 3 * warm,
      to: 3 * warm + 60_000,
      step: eager ? 1_931 : 4_999,
    });
    assert(peek(COUNTER) > 100, `${peek(COUNTER)} faults`);
  });

  Deno.test(`A device writes into code translated ${how}`, async () => {
    // The configuration device's DMA (QEMU, docs/specs/fw_cfg): the four bytes of item 0, "QEMU", are
    // push ecx; inc ebp; dec ebp; push ebp.
    const transfer = once([
      ...[0xba, dword(0x518), 0xb8, abs16("request"), word(0)], // mov edx, 518h; mov eax, request
      ...[0x0f, 0xc8, 0xef], // bswap eax; out dx, eax
      ...[0xb8, dword(1e9)], // mov eax, 1e9
    ]);
    const code = program([
      ...[0xbc, dword(0x7000), 0xbd, dword(0x12345678)], // mov esp, 7000h; mov ebp, 12345678h
      work("loop", [transfer, 0x90, 0x90, 0x90, 0x90, 0xbc, dword(0x7000)]),
      label("request"), // select item 0 and read 4 bytes, all big-endian
      ...[0, 0, 0, 0x0a, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    // The address in the request is big-endian: its last two bytes are set here.
    const nops = code.findIndex((_, i) => code.subarray(i, i + 4).every((byte) => byte === 0x90));
    const request = code.findIndex((byte, i) => byte === 0x0a && code[i + 4] === 4);
    new DataView(code.buffer).setUint16(request + 11, START + nops);
    const { peek, lockstep } = await compare(code, {
      eager,
      from: warm,
      to: 2 * warm + 40_000,
      step: eager ? 5_003 : 20_011,
    });
    assertEquals(peek(START + nops) & 0xff, 0x51);
    assertEquals(peek(0x7000 - 8), 0x12345678);
    assert(lockstep.translator.translation.invalidated > 0);
  });
}

// Translated at first sight alone: what is hot is given up, since it does little between two interrupts.
Deno.test("Devices that x87 instructions reach interrupt translated code", async () => {
  const code = program([
    ...[0xdb, 0xe3], // fninit
    ...[0xc7, 0x05, dword(APIC + 0xf0), dword(0x1ff)], // spurious interrupts: enabled
    ...[0xc7, 0x05, dword(APIC + 0x320), dword(APIC_VECTOR)], // timer: one-shot
    ...[0xc7, 0x05, dword(APIC + 0x3e0), dword(0xb)], // divided by 1
    0xfb, // sti
    ...[0xeb, 0], // jmp to what follows
    work("loop", [
      ...[0x89, 0x0d, dword(COUNTER + 8)], // mov [COUNTER + 8], ecx
      ...[0xdb, 0x05, dword(COUNTER + 8)], // fild dword [COUNTER + 8]
      ...[0xdb, 0x1d, dword(APIC + 0x380)], // fistp dword [initial count]
      ...[0xa8, 3, 0x75, rel8("none")], // test al, 3; jnz
      ...[0xdb, 0x05, abs16("self"), word(0)], // fild dword [self]
      ...[0xdb, 0x1d, dword(APIC + 0x300)], // fistp dword [interrupt command]
      label("none"),
    ]),
    label("self"),
    dword(0x44000 | APIC_VECTOR), // to itself, fixed, asserted
  ]);
  const { peek } = await compare(code, {
    eager: true,
    from: 3000,
    to: 60_000,
    step: 5_003,
  });
  assert(peek(COUNTER) > 500, `${peek(COUNTER)} interrupts`);
  const places = new Set(Array.from({ length: peek(COUNTER) }, (_, i) => peek(LIST + i * 4)));
  assert(places.size > 5, `interrupts at ${places.size} places`);
});

/** Two machines that differ in their engine. */
async function pair(options: MachineOptions): Promise<[Machine, Machine]> {
  return [
    await Machine.create({ ...options, accel: "interp" }),
    await Machine.create({ ...options, accel: "jit" }),
  ];
}

const LOOP: MachineOptions = {
  kernel: program(work("loop")),
  flat: { address: START, mode: "protected" },
  memory: "2M",
};

Deno.test("A script writes into translated code", async () => {
  const [a, b] = await pair(LOOP);
  for (const vm of [a, b]) await vm.run({ instructions: 3_000_000 });
  const before = b.translation!;
  assert(before.executed > 1_000_000);
  // The loop's first instruction, behind LIDT and JMP: inc eax becomes dec ebx, and inc eax again.
  for (const opcode of [0x4b, 0x40]) {
    for (const vm of [a, b]) {
      vm.writeMemory(START + 9, Uint8Array.of(opcode));
      await vm.run({ instructions: 1_000_003 });
    }
    assertEquals(a.stateHash(), b.stateHash());
  }
  assert(b.translation!.invalidated > before.invalidated);
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
});

Deno.test("A snapshot is put back while there is translated code, and into another engine", async () => {
  const { kernel: image, devices } = (await kernel("sieve.32"))();
  const [a, b] = await pair({ kernel: image!.kernel.bytes, devices, memory: "32M" });
  for (const vm of [a, b]) await vm.run({ instructions: 3_000_000 });
  const snapshot = b.snapshot(), hash = b.stateHash();
  assertEquals(a.stateHash(), hash);
  await b.run({ instructions: 1_234_567 });
  const later = b.stateHash();
  assert(b.translation!.executed > 1_000_000);
  b.restore(snapshot);
  assertEquals(b.stateHash(), hash);
  await b.run({ instructions: 1_234_567 });
  assertEquals(b.stateHash(), later);
  a.restore(structuredClone(snapshot));
  await a.run({ instructions: 1_234_567 });
  assertEquals(a.stateHash(), later);
  b.restore(a.snapshot());
  assertEquals(b.stateHash(), later);
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
});

Deno.test("Waits end translated code at the same instruction", async () => {
  const [a, b] = await pair(LOOP);
  for (const vm of [a, b]) await vm.run({ instructions: 3_000_000 });
  assert(b.translation!.executed > 1_000_000);
  const both = async (what: (vm: Machine) => Promise<unknown>) => {
    const results = [await what(a), await what(b)];
    assertEquals(results[0], results[1]);
    assertEquals(a.instructions, b.instructions);
    assertEquals(a.stateHash(), b.stateHash());
  };
  for (let i = 1; i < 6; i++) {
    // A watched address within the page that the loop stores to all the time.
    await both((vm) => vm.memory(0x40000 + 44 * i, 4).nextWrite({ within: "1s" }));
    await both((vm) => vm.run({ instructions: 7_777 * i + 1 }));
    await both((vm) => vm.run({ for: `${333 * i}us` }));
  }
  const recorders = [a, b].map((vm) => vm.memory(0x40100, 64).record());
  await both((vm) => vm.run({ instructions: 20_000 }));
  assertEquals(recorders[0].entries, recorders[1].entries);
  assert(recorders[0].entries.length > 50);
  recorders.forEach((one) => one.stop());
  await both((vm) => vm.run({ instructions: 300_001 }));
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
});
