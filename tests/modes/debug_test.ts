/** Interrupts, single steps and breakpoints between and within instructions. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { writeDebug } from "../../accel/x86/system/debug.ts";
import { Bed, CODE, code, CODE3, DATA, type Trap } from "./bed.ts";

const BS = 1 << 14;
const DB = (eip: number, cs = 8): Trap => ({ vector: S.DB, cs, eip });

/** A handler for #DB that notes EIP and DR6's low half in a list at DATA, then returns. */
function trace(bed: Bed): void {
  bed.gate(S.DB, 0x8e, 8, 0x6800);
  bed.write32(0x6ffc, DATA);
  bed.put(
    0x6800,
    code(`
    50                   ; push eax
    53                   ; push ebx
    8b 1d fc 6f 00 00    ; mov ebx,[0x6ffc]
    8b 44 24 08          ; mov eax,[esp+8]
    89 03                ; mov [ebx],eax
    0f 21 f0             ; mov eax,dr6
    66 89 43 04          ; mov [ebx+4],ax
    66 8b 44 24 10       ; mov ax,[esp+16]
    66 89 43 06          ; mov [ebx+6],ax
    83 05 fc 6f 00 00 08 ; add dword [0x6ffc],8
    31 c0                ; xor eax,eax
    0f 23 f0             ; mov dr6,eax
    5b                   ; pop ebx
    58                   ; pop eax
    cf                   ; iret
  `),
  );
}

/** What the handler noted: EIP, DR6, and the saved flags' low half. */
function traced(bed: Bed): { eip: number; dr6: number; tf: boolean }[] {
  const list = [];
  for (let at = DATA; at < bed.read32(0x6ffc); at += 8) {
    const flags = bed.read16(at + 6);
    list.push({ eip: bed.read32(at), dr6: bed.read16(at + 4) & 0xf00f, tf: (flags & S.TF) !== 0 });
  }
  return list;
}
const eips = (bed: Bed) => traced(bed).map(({ eip }) => eip - CODE);

// pushf; or dword [esp],100h; popf
const SET_TF = [0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d];

Deno.test("Single steps trap after each instruction, the first one after the POPF that set TF", () => {
  const bed = new Bed().protect();
  trace(bed);
  bed.put(CODE, [
    ...SET_TF,
    ...code(`
    90                      ; nop
    40                      ; inc eax
    eb 01                   ; jmp short over
    f4                      ; hlt
    8b 1d 00 00 02 00       ; over: mov ebx,[0x20000]
    81 64 24 fc ff fe ff ff ; and dword [esp-4],~0x100
    6a 02                   ; push dword 2
    9d                      ; popf
    90                      ; nop
    f4                      ; hlt
  `),
  ]);
  assertEquals(bed.run(), undefined);
  assertEquals(eips(bed), [10, 11, 14, 20, 28, 30, 31]);
  assertEquals(traced(bed).map(({ dr6 }) => dr6), new Array(7).fill(BS));
  // The instruction that clears TF is still stepped over.
  assertEquals(traced(bed).map(({ tf }) => tf), [true, true, true, true, true, true, false]);
});

Deno.test("Single steps trap after each iteration of REP, at the instruction until the last", () => {
  const bed = new Bed().protect();
  trace(bed);
  bed.R[S.RDI] = DATA + 0x800;
  bed.R[S.RCX] = 3;
  bed.put(CODE, [...SET_TF, 0xf3, 0xaa, 0x90, 0x6a, 2, 0x9d, 0xf4]); // rep stosb; nop; push 2; popf; hlt
  assertEquals(bed.run(), undefined);
  assertEquals(eips(bed), [9, 9, 11, 12, 14, 15]);
});

Deno.test("A load of SS holds the step off for one instruction", () => {
  for (const load of [[0x8e, 0xd0], [0x17]]) {
    const bed = new Bed().protect();
    trace(bed);
    const { R } = bed;
    R[S.RAX] = 0x10;
    const n = load.length;
    // push eax; (TF); mov ss,ax or pop ss; nop; nop; push 2; popf; hlt
    bed.put(CODE, [0x50, ...SET_TF, ...load, 0x90, 0x90, 0x6a, 2, 0x9d, 0xf4]);
    // POP SS takes what was pushed first.
    assertEquals(bed.run(), undefined);
    assertEquals(eips(bed), [11 + n, 12 + n, 14 + n, 15 + n], `${load}`);
  }
});

