/** Paging: precise faults on every kind of access, tables changed in place, large, global and PAE pages. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { writeCr0, writeCr4 } from "../../accel/x86/system/control.ts";
import {
  ACCESSED,
  Bed,
  CODE,
  code,
  CODE3,
  DATA,
  DIRECTORY,
  DIRTY,
  GLOBAL,
  LARGE,
  P,
  RW,
  type Trap,
  US,
} from "./bed.ts";

const PF = (error: number, eip: number, cs = 8): Trap => ({ vector: S.PAGE_FAULT, error, cs, eip });
const ALL = P | RW | US;

Deno.test("An instruction that ends in a page that is not there faults there, and runs once the page is", () => {
  for (const ring of [0, 3] as const) {
    // add eax,01020304h; hlt
    const bytes = [0x05, 4, 3, 2, 1, 0xf4];
    for (let tail = 1; tail < 5; tail++) {
      const bed = new Bed().protect(ring).page();
      const at = CODE + 0x1000 - tail;
      bed.R[S.RIP] = at;
      bed.R[S.RAX] = 0;
      bed.put(at, bytes);
      bed.map(CODE + 0x1000, 0);
      const error = ring === 3 ? 4 : 0, cs = ring === 3 ? CODE3 : 8;
      assertEquals(bed.run(), PF(error, at, cs), `tail ${tail}`);
      assertEquals([bed.R[S.CR2], bed.R[S.RAX]], [CODE + 0x1000, 0]);
      assertEquals(bed.read32(bed.entry(CODE)) & ACCESSED, ACCESSED);
      bed.write32(bed.entry(CODE + 0x1000), (CODE + 0x1000) | ALL); // No INVLPG: absence is not remembered.
      const again = bed.R;
      again[S.RIP] = at;
      again[S.ACTIVITY] = 0;
      if (ring === 0) assertEquals([bed.run(), again[S.RAX]], [undefined, 0x01020304]);
    }
  }
});

Deno.test("An instruction that ends with its page needs no other page", () => {
  const bed = new Bed().protect().page();
  bed.R[S.RIP] = CODE + 0xffb;
  bed.R[S.RAX] = 0;
  bed.put(CODE + 0xffb, [0x05, 4, 3, 2, 1]);
  bed.map(CODE + 0x1000, 0);
  assertEquals(bed.run(), PF(0, CODE + 0x1000));
  assertEquals([bed.R[S.CR2], bed.R[S.RAX]], [CODE + 0x1000, 0x01020304]);
});

Deno.test("An invalid opcode at the end of a page is invalid, whatever comes after", () => {
  const bed = new Bed().protect().page();
  bed.R[S.RIP] = CODE + 0xffe;
  bed.put(CODE + 0xffe, [0x0f, 0x0b]); // ud2
  bed.map(CODE + 0x1000, 0);
  assertEquals(bed.run(), { vector: S.UD, cs: 8, eip: CODE + 0xffe });
});

Deno.test("An encoding without a meaning is refused only when all of its operand was fetched", () => {
  // mov cs,[...]; the undefined FF /7
  for (const bytes of [[0x8e, 0x0d, 0, 0, 2, 0], [0xff, 0xbc, 0xcb, 1, 2, 3, 4]]) {
    const bed = new Bed().protect().page();
    bed.put(CODE + 0x1000 - bytes.length, bytes);
    bed.map(CODE + 0x1000, 0);
    bed.R[S.RIP] = CODE + 0x1000 - bytes.length;
    assertEquals(bed.run(), { vector: S.UD, cs: 8, eip: CODE + 0x1000 - bytes.length });
    const across = new Bed().protect().page();
    across.put(CODE + 0x1001 - bytes.length, bytes);
    across.map(CODE + 0x1000, 0);
    across.R[S.RIP] = CODE + 0x1001 - bytes.length;
    assertEquals(across.run(), PF(0, CODE + 0x1001 - bytes.length));
  }
});

Deno.test("A jump to a page that is not there names the very byte", () => {
  const bed = new Bed().protect().page();
  bed.put(CODE, [0xe9, 0x20, 0x10, 0, 0]); // jmp CODE + 1025h
  bed.map(CODE + 0x1000, 0);
  assertEquals(bed.run(), PF(0, CODE + 0x1025));
  assertEquals(bed.R[S.CR2], CODE + 0x1025);
});

Deno.test("User code in a supervisor's page, or reaching into one, faults with the page present", () => {
  const inside = new Bed().protect(3).page();
  inside.map(CODE, CODE | P | RW);
  inside.put(CODE, [0xf4]);
  assertEquals(inside.run(), PF(5, CODE, CODE3));
  const across = new Bed().protect(3).page();
  across.R[S.RIP] = CODE + 0xffe;
  across.put(CODE + 0xffe, [0x05, 4, 3, 2, 1]);
  across.map(CODE + 0x1000, (CODE + 0x1000) | P | RW);
  assertEquals(across.run(), PF(5, CODE + 0xffe, CODE3));
  assertEquals(across.R[S.CR2], CODE + 0x1000);
});

Deno.test("Data that crosses into a missing page faults there and leaves the first page alone", () => {
  // mov [ebx],eax; add [ebx],eax; xchg [ebx],eax; push eax; fstp tbyte [ebx]; cmpxchg8b [ebx]; pusha
  const writes: [number[], number][] = [
    [[0x89, 0x03], 2],
    [[0x01, 0x03], 2],
    [[0x87, 0x03], 2],
    [[0x50], 2],
    [[0xd9, 0xee, 0xdb, 0x3b], 2],
    [[0x0f, 0xc7, 0x0b], 2],
  ];
  for (const [bytes, error] of writes) {
    const bed = new Bed().protect().page();
    const { R } = bed;
    bed.put(CODE, bytes);
    bed.map(DATA + 0x1000, 0);
    bed.write32(DATA + 0xffc, 0x55555555);
    R[S.RBX] = DATA + 0xffe;
    R[S.RAX] = 0x11111111;
    // The frame of the fault goes to the same stack, on the page below.
    const stack = bytes[0] === 0x50;
    if (stack) continue;
    const at = bytes.length === 4 ? CODE + 2 : CODE;
    assertEquals(bed.run(), PF(error, at), `${bytes}`);
    assertEquals([R[S.CR2], bed.read32(DATA + 0xffc), R[S.RAX]], [
      DATA + 0x1000,
      0x55555555,
      0x11111111,
    ], `${bytes}`);
  }
  const read = new Bed().protect().page();
  read.put(CODE, [0x8b, 0x03]); // mov eax,[ebx]
  read.map(DATA + 0x1000, 0);
  read.R[S.RBX] = DATA + 0xffe;
  assertEquals(read.run(), PF(0, CODE));
  assertEquals(read.R[S.CR2], DATA + 0x1000);
});

Deno.test("A frame of several words that meets a missing page is not begun", () => {
  // pusha; enter 16,2; call far 8:CODE; pushf after sub
  for (const bytes of [[0x60], [0xc8, 16, 0, 2], [0x9a, 0, 0, 1, 0, 0x1b, 0]]) {
    const bed = new Bed().protect(3).page();
    const { R } = bed;
    R[S.RSP] = DATA + 0x1004; // One doubleword fits, the next is missing.
    R[S.RBP] = DATA + 0x1800;
    bed.write32(DATA + 0x1000, 0x55555555);
    bed.map(DATA, 0);
    bed.put(CODE, bytes);
    assertEquals(bed.run(), PF(6, CODE, CODE3), `${bytes}`);
    assertEquals(bed.read32(DATA + 0x1000), 0x55555555, `${bytes}`);
    assertEquals([R[S.RBP], bed.read32(0x8000 - 8)], [DATA + 0x1800, DATA + 0x1004], `${bytes}`);
  }
});

Deno.test("POPA and IRET read all of their frame before anything changes", () => {
  for (const bytes of [[0x61], [0xcf], [0xcb]]) {
    const bed = new Bed().protect(3).page();
    const { R } = bed;
    const top = DATA + 0x1000 - (bytes[0] === 0x61 ? 28 : 4);
    R[S.RSP] = top;
    R[S.RDI] = 7;
    bed.map(DATA + 0x1000, 0);
    bed.put(CODE, bytes);
    assertEquals(bed.run(), PF(4, CODE, CODE3), `${bytes}`);
    assertEquals([R[S.RDI], bed.read32(0x8000 - 8), R[S.CR2]], [7, top, DATA + 0x1000], `${bytes}`);
  }
});

Deno.test("REP MOVS stops at a missing page with its counters there, and goes on", () => {
  for (const [ringError, ring] of [[6, 3], [2, 0]] as const) {
    const bed = new Bed().protect(ring).page();
    const { R } = bed;
    bed.put(CODE, [0xf3, 0xa4, ring === 0 ? 0xf4 : 0xcc]); // rep movsb; hlt or int3
    for (let n = 0; n < 0x200; n++) bed.put(DATA + n, [n & 0xff]);
    R[S.RSI] = DATA;
    R[S.RDI] = DATA + 0x1f40;
    R[S.RCX] = 0x200;
    bed.map(DATA + 0x2000, 0);
    assertEquals(bed.run(), PF(ringError, CODE, ring === 3 ? CODE3 : 8));
    assertEquals([R[S.RSI], R[S.RDI], R[S.RCX], R[S.CR2]], [
      DATA + 0xc0,
      DATA + 0x2000,
      0x140,
      DATA + 0x2000,
    ]);
    if (ring === 3) continue;
    bed.map(DATA + 0x2000, (DATA + 0x2000) | ALL);
    R[S.RIP] = CODE;
    R[S.ACTIVITY] = 0;
    assertEquals(bed.run(), undefined);
    assertEquals([R[S.RCX], bed.read8(DATA + 0x1fff), bed.read8(DATA + 0x213f)], [0, 0xbf, 0xff]);
  }
});

Deno.test("REP MOVS downwards across a page it may not read", () => {
  const bed = new Bed().protect(3).page();
  const { R } = bed;
  bed.put(CODE, [0xfd, 0xf3, 0xa5]); // std; rep movsd
  R[S.RSI] = DATA + 0x1008;
  R[S.RDI] = DATA + 0x2ff0;
  R[S.RCX] = 9;
  bed.map(DATA, DATA | P | RW);
  assertEquals(bed.run(), PF(5, CODE + 1, CODE3));
  assertEquals([R[S.RSI], R[S.RDI], R[S.RCX], R[S.CR2]], [
    DATA + 0xffc,
    DATA + 0x2fe4,
    6,
    DATA + 0xffc,
  ]);
});

Deno.test("Rights: the directory's and the table's together, and WP for the supervisor", () => {
  const WRITE = [0x89, 0x03], READ = [0x8b, 0x03];
  const outcome = (ring: 0 | 3, pde: number, pte: number, bytes: number[], wp = true) => {
    const bed = new Bed().protect(ring).page();
    if (!wp) writeCr0(bed.cpu.x86, bed.R[S.CR0] & ~S.CR0_WP);
    // A second table for the page at 12 MiB, over the data.
    bed.write32(DIRECTORY + 12, 0x33000 | pde);
    bed.write32(0x33000, DATA | pte);
    bed.R[S.RBX] = 0xc00000;
    bed.put(CODE, [...bytes, ring === 0 ? 0xf4 : 0xcc]);
    const trap = bed.run();
    const bits = bed.read32(0x33000) & (ACCESSED | DIRTY),
      above = bed.read32(DIRECTORY + 12) & ACCESSED;
    return [trap?.vector === S.PAGE_FAULT ? trap.error : "allowed", bits, above];
  };
  const READ_DONE = ["allowed", ACCESSED, ACCESSED];
  const WRITTEN = ["allowed", ACCESSED | DIRTY, ACCESSED];
  const none = (error: number) => [error, 0, 0];
  assertEquals(outcome(0, ALL, ALL, READ), READ_DONE);
  assertEquals(outcome(0, ALL, ALL, WRITE), WRITTEN);
  assertEquals(outcome(3, ALL, ALL, WRITE), WRITTEN);
  assertEquals(outcome(3, ALL, P | US, READ), READ_DONE);
  assertEquals(outcome(3, ALL, P | US, WRITE), none(7));
  assertEquals(outcome(3, P | US, ALL, WRITE), none(7));
  assertEquals(outcome(3, P | RW, ALL, READ), none(5));
  assertEquals(outcome(3, ALL, P | RW, READ), none(5));
  assertEquals(outcome(3, 0, ALL, READ), none(4));
  assertEquals(outcome(3, ALL, 0, WRITE).slice(0, 2), [6, 0]);
  assertEquals(outcome(0, P | US, ALL, WRITE), none(3));
  assertEquals(outcome(0, P | US, ALL, WRITE, false), WRITTEN);
  assertEquals(outcome(0, ALL, P, WRITE, false), WRITTEN);
  assertEquals(outcome(3, ALL, P | US, WRITE, false), none(7));
});

Deno.test("A write after a read through the same page still sets Dirty; INVLPG lets it be set again", () => {
  const bed = new Bed().protect().page();
  bed.put(
    CODE,
    code(`
    a1 00 00 02 00       ; mov eax,[0x20000]
    8b 0d 80 10 03 00    ; mov ecx,[0x31080]
    a3 04 00 02 00       ; mov [0x20004],eax
    8b 15 80 10 03 00    ; mov edx,[0x31080]
    83 25 80 10 03 00 9f ; and dword [0x31080],~0x60
    0f 01 3d 00 00 02 00 ; invlpg [0x20000]
    a3 08 00 02 00       ; mov [0x20008],eax
    8b 35 80 10 03 00    ; mov esi,[0x31080]
    f4                   ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  const { R } = bed;
  assertEquals([R[S.RCX], R[S.RDX], R[S.RSI]], [
    DATA | ALL | ACCESSED,
    DATA | ALL | ACCESSED | DIRTY,
    DATA | ALL | ACCESSED | DIRTY,
  ]);
});

Deno.test("A page that is moved is seen after INVLPG, after a load of CR3, and after a task switch of paging", () => {
  // mov eax,[DATA]; then one of the ways; mov ecx,[DATA]; hlt
  const ways = [
    code(`
    c7 05 80 10 03 00 07 10 02 00 ; mov dword [0x31080],0x21007
    0f 01 3d fc 0f 02 00          ; invlpg [0x20ffc]
    8b 0d 00 00 02 00             ; mov ecx,[0x20000]
    f4                            ; hlt
  `),
    code(`
    c7 05 80 10 03 00 07 10 02 00 ; mov dword [0x31080],0x21007
    0f 20 da                      ; mov edx,cr3
    0f 22 da                      ; mov cr3,edx
    8b 0d 00 00 02 00             ; mov ecx,[0x20000]
    f4                            ; hlt
  `),
    code(`
    c7 05 80 10 03 00 07 10 02 00 ; mov dword [0x31080],0x21007
    0f 20 c2                      ; mov edx,cr0
    81 e2 ff ff ff 7f             ; and edx,0x7fffffff
    0f 22 c2                      ; mov cr0,edx
    81 ca 00 00 00 80             ; or edx,0x80000000
    0f 22 c2                      ; mov cr0,edx
    8b 0d 00 00 02 00             ; mov ecx,[0x20000]
    f4                            ; hlt
  `),
  ];
  for (const way of ways) {
    const bed = new Bed().protect().page();
    bed.write32(DATA, 1);
    bed.write32(DATA + 0x1000, 2);
    bed.put(CODE, [0xa1, 0, 0, 2, 0, ...way]);
    assertEquals(bed.run(), undefined);
    assertEquals([bed.R[S.RAX], bed.R[S.RCX]], [1, 2]);
  }
});

Deno.test("Code in a page that is moved is fetched anew, also by the jump that was there before", () => {
  const bed = new Bed().protect().page();
  const { R } = bed;
  // The page at CODE + 1000h counts down EDX, and returns.
  bed.put(CODE + 0x1000, [0x40, 0x4a, 0x75, 0xfc, 0xc3]); // L: inc eax; dec edx; jnz L; ret
  bed.put(CODE + 0x2000, [0x41, 0x4a, 0x75, 0xfc, 0xc3]); // L: inc ecx; ...
  bed.put(
    CODE,
    code(`
    31 c0                         ; xor eax,eax
    31 c9                         ; xor ecx,ecx
    ba 05 00 00 00                ; mov edx,5
    e8 f2 0f 00 00                ; call 0x11000
    c7 05 44 10 03 00 07 20 01 00 ; mov dword [0x31044],0x12007
    0f 01 3d 00 10 01 00          ; invlpg [0x11000]
    ba 07 00 00 00                ; mov edx,7
    e8 d7 0f 00 00                ; call 0x11000
    f4                            ; hlt
  `),
  );
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RCX]], [5, 7]);
});

Deno.test("Global pages survive a load of CR3, not INVLPG and not a change of CR4.PGE", () => {
  const bed = new Bed().protect().page();
  const { R } = bed;
  writeCr4(bed.cpu.x86, S.CR4_PSE | S.CR4_PGE);
  bed.map(DATA, DATA | ALL | GLOBAL);
  bed.write32(DATA, 1);
  bed.write32(DATA + 0x1000, 2);
  bed.put(
    CODE,
    code(`
    a1 00 00 02 00                ; mov eax,[0x20000]
    c7 05 80 10 03 00 07 11 02 00 ; mov dword [0x31080],0x21107
    0f 20 da                      ; mov edx,cr3
    0f 22 da                      ; mov cr3,edx
    a1 00 00 02 00                ; mov eax,[0x20000]
    0f 20 e2                      ; mov edx,cr4
    81 e2 7f ff ff ff             ; and edx,~0x80
    0f 22 e2                      ; mov cr4,edx
    8b 0d 00 00 02 00             ; mov ecx,[0x20000]
    81 ca 80 00 00 00             ; or edx,0x80
    0f 22 e2                      ; mov cr4,edx
    8b 0d 00 00 02 00             ; mov ecx,[0x20000]
    c7 05 80 10 03 00 07 21 02 00 ; mov dword [0x31080],0x22107
    0f 01 3d 00 00 02 00          ; invlpg [0x20000]
    8b 35 00 00 02 00             ; mov esi,[0x20000]
    f4                            ; hlt
  `),
  );
  bed.write32(DATA + 0x2000, 3);
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RCX], R[S.RSI]], [1, 2, 3]);
});

Deno.test("INVLPG forgets all of a large page, a global one that outlived a load of CR3 too", () => {
  for (const bits of [LARGE | ALL, LARGE | ALL | GLOBAL]) {
    const bed = new Bed().protect().page();
    const { R } = bed;
    writeCr4(bed.cpu.x86, S.CR4_PSE | S.CR4_PGE);
    bed.write32(DIRECTORY + 4, 0x400000 | bits);
    // A table with the same pages but one, which lies elsewhere.
    for (let n = 0; n < 1024; n++) bed.write32(0x33000 + 4 * n, 0x400000 | (n << 12) | ALL);
    bed.write32(0x33000 + 4 * 5, DATA | ALL);
    bed.write32(0x405000, 1);
    bed.write32(DATA, 2);
    bed.put(
      CODE,
      code(`
    a1 00 50 40 00                ; mov eax,[0x405000]
    8b 1d 00 00 41 00             ; mov ebx,[0x410000]
    0f 20 da                      ; mov edx,cr3
    0f 22 da                      ; mov cr3,edx
    c7 05 04 00 03 00 07 30 03 00 ; mov dword [0x30004],0x33007
    0f 01 3d 00 00 41 00          ; invlpg [0x410000]
    8b 0d 00 50 40 00             ; mov ecx,[0x405000]
    f4                            ; hlt
  `),
    );
    assertEquals(bed.run(), undefined);
    assertEquals([R[S.RAX], R[S.RCX]], [1, 2]);
  }
});

Deno.test("A large page: bits 21 to 12 come from the address, reserved bits fault, CR4.PSE decides", () => {
  const bed = new Bed().protect().page();
  const { R } = bed;
  bed.write32(0x7ffffc, 0x600df00d);
  bed.put(CODE, [0xa1, 0xfc, 0xff, 0x7f, 0, 0xa1, 0, 0, 0xc0, 0]); // mov eax,[7FFFFCh]; mov eax,[C00000h]
  bed.write32(DIRECTORY + 12, 0x00200000 | ALL | LARGE);
  assertEquals(bed.run(), PF(9, CODE + 5));
  assertEquals([R[S.RAX], R[S.CR2]], [0x600df00d, 0xc00000]);
  assertEquals(bed.read32(DIRECTORY + 4) & (ACCESSED | DIRTY), ACCESSED);
  // Without PSE the same entry names a table.
  const small = new Bed().protect().page();
  small.put(CODE, [0xa1, 0, 0, 0xc0, 0, 0xf4]);
  writeCr4(small.cpu.x86, 0);
  small.write32(DIRECTORY + 12, 0x33000 | ALL | LARGE);
  small.write32(0x33000, DATA | ALL);
  small.write32(DATA, 0x1234);
  assertEquals([small.run(), small.R[S.RAX]], [undefined, 0x1234]);
});

/** PAE paging: the first 2 MiB by a table, the next by a large page. */
function pae(bed: Bed): Bed {
  const { R } = bed;
  const high = (at: number) => bed.write32(at + 4, 0);
  for (let n = 0; n < 512; n++) {
    bed.write32(0x36000 + 8 * n, (n << 12) | ALL);
    high(0x36000 + 8 * n);
  }
  bed.write32(0x35000, 0x36000 | ALL);
  bed.write32(0x35008, 0x200000 | ALL | LARGE);
  bed.write32(0x34000, 0x35000 | P);
  R[S.CR3] = 0x34000;
  writeCr4(bed.cpu.x86, S.CR4_PAE);
  writeCr0(bed.cpu.x86, R[S.CR0] | S.CR0_PG | S.CR0_WP);
  return bed;
}

