/** Segment limits, 16-bit code in protected mode, unreal mode. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import {
  A_CODE,
  A_DATA,
  A_DOWN,
  A_READ_ONLY,
  Bed,
  CODE,
  code,
  DATA,
  FREE,
  type Trap,
} from "./bed.ts";

const GP0 = (eip: number, cs = 8): Trap => ({ vector: S.GP, error: 0, cs, eip });
const SS0 = (eip: number, cs = 8): Trap => ({ vector: S.SS_FAULT, error: 0, cs, eip });

/** Runs `mov es,ax` and one access through ES at EBX, then halts. */
function access(bed: Bed, offset: number, bytes: readonly number[]): Trap | undefined {
  bed.protect();
  bed.put(CODE, [0x8e, 0xc0, ...bytes, 0xf4]); // mov es,ax
  bed.R[S.RAX] = FREE;
  bed.R[S.RBX] = offset;
  return bed.run();
}
// mov cl,[es:ebx]; mov cx,[es:ebx]; mov ecx,[es:ebx]; mov [es:ebx],ecx; add [es:ebx],ecx; fld qword [es:ebx]
const READ8 = [0x26, 0x8a, 0x0b], READ16 = [0x26, 0x66, 0x8b, 0x0b], READ32 = [0x26, 0x8b, 0x0b];
const WRITE32 = [0x26, 0x89, 0x0b], UPDATE32 = [0x26, 0x01, 0x0b], READ64 = [0x26, 0xdd, 0x03];

Deno.test("An access may end at the limit of its segment and not beyond", () => {
  const cases: [number, number[], boolean][] = [
    [0xfff, READ8, true],
    [0x1000, READ8, false],
    [0xffe, READ16, true],
    [0xfff, READ16, false],
    [0xffc, READ32, true],
    [0xffd, READ32, false],
    [0xffc, WRITE32, true],
    [0xffd, WRITE32, false],
    [0xffd, UPDATE32, false],
    [0xff8, READ64, true],
    [0xff9, READ64, false],
    [0xffffffff, READ8, false],
    [0xfffffffe, READ32, false],
  ];
  for (const [offset, bytes, allowed] of cases) {
    const bed = new Bed();
    bed.segment(FREE, A_DATA, { base: DATA, limit: 0xfff, flags: 4 });
    const expected = allowed ? undefined : GP0(CODE + 2);
    assertEquals(access(bed, offset, bytes), expected, `${bytes} at ${offset.toString(16)}`);
  }
});

Deno.test("An expand-down segment holds what lies above its limit, up to 64 KiB or 4 GiB", () => {
  const cases: [number, number, number[], boolean][] = [
    [0, 0xfff, READ8, false],
    [0, 0x1000, READ8, true],
    [0, 0xfff, READ32, false],
    [0, 0xfffc, READ32, true],
    [0, 0xfffd, READ32, false],
    [0, 0x10000, READ8, false],
    [4, 0xfff, READ8, false],
    [4, 0x10000, WRITE32, true],
    [4, 0x10ffff, READ32, true],
    [4, 0xfffffffd, READ32, false],
  ];
  for (const [flags, offset, bytes, allowed] of cases) {
    const bed = new Bed();
    bed.segment(FREE, A_DOWN, { base: DATA, limit: 0xfff, flags });
    const expected = allowed ? undefined : GP0(CODE + 2);
    assertEquals(
      access(bed, offset, bytes),
      expected,
      `${flags} ${bytes} at ${offset.toString(16)}`,
    );
  }
});

Deno.test("Read-only data cannot be written, execute-only code not read, code never written", () => {
  const outcome = (type: number, bytes: number[]) => {
    const bed = new Bed();
    bed.segment(FREE, type, { base: DATA, limit: 0xfff, flags: 4 });
    return access(bed, 0x10, bytes);
  };
  assertEquals(outcome(A_READ_ONLY, READ32), undefined);
  assertEquals(outcome(A_READ_ONLY, WRITE32), GP0(CODE + 2));
  assertEquals(outcome(A_READ_ONLY, UPDATE32), GP0(CODE + 2));
  assertEquals(outcome(A_CODE, READ32), undefined);
  assertEquals(outcome(A_CODE, WRITE32), GP0(CODE + 2));
  assertEquals(outcome(0x99, READ32), { ...GP0(CODE), error: FREE }); // The load of ES is refused.
  const bed = new Bed().protect();
  bed.segment(FREE, 0x99);
  bed.load(S.CS, FREE);
  bed.put(
    CODE,
    code(`
    2e a1 00 00 02 00 ; mov eax,[cs:0x20000]
    f4                ; hlt
  `),
  );
  assertEquals(bed.run(), GP0(CODE, FREE));
});

