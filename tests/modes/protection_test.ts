/** SMEP, SMAP, NX, global and large pages, alignment and data breakpoints, in each paging mode that has them. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { writeCr0, writeCr4 } from "../../accel/x86/system/control.ts";
import { writeDebug } from "../../accel/x86/system/debug.ts";
import { setCpl } from "../../accel/x86/system/control.ts";
import {
  Bed,
  CODE,
  code,
  DATA,
  DIRECTORY,
  GLOBAL,
  HANDLERS,
  LARGE,
  P,
  RW,
  STACK0,
  TABLE,
  US,
} from "./bed.ts";
import { HIGH, LongBed, PDPT, PT } from "./long_bed.ts";

const USER = P | RW | US, KERNEL = P | RW;

/** Ways to translate; `map` sets the entry of a page below 2 MiB. All but DATA and 12000h are the supervisor's. */
interface Way {
  name: string;
  bed: Bed;
  map(linear: number, bits: number): void;
  run(): { vector: number; error?: number; ip: number } | undefined;
}

/** The same machine in 32-bit paging, PAE paging, compatibility mode and 64-bit mode. */
function ways(cr4: number): Way[] {
  const legacy = (pae: boolean): Way => {
    const bed = new Bed().protect(), { x86 } = bed.cpu, { R } = bed;
    const map = (linear: number, bits: number) => {
      const page = linear >>> 12;
      bed.write32(pae ? PT + 8 * page : TABLE + 4 * page, (page << 12) | bits);
      x86.mmu.flushAll();
    };
    if (pae) {
      bed.write32(0x33000, 0x36000 | P);
      bed.write32(0x36000, PT | USER);
    } else bed.write32(DIRECTORY, TABLE | USER);
    for (let page = 0; page < 0x100; page++) map(page << 12, KERNEL);
    R[S.CR3] = pae ? 0x33000 : DIRECTORY;
    writeCr4(x86, (pae ? S.CR4_PAE : 0) | cr4);
    writeCr0(x86, R[S.CR0] | S.CR0_PG | S.CR0_WP);
    const run = () => {
      const trap = bed.run();
      return trap && { vector: trap.vector, error: trap.error, ip: trap.eip };
    };
    return { name: pae ? "PAE" : "32-bit", bed, map, run };
  };
  const long = (wide: boolean): Way => {
    const bed = new LongBed({ cr4, wide });
    const map = (linear: number, bits: number) => bed.mapLong(linear, (linear & ~0xfff) | bits);
    for (let page = 0; page < 0x100; page++) map(page << 12, KERNEL);
    const run = () => {
      const trap = bed.runLong();
      return trap && { vector: trap.vector, error: trap.error, ip: Number(trap.rip) };
    };
    return { name: wide ? "64-bit" : "compatibility", bed, map, run };
  };
  const all = [legacy(false), legacy(true), long(false), long(true)];
  for (const { map } of all) {
    map(DATA, USER);
    map(0x12000, USER);
  }
  return all;
}

/** Loads, then stores, through EBX: DATA. */
const TOUCH = code("8a 03 ; mov al,[ebx]\n 88 03 ; mov [ebx],al\n f4 ; hlt");
const STAC = [0x0f, 0x01, 0xcb], CLAC = [0x0f, 0x01, 0xca];

Deno.test("SMAP keeps the supervisor from user pages but while AC is set, again and again", () => {
  for (const { name, bed, run } of ways(S.CR4_SMAP)) {
    bed.R[S.RBX] = DATA;
    bed.put(CODE, [...STAC, ...TOUCH.slice(0, 4), ...CLAC, ...TOUCH]);
    assertEquals(run(), { vector: S.PAGE_FAULT, error: 1, ip: CODE + 10 }, name);
    assertEquals(bed.R[S.CR2], DATA, name);
  }
  for (const { name, bed, run } of ways(S.CR4_SMAP)) {
    bed.R[S.RBX] = DATA;
    bed.put(CODE, code("88 03 ; mov [ebx],al"));
    assertEquals(run(), { vector: S.PAGE_FAULT, error: 3, ip: CODE }, name);
  }
  // A page of the supervisor's own, a fetch, and no SMAP.
  for (const cr4 of [S.CR4_SMAP, 0]) {
    for (const { name, bed, run } of ways(cr4)) {
      bed.R[S.RBX] = cr4 === 0 ? DATA : 0x14000;
      bed.put(CODE, [...TOUCH.slice(0, 4), 0xe9, ...word(0x12000 - CODE - 9)]);
      bed.put(0x12000, [0xf4]);
      assertEquals(run(), undefined, name);
    }
  }
});