Deno.test("PAE: tables of 8 bytes, large pages of 2 MiB, reserved bits, addresses that no memory has", () => {
  const bed = pae(new Bed("qemu32").protect());
  bed.write32(0x3ffffc, 0x600df00d);
  bed.put(
    CODE,
    code(`
    a1 fc ff 3f 00                ; mov eax,[0x3ffffc]
    a3 00 00 02 00                ; mov [0x20000],eax
    8b 0d 00 61 03 00             ; mov ecx,[0x36100]
    c7 05 04 61 03 00 01 00 00 00 ; mov dword [0x36104],0x1
    0f 01 3d 00 00 02 00          ; invlpg [0x20000]
    8b 15 00 00 02 00             ; mov edx,[0x20000]
    c7 05 04 61 03 00 10 00 00 00 ; mov dword [0x36104],0x10
    0f 01 3d 00 00 02 00          ; invlpg [0x20000]
    8b 35 00 00 02 00             ; mov esi,[0x20000]
  `),
  );
  // 1 in the high half is address bit 32, 10h is bit 36: reserved.
  assertEquals(bed.run(), PF(9, bed.trap()!.eip));
  const { R } = bed;
  assertEquals([R[S.RAX], R[S.RCX], R[S.RDX], R[S.CR2]], [
    0x600df00d,
    DATA | ALL | ACCESSED | DIRTY,
    -1,
    DATA,
  ]);
});