Deno.test("A null segment register faults when it is used, not when it is loaded", () => {
  const bed = new Bed().protect();
  bed.put(
    CODE,
    code(`
    31 c0             ; xor eax,eax
    8e d8             ; mov ds,eax
    8e c0             ; mov es,eax
    2e a1 00 00 02 00 ; mov eax,[cs:0x20000]
    a1 00 00 02 00    ; mov eax,[0x20000]
  `),
  );
  assertEquals(bed.run(), GP0(CODE + 12));
});

Deno.test("Accesses through EBP and ESP report the stack segment", () => {
  for (
    const [bytes, size] of [[[0x8b, 0x4d, 0x00], 3], [[0x8b, 0x0c, 0x24], 3], [[0x5b], 1]] as const
  ) {
    const bed = new Bed().protect();
    bed.segment(FREE, A_DATA, { base: DATA, limit: 0xfff, flags: 4 });
    bed.load(S.SS, FREE);
    bed.R[S.RSP] = bed.R[S.RBP] = 0xffd;
    bed.put(CODE, [...bytes, 0xf4]); // mov ecx,[ebp]; mov ecx,[esp]; pop ebx
    // The handler's frame fits below.
    assertEquals(bed.run(), SS0(CODE), `${size}`);
    assertEquals(bed.R[S.RSP], 0xffd - 16);
  }
});

Deno.test("A push that does not fit leaves the stack pointer alone, and its fault becomes a double fault", () => {
  const bed = new Bed().protect();
  bed.segment(FREE, A_DATA, { base: DATA, limit: 0xfff, flags: 4 });
  bed.load(S.SS, FREE);
  bed.R[S.RSP] = 0x2000;
  bed.put(CODE, [0x50]); // push eax
  bed.cpu.run(10);
  // #SS cannot be delivered on that stack, nor can the double fault.
  assertEquals([bed.cpu.activity, bed.R[S.RSP]], ["shutdown", 0x2000]);
});

Deno.test("A 16-bit stack wraps within 64 KiB and keeps the upper half of ESP", () => {
  const bed = new Bed().protect();
  bed.segment(FREE, A_DATA, { base: DATA, limit: 0xffff, flags: 0 });
  bed.load(S.SS, FREE);
  bed.R[S.RSP] = 0x12340000 | 0;
  bed.R[S.RBP] = 0x77770010;
  bed.put(
    CODE,
    code(`
    68 44 33 22 11 ; push dword 0x11223344
    9c             ; pushf
    58             ; pop eax
    e8 00 00 00 00 ; call next
    59             ; next: pop ecx
    66 68 66 55    ; push word 0x5566
    89 e2          ; mov edx,esp
    c9             ; leave
    f4             ; hlt
  `),
  );
  bed.write32(DATA + 0x10, 0xabcdef01);
  assertEquals(bed.run(), undefined);
  const { R } = bed;
  assertEquals([bed.read32(DATA + 0xfffc), bed.read16(DATA + 0xfffa)], [0x11223344, 0x5566]);
  assertEquals(R[S.RCX], CODE + 12);
  assertEquals([R[S.RDX], R[S.RSP], R[S.RBP]], [0x1234fffa, 0x12340014, 0xabcdef01 | 0]);
});

Deno.test("A push across the top of a 16-bit stack is a stack fault", () => {
  const bed = new Bed().protect();
  bed.segment(FREE, A_DATA, { base: DATA, limit: 0xffff, flags: 0 });
  bed.load(S.SS, FREE);
  bed.R[S.RSP] = 2;
  bed.put(CODE, [0x50]); // push eax
  bed.cpu.run(10);
  assertEquals(bed.cpu.activity, "shutdown"); // The frame of #SS would cross there as well.
  assertEquals(bed.R[S.RSP], 2);
});