Deno.test("INT clears TF for its handler; the step comes after the first instruction behind IRET", () => {
  const bed = new Bed().protect();
  trace(bed);
  bed.gate(0x40, 0x8e, 8, 0x6a00);
  bed.put(0x6a00, [0x40, 0x40, 0xcf]); // inc eax; inc eax; iret
  bed.put(CODE, [...SET_TF, 0xcd, 0x40, 0x90, 0x90, 0x6a, 2, 0x9d, 0xf4]); // int 40h; nop; nop; push 2; popf; hlt
  assertEquals(bed.run(), undefined);
  assertEquals(eips(bed), [12, 13, 15, 16]);
});

Deno.test("A fault has no step; the instruction's step comes when it is done at last", () => {
  const bed = new Bed().protect();
  trace(bed);
  bed.gate(S.DE, 0x8e, 8, 0x6a00);
  bed.put(0x6a00, [0xb3, 1, 0xcf]); // mov bl,1; iret
  bed.R[S.RBX] = 0;
  bed.R[S.RAX] = 6;
  bed.put(CODE, [...SET_TF, 0xf6, 0xf3, 0x6a, 2, 0x9d, 0xf4]); // div bl; push 2; popf; hlt
  assertEquals(bed.run(), undefined);
  assertEquals(eips(bed), [11, 13, 14]);
});

