/** Code that changes under the processor: its own next bytes, other pages, other mappings, a bus master's writes. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { Bed, CODE, code, P, RW, US } from "./bed.ts";

const ALL = P | RW | US;

Deno.test("A store changes the very next instruction, also from within a loop that ran before", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RAX] = R[S.RDX] = R[S.RBX] = 0;
  bed.put(
    CODE,
    code(`
    b9 64 00 00 00    ; mov ecx,100
    31 db             ; again: xor ebx,ebx
    83 f9 32          ; cmp ecx,50
    0f 93 c3          ; setae bl
    8d 5c 1b 40       ; lea ebx,[ebx*2+0x40]
    88 1d 17 00 01 00 ; mov [next],bl
    90                ; next: nop
    e2 eb             ; loop again
    f4                ; hlt
  `),
  );
  // 42h is inc edx, 40h is inc eax.
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RDX], R[S.RAX]], [51, 49]);
});

Deno.test("A store changes the immediate of the instruction that follows it at once", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RAX] = 0;
  bed.put(
    CODE,
    code(`
    b9 e8 03 00 00    ; mov ecx,1000
    89 0d 0c 00 01 00 ; again: mov [patch+1],ecx
    05 11 11 11 11    ; patch: add eax,0x11111111
    49                ; dec ecx
    0f 85 ee ff ff ff ; jnz again
    f4                ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals(R[S.RAX], 500500);
});

Deno.test("REP STOSB that overwrites itself is fetched anew, in whatever slices it runs", () => {
  for (const slice of [1, 2, 100]) {
    const bed = new Bed().protect();
    const { R, cpu } = bed;
    bed.put(CODE, [0xf3, 0xaa, 0x90, 0x90, 0x90, 0xf4]); // rep stosb; nop; nop; nop; hlt
    R[S.RDI] = CODE;
    R[S.RCX] = 4;
    R[S.RAX] = 0x41; // inc ecx
    while (cpu.activity === "running") cpu.run(slice);
    assertEquals([R[S.RCX], R[S.RDI], cpu.instructions], [4, CODE + 2, 7], `slices of ${slice}`);
  }
});

Deno.test("REP STOSB that comes down a page and overwrites itself at last is fetched anew too", () => {
  for (const slice of [1, 100, 10000]) {
    const bed = new Bed().protect();
    const { R, cpu } = bed;
    bed.put(CODE, [0xf3, 0xaa, 0x90, 0xf4]); // rep stosb; nop; hlt
    R[S.RDI] = CODE + 0xf00;
    R[S.RCX] = 0x1000;
    R[S.RAX] = 0xf4;
    R[S.EFLAGS] |= S.DF;
    while (cpu.activity === "running") cpu.run(slice);
    assertEquals(
      [R[S.RDI], R[S.RIP], cpu.instructions],
      [CODE, CODE + 2, 0xf01],
      `slices of ${slice}`,
    );
  }
});

Deno.test("REP STOSB that overwrites what follows it goes on to the end, and that is what runs", () => {
  for (const slice of [1, 3, 100]) {
    const bed = new Bed().protect();
    const { R, cpu } = bed;
    bed.put(CODE, [0xf3, 0xaa, 0x90, 0x90, 0x90, 0xf4]);
    R[S.RDI] = CODE + 2;
    R[S.RCX] = 3;
    R[S.RAX] = 0x41;
    while (cpu.activity === "running") cpu.run(slice);
    assertEquals([R[S.RCX], R[S.RDI], cpu.instructions], [3, CODE + 5, 7], `slices of ${slice}`);
  }
});

Deno.test("A routine in another page is rewritten between calls, a hundred times over", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RAX] = 0;
  bed.put(
    CODE + 0x1ff0,
    code(`
    05 78 56 34 12 ; add eax,0x12345678
    c3             ; ret
  `),
  );
  bed.put(
    CODE,
    code(`
    b9 58 02 00 00    ; mov ecx,600
    89 0d f1 1f 01 00 ; again: mov [0x11ff1],ecx
    e8 e0 1f 00 00    ; call 0x11ff0
    89 0d 00 1f 01 00 ; mov [0x11f00],ecx
    49                ; dec ecx
    0f 85 e8 ff ff ff ; jnz again
    f4                ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals(R[S.RAX], 180300);
});

Deno.test("An instruction across two pages is rewritten in its second one", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RAX] = 0;
  bed.put(
    CODE + 0xffe,
    code(`
    05 01 00 00 01 ; add eax,0x01000001
    c3             ; ret
  `),
  );
  bed.put(
    CODE,
    code(`
    b9 2c 01 00 00       ; mov ecx,300
    66 89 0d 01 10 01 00 ; again: mov [0x11001],cx
    e8 ed 0f 00 00       ; call 0x10ffe
    49                   ; dec ecx
    0f 85 ed ff ff ff    ; jnz again
    f4                   ; hlt
  `),
  );
  // The word at 11001h is the immediate's upper half; its lower bytes stay 0001h.
  assertEquals(bed.run(), undefined);
  assertEquals(R[S.RAX] >>> 0, (45150 * 0x10000 + 300) >>> 0);
});

Deno.test("A page holds code and data: many stores beside the code leave it right", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RAX] = 0;
  bed.put(
    CODE,
    code(`
    b9 88 13 00 00    ; mov ecx,5000
    89 0d 00 08 01 00 ; again: mov [0x10800],ecx
    03 05 00 08 01 00 ; add eax,[0x10800]
    f7 c1 ff 03 00 00 ; test ecx,0x3ff
    0f 85 06 00 00 00 ; jnz skip
    fe 05 25 00 01 00 ; inc byte [patch]
    8d 5b 00          ; skip: lea ebx,[byte ebx+0]
    49                ; dec ecx
    0f 85 d8 ff ff ff ; jnz again
    f4                ; hlt
  `),
  );
  R[S.RBX] = 0;
  assertEquals(bed.run(), undefined);
  // The displacement was incremented with ECX 4096, 3072, 2048 and 1024 left.
  assertEquals([R[S.RAX], R[S.RBX]], [12502500, 1024 * (1 + 2 + 3) + 4 * 1024]);
});

Deno.test("Code written through another mapping of its page is what runs next", () => {
  const bed = new Bed().protect().page();
  const { R } = bed;
  bed.map(0x50000, (CODE + 0x1000) | ALL);
  R[S.RAX] = 0;
  bed.put(CODE + 0x1000, [0x05, 0, 0, 0, 0, 0xc3]); // add eax,imm; ret
  bed.put(
    CODE,
    code(`
    b9 64 00 00 00    ; mov ecx,100
    89 0d 01 00 05 00 ; again: mov [0x50001],ecx
    e8 f0 0f 00 00    ; call 0x11000
    89 ca             ; mov edx,ecx
    e8 e9 0f 00 00    ; call 0x11000
    49                ; dec ecx
    0f 85 e7 ff ff ff ; jnz again
    f4                ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals(R[S.RAX], 10100);
});

Deno.test("Two mappings of one page run the same code at two addresses", () => {
  const bed = new Bed().protect().page();
  const { R } = bed;
  bed.map(0x50000, (CODE + 0x1000) | ALL);
  bed.put(
    CODE + 0x1000,
    code(`
    e8 00 00 00 00 ; call next
    58             ; next: pop eax
    eb 01          ; jmp short over
    f4             ; hlt
    c3             ; over: ret
  `),
  );
  bed.put(
    CODE,
    code(`
    ba 64 00 00 00    ; mov edx,100
    e8 f6 0f 00 00    ; again: call 0x11000
    89 c1             ; mov ecx,eax
    e8 ef ff 03 00    ; call 0x50000
    4a                ; dec edx
    0f 85 ed ff ff ff ; jnz again
    f4                ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RCX], R[S.RAX]], [0x11005, 0x50005]);
});

Deno.test("One page is run with 32-bit and with 16-bit operands in turn, and rewritten for both", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  bed.segment(0x30, 0x9b, { limit: 0xfffff, flags: 0x8 });
  R[S.RAX] = R[S.RDX] = 0;
  // 05 01 00 40 90 is add eax,90400001h with 32 bits and add ax,1; inc ax; nop with 16.
  bed.put(CODE + 0x1000, [0x05, 1, 0, 0x40, 0x90, 0xcb]); // ...; retf
  bed.put(
    CODE,
    code(`
    b9 03 00 00 00       ; mov ecx,3
    31 c0                ; again: xor eax,eax
    9a 00 10 01 00 08 00 ; call 8:0x11000
    01 c2                ; add edx,eax
    9a 00 11 00 00 30 00 ; call 0x30:0x1100
    fe 05 01 10 01 00    ; inc byte [0x11001]
    e2 e6                ; loop again
    f4                   ; hlt
  `),
  );
  bed.put(
    0x1100,
    code(`
    66 31 c0                ; xor eax,eax
    0e                      ; push cs
    68 0f 11                ; push word back
    66 ea 00 10 01 00 30 00 ; jmp dword 0x30:0x11000
    66 01 c7                ; back: add edi,eax
    66 cb                   ; o32 retf
  `),
  );
  R[S.RDI] = 0;
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RDX] >>> 0, R[S.RDI]], [(0x90400001 + 0x90400002 + 0x90400003) >>> 0, 9]);
});

Deno.test("A bus master's writes change code between two instructions", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RAX] = R[S.RCX] = 0;
  bed.ports.claim("dma", 0x300, 1, {
    read: () => 0,
    write: (_offset, _size, value) => {
      bed.memory.write(CODE + 3, 1, value);
      bed.memory.writeBlock(CODE + 0x1000, new Uint8Array([0x83, 0xc1, value, 0xc3]));
    },
  });
  bed.put(CODE + 0x1000, [0xc3]);
  bed.put(
    CODE,
    code(`
    05 00 00 00 01 ; add eax,0x01000000
    83 c0 00       ; add eax,0
    ba 00 03 00 00 ; mov edx,0x300
    b0 07          ; mov al,7
    ee             ; out dx,al
    e8 eb 0f 00 00 ; call 0x11000
    f4             ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RCX], bed.read8(CODE + 3)], [0x01000007, 7, 7]);
});

Deno.test("The instruction after OUT is the one that the device's bus master has just put there", () => {
  const bed = new Bed().protect();
  const { R } = bed;
  R[S.RAX] = R[S.RCX] = 0;
  bed.ports.claim("dma", 0x80, 1, {
    read: () => 0,
    write: () => bed.memory.write(CODE + 2, 1, 0x41),
  });
  bed.put(CODE, [0xe6, 0x80, 0x40, 0xf4]); // out 80h,al; inc eax -> inc ecx; hlt
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RCX]], [0, 1]);
});

Deno.test("An instruction of 15 bytes is the longest; one more prefix is a protection fault, also across pages", () => {
  for (const at of [CODE, CODE + 0xff8, CODE + 0xfff]) {
    for (const prefixes of [14, 15]) {
      const bed = new Bed().protect().page();
      bed.R[S.RIP] = at;
      bed.R[S.RAX] = 0;
      bed.put(at, [...new Array(prefixes).fill(0x3e), 0x40, 0xf4]); // ds...; inc eax; hlt
      const expected = prefixes === 14 ? undefined : { vector: S.GP, error: 0, cs: 8, eip: at };
      assertEquals(bed.run(), expected, `${at.toString(16)} with ${prefixes}`);
      assertEquals(bed.R[S.RAX], prefixes === 14 ? 1 : 0);
    }
  }
});

Deno.test("Code runs on from the top of the address space at 0", () => {
  const bed = new Bed().protect().page();
  const { R } = bed;
  for (let n = 0; n < 1024; n++) bed.write32(0x33000 + 4 * n, 0);
  bed.write32(0x30000 + 0xffc, 0x33000 | ALL);
  bed.write32(0x33000 + 0xffc, (CODE + 0x1000) | ALL);
  bed.put(CODE + 0x1ffd, [0x40, 0x40, 0x05]); // inc eax; inc eax; add eax,imm across the top
  bed.put(0, [1, 2, 3, 4, 0xf4]);
  R[S.RIP] = 0xfffffffd | 0;
  R[S.RAX] = 0;
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RIP]], [0x04030203, 5]);
});
