/** Alignment checks at CPL 3, and which of several faults of one instruction comes first. As an AMD processor has it. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { updateAlignment, writeCr0 } from "../../accel/x86/system/control.ts";
import { A_DATA, A_DOWN, Bed, CODE, CODE3, DATA, FREE, HANDLERS, type Trap } from "./bed.ts";

const AC0: Trap = { vector: S.AC_FAULT, error: 0, cs: CODE3, eip: CODE };
const PF = (error: number): Trap => ({ vector: S.PAGE_FAULT, error, cs: CODE3, eip: CODE });

/** User code with alignment checks and paging, the page behind the data's missing. */
function checked(): Bed {
  const bed = new Bed().protect(3).page();
  const { R, cpu } = bed;
  writeCr0(cpu.x86, R[S.CR0] | S.CR0_AM);
  R[S.EFLAGS] |= S.AC;
  updateAlignment(cpu.x86);
  bed.map(DATA + 0x1000, 0);
  R[S.CR4] |= S.CR4_OSFXSR;
  R[S.FCW] = 0x37f;
  R[S.FTAG] = 0;
  bed.gate(S.BP, 0xee, 8, HANDLERS + 8 * S.BP);
  return bed;
}

Deno.test("Each operand must be aligned to its own size where alignment is checked", () => {
  const cases: [string, number[], number][] = [
    ["mov cl,[ebx]", [0x8a, 0x0b], 1],
    ["mov cx,[ebx]", [0x66, 0x8b, 0x0b], 2],
    ["mov ecx,[ebx]", [0x8b, 0x0b], 4],
    ["add [ebx],ecx", [0x01, 0x0b], 4],
    ["push dword [ebx]", [0xff, 0x33], 4],
    ["mov ds,[ebx]", [0x8e, 0x1b], 2],
    ["bt [ebx],ecx", [0x0f, 0xa3, 0x0b], 4],
    ["cmpxchg8b [ebx]", [0x0f, 0xc7, 0x0b], 8],
    ["fild word [ebx]", [0xdf, 0x03], 2],
    ["fld dword [ebx]", [0xd9, 0x03], 4],
    ["fld qword [ebx]", [0xdd, 0x03], 8],
    ["fst qword [ebx]", [0xdd, 0x13], 8],
    ["fld tword [ebx]", [0xdb, 0x2b], 8],
    ["fstp tword [ebx]", [0xdb, 0x3b], 8],
    ["fbstp [ebx]", [0xdf, 0x33], 8],
    ["fnstenv [ebx]", [0xd9, 0x33], 4],
    ["o16 fnstenv [ebx]", [0x66, 0xd9, 0x33], 2],
    ["fnsave [ebx]", [0xdd, 0x33], 4],
    ["fnstcw [ebx]", [0xd9, 0x3b], 2],
    ["movq mm1,[ebx]", [0x0f, 0x6f, 0x0b], 8],
    ["movups xmm1,[ebx]", [0x0f, 0x10, 0x0b], 16],
    ["movups [ebx],xmm1", [0x0f, 0x11, 0x0b], 16],
    ["movss xmm1,[ebx]", [0xf3, 0x0f, 0x10, 0x0b], 4],
    ["movsd xmm1,[ebx]", [0xf2, 0x0f, 0x10, 0x0b], 8],
    ["movhps [ebx],xmm1", [0x0f, 0x17, 0x0b], 8],
  ];
  const bed = checked();
  const { R, cpu } = bed;
  for (const [name, bytes, size] of cases) {
    bed.put(CODE, [...bytes, 0xcc]);
    for (const by of [1, 2, 4, 8, 16]) {
      R[S.RBX] = DATA + 0x100 + by;
      // Again from the beginning, at ring 3.
      bed.load(S.CS, CODE3);
      bed.load(S.SS, 0x23);
      R[S.CPL] = 3;
      updateAlignment(cpu.x86);
      R[S.RIP] = CODE;
      R[S.RSP] = 0x9000;
      R[S.ACTIVITY] = 0;
      R[S.EFLAGS] = 2 | S.AC;
      const trap = bed.run();
      assertEquals(trap?.vector, by % size === 0 ? S.BP : S.AC_FAULT, `${name} + ${by}`);
      bed.load(S.DS, 0x23);
    }
  }
});

Deno.test("Misalignment is found before a missing page, for reads, writes and both", () => {
  // fstp qword [ebx]; fld qword [ebx]; add [ebx],ecx; mov [ebx],ecx; movups [ebx],xmm0
  for (
    const bytes of [[0xdd, 0x1b], [0xdd, 0x03], [0x01, 0x0b], [0x89, 0x0b], [0x0f, 0x11, 0x03]]
  ) {
    const bed = checked();
    bed.put(CODE, bytes);
    bed.R[S.RBX] = DATA + 0xffe;
    assertEquals(bed.run(), AC0, `${bytes}`);
  }
});

Deno.test("The supervisor's misaligned accesses are never faults, nor the user's with AC clear", () => {
  const user = checked();
  user.R[S.EFLAGS] &= ~S.AC;
  updateAlignment(user.cpu.x86);
  user.put(CODE, [0x8b, 0x0d, 1, 0, 2, 0, 0xcc]); // mov ecx,[DATA+1]; int3
  assertEquals(user.run()?.vector, S.BP);
  const supervisor = new Bed().protect();
  writeCr0(supervisor.cpu.x86, supervisor.R[S.CR0] | S.CR0_AM);
  supervisor.R[S.EFLAGS] |= S.AC;
  supervisor.put(CODE, [0x8b, 0x0d, 1, 0, 2, 0, 0xf4]);
  assertEquals(supervisor.run(), undefined);
});

Deno.test("MOVS meets the faults of its source before those of its destination", () => {
  const bed = new Bed().protect(3).page();
  bed.map(DATA, 0);
  bed.load(S.ES, 0);
  bed.R[S.RSI] = DATA;
  bed.put(CODE, [0xa5]);
  assertEquals(bed.run(), PF(4));
});

Deno.test("ENTER meets its faults in the order of its steps", () => {
  // The push of EBP comes before the first read of the old display.
  const page = new Bed().protect(3).page();
  page.map(DATA, 0);
  page.R[S.RSP] = DATA + 0x1000;
  page.R[S.RBP] = 0xc00000;
  page.put(CODE, [0xc8, 0, 0, 2]);
  assertEquals([page.run(), page.R[S.CR2]], [PF(6), DATA + 0xffc]);
  // On a stack of 16 bits that has no room, with the display missing besides.
  const room = new Bed().protect(3).page();
  room.segment(FREE, A_DOWN | 0x60, { base: DATA, limit: 0x7ff, flags: 0 });
  room.load(S.SS, FREE | 3);
  room.R[S.RSP] = 0x800;
  room.R[S.RBP] = 0x2801;
  room.map(DATA + 0x2000, 0);
  room.put(CODE, [0xc8, 0, 0, 2]);
  assertEquals(room.run(), { vector: S.SS_FAULT, error: 0, cs: CODE3, eip: CODE });
  // The display's read comes before the second push.
  const display = new Bed().protect(3).page();
  display.segment(FREE, A_DATA | 0x60, { base: DATA, limit: 0x1fff, flags: 4 });
  display.load(S.SS, FREE | 3);
  display.R[S.RSP] = 4;
  display.R[S.RBP] = 0x1800;
  display.map(DATA + 0x1000, 0);
  display.put(CODE, [0xc8, 0, 0, 2]);
  assertEquals(display.run(), PF(4));
});