Deno.test("IRET to a context with TF: its first instruction is stepped over", () => {
  const bed = new Bed().protect();
  trace(bed);
  bed.put(
    CODE,
    code(`
    68 02 01 00 00 ; push dword 0x102
    0e             ; push cs
    68 0c 00 01 00 ; push dword next
    cf             ; iret
    90             ; next: nop
    90             ; nop
    6a 02          ; push dword 2
    9d             ; popf
    f4             ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals(eips(bed), [13, 14, 16, 17]);
});

Deno.test("Instruction breakpoints trap before, once: RF lets the instruction pass", () => {
  const bed = new Bed().protect();
  const { R, cpu } = bed;
  bed.put(CODE, [0x40, 0x40, 0x40, 0xf4]); // inc eax three times; hlt
  R[S.RAX] = 0;
  writeDebug(cpu.x86, 0, CODE + 1);
  writeDebug(cpu.x86, 7, 1);
  assertEquals([bed.run(), R[S.RAX], R[S.DR6] & 0xf00f], [DB(CODE + 1), 1, 1]);
  // What a debugger does: RF in the image, IRET.
  bed.put(0x6a00, [0xcf]);
  bed.write32(R[S.RSP] + 8, bed.read32(R[S.RSP] + 8) | S.RF);
  R[S.RIP] = 0x6a00;
  R[S.ACTIVITY] = 0;
  assertEquals([bed.run(), R[S.RAX], R[S.EFLAGS] & S.RF], [undefined, 3, 0]);
});

Deno.test("Faults save RF set, traps and interrupts save it clear", () => {
  const faulting = new Bed().protect();
  faulting.put(CODE, [0x0f, 0x0b]);
  faulting.run();
  assertEquals(faulting.savedFlags & S.RF, S.RF);
  const trapping = new Bed().protect();
  trapping.put(CODE, [0xcc]);
  trapping.run();
  assertEquals(trapping.savedFlags & S.RF, 0);
  const interrupted = new Bed().protect();
  interrupted.put(CODE, [0xfb, 0x90, 0x90]);
  interrupted.cpu.setIntr(true);
  assertEquals(interrupted.run(), { vector: 0x20, cs: 8, eip: CODE + 2 });
  assertEquals(interrupted.savedFlags & S.RF, 0);
});

Deno.test("Data breakpoints trap after the access, by kind, length and overlap", () => {
  const W1 = 0x10001, RW4 = 0xf0001, W2 = 0x50001;
  const cases: [number, number, number[], boolean][] = [
    // DR0, DR7, the instruction at EBX = DATA + 100h, whether it traps
    [0x100, W1, [0x88, 0x03], true], // mov [ebx],al
    [0x101, W1, [0x88, 0x03], false],
    [0x103, W1, [0x89, 0x03], true], // mov [ebx],eax
    [0x100, W1, [0x8b, 0x03], false], // mov eax,[ebx]
    [0x100, RW4, [0x8a, 0x43, 0x03], true], // mov al,[ebx+3]
    [0x100, RW4, [0x8a, 0x43, 0x04], false],
    [0x102, W2, [0x66, 0x89, 0x43, 0x01], true], // mov [ebx+1],ax
    [0x102, W2, [0x66, 0x89, 0x03], false],
    [0x100, W1, [0x00, 0x03], true], // add [ebx],al
    [0x100, RW4, [0x84, 0x03], true], // test [ebx],al
    [0x100, W1, [0x87, 0x03], true], // xchg [ebx],eax
    [0x100, RW4, [0xdd, 0x03], true], // fld qword [ebx]
    [0x104, W1, [0xdd, 0x13], true], // fst qword [ebx]
    [0x100, W1, [0xa5], true], // movsd
    [0x100, W1, [0x0f, 0xc0, 0x03], true], // xadd [ebx],al
    [0x1000, W1, [0x89, 0x83, 0xfe, 0x0e, 0, 0], true], // mov [ebx+0EFEh],eax across the page
  ];
  for (const [address, dr7, bytes, traps] of cases) {
    const bed = new Bed().protect();
    const { R, cpu } = bed;
    R[S.RBX] = R[S.RDI] = DATA + 0x100;
    R[S.RSI] = DATA + 0x800;
    bed.put(CODE, [...bytes, 0x90, 0xf4]);
    writeDebug(cpu.x86, 0, DATA + address);
    writeDebug(cpu.x86, 7, dr7);
    const expected = traps ? DB(CODE + bytes.length) : undefined;
    assertEquals(bed.run(), expected, `${bytes}`);
    if (traps) assertEquals(R[S.DR6] & 0xf00f, 1, `${bytes}`);
  }
});

Deno.test("A data breakpoint on the stack sees PUSH, CALL and an interrupt's frame", () => {
  for (const bytes of [[0x50], [0xe8, 0, 0, 0, 0], [0x60], [0xc8, 4, 0, 0], [0x9c]]) {
    const bed = new Bed().protect();
    writeDebug(bed.cpu.x86, 1, 0x7ffc);
    writeDebug(bed.cpu.x86, 7, 0xd0_0004);
    bed.put(CODE, [...bytes, 0xf4]);
    assertEquals(bed.run(), DB(CODE + bytes.length), `${bytes}`);
    assertEquals(bed.R[S.DR6] & 0xf00f, 2, `${bytes}`);
  }
});

Deno.test("A data breakpoint stops REP MOVS after the iteration that met it", () => {
  const bed = new Bed().protect();
  const { R, cpu } = bed;
  R[S.RSI] = DATA + 0x800;
  R[S.RDI] = DATA;
  R[S.RCX] = 0x100;
  bed.put(CODE, [0xf3, 0xa5, 0xf4]); // rep movsd; hlt
  writeDebug(cpu.x86, 3, DATA + 0x42);
  writeDebug(cpu.x86, 7, 0x10000040);
  assertEquals(bed.run(), DB(CODE));
  assertEquals([R[S.RDI], R[S.RCX], R[S.DR6] & 0xf00f], [DATA + 0x44, 0x100 - 17, 8]);
});

Deno.test("A data breakpoint met by the load of SS traps after the next instruction", () => {
  const bed = new Bed().protect();
  const { R, cpu } = bed;
  bed.write32(DATA, 0x10);
  bed.put(CODE, [0x8e, 0x15, 0, 0, 2, 0, 0x40, 0x40, 0xf4]); // mov ss,[DATA]; inc eax; inc eax; hlt
  R[S.RAX] = 0;
  writeDebug(cpu.x86, 0, DATA);
  writeDebug(cpu.x86, 7, 0x30001);
  assertEquals([bed.run(), R[S.RAX]], [DB(CODE + 7), 1]);
});

Deno.test("INT1 reports what a load of SS held off, in one exception; INT n leaves it for its handler's first instruction", () => {
  for (
    const [bytes, eip, handler] of [[[0xf1], CODE + 7, CODE + 7], [
      [0xcd, 1],
      0x6a00,
      CODE + 8,
    ]] as const
  ) {
    const bed = new Bed().protect();
    const { R, cpu } = bed;
    bed.write32(DATA, 0x10);
    bed.gate(S.DB, 0x8e, 8, 0x6a00);
    bed.put(0x6a00, [0xf4]);
    bed.put(CODE, [0x8e, 0x15, 0, 0, 2, 0, ...bytes, 0x90]); // mov ss,[DATA]; int1 or int 1
    writeDebug(cpu.x86, 0, DATA);
    writeDebug(cpu.x86, 7, 0x30001);
    bed.run();
    const word = (n: number) => bed.read32(R[S.RSP] + 4 * n);
    assertEquals([word(0), R[S.DR6] & 0xf00f, R[S.PENDING_DEBUG]], [eip, 1, 0]);
    assertEquals(word(bytes.length === 1 ? 0 : 3), handler);
  }
});

Deno.test("I/O breakpoints see IN, OUT and the string forms when CR4.DE is set", () => {
  for (const [bytes, size] of [[[0xec], 1], [[0xef], 1], [[0x6d], 1], [[0xf3, 0x6e], 2]] as const) {
    for (const de of [true, false]) {
      const bed = new Bed().protect();
      const { R, cpu } = bed;
      R[S.CR4] = de ? S.CR4_DE : 0;
      R[S.RDX] = 0x300;
      R[S.RCX] = 1;
      R[S.RSI] = R[S.RDI] = DATA;
      bed.put(CODE, [...bytes, 0xf4]);
      writeDebug(cpu.x86, 0, 0x300);
      writeDebug(cpu.x86, 7, 0x20001);
      assertEquals(bed.run(), de ? DB(CODE + size) : undefined, `${bytes} ${de}`);
    }
  }
});

Deno.test("DR7.GD catches every access to debug registers, and the handler may use them", () => {
  const bed = new Bed().protect();
  const { R, cpu } = bed;
  bed.put(CODE, [0x40, 0x0f, 0x21, 0xc0]); // inc eax; mov eax,dr0
  R[S.RAX] = 0;
  writeDebug(cpu.x86, 7, 1 << 13);
  assertEquals(bed.run(), DB(CODE + 1));
  assertEquals([R[S.RAX], R[S.DR6] & 0xf00f, R[S.DR7] & (1 << 13)], [1, 1 << 13, 0]);
});

Deno.test("An interrupt comes between two iterations of REP, prefixes and all, and the rest follows IRET", () => {
  const bed = new Bed().protect();
  const { R, cpu, memory } = bed;
  bed.gate(0x20, 0x8e, 8, 0x6a00);
  bed.put(
    0x6a00,
    code(`
    ff 34 24          ; push dword [esp]
    8f 05 00 00 02 00 ; pop dword [0x20000]
    89 0d 04 00 02 00 ; mov [0x20004],ecx
    e6 80             ; out 0x80,al
    cf                ; iret
  `),
  );
  bed.ports.claim("probe", 0x80, 1, { read: () => 0, write: () => cpu.setIntr(false) });
  // A register in memory whose 5th write raises the line.
  let writes = 0;
  memory.addMmio("probe", 0xf0000000, 0x1000, {
    read: () => 0,
    write: () => {
      if (++writes === 5) cpu.setIntr(true);
    },
  });
  R[S.RDI] = 0xf0000000 | 0;
  R[S.RSI] = DATA + 0x800;
  R[S.RCX] = 12;
  R[S.EFLAGS] |= S.IF;
  bed.put(CODE, [0xf3, 0x2e, 0xa4, 0xf4]); // rep movs byte [es:edi],[cs:esi]; hlt
  assertEquals(bed.run(), undefined);
  assertEquals([bed.read32(DATA), bed.read32(DATA + 4), R[S.RCX], writes], [CODE, 7, 0, 12]);
});

Deno.test("REP with a count of zero does nothing, a step apart; REPE stops where it should", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RSI] = DATA;
  R[S.RDI] = 0xfffffff0 | 0;
  R[S.RCX] = 0;
  bed.put(DATA, [1, 1, 1, 2, 1]);
  bed.put(
    CODE,
    code(`
    f3 a4          ; rep movsb
    bf 00 00 02 00 ; mov edi,0x20000
    b0 01          ; mov al,1
    b1 09          ; mov cl,9
    f3 ae          ; repe scasb
    89 ca          ; mov edx,ecx
    b1 09          ; mov cl,9
    f2 ae          ; repne scasb
    f4             ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RDX], R[S.RDI], R[S.RCX], R[S.RSI]], [5, DATA + 5, 8, DATA]);
});

