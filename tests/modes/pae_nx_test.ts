/** PAE paging with EFER.NXE: what may be read and written but not executed, and entries up to 40 bits wide. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { writeCr0, writeCr4, writeEfer } from "../../accel/x86/system/control.ts";
import { ACCESSED, Bed, CODE, code, CODE3, DATA, LARGE, P, RW, type Trap, US } from "./bed.ts";

const PF = (error: number, eip: number, cs = 8): Trap => ({ vector: S.PAGE_FAULT, error, cs, eip });
const ALL = P | RW | US;
/** The high half of an entry with NX. */
const NX = 0x80000000;
const PDPT = 0x34000, PD = 0x35000, PT = 0x36000;
/** 2 MiB up, a large page. */
const FAR = 0x200000;

interface Options {
  model?: string;
  ring?: 0 | 3;
  nxe?: boolean;
}

/** The first 2 MiB by a table, the next by a large page. */
function pae({ model = "qemu64", ring = 0, nxe = true }: Options = {}): Bed {
  const bed = new Bed(model).protect(ring), { x86 } = bed.cpu;
  for (let n = 0; n < 512; n++) bed.write32(PT + 8 * n, (n << 12) | ALL);
  bed.write32(PD, PT | ALL);
  bed.write32(PD + 8, FAR | ALL | LARGE);
  bed.write32(PDPT, PD | P);
  if (nxe) assertEquals(writeEfer(x86, S.EFER_NXE, 0), true);
  bed.R[S.CR3] = PDPT;
  writeCr4(x86, S.CR4_PAE);
  writeCr0(x86, bed.R[S.CR0] | S.CR0_PG | S.CR0_WP);
  return bed;
}

/** Sets the high half of a page's entry, and makes the processor forget what it knew. */
function high(bed: Bed, linear: number, bits: number): void {
  bed.write32(PT + 8 * (linear >>> 12) + 4, bits);
  bed.cpu.x86.mmu.flushPage(linear);
}

const jump = (to: number) => [0xb8, to, to >>> 8, to >>> 16, to >>> 24, 0xff, 0xe0]; // mov eax,to; jmp eax

Deno.test("NX: a page is read and written, and faults when it is executed, with what the TLB holds or without", () => {
  for (const model of ["qemu64", "qemu32,+nx"]) {
    for (const ring of [0, 3] as const) {
      for (const touched of [false, true]) {
        const bed = pae({ model, ring });
        high(bed, DATA, NX);
        // mov [DATA],ecx; mov edx,[DATA]
        const touch = code("89 0d 00 00 02 00; \n 8b 15 00 00 02 00");
        bed.put(CODE, [...touched ? touch : [], ...jump(DATA)]);
        bed.R[S.RCX] = 0xf4f4f4f4 | 0; // hlt
        const error = ring === 3 ? 0x15 : 0x11, cs = ring === 3 ? CODE3 : 8;
        assertEquals(bed.run(), PF(error, DATA, cs), `${model}, ring ${ring}, ${touched}`);
        assertEquals(bed.R[S.CR2], DATA);
        if (touched) assertEquals(bed.R[S.RDX], 0xf4f4f4f4 | 0);
        else assertEquals(bed.read32(PT + 8 * (DATA >>> 12)) & ACCESSED, 0);
      }
    }
  }
});

Deno.test("NX in a directory's entry holds for its table and for a large page", () => {
  const table = pae();
  table.write32(PT + 0x1000, DATA | ALL); // Another table, with the data at 4 MiB.
  table.write32(PD + 16, (PT + 0x1000) | ALL);
  table.write32(PD + 20, NX);
  table.put(CODE, [...code("8b 15 00 00 40 00 ; mov edx,[400000h]"), ...jump(0x400000)]);
  table.write32(DATA, 0xf4);
  assertEquals(table.run(), PF(0x11, 0x400000));
  assertEquals(table.R[S.RDX], 0xf4);
  const large = pae();
  large.write32(PD + 12, NX);
  large.put(CODE, [...code("8b 15 10 00 20 00 ; mov edx,[200010h]"), ...jump(FAR + 0x10)]);
  large.write32(FAR + 0x10, 0xf4);
  assertEquals(large.run(), PF(0x11, FAR + 0x10));
  assertEquals([large.R[S.RDX], large.R[S.CR2]], [0xf4, FAR + 0x10]);
});

Deno.test("NX: an instruction that ends in such a page faults there", () => {
  const bed = pae();
  bed.R[S.RIP] = DATA - 2;
  bed.put(DATA - 2, [0x05, 4, 3, 2, 1, 0xf4]); // add eax,01020304h; hlt
  high(bed, DATA, NX);
  assertEquals(bed.run(), PF(0x11, DATA - 2));
  assertEquals(bed.R[S.CR2], DATA);
});