Deno.test("PUSHA, POPA and ENTER on a 16-bit stack in 32-bit code wrap word by word", () => {
  const bed = new Bed().protect();
  bed.segment(FREE, A_DATA, { base: DATA, limit: 0xffff, flags: 0 });
  bed.load(S.SS, FREE);
  const { R } = bed;
  R[S.RSP] = 0x55550010;
  R[S.RAX] = 0x01010101;
  R[S.RDI] = 0x07070707;
  R[S.RBP] = 0x66660020;
  bed.put(
    CODE,
    code(`
    60          ; pusha
    89 e0       ; mov eax,esp
    31 ff       ; xor edi,edi
    61          ; popa
    c8 08 00 00 ; enter 8,0
    f4          ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals([bed.read32(DATA + 0x0c), bed.read32(DATA + 0xfff0)], [0x66660020, 0x07070707]);
  assertEquals([R[S.RAX], R[S.RDI], R[S.RSP], R[S.RBP]], [
    0x01010101,
    0x07070707,
    0x55550004,
    0x5555000c,
  ]);
});

Deno.test("A 16-bit code segment computes in words and addresses in words unless prefixes say else", () => {
  const bed = new Bed().protect();
  bed.segment(FREE, A_CODE, { base: CODE, limit: 0xffff, flags: 0 });
  bed.load(S.CS, FREE);
  const { R } = bed;
  R[S.RIP] = 0;
  R[S.RBX] = 0x0002fffe;
  R[S.RSI] = 0x00010004;
  R[S.RCX] = 0x00010001;
  R[S.RAX] = -1;
  bed.write32(2, 0x89abcdef); // BX + SI wraps to 2 through flat DS.
  bed.put(
    CODE,
    code(`
    8b 10                   ; mov dx,[bx+si]
    66 8b 38                ; mov edi,[bx+si]
    67 8b 84 33 fe ff fb ff ; mov ax,[dword ebx+esi-0x40001-1]
    66 8d 28                ; lea ebp,[bx+si]
    e2 fe                   ; loop $
    67 e3 01                ; a32 jcxz done
    40                      ; inc ax
    50                      ; done: push ax
    66 50                   ; push eax
    e8 00 00                ; call near next
    5a                      ; next: pop dx
    f4                      ; hlt
  `),
  );
  bed.write16(0x2fffe + 0x10004 - 0x40002, 0x1357);
  assertEquals(bed.run(), undefined);
  assertEquals(R[S.RDI], 0x89abcdef | 0);
  assertEquals(R[S.RBP], 2);
  assertEquals(R[S.RAX] >>> 0, 0xffff1358);
  assertEquals(R[S.RCX], 0x00010000); // LOOP counts CX alone, JECXZ looks at ECX.
  assertEquals([R[S.RSP], R[S.RDX] & 0xffff], [0x8000 - 6, R[S.RIP] - 2]);
});

Deno.test("A jump in 16-bit code cuts its target to a word; running past the top is a protection fault", () => {
  const bed = new Bed().protect();
  bed.segment(FREE, A_CODE, { base: CODE, limit: 0xffff, flags: 0 });
  bed.load(S.CS, FREE);
  bed.R[S.RIP] = 0x10;
  bed.put(CODE + 0x10, [0xeb, 0xec]); // jmp short -18h: to FFFEh
  bed.put(CODE + 0xfffe, [0x40, 0x90]); // inc ax; nop, and then IP is 10000h
  bed.R[S.RAX] = 0;
  assertEquals(bed.run(), GP0(0x10000, FREE));
  assertEquals(bed.R[S.RAX], 1);
});

Deno.test("String instructions with 16-bit addresses wrap SI and DI and keep their upper halves", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  bed.segment(FREE, A_DATA, { base: DATA, limit: 0xffff, flags: 4 });
  bed.load(S.ES, FREE);
  bed.load(S.DS, FREE);
  R[S.RSI] = 0x1234fffe;
  R[S.RDI] = 0x56780100;
  R[S.RCX] = 0x00070006;
  [...new Array(6).keys()].forEach((n) => bed.put(DATA + ((0xfffe + n) & 0xffff), [n + 1]));
  bed.put(
    CODE,
    code(`
    f3 67 a4 ; a16 rep movsb
    f4       ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RSI], R[S.RDI], R[S.RCX]], [0x12340004, 0x56780106, 0x00070000]);
  assertEquals([bed.read32(DATA + 0x100), bed.read16(DATA + 0x104)], [0x04030201, 0x0605]);
});

