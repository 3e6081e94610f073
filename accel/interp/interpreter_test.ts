import { assertEquals } from "@std/assert";
import * as S from "../x86/state.ts";
import { testMachine } from "./testing.ts";

// mov ecx,1000; L: call f; dec ecx; jnz L; hlt; f: push eax; pop eax; ret
const CALLS = [
  0xb9,
  0xe8,
  0x03,
  0,
  0,
  0xe8,
  4,
  0,
  0,
  0,
  0x49,
  0x75,
  0xf8,
  0xf4,
  0x50,
  0x58,
  0xc3,
];

Deno.test("Interpreter counts every instruction once, in whatever slices it runs", () => {
  for (const slice of [1, 2, 7, 1000, 1e6]) {
    const { cpu, put } = testMachine();
    put(0x1000, ...CALLS);
    while (cpu.activity === "running") cpu.run(slice);
    assertEquals(cpu.instructions, 1 + 6 * 1000 + 1, `slices of ${slice}`);
  }
});

Deno.test("Interpreter reaches the same state in one slice and in single steps", () => {
  const whole = testMachine(), steps = testMachine();
  for (const { put } of [whole, steps]) put(0x1000, ...CALLS);
  whole.cpu.run(4321);
  for (let i = 0; i < 4321; i++) steps.cpu.run(1);
  assertEquals(steps.cpu.snapshot(), whole.cpu.snapshot());
});

Deno.test("Interpreter ends the slice on the instruction that a device asks it to", () => {
  const { cpu, ports, put, R } = testMachine();
  // L: inc eax; out 80h, al; jmp L
  put(0x1000, 0x40, 0xe6, 0x80, 0xeb, 0xfb);
  let seen = 0, location = 0;
  ports.claim("probe", 0x80, 1, {
    read: () => 0,
    write: (_offset, _size, value) => {
      if (value !== 5) return;
      seen = cpu.instructions;
      location = cpu.location.ip;
      cpu.endSlice();
    },
  });
  cpu.run(1000);
  assertEquals([seen, cpu.instructions, R[S.RAX], location], [13, 14, 5, 0x1001]);
});

Deno.test("Interpreter counts each iteration of a repeated string instruction and resumes it", () => {
  const { cpu, memory, put, R } = testMachine();
  // rep movsb; hlt
  put(0x1000, 0xf3, 0xa4, 0xf4);
  put(0x2000, ...Array.from({ length: 100 }, (_, i) => i));
  R[S.RCX] = 100;
  R[S.RSI] = 0x2000;
  R[S.RDI] = 0x3000;
  cpu.run(30);
  assertEquals([
    cpu.instructions,
    R[S.RCX],
    R[S.RIP],
    memory.read(0x301d, 1),
    memory.read(0x301e, 1),
  ], [
    30,
    70,
    0x1000,
    29,
    0,
  ]);
  cpu.run(1000);
  assertEquals([cpu.instructions, R[S.RCX], cpu.activity, memory.read(0x3063, 1)], [
    101,
    0,
    "halted",
    99,
  ]);
});

Deno.test("Interpreter executes what a store just wrote into the next instruction", () => {
  const { cpu, put, R } = testMachine();
  // mov byte [100Ch], 42h; nop; nop; nop; nop; nop; inc eax -> inc edx; hlt
  put(0x1000, 0xc6, 0x05, 0x0c, 0x10, 0, 0, 0x42, 0x90, 0x90, 0x90, 0x90, 0x90, 0x40, 0xf4);
  const edx = R[S.RDX];
  cpu.run(100);
  assertEquals([R[S.RAX], R[S.RDX] - edx], [0, 1]);
});

Deno.test("Interpreter sees code changed through another mapping and by a bus master", () => {
  const { cpu, put, R } = testMachine();
  put(0x1000, 0x40, 0xeb, 0xfd); // L: inc eax; jmp L
  cpu.run(10);
  put(0x1000, 0x48); // dec eax
  cpu.run(10);
  assertEquals(R[S.RAX], 0);
});