Deno.test("PAE: a directory pointer is used as CR3's load found it, and a bad one refuses the load", () => {
  const bed = pae(new Bed().protect());
  const { R } = bed;
  bed.put(
    CODE,
    code(`
    c7 05 00 40 03 00 00 00 00 00 ; mov dword [0x34000],0
    0f 01 3d 00 00 02 00          ; invlpg [0x20000]
    a1 00 00 02 00                ; mov eax,[0x20000]
    c7 05 00 40 03 00 01 50 03 00 ; mov dword [0x34000],0x35001
    c7 05 08 40 03 00 03 50 03 00 ; mov dword [0x34008],0x35003
    0f 20 d8                      ; mov eax,cr3
    0f 22 d8                      ; mov cr3,eax
  `),
  );
  bed.write32(DATA, 5);
  assertEquals(bed.run()?.vector, S.GP);
  assertEquals([R[S.CR3], bed.trap()?.error], [0x34000, 0]);
});

Deno.test("Virtual-8086 mode goes through paging as a user, segments wrap at 1 MiB plus 64 KiB", () => {
  const bed = new Bed().virtual8086(3).page();
  const { R } = bed;
  bed.map(0x100000, DATA | ALL); // FFFF:0010 lies at 1 MiB, which paging puts elsewhere.
  bed.write32(DATA, 0x1234);
  bed.map(0x21000, 0x21000 | P | RW);
  bed.put(
    CODE,
    code(`
    b8 ff ff    ; mov ax,0xffff
    8e d8       ; mov ds,ax
    8b 0e 10 00 ; mov cx,[0x10]
    b8 00 20    ; mov ax,0x2000
    8e d8       ; mov ds,ax
    89 0e fe 0f ; mov [0xffe],cx
    89 0e 00 10 ; mov [0x1000],cx
  `),
  );
  assertEquals(bed.run(), { vector: S.PAGE_FAULT, error: 7, cs: CODE >>> 4, eip: 18 });
  assertEquals([R[S.RCX] & 0xffff, R[S.CR2], bed.read16(DATA + 0xffe)], [0x1234, 0x21000, 0x1234]);
  // The data segments are null in the handler, and saved: GS, FS, DS, ES above SS and ESP.
  assertEquals([R[S.SEG_SEL + S.DS], bed.read32(R[S.RSP] + 28), bed.read32(R[S.RSP] + 16)], [
    0,
    0x2000,
    0x1000,
  ]);
});