Deno.test("STI keeps interrupts off for one instruction, STI and CLI for none; a load of SS holds off NMI too", () => {
  const sti = new Bed().protect();
  sti.put(CODE, [0xfb, 0xfa, 0x90, 0xf4]); // sti; cli; nop; hlt
  sti.cpu.setIntr(true);
  sti.cpu.run(10);
  assertEquals([sti.trap(), sti.R[S.RIP]], [undefined, CODE + 4]);
  const nmi = new Bed().protect();
  nmi.ports.claim("probe", 0x80, 1, { read: () => 0, write: () => nmi.cpu.nmi() });
  nmi.R[S.RAX] = 0x10;
  nmi.put(CODE, [0xe6, 0x80, 0x90, 0xf4]); // out 80h,al; nop; hlt
  assertEquals(nmi.run(), { vector: 2, cs: 8, eip: CODE + 2 });
  const held = new Bed().protect();
  held.R[S.RAX] = 0x10;
  held.put(CODE, [0x8e, 0xd0, 0x40, 0x40, 0xf4]); // mov ss,ax; inc eax; inc eax; hlt
  held.cpu.run(1);
  held.cpu.nmi();
  assertEquals(held.run(), { vector: 2, cs: 8, eip: CODE + 3 });
});

Deno.test("A second NMI waits for the IRET of the first", () => {
  const bed = new Bed().protect();
  const { R, cpu } = bed;
  bed.gate(2, 0x8e, 8, 0x6a00);
  bed.put(0x6a00, [0x43, 0x90, 0x90, 0xcf]); // inc ebx; nop; nop; iret
  bed.put(CODE, [0x40, 0x40, 0x40, 0xf4]);
  R[S.RAX] = R[S.RBX] = 0;
  cpu.nmi();
  cpu.run(2);
  cpu.nmi();
  cpu.run(1);
  assertEquals([R[S.RBX], R[S.RIP]], [1, 0x6a03]);
  cpu.run(2);
  assertEquals([R[S.RBX], R[S.RIP]], [2, 0x6a01]);
  cpu.run(100);
  assertEquals([R[S.RAX], cpu.activity], [3, "halted"]);
});