Deno.test("Interpreter takes an interrupt before the next instruction, and one instruction after STI", () => {
  const { cpu, memory, put, R } = testMachine({ bits: 16 });
  memory.write(0x20 * 4, 4, 0x2000); // vector 20h at 0000:2000
  put(0x1000, 0xfb, 0x40, 0x40, 0xeb, 0xfe); // sti; inc ax; inc ax; jmp $
  put(0x2000, 0xf4);
  cpu.setIntr(true);
  cpu.run(100);
  assertEquals([R[S.RAX] & 0xffff, cpu.activity, cpu.instructions], [1, "halted", 3]);
});

Deno.test("Interpreter lets one instruction follow STI where instructions are stepped", () => {
  const { cpu, memory, put, R } = testMachine({ bits: 16 });
  R[S.SEG_LIMIT + S.CS] = 0x1fff - 0x800; // The page of the code is not CS's to its end.
  put(0x1000, 0xfb, 0x40, 0x40, 0xeb, 0xfe); // sti; inc ax; inc ax; jmp $
  put(0x1100, 0xf4);
  memory.write(0x20 * 4, 4, 0x1100);
  cpu.setIntr(true);
  cpu.run(100);
  assertEquals([R[S.RAX] & 0xffff, cpu.activity, cpu.instructions], [1, "halted", 3]);
});

Deno.test("Interpreter takes interrupts that never end one instruction apart, in whatever slices, and with stops", () => {
  const HANDLER = 0x3000, COUNT = 50;
  const run = (slice: number, stops: boolean) => {
    const { cpu, put, R } = testMachine();
    put(0x1000, 0xeb, 0xfe); // jmp to itself
    put(HANDLER, 0x40, 0xeb, 0xfd); // inc eax; jmp
    put(0x5008, 0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0); // flat code
    put(0x6000 + 0x20 * 8, 0, HANDLER >> 8, 8, 0, 0, 0x8f, 0, 0); // a trap gate, which leaves IF set
    R[S.GDTR_BASE] = 0x5000;
    R[S.GDTR_LIMIT] = 0xffff;
    R[S.IDTR_BASE] = 0x6000;
    R[S.IDTR_LIMIT] = 0xffff;
    R[S.EFLAGS] |= S.IF;
    let stopped = 0;
    cpu.onStop = () => {
      stopped++;
      cpu.endSlice();
    };
    if (stops) cpu.stopAt(new Set([HANDLER]));
    // Never released.
    cpu.setIntr(true);
    while (cpu.instructions < COUNT) cpu.run(Math.min(slice, COUNT - cpu.instructions));
    assertEquals([R[S.RAX], stopped], [COUNT, stops ? COUNT : 0]);
    return cpu.snapshot();
  };
  const state = run(COUNT, false);
  for (const slice of [1, 3, COUNT]) {
    assertEquals([run(slice, false), run(slice, true)], [state, state], `slices of ${slice}`);
  }
});

Deno.test("Interpreter tells the instructions executed last, a faulting one included", () => {
  const { cpu, put, R } = testMachine({ bits: 16 });
  R[S.IDTR_LIMIT] = 0;
  put(0x1000, 0x40, 0xeb, 0x03); // inc ax; jmp 1006h
  put(0x1006, 0x43, 0x0f, 0x0b); // inc bx; ud2
  cpu.run(100);
  assertEquals(cpu.activity, "shutdown");
  assertEquals(cpu.recent(4).map((i) => i.ip), [0x1000, 0x1001, 0x1006, 0x1007]);
});

Deno.test("Interpreter tells the last instructions also when they were stepped one by one", () => {
  const { cpu, put } = testMachine();
  put(0x1000, ...CALLS);
  for (let i = 0; i < 6; i++) cpu.run(1);
  assertEquals(cpu.recent(5).map((i) => i.ip), [0x1005, 0x100e, 0x100f, 0x1010, 0x100a]);
});