Deno.test("A repeated string instruction stops exactly at the limit of its segment", () => {
  for (const [bytes, per] of [[[0xf3, 0xaa], 1], [[0xf3, 0xab], 4]] as const) {
    const bed = new Bed().protect();
    const { R } = bed;
    bed.segment(FREE, A_DATA, { base: DATA, limit: 0x10ff, flags: 4 });
    bed.load(S.ES, FREE);
    R[S.RDI] = 0x1000;
    R[S.RCX] = 0x1000;
    R[S.RAX] = 0x5a5a5a5a;
    bed.put(CODE, bytes); // rep stosb; rep stosd
    assertEquals(bed.run(), GP0(CODE));
    assertEquals([R[S.RDI], R[S.RCX]], [0x1100, 0x1000 - 0x100 / per]);
    assertEquals([bed.read8(DATA + 0x10ff), bed.read8(DATA + 0x1100)], [0x5a, 0]);
  }
});

Deno.test("An instruction may end at the limit of CS and not beyond, wherever the limit lies in a page", () => {
  for (const limit of [0x0fff, 0x1000, 0x1001, 0x17ff, 0x1fff, 0x2000]) {
    // mov al,imm8 whose last byte is at the limit, then one byte more of the next.
    const whole = new Bed().protect();
    whole.segment(FREE, A_CODE, { base: CODE, limit, flags: 4 });
    whole.load(S.CS, FREE);
    whole.R[S.RIP] = limit - 3;
    whole.put(CODE + limit - 3, [0xb0, 0x11, 0xb0, 0x22, 0xb0, 0x33]);
    assertEquals(whole.run(), GP0(limit + 1, FREE), `limit ${limit.toString(16)}`);
    assertEquals(whole.R[S.RAX] & 0xff, 0x22);
    const half = new Bed().protect();
    half.segment(FREE, A_CODE, { base: CODE, limit, flags: 4 });
    half.load(S.CS, FREE);
    half.R[S.RIP] = limit - 2;
    half.put(CODE + limit - 2, [0xb0, 0x11, 0xb0, 0x22, 0xb0, 0x33]);
    assertEquals(half.run(), GP0(limit, FREE), `limit ${limit.toString(16)}`);
    assertEquals(half.R[S.RAX] & 0xff, 0x11);
  }
});

Deno.test("Beyond the limit of CS at the end of a page nothing is fetched: a fault of the segment, not of the page", () => {
  const bed = new Bed().protect().page();
  bed.segment(FREE, A_CODE, { base: CODE, limit: 0xfff, flags: 4 });
  bed.load(S.CS, FREE);
  bed.R[S.RIP] = 0xffe;
  bed.put(CODE + 0xffe, [0x05, 0]); // add eax,imm32
  bed.map(CODE + 0x1000, 0);
  assertEquals(bed.run(), GP0(0xffe, FREE));
  const present = new Bed().protect().page();
  present.segment(FREE, A_CODE, { base: CODE, limit: 0xfff, flags: 4 });
  present.load(S.CS, FREE);
  present.R[S.RIP] = 0xffd;
  present.put(CODE + 0xffd, [0x90, 0x05, 0]);
  assertEquals(present.run(), GP0(0xffe, FREE));
  assertEquals(present.read8(present.entry(CODE + 0x1000)) & 0x20, 0);
});

Deno.test("A branch beyond the limit of CS faults at the branch, with nothing changed", () => {
  // jmp; call; jz; jmp eax; call eax; loop; ret
  const branches = [
    [0xe9, 0, 0x10, 0, 0],
    [0xe8, 0, 0x10, 0, 0],
    [0x0f, 0x84, 0, 0x10, 0, 0],
    [0xff, 0xe0],
    [0xff, 0xd0],
    [0xe2, 0x7f],
    [0xc3],
  ];
  for (const bytes of branches) {
    const bed = new Bed().protect();
    bed.segment(FREE, A_CODE, { base: CODE, limit: 0x2f, flags: 4 });
    bed.load(S.CS, FREE);
    bed.R[S.RIP] = 4;
    bed.R[S.RAX] = 0x1000;
    bed.R[S.RCX] = 2;
    S.setArithFlags(bed.R, S.ZF);
    bed.write32(0x8000, 0x1000);
    bed.put(CODE + 4, bytes);
    assertEquals(bed.run(), GP0(4, FREE), `${bytes}`);
    assertEquals([bed.R[S.RSP], bed.R[S.RCX]], [0x8000 - 16, 2], `${bytes}`);
  }
});

