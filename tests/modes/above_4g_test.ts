/** Physical addresses above 4 GiB: tables, data and code there, by every kind of paging that reaches them. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { writeCr0, writeCr4 } from "../../accel/x86/system/control.ts";
import { ACCESSED, Bed, CODE, code, DATA, DIRECTORY, DIRTY, LARGE, P, RW, US } from "./bed.ts";
import { LongBed, PDPT } from "./long_bed.ts";

const HIGH = 2 ** 32, ALL = P | RW | US;
/** From {@linkcode HIGH} on: a page directory, a page table, a page of data and one of code. */
const TABLE = HIGH + 0x1000, HIGH_DATA = HIGH + 0x2000, HIGH_CODE = HIGH + 0x3000;
/** Where linear addresses lead to the code. The pages from 200000h on are those from 4 GiB on. */
const LINEAR_CODE = 0x40000, ALIAS = 0x200000;

/** Writes an entry of 8 bytes that names an address above 4 GiB, or below. */
function entry(bed: Bed, at: number, address: number, bits: number): void {
  bed.write32(at, (address % HIGH) | bits);
  bed.write32(at + 4, Math.floor(address / HIGH));
}

/** The tables of the first 4 MiB, all above 4 GiB; `top` is the entry that leads to them. */
function tables(bed: Bed, top: number, bits: number): void {
  bed.addHigh();
  entry(bed, HIGH, TABLE, ALL);
  entry(bed, HIGH + 8, HIGH, ALL | LARGE);
  for (let n = 0; n < 512; n++) entry(bed, TABLE + 8 * n, n << 12, ALL);
  entry(bed, TABLE + 8 * (DATA >>> 12), HIGH_DATA, ALL);
  entry(bed, TABLE + 8 * (LINEAR_CODE >>> 12), HIGH_CODE, ALL);
  entry(bed, top, HIGH, bits);
}

/** The same bytes in 32- and 64-bit code. */
function program(bed: Bed): void {
  const { R } = bed;
  bed.put(
    CODE,
    code(`
    c7 03 78 56 34 12 ; mov dword [ebx],12345678h
    8b 02             ; mov eax,[edx]
    e8 f3 ff 02 00    ; call 40000h
    89 cd             ; mov ebp,ecx
    e8 ec ff 02 00    ; call 40000h
    f4                ; hlt
  `),
  );
  bed.put(
    HIGH_CODE,
    code(`
    b9 55 00 00 00 ; mov ecx,55h
    c6 46 01 66    ; mov byte [esi+1],66h: the instruction before, through another page
    c3             ; ret
  `),
  );
  R[S.RBX] = DATA;
  R[S.RDX] = ALIAS + 0x2000;
  R[S.RSI] = ALIAS + 0x3000;
}

function check(bed: Bed, low: number): void {
  const { R, memory } = bed;
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RBP], R[S.RCX]], [0x12345678, 0x55, 0x66]);
  assertEquals([memory.read(HIGH_DATA, 4), memory.read(DATA, 4)], [0x12345678, low]);
  assertEquals(memory.read(TABLE + 8 * (DATA >>> 12), 1), ALL | ACCESSED | DIRTY);
  assertEquals(memory.read(TABLE + 8 * (LINEAR_CODE >>> 12), 1), ALL | ACCESSED);
}

/** PAE over tables above 4 GiB. */
function pae(bed: Bed): Bed {
  const { R, cpu: { x86 } } = bed;
  tables(bed, 0x34000, P);
  R[S.CR3] = 0x34000;
  writeCr4(x86, S.CR4_PAE);
  writeCr0(x86, R[S.CR0] | S.CR0_PG | S.CR0_WP);
  return bed;
}

Deno.test("PAE paging finds tables, data and code above 4 GiB", () => {
  for (const model of ["max", "pentium3"]) {
    const bed = pae(new Bed(model).protect()), { mmu } = bed.cpu.x86;
    program(bed);
    check(bed, 0);
    assertEquals(mmu.peek(DATA + 0x123), HIGH_DATA + 0x123);
    assertEquals(mmu.peek(ALIAS + 0x2123), HIGH_DATA + 0x123);
  }
});

Deno.test("Long mode finds tables, data and code above 4 GiB", () => {
  const bed = new LongBed();
  tables(bed, PDPT, ALL);
  bed.cpu.x86.mmu64.flushAll();
  program(bed);
  check(bed, 0);
  assertEquals(bed.cpu.x86.mmu64.peek(DATA + 0x123), HIGH_DATA + 0x123);
});

Deno.test("A large page of 4 MiB reaches above 4 GiB by bits 13 and up of its entry", () => {
  const bed = new Bed().addHigh().protect().page(), { R } = bed;
  bed.write32(DIRECTORY + 4, (1 << 13) | ALL | LARGE);
  bed.put(
    CODE,
    code(`
    a1 00 20 40 00                ; mov eax,[402000h]
    c7 05 04 20 40 00 01 00 00 00 ; mov dword [402004h],1
    8b 0d 00 00 41 00             ; mov ecx,[410000h]: there is no RAM any more
    f4                            ; hlt
  `),
  );
  bed.write32(HIGH_DATA, 0x600df00d);
  assertEquals(bed.run(), undefined);
  assertEquals([R[S.RAX], R[S.RCX], bed.read32(HIGH_DATA + 4)], [0x600df00d, -1, 1]);
  assertEquals(bed.cpu.x86.mmu.peek(0x402123), HIGH_DATA + 0x123);
});

Deno.test("A masked address line 20 is masked above 4 GiB too, and no other is", () => {
  const bed = pae(new Bed().protect());
  entry(bed, TABLE + 8 * (DATA >>> 12), HIGH_DATA + 0x100000, ALL);
  bed.cpu.setA20(false);
  program(bed);
  check(bed, 0);
});

Deno.test("A watch and a block copy reach memory above 4 GiB", () => {
  const bed = pae(new Bed().protect()), { memory } = bed;
  const seen: number[] = [];
  memory.watch(HIGH_DATA, 4, { write: true }, ({ address }) => seen.push(address));
  program(bed);
  check(bed, 0);
  memory.writeBlock(HIGH - 2, new Uint8Array([1, 2, 3, 4]));
  const block = new Uint8Array(4);
  memory.readBlock(HIGH - 2, block);
  assertEquals([seen, [...block]], [[HIGH_DATA], [0xff, 0xff, 3, 4]]);
});