Deno.test("Interpreter tells the last instructions with the code segment that each was executed in", () => {
  const { cpu, put } = testMachine({ bits: 16 });
  put(0x1000, 0x40, 0xea, 0x05, 0x00, 0x00, 0x02); // inc ax; jmp 0200h:0005h
  put(0x2005, 0x43, 0xea, 0x00, 0x30, 0x00, 0x00); // inc bx; jmp 0:3000h
  // lgdt cs:[3100h]; mov eax, cr0; or al, 1; mov cr0, eax; jmp dword 8:3020h
  put(0x3000, 0x2e, 0x0f, 0x01, 0x16, 0x00, 0x31);
  put(0x3006, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0);
  put(0x300e, 0x66, 0xea, 0x20, 0x30, 0x00, 0x00, 0x08, 0x00);
  put(0x3020, 0xb8, 1, 0, 0, 0, 0xf4); // mov eax, 1; hlt
  put(0x3100, 0x0f, 0x00, 0x08, 0x31, 0, 0);
  put(0x3110, 0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0);
  cpu.run(100);
  assertEquals(cpu.activity, "halted");
  assertEquals(cpu.recent(11).map(({ cs, ip, bits, bytes }) => [cs, ip, bits, bytes[0]]), [
    [0, 0x1000, 16, 0x40],
    [0, 0x1001, 16, 0xea],
    [0x200, 0x5, 16, 0x43],
    [0x200, 0x6, 16, 0xea],
    [0, 0x3000, 16, 0x2e],
    [0, 0x3006, 16, 0x0f],
    [0, 0x3009, 16, 0x0c],
    [0, 0x300b, 16, 0x0f],
    [0, 0x300e, 16, 0x66],
    [8, 0x3020, 32, 0xb8],
    [8, 0x3025, 32, 0xf4],
  ]);
});

Deno.test("Interpreter restores a snapshot and goes on as if nothing had happened", () => {
  const a = testMachine(), b = testMachine();
  for (const { put } of [a, b]) put(0x1000, ...CALLS);
  a.cpu.run(1234);
  const stack = new Uint8Array(0x1000);
  a.memory.readBlock(0x7000, stack);
  b.memory.writeBlock(0x7000, stack);
  b.cpu.restore(a.cpu.snapshot());
  a.cpu.run(2222);
  b.cpu.run(2222);
  assertEquals(b.cpu.snapshot(), a.cpu.snapshot());
});

Deno.test("Interpreter does the same wherever in host memory the guest's RAM lies", () => {
  // mov ecx,300; L: push ecx; add [2000h],ecx; inc word [2004h]; adc byte [2006h],cl; mov eax,[1ffeh]
  // call f; pop ecx; loop L; mov esi,1000h; mov edi,3000h; mov ecx,64; rep movsb; mov ecx,64; rep stosd
  // mov byte [f],90h; call f; hlt; f: inc dword [2ffeh]; ret
  const program = [
    ...[0xb9, 44, 1, 0, 0, 0x51, 0x01, 0x0d, 0, 0x20, 0, 0, 0x66, 0xff, 0x05, 4, 0x20, 0, 0],
    ...[0x10, 0x0d, 6, 0x20, 0, 0, 0xa1, 0xfe, 0x1f, 0, 0, 0xe8, 0x28, 0, 0, 0, 0x59, 0xe2, 0xdf],
    ...[0xbe, 0, 0x10, 0, 0, 0xbf, 0, 0x30, 0, 0, 0xb9, 64, 0, 0, 0, 0xf3, 0xa4],
    ...[0xb9, 64, 0, 0, 0, 0xf3, 0xab, 0xc6, 0x05, 0x4b, 0x10, 0, 0, 0x90, 0xe8, 1, 0, 0, 0, 0xf4],
    ...[0xff, 0x05, 0xfe, 0x2f, 0, 0, 0xc3],
  ];
  const run = (hostOffset: number) => {
    const { cpu, memory, put } = testMachine({ hostOffset });
    put(0x1000, ...program);
    cpu.run(1e6);
    const ram = new Uint8Array(0x9000);
    memory.readBlock(0, ram);
    return { state: cpu.snapshot(), ram };
  };
  const expected = run(0);
  for (const hostOffset of [2 ** 31, 2 ** 31 - 0x3000, 2 ** 32, 2 ** 32 - 0x3000]) {
    assertEquals(run(hostOffset), expected, `RAM at host offset ${hostOffset}`);
  }
});