Deno.test("CS with a base: code, data behind CS, calls and page crossings all add it", () => {
  const bed = new Bed().protect();
  bed.segment(FREE, A_CODE, { base: CODE + 0x123, limit: 0xffff, flags: 4 });
  bed.load(S.CS, FREE);
  const { R } = bed;
  R[S.RIP] = 0xed8; // Linear ...FFBh.
  R[S.RDX] = 0;
  bed.put(
    CODE + 0x123 + 0xed8,
    code(`
    05 04 03 02 01       ; add eax,0x01020304
    2e 8b 0d d9 0e 00 00 ; mov ecx,[cs:0xed9]
    e8 01 00 00 00       ; call sub
    f4                   ; hlt
    8b 14 24             ; sub: mov edx,[esp]
    c3                   ; ret
  `),
  );
  R[S.RAX] = 0;
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RCX], R[S.RDX]], [0x01020304, 0x01020304, 0xed8 + 17]);
});

Deno.test("Unreal mode keeps the limits that protected mode loaded", () => {
  const bed = new Bed().protect().real();
  const { R } = bed;
  R[S.GDTR_BASE] = 0x1000;
  R[S.GDTR_LIMIT] = 0xfff;
  bed.segment(0x38, A_DATA);
  bed.write32(0x200000, 0x600df00d);
  bed.put(
    CODE,
    code(`
    fa                      ; cli
    0f 20 c0                ; mov eax,cr0
    0c 01                   ; or al,1
    0f 22 c0                ; mov cr0,eax
    eb 00                   ; jmp short pm
    bb 38 00                ; pm: mov bx,0x38
    8e db                   ; mov ds,bx
    8e eb                   ; mov gs,bx
    24 fe                   ; and al,0xfe
    0f 22 c0                ; mov cr0,eax
    31 db                   ; xor bx,bx
    8e db                   ; mov ds,bx
    66 bb 00 00 20 00       ; mov ebx,0x200000
    66 67 8b 0b             ; mov ecx,[ebx]
    66 67 89 0d 04 00 20 00 ; mov [dword 0x200004],ecx
    65 66 67 8b 13          ; mov edx,[gs:ebx]
    26 66 67 8b 03          ; mov eax,[es:ebx]
  `),
  );
  // ES was not loaded in protected mode.
  assertEquals(bed.run(), { vector: S.GP, cs: CODE >>> 4, eip: 0x32 });
  assertEquals([R[S.RCX], bed.read32(0x200004), R[S.RDX]], [0x600df00d, 0x600df00d, 0x600df00d]);
});

Deno.test("Real mode: a word at offset FFFFh is a fault, on the stack a stack fault, and neither has an error code", () => {
  for (
    const [bytes, vector] of [
      [[0x8b, 0x07], S.GP], // mov ax,[bx]
      [[0x36, 0x8b, 0x07], S.SS_FAULT], // mov ax,[ss:bx]
      [[0x8b, 0x46, 0x00], S.SS_FAULT], // mov ax,[bp]
      [[0x66, 0xa1, 0xfd, 0xff], S.GP], // mov eax,[0xfffd]
      [[0xa5], S.GP], // movsw
    ] as const
  ) {
    const bed = new Bed().real();
    bed.R[S.RBX] = bed.R[S.RBP] = bed.R[S.RSI] = 0xffff;
    bed.put(CODE, bytes);
    assertEquals(bed.run(), { vector, cs: CODE >>> 4, eip: 0 }, `${bytes}`);
    assertEquals(bed.R[S.RSP], 0x1000 - 6);
  }
});

Deno.test("Address bit 20 that is masked wraps data and code around at 1 MiB", () => {
  const bed = new Bed().real();
  bed.put(0x100, [0x40, 0x40, 0xf4]); // inc ax; inc ax; hlt
  bed.put(0x100100, [0xf4]);
  bed.put(0x200, [0x11, 0x22]);
  bed.put(0x100200, [0x33, 0x44]);
  const { R } = bed;
  R[S.RAX] = 0;
  bed.ports.claim("a20", 0x92, 1, {
    read: () => 0,
    write: (_offset, _size, value) => bed.cpu.setA20(value !== 0),
  });
  bed.put(
    CODE,
    code(`
    bb ff ff       ; mov bx,0xffff
    8e db          ; mov ds,bx
    8b 0e 10 02    ; mov cx,[0x210]
    b0 00          ; mov al,0
    e6 92          ; out 0x92,al
    8b 16 10 02    ; mov dx,[0x210]
    c6 06 10 02 55 ; mov byte [0x210],0x55
    ea 10 01 ff ff ; jmp 0xffff:0x0110
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RCX], R[S.RDX] & 0xffff, R[S.RAX] & 0xff], [0x4433, 0x2211, 2]);
  assertEquals([bed.read8(0x200), bed.read8(0x100200)], [0x55, 0x33]);
});
