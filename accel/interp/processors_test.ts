import { assertEquals } from "@std/assert";
import * as S from "../x86/state.ts";
import { start, testProcessors } from "./testing.ts";

/** Little-endian bytes of a doubleword. */
const dword = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];

// mov ecx, 1000; L: lock inc dword [2000h]; dec ecx; jnz L; hlt
const LOCKED_COUNT = [
  ...[0xb9, ...dword(1000)],
  ...[0xf0, 0xff, 0x05, ...dword(0x2000)],
  ...[0x49, 0x75, 0xf6, 0xf4],
];

/** Counts at 2000h under a spin lock at 2004h, in pieces that another processor could tear apart. */
function spinLockedCount(pause: boolean): number[] {
  const wait = pause ? [0xf3, 0x90] : [];
  const spin = [...wait, 0x80, 0x3d, ...dword(0x2004), 0]; // pause; cmp byte [2004h], 0
  const critical = [
    ...[0xa1, ...dword(0x2000)], // mov eax, [2000h]
    ...[0x40, 0x90, 0x90, 0x90], // inc eax
    ...[0xa3, ...dword(0x2000)], // mov [2000h], eax
    ...[0xc6, 0x05, ...dword(0x2004), 0], // mov byte [2004h], 0
  ];
  const body = [
    ...[0xb0, 1, 0x86, 0x05, ...dword(0x2004)], // A: mov al, 1; xchg al, [2004h]
    ...[0x84, 0xc0, 0x74, spin.length + 4], // test al, al; jz critical
    ...spin, // W:
    ...[0x75, -(spin.length + 2) & 0xff], // jne W
    ...[0xeb, -(8 + 4 + spin.length + 4) & 0xff], // jmp A
    ...critical,
  ];
  return [
    ...[0xb9, ...dword(1000)], // mov ecx, 1000
    ...body,
    ...[0x49, 0x75, -(body.length + 3) & 0xff, 0xf4], // dec ecx; jnz A; hlt
  ];
}

Deno.test("Processors count together with a locked instruction", () => {
  for (const turn of [1, 3, 17, 10_000]) {
    const { set, cpus, memory, put } = testProcessors(4, { turn });
    put(0x1000, ...LOCKED_COUNT);
    for (const cpu of cpus) start(cpu, 32, 0x1000);
    set.run(1e6);
    assertEquals([set.activity, memory.read(0x2000, 4)], ["halted", 4000], `turns of ${turn}`);
    assertEquals(set.instructions, 4 * (1 + 3 * 1000 + 1));
  }
});

Deno.test("Processors count together under a spin lock, with PAUSE and without", () => {
  for (const pause of [true, false]) {
    for (const turn of [1, 5, 23, 1000]) {
      const { set, cpus, memory, put } = testProcessors(3, { turn });
      put(0x1000, ...spinLockedCount(pause));
      for (const cpu of cpus) start(cpu, 32, 0x1000);
      for (let i = 0; i < 200 && set.activity === "running"; i++) set.run(10_000);
      assertEquals(
        [set.activity, memory.read(0x2000, 4)],
        ["halted", 3000],
        `turns of ${turn}, PAUSE ${pause}`,
      );
    }
  }
});

Deno.test("Processors reach the same state in slices of any length", () => {
  const states = [1, 13, 999, 10_000, 1e6].map((slice) => {
    const { set, cpus, memory, put } = testProcessors(3, { turn: 100 });
    put(0x1000, ...spinLockedCount(true));
    // rep stosb over 3000h, then jmp $
    put(0x1800, 0xb9, ...dword(500), 0xbf, ...dword(0x3000), 0xf3, 0xaa, 0xeb, 0xfe);
    start(cpus[0], 32, 0x1000);
    start(cpus[1], 32, 0x1800);
    start(cpus[2], 32, 0x1000);
    while (set.instructions < 20_000) set.run(Math.min(slice, 20_000 - set.instructions));
    return { cpu: set.snapshot(), memory: memory.host.bytes.slice(0x2000, 0x4000) };
  });
  for (const state of states) assertEquals(state, states[0]);
});

Deno.test("Processors see code that another one changed, executed before or not", () => {
  for (const turn of [7, 50, 1000]) {
    const { set, cpus, memory, put } = testProcessors(2, { turn });
    // The first turns `inc dword [2000h]` (FF 05) of the second into `dec` (FF 0D) and back, 100 times.
    put(
      0x1000,
      ...[0xb9, ...dword(200)], // mov ecx, 200
      ...[0x80, 0x35, ...dword(0x1801), 0x08], // L: xor byte [1801h], 8
      ...[0xba, ...dword(31), 0x4a, 0x75, 0xfd], // mov edx, 31; D: dec edx; jnz D
      ...[0x49, 0x75, 0xec], // dec ecx; jnz L
      ...[0xc6, 0x05, ...dword(0x1806), 0xf4, 0xf4], // mov byte [1806h], F4h; hlt
    );
    // L: inc dword [2000h]; jmp L, which becomes hlt
    put(0x1800, 0xff, 0x05, ...dword(0x2000), 0xeb, 0xf8);
    for (const cpu of cpus) start(cpu, 32, cpu === cpus[0] ? 0x1000 : 0x1800);
    // What a processor must do is known from the instruction that is in memory when it executes.
    let expected = 0;
    for (let i = 0; i < 100_000 && set.activity === "running"; i++) {
      const up = memory.read(0x1801, 1) === 0x05;
      const { R } = cpus[1].x86, before = cpus[1].instructions, ip = R[S.RIP];
      set.run(1);
      if (cpus[1].instructions !== before && ip === 0x1800) expected += up ? 1 : -1;
    }
    assertEquals(set.activity, "halted", `turns of ${turn}`);
    assertEquals(memory.read(0x2000, 4) | 0, expected, `turns of ${turn}`);
    assertEquals(memory.read(0x1801, 1), 0x05);
  }
});