function word(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

Deno.test("SMAP: access under AC does not linger for the processor's own accesses", () => {
  for (const { name, bed, run } of ways(S.CR4_SMAP)) {
    // The local descriptor table lies in a user page: LAR reads it by itself.
    const { R } = bed;
    bed.write32(DATA + 8, 0x0000ffff);
    bed.write32(DATA + 12, 0x00cf9300);
    R[S.SEG_BASE + S.LDTR] = DATA;
    R[S.SEG_LIMIT + S.LDTR] = 0xff;
    R[S.SEG_ATTR + S.LDTR] = 0x82;
    R[S.RBX] = DATA;
    R[S.RAX] = 0xc;
    bed.put(CODE, [...STAC, ...code("8b 0b ; mov ecx,[ebx]\n 0f 02 d0 ; lar edx,eax\n f4")]);
    assertEquals(run(), { vector: S.PAGE_FAULT, error: 1, ip: CODE + 5 }, name);
    assertEquals([R[S.RCX], R[S.CR2] & ~0xf], [bed.read32(DATA), DATA], name);
  }
});

Deno.test("SMEP keeps the supervisor from executing user pages, with I/D in the error code", () => {
  for (const { name, bed, run } of ways(S.CR4_SMEP)) {
    bed.put(CODE, [0xe9, ...word(0x12000 - CODE - 5)]);
    bed.put(0x12000, [0xf4]);
    assertEquals(run(), { vector: S.PAGE_FAULT, error: 0x11, ip: 0x12000 }, name);
  }
  for (const { name, bed, run } of ways(S.CR4_SMEP)) {
    // Read as data first, and executed in ring 3 before.
    bed.R[S.RBX] = 0x12000;
    bed.put(0x12000, [0xf4]);
    bed.put(CODE, [...TOUCH.slice(0, 4), 0xe9, ...word(0x12000 - CODE - 9)]);
    assertEquals(run(), { vector: S.PAGE_FAULT, error: 0x11, ip: 0x12000 }, name);
  }
});

Deno.test("SMEP: a user page that ring 3 has executed is still none of the supervisor's", () => {
  for (const wide of [true, false]) {
    const bed = new LongBed({ cr4: S.CR4_SMEP, ring: 3, wide });
    for (let page = 0; page < 0x100; page++) bed.mapLong(page << 12, (page << 12) | KERNEL);
    for (const at of [CODE, 0x9000, 0x8000]) bed.mapLong(at, at | USER);
    bed.put(CODE, [0x90, 0x90, 0xf4]); // HLT is #GP, whose handler jumps there.
    bed.put(HANDLERS + 8 * S.GP, [0xe9, ...word(CODE - HANDLERS - 8 * S.GP - 5)]);
    const trap = bed.runLong();
    assertEquals([trap?.vector, trap?.error, trap?.rip], [S.PAGE_FAULT, 0x11, BigInt(CODE)]);
  }
});

Deno.test("NX keeps code of compatibility and 64-bit mode from running, not data from being read", () => {
  for (const wide of [true, false]) {
    const bed = new LongBed({ efer: S.EFER_NXE, wide });
    bed.mapLong(0x12000, 0x12000 | USER, 1 << 31);
    bed.R[S.RBX] = 0x12000;
    bed.put(0x12000, [0xf4]);
    bed.put(CODE, [...TOUCH.slice(0, 4), 0xe9, ...word(0x12000 - CODE - 9)]);
    const trap = bed.runLong();
    assertEquals([trap?.vector, trap?.error, trap?.rip], [S.PAGE_FAULT, 0x11, 0x12000n]);
  }
});

Deno.test("compatibility mode keeps its translations in the TLB of legacy modes, and loses them with all others", () => {
  for (
    const change of [
      "0f 01 3b ; invlpg [ebx]",
      "0f 20 da ; mov edx,cr3\n 0f 22 da ; mov cr3,edx",
      "0f 20 e2 ; mov edx,cr4\n 0f ba fa 07 ; btc edx,7\n 0f 22 e2 ; mov cr4,edx",
    ]
  ) {
    const bed = new LongBed({ wide: false }), { R } = bed;
    R[S.RBX] = DATA;
    bed.put(DATA, [1]);
    bed.put(DATA + 0x1000, [2]);
    bed.put(
      CODE,
      code(`
      8a 03                         ; mov al,[ebx]
      c7 05 00 71 03 00 07 10 02 00 ; mov dword [entry],DATA+1000h
      8a 23                         ; mov ah,[ebx]
      ${change}
      8a 0b                         ; mov cl,[ebx]
      f4                            ; hlt
    `),
    );
    assertEquals(bed.runLong(), undefined);
    assertEquals([R[S.RAX] & 0xffff, R[S.RCX] & 0xff], [0x0101, 2], change);
    assertEquals(bed.cpu.x86.mmu.tlb[DATA >>> 12] !== 0, true);
  }
});

Deno.test("a global page outlives a new CR3, not INVLPG nor a change of CR4.PGE", () => {
  for (const wide of [true, false]) {
    for (
      const [change, forgotten] of [
        ["0f 22 da ; mov cr3,(r)dx", false],
        ["0f 01 3b ; invlpg [ebx]", true],
        ["0f 20 e0 ; mov eax,cr4\n 0f ba f0 07 ; btr eax,7\n 0f 22 e0 ; mov cr4,eax", true],
      ] as const
    ) {
      const bed = new LongBed({ wide, cr4: S.CR4_PGE }), { R } = bed;
      bed.mapLong(DATA, DATA | USER | GLOBAL);
      R[S.RBX] = DATA;
      R[S.RDX] = R[S.CR3];
      R[S.RDI] = PT + 8 * (DATA >>> 12);
      bed.put(DATA, [1]);
      bed.put(DATA + 0x1000, [2]);
      bed.put(
        CODE,
        code(`
        8a 03             ; mov al,[ebx]
        c7 07 07 10 02 00 ; mov dword [edi],DATA+1000h
        ${change}
        8a 0b             ; mov cl,[ebx]
        f4                ; hlt
      `),
      );
      assertEquals(bed.runLong(), undefined);
      assertEquals(R[S.RCX] & 0xff, forgotten ? 2 : 1, `${change} ${wide}`);
    }
  }
});

Deno.test("a page of 1 GiB is one, INVLPG of any part forgets it, and its address bits 29:13 are reserved", () => {
  for (const wide of [true, false]) {
    const bed = new LongBed({ wide }), { R } = bed;
    bed.write64(PDPT + 8, 0 | USER | LARGE); // 4000_0000h to 7fff_ffffh: the first GiB again.
    R[S.RBX] = 0x40000000 + DATA;
    R[S.RSI] = 0x40000000 + 0x600000;
    bed.put(DATA, [7]);
    bed.put(
      CODE,
      code(`
      8a 03                ; mov al,[ebx]
      8a 26                ; mov ah,[esi]
      bf 08 50 03 00       ; mov edi,PDPT+8
      c6 07 00             ; mov byte [edi],0
      0f 01 3e             ; invlpg [esi]
      8a 0b                ; mov cl,[ebx]
    `),
    );
    const trap = bed.runLong();
    assertEquals([trap?.vector, trap?.error, R[S.CR2]], [S.PAGE_FAULT, 0, R[S.RBX]]);
    assertEquals(R[S.RAX] & 0xff, 7);
    const other = new LongBed({ wide });
    other.write64(PDPT + 8, 0x2000 | USER | LARGE);
    other.R[S.RBX] = 0x40000000;
    other.put(CODE, code("8a 03 ; mov al,[ebx]"));
    assertEquals(other.runLong()?.error, 9);
  }
});

Deno.test("INVLPG of a small page leaves large ones alone, of a large page forgets all of it", () => {
  const bed = new LongBed(), { R } = bed, { tlb } = bed.cpu.x86.mmu64;
  // mov al,[200000h]; mov al,[DATA]; invlpg [DATA]; hlt
  R[S.RBX] = DATA;
  R[S.RSI] = 0x200000;
  bed.put(CODE, code("8a 06 ; mov al,[rsi]\n 8a 03 ; mov al,[rbx]\n 0f 01 3b ; invlpg [rbx]\n f4"));
  assertEquals(bed.runLong(), undefined);
  const slot = (linear: number) => tlb[(linear >>> 10) & 0xfffc];
  assertEquals([slot(0x200000), slot(DATA) === DATA], [0x200000, false]);
  bed.put(CODE, code("8a 06 ; mov al,[rsi]\n 0f 01 3e ; invlpg [rsi]\n f4"));
  R[S.RIP] = CODE;
  R[S.RSI] = 0x201000;
  R[S.ACTIVITY] = 0;
  assertEquals(bed.runLong(), undefined);
  assertEquals([slot(0x200000) === 0x200000, slot(0x201000) === 0x201000], [false, false]);
});

Deno.test("ring 3 of long mode gets #AC for misaligned accesses while AC and CR0.AM are set", () => {
  const accesses = [
    "66 8b 03 ; mov ax,[ebx]",
    "8b 03 ; mov eax,[ebx]",
    "89 03 ; mov [ebx],eax",
    "01 03 ; add [ebx],eax",
    "50 ; push",
  ];
  for (const wide of [true, false]) {
    for (const access of accesses) {
      for (const [address, faults] of [[DATA + 1, true], [DATA, false]] as const) {
        const bed = new LongBed({ ring: 3, wide }), { R, cpu: { x86 } } = bed;
        R[S.RBX] = address;
        R[S.RSP] = address + 0x800;
        writeCr0(x86, R[S.CR0] | S.CR0_AM);
        R[S.EFLAGS] |= S.AC;
        setCpl(x86, 3);
        bed.put(CODE, [...code(access), 0xf4]);
        const trap = bed.runLong();
        assertEquals(trap?.vector, faults ? S.AC_FAULT : S.GP, `${access} ${wide}`);
      }
    }
  }
  // Quadwords must be aligned by eight, and the supervisor's accesses need not be.
  const quad = new LongBed({ ring: 3 });
  quad.R[S.RBX] = DATA + 4;
  writeCr0(quad.cpu.x86, quad.R[S.CR0] | S.CR0_AM);
  quad.R[S.EFLAGS] |= S.AC;
  setCpl(quad.cpu.x86, 3);
  quad.put(CODE, code("48 8b 03 ; mov rax,[rbx]"));
  assertEquals(quad.runLong()?.vector, S.AC_FAULT);
  assertEquals(quad.R[S.RSP], STACK0 - 48);
});

Deno.test("data breakpoints trap in 64-bit and compatibility mode, at all 64 bits of an address", () => {
  const WRITES = 0x401 | (1 << 16) | (3 << 18), ALL = 0x401 | (3 << 16) | (3 << 18);
  const trapOf = (wide: boolean, dr7: number, high: number, text: string, base = 0) => {
    const bed = new LongBed({ wide });
    writeDebug(bed.cpu.x86, 0, DATA, high);
    writeDebug(bed.cpu.x86, 7, dr7);
    [bed.R[S.RBX], bed.R[S.RBX + 1]] = [DATA, base];
    bed.put(CODE, [...code(text), 0xf4]);
    const trap = bed.runLong();
    return trap && [trap.vector, Number(trap.rip) - CODE, bed.R[S.DR6] & 0xf];
  };
  for (const wide of [true, false]) {
    assertEquals(trapOf(wide, WRITES, 0, "89 03 ; mov [ebx],eax"), [S.DB, 2, 1]);
    assertEquals(trapOf(wide, WRITES, 0, "88 43 03 ; mov [ebx+3],al"), [S.DB, 3, 1]);
    assertEquals(trapOf(wide, WRITES, 0, "88 43 04 ; mov [ebx+4],al"), undefined);
    assertEquals(trapOf(wide, WRITES, 0, "8b 03 ; mov eax,[ebx]"), undefined);
    assertEquals(trapOf(wide, ALL, 0, "8b 03 ; mov eax,[ebx]"), [S.DB, 2, 1]);
    assertEquals(trapOf(wide, ALL, HIGH, "8b 03 ; mov eax,[ebx]"), undefined);
  }
  assertEquals(trapOf(true, ALL, HIGH, "8b 03 ; mov eax,[rbx]", HIGH), [S.DB, 2, 1]);
  assertEquals(trapOf(true, WRITES, HIGH, "48 89 43 fe ; mov [rbx-2],rax", HIGH), [S.DB, 4, 1]);
  // Eight bytes by LEN 10b.
  const eight = 0x401 | (1 << 16) | (2 << 18);
  assertEquals(trapOf(true, eight, 0, "88 43 07 ; mov [rbx+7],al"), [S.DB, 3, 1]);
  assertEquals(trapOf(true, eight, 0, "88 43 08 ; mov [rbx+8],al"), undefined);
});