Deno.test("System tables are read with the supervisor's rights, whatever the current privilege", () => {
  const bed = new Bed().protect(3).page();
  for (const page of [0x1000, 0x2000, 0x3000, 0x6000, 0x7000]) bed.map(page, page | P | RW);
  bed.put(CODE, [0x8e, 0xd8, 0xcd, 0x40]); // mov ds,ax; int 40h
  bed.R[S.RAX] = 0x23;
  bed.gate(0x40, 0xee, 8, 0x6000 + 8 * 0x40);
  assertEquals(bed.run(), { vector: 0x40, cs: CODE3, eip: CODE + 4 });
});

Deno.test("A fault while an exception is delivered: on the IDT, on the inner stack, on both", () => {
  const idt = new Bed().protect(3).page();
  idt.map(0x2000, 0);
  idt.put(CODE, [0xcc]);
  idt.cpu.run(10);
  assertEquals(idt.cpu.activity, "shutdown");
  // The inner stack lies on a missing page: #UD becomes #PF, which becomes #DF, which a task would survive.
  const stack = new Bed().protect(3).page();
  stack.map(0x7000, 0);
  stack.put(CODE, [0x0f, 0x0b]);
  stack.cpu.run(10);
  assertEquals(stack.cpu.activity, "shutdown");
  assertEquals(stack.R[S.CR2] & ~0xfff, 0x7000);
});