Deno.test("A page that one processor writes and another then executes is watched for both", () => {
  const { set, cpus, memory, put } = testProcessors(2, { turn: 20 });
  // Writes n into 3001h for ever: inc al; mov [3001h], al; jmp
  put(0x1000, 0xfe, 0xc0, 0xa2, ...dword(0x3001), 0xeb, 0xf7);
  // mov bl, imm8; cmp bl, [3001h]; jne F; jmp 3000h; F: inc dword [2000h]; jmp 3000h
  put(
    0x3000,
    ...[0xb3, 0, 0x3a, 0x1d, ...dword(0x3001), 0x75, 0x02, 0xeb, 0xf4],
    ...[0xff, 0x05, ...dword(0x2000), 0xeb, 0xec],
  );
  start(cpus[0], 32, 0x1000);
  set.run(20); // The first knows the page as one that it may write at once.
  start(cpus[1], 32, 0x3000);
  // Turns end between MOV and CMP only where they are not multiples: 20 is 5 loops of 4.
  set.run(20_000);
  assertEquals(memory.read(0x2000, 4), 0);
  assertEquals(cpus[1].instructions > 5000, true);
});

Deno.test("An application processor waits for a start-up message, and INIT makes it wait again", () => {
  const { set, cpus, put } = testProcessors(2);
  const [bsp, ap] = cpus;
  put(0x8000, 0x40, 0xeb, 0xfd); // L: inc ax; jmp L
  start(bsp, 16, 0x8000);
  assertEquals([ap.activity, ap.ready, set.activity], ["wait-for-sipi", false, "running"]);
  ap.setIntr(true);
  ap.nmi();
  set.run(50_000);
  assertEquals([bsp.instructions, ap.instructions], [50_000, 0]);
  ap.startup(0x08);
  bsp.startup(0x70);
  assertEquals([ap.activity, ap.location], ["running", { cs: 0x800, ip: 0, linear: 0x8000 }]);
  ap.startup(0x70);
  assertEquals(ap.location.linear, 0x8000);
  set.run(20_000);
  assertEquals([bsp.instructions, ap.instructions], [60_000, 10_000]);
  set.init();
  assertEquals([ap.activity, bsp.activity], ["wait-for-sipi", "running"]);
  assertEquals(bsp.location, { cs: 0xf000, ip: 0xfff0, linear: 0xfffffff0 });
});

Deno.test("A device finds the processor, its place and the time in the middle of a slice", () => {
  const { set, cpus, ports, put } = testProcessors(3, { turn: 10 });
  const seen: unknown[] = [];
  ports.claim("probe", 0x80, 1, {
    read: () => 0,
    write: () => {
      seen.push([set.currentProcessor, set.location.ip, set.instructions]);
      if (seen.length === 4) set.endSlice();
    },
  });
  for (const [i, cpu] of cpus.entries()) {
    put(0x1000 + 0x100 * i, ...Array(2 + i).fill(0x90), 0xe6, 0x80, 0xeb, 0xfe); // nops; out 80h, al; jmp $
    start(cpu, 32, 0x1000 + 0x100 * i);
  }
  put(0x1000 + 2 + 2, 0xeb, 0xfa); // The first loops.
  set.run(1000);
  assertEquals(seen, [[0, 0x1002, 2], [0, 0x1002, 6], [1, 0x1103, 13], [2, 0x1204, 24]]);
  assertEquals([set.instructions, cpus.map((cpu) => cpu.instructions)], [25, [10, 10, 5]]);
});

Deno.test("A processor that resets itself by a device goes on at its reset vector, or waits", () => {
  const { set, cpus, ports, memory, put } = testProcessors(2, { turn: 10 });
  memory.addMmio("init", 0xfee00000, 0x1000, {
    read: () => 0,
    write: (_offset, _size, value) => cpus[value].init(),
  });
  ports.claim("none", 0x80, 1, { read: () => 0, write: () => {} });
  // mov byte [FEE00000h], dl; nop; jmp $
  put(0x1000, 0x88, 0x15, ...dword(0xfee00000), 0x90, 0xeb, 0xfe);
  for (const [i, cpu] of cpus.entries()) {
    start(cpu, 32, 0x1000);
    cpu.x86.R[S.RDX] = i;
  }
  set.run(1);
  assertEquals(cpus[0].location.linear, 0xfffffff0);
  start(cpus[0], 32, 0x1007);
  set.run(100);
  assertEquals([cpus[1].activity, cpus[1].instructions], ["wait-for-sipi", 1]);
});

Deno.test("A processor's last instructions are its own, also when each is stepped", () => {
  const { set, cpus, put } = testProcessors(2, { turn: 1 });
  put(0x1000, 0x90, 0x90, 0x90, 0xeb, 0xfb);
  put(0x2000, 0x90, 0xeb, 0xfd);
  start(cpus[0], 32, 0x1000);
  start(cpus[1], 32, 0x2000);
  set.run(17);
  assertEquals(cpus[0].recent(4).map(({ ip }) => ip), [0x1001, 0x1002, 0x1003, 0x1000]);
  assertEquals(cpus[1].recent(3).map(({ ip }) => ip), [0x2001, 0x2000, 0x2001]);
});