Deno.test("HLT ends at an interrupt with IF, whose return address is behind it; HLT in ring 3 is refused", () => {
  const bed = new Bed().protect();
  bed.R[S.EFLAGS] |= S.IF;
  bed.put(CODE, [0xf4, 0x90]);
  bed.cpu.run(5);
  assertEquals([bed.cpu.activity, bed.R[S.RIP]], ["halted", CODE + 1]);
  bed.cpu.setIntr(true);
  assertEquals(bed.run(), { vector: 0x20, cs: 8, eip: CODE + 1 });
  const user = new Bed().protect(3);
  user.put(CODE, [0xf4]);
  assertEquals(user.run(), { vector: S.GP, error: 0, cs: CODE3, eip: CODE });
});

Deno.test("Single steps in virtual-8086 mode reach the monitor, and steps of real mode its own handler", () => {
  const v86 = new Bed().virtual8086(3);
  v86.R[S.EFLAGS] |= S.TF;
  v86.put(CODE, [0x40, 0x90]);
  assertEquals(v86.run(), DB(1, CODE >>> 4));
  assertEquals([v86.savedFlags & (S.TF | S.VM), v86.R[S.DR6] & 0xf00f], [S.TF | S.VM, BS]);
  const real = new Bed().real();
  real.R[S.EFLAGS] |= S.TF;
  real.put(CODE, [0x40, 0x90]);
  assertEquals(real.run(), DB(1, CODE >>> 4));
  assertEquals([real.savedFlags & S.TF, real.R[S.EFLAGS] & S.TF], [S.TF, 0]);
});