Deno.test("NX set on a page that has been executed holds after INVLPG; taken away again it needs none", () => {
  const bed = pae();
  bed.put(DATA, [0x43, 0xc3]); // inc ebx; ret
  bed.R[S.RBX] = 0;
  bed.put(
    CODE,
    code(`
    be 00 00 02 00                ; mov esi,0x20000
    ff d6                         ; call esi
    ff d6                         ; call esi
    c7 05 04 61 03 00 00 00 00 80 ; mov dword [0x36104],0x80000000
    0f 01 3e                      ; invlpg [esi]
    8b 16                         ; mov edx,[esi]
    ff d6                         ; call esi
  `),
  );
  assertEquals(bed.run(), PF(0x11, DATA));
  assertEquals(bed.R[S.RBX], 2);
  bed.write32(PT + 8 * (DATA >>> 12) + 4, 0);
  bed.put(CODE, [...jump(DATA)]);
  bed.put(DATA, [0x43, 0xf4]); // inc ebx; hlt
  bed.R[S.RIP] = CODE;
  bed.R[S.ACTIVITY] = 0;
  assertEquals([bed.run(), bed.R[S.RBX]], [undefined, 3]);
});

Deno.test("NX: a page that was read stays forbidden when its memory is executed through another page", () => {
  const bed = pae();
  bed.put(DATA, [0x43, 0xc3]); // inc ebx; ret
  bed.R[S.RBX] = 0;
  // The page above is the same memory, and not to be executed.
  bed.write32(PT + 8 * (DATA >>> 12) + 8, DATA | ALL);
  high(bed, DATA + 0x1000, NX);
  bed.put(
    CODE,
    code(`
    be 00 00 02 00 ; mov esi,0x20000
    bf 00 10 02 00 ; mov edi,0x21000
    8b 17          ; mov edx,[edi]
    ff d6          ; call esi
    8b 0f          ; mov ecx,[edi]
    ff d6          ; call esi
    ff d7          ; call edi
  `),
  );
  assertEquals(bed.run(), PF(0x11, DATA + 0x1000));
  assertEquals([bed.R[S.RBX], bed.R[S.RCX]], [2, 0xc343]);
});

Deno.test("Without EFER.NXE bit 63 is reserved, and a fetch's fault does not say that it is one", () => {
  for (const model of ["pentium3", "qemu64"]) {
    const bed = pae({ model, nxe: false });
    high(bed, DATA, NX);
    bed.put(CODE, [0xa1, 0, 0, 2, 0]); // mov eax,[DATA]
    assertEquals(bed.run(), PF(9, CODE), model);
    const fetch = pae({ model, nxe: false });
    fetch.write32(PT + 8 * (DATA >>> 12), 0);
    fetch.put(CODE, jump(DATA));
    assertEquals(fetch.run(), PF(0, DATA), model);
  }
  const missing = pae();
  missing.write32(PT + 8 * (DATA >>> 12), 0);
  missing.put(CODE, jump(DATA));
  assertEquals(missing.run(), PF(0x10, DATA));
});

Deno.test("Turning EFER.NXE off makes NX a reserved bit at once", () => {
  const bed = pae();
  high(bed, DATA, NX);
  bed.put(
    CODE,
    code(`
    8b 1d 00 00 02 00 ; mov ebx,[0x20000]
    b9 80 00 00 c0    ; mov ecx,0xc0000080
    31 c0             ; xor eax,eax
    31 d2             ; xor edx,edx
    0f 30             ; wrmsr
    8b 1d 00 00 02 00 ; mov ebx,[0x20000]
  `),
  );
  assertEquals(bed.run(), PF(9, CODE + 17));
});

Deno.test("PAE entries have 36 bits of address, with long mode 40; NX in a directory pointer refuses CR3", () => {
  for (const [model, valid, reserved] of [["qemu32", 0x8, 0x10], ["max", 0x80, 0x100]] as const) {
    const bed = pae({ model, nxe: false });
    bed.put(CODE, [0xa1, 0, 0, 2, 0, 0xa1, 0, 0x10, 2, 0]); // mov eax,[DATA]; mov eax,[DATA+1000h]
    high(bed, DATA, valid);
    high(bed, DATA + 0x1000, reserved);
    assertEquals(bed.run(), PF(9, CODE + 5), model);
    assertEquals(bed.R[S.RAX], -1); // No memory lies there.
  }
  const pointer = pae();
  pointer.write32(PDPT + 4, NX);
  pointer.put(CODE, code("0f 20 d8 ; mov eax,cr3\n 0f 22 d8 ; mov cr3,eax"));
  const trap = pointer.run();
  assertEquals([trap?.vector, trap?.eip], [S.GP, CODE + 3]);
});

Deno.test("A page with NX above what memory answers is no less forbidden", () => {
  const bed = pae();
  high(bed, DATA, NX | 1);
  bed.put(CODE, [...code("8b 15 00 00 02 00 ; mov edx,[0x20000]"), ...jump(DATA)]);
  assertEquals(bed.run(), PF(0x11, DATA));
  assertEquals(bed.R[S.RDX], -1);
});
