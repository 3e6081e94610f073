/** System features of long mode, instruction by instruction through the engine. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { writeDebug } from "../../accel/x86/system/debug.ts";
import { CODE, code, CODE0, CODE3, DATA, HANDLERS } from "./bed.ts";
import { HIGH, LONG0, LONG3, LongBed, PML4, STAR_HIGH } from "./long_bed.ts";

const STAR = 0xc0000081, LSTAR = 0xc0000082, FMASK = 0xc0000084;

/** Notes RIP of each #DB in a list of doublewords at DATA, then returns. */
function trace(bed: LongBed): void {
  bed.write32(0x6ffc, DATA);
  // At the place of the handler of vector 1, which has room for a jump.
  bed.put(HANDLERS + 8, code("e9 f3 07 00 00 ; jmp 0x6800"));
  bed.put(
    0x6800,
    code(`
    50                      ; push rax
    53                      ; push rbx
    8b 1c 25 fc 6f 00 00    ; mov ebx,[0x6ffc]
    48 8b 44 24 10          ; mov rax,[rsp+16]
    89 03                   ; mov [rbx],eax
    83 04 25 fc 6f 00 00 04 ; add dword [0x6ffc],4
    5b                      ; pop rbx
    58                      ; pop rax
    48 cf                   ; iretq
  `),
  );
}

/** Where the handler was entered, from CODE on. */
function traced(bed: LongBed): number[] {
  const list = [];
  for (let at = DATA; at < bed.read32(0x6ffc); at += 4) list.push(bed.read32(at) - CODE);
  return list;
}

Deno.test("64-bit code is stepped instruction by instruction while TF is set", () => {
  const bed = new LongBed();
  trace(bed);
  bed.put(
    CODE,
    code(`
    9c                      ; pushfq
    81 0c 24 00 01 00 00    ; or dword [rsp],0x100
    9d                      ; popfq
    90                      ; nop
    48 ff c0                ; inc rax
    eb 00                   ; jmp $+2
    6a 02                   ; push 2
    9d                      ; popfq
    90                      ; nop
    f4                      ; hlt
  `),
  );
  assertEquals(bed.runLong(), undefined);
  assertEquals(traced(bed), [10, 13, 15, 17, 18]);
});

Deno.test("code in the upper half is stepped, and instruction breakpoints compare all 64 bits", () => {
  for (const [high, hits] of [[HIGH, true], [0, false]] as const) {
    const bed = new LongBed(), { R } = bed;
    writeDebug(bed.cpu.x86, 0, CODE + 1, high);
    writeDebug(bed.cpu.x86, 7, 0x401);
    bed.put(CODE, [0x90, 0x90, 0xf4]);
    [R[S.RIP], R[S.RIP + 1]] = [CODE, HIGH];
    const trap = bed.runLong();
    assertEquals(trap?.vector, hits ? S.DB : undefined);
    if (hits) assertEquals(trap?.rip, BigInt.asUintN(64, (BigInt(HIGH) << 32n) | 0x10001n));
  }
});

/** Ring 3 code that makes a system call, and what it comes to in ring 0. */
function callable(fmask: number, entry: string, user: string): LongBed {
  const bed = new LongBed({ ring: 3 }), { x86 } = bed.cpu;
  trace(bed);
  x86.msrs.write(STAR, 0, STAR_HIGH);
  x86.msrs.write(LSTAR, 0x12000, 0);
  x86.msrs.write(FMASK, fmask, 0);
  bed.put(0x12000, code(entry));
  bed.put(CODE, code(user));
  return bed;
}

Deno.test("SYSCALL that masks TF is not traced into the kernel, SYSRET that restores it traps at once", () => {
  const user = "0f 05 ; syscall\n 90 ; nop\n f4 ; hlt";
  const bed = callable(S.TF, "90 ; nop\n 48 0f 07 ; sysretq", user);
  bed.R[S.EFLAGS] |= S.TF;
  // HLT is #GP in ring 3.
  assertEquals(bed.runLong()?.vector, S.GP);
  assertEquals(traced(bed), [2, 3]);
  const open = callable(0, "90 ; nop\n 48 0f 07 ; sysretq", user);
  open.R[S.EFLAGS] |= S.TF;
  assertEquals(open.runLong()?.vector, S.GP);
  assertEquals(traced(open), [0x2000, 0x2001, 2, 3]);
});

Deno.test("SYSRET to an address that is not canonical faults in ring 0 on Intel's processors, in ring 3 on AMD's", () => {
  for (const [model, cs] of [["Nehalem", LONG0], ["max", LONG3]] as const) {
    const bed = new LongBed({ model }), { R, cpu: { x86 } } = bed;
    x86.msrs.write(STAR, 0, STAR_HIGH);
    bed.setWide(S.RCX, 0x800000000000n);
    R[22] = 2;
    bed.put(CODE, code("48 0f 07 ; sysretq"));
    const trap = bed.runLong();
    assertEquals([trap?.vector, trap?.error, trap?.cs], [S.GP, 0, cs], model);
    assertEquals(trap?.rip, model === "max" ? 0x800000000000n : BigInt(CODE), model);
  }
});

Deno.test("CR4.PCIDE needs long mode and PCID 0, and then CR3 keeps a PCID and takes bit 63 for no flush", () => {
  const set = code(`
    0f 20 e0             ; mov rax,cr4
    0f ba e8 11          ; bts eax,17
    0f 22 e0             ; mov cr4,rax
  `);
  const bed = new LongBed();
  bed.put(CODE, [...set, ...code("0f 22 d9 ; mov cr3,rcx\n 0f 20 da ; mov rdx,cr3\n f4 ; hlt")]);
  bed.setWide(S.RCX, (1n << 63n) | BigInt(PML4) | 0x123n);
  assertEquals(bed.runLong(), undefined);
  assertEquals(bed.wide(S.RDX), BigInt(PML4) | 0x123n);
  const other = new LongBed();
  other.R[S.CR3] = PML4 | 8;
  other.put(CODE, [...set, 0xf4]);
  const trap = other.runLong();
  assertEquals([trap?.vector, trap?.error, trap?.rip], [S.GP, 0, BigInt(CODE + 7)]);
  // Without PCIDs bit 63 is reserved.
  const none = new LongBed();
  none.setWide(S.RCX, (1n << 63n) | BigInt(PML4));
  none.put(CODE, code("0f 22 d9 ; mov cr3,rcx"));
  assertEquals(none.runLong()?.vector, S.GP);
  // Paging cannot be turned off while they are in use.
  const compatibility = new LongBed({ cr4: S.CR4_PCIDE, wide: false });
  compatibility.put(CODE, code("0f 20 c0 ; mov eax,cr0\n 0f ba f0 1f ; btr eax,31\n 0f 22 c0"));
  assertEquals(compatibility.runLong()?.vector, S.GP);
});

Deno.test("a new CR3 of another PCID forgets what is not global, INVPCID of every type what it names", () => {
  // mov al,[DATA]; (change); mov bl,[DATA]
  const load = "8a 04 25 00 00 02 00 ; mov al,[DATA]\n";
  const change = "c7 04 25 00 71 03 00 23 10 02 00 ; mov dword [entry of DATA],DATA+1000h\n";
  const again = "8a 1c 25 00 00 02 00 ; mov bl,[DATA]\n f4 ; hlt";
  const invpcid = (type: number) =>
    `bf 0${type} 00 00 00 ; mov edi,${type}
    66 0f 38 82 3c 25 00 80 02 00 ; invpcid rdi,[28000h]\n`;
  for (
    const [how, what] of [
      ["mov cr3", "0f 22 d9 ; mov cr3,rcx\n"],
      ["type 0", invpcid(0)],
      ["type 1", invpcid(1)],
      ["type 2", invpcid(2)],
      ["type 3", invpcid(3)],
    ]
  ) {
    const bed = new LongBed({ cr4: S.CR4_PCIDE | S.CR4_PGE });
    // The tables are reached through the page at 37000h itself.
    bed.put(DATA, [1]);
    bed.put(DATA + 0x1000, [2]);
    bed.write64(0x28000, 0);
    bed.write64(0x28008, DATA);
    bed.setWide(S.RCX, BigInt(PML4) | 1n);
    bed.put(CODE, code(load + change + what + again));
    assertEquals(bed.runLong(), undefined, how);
    assertEquals([bed.R[S.RAX] & 0xff, bed.R[S.RBX] & 0xff], [1, 2], how);
  }
});

Deno.test("INVPCID refuses types, PCIDs and addresses that there are not, and rings above 0", () => {
  const at = "66 0f 38 82 3c 25 00 80 02 00 ; invpcid rdi,[28000h]\n f4 ; hlt";
  const outcome = (
    { type = 0n, pcid = 0, high = 0, reserved = 0, ring = 0, cr4 = 0 }: {
      type?: bigint;
      pcid?: number;
      high?: number;
      reserved?: number;
      ring?: 0 | 3;
      cr4?: number;
    },
  ) => {
    const bed = new LongBed({ ring, cr4 });
    bed.setWide(S.RDI, type);
    bed.write64(0x28000, pcid, reserved);
    bed.write64(0x28008, DATA, high);
    bed.put(CODE, code(at));
    const trap = bed.runLong();
    return trap === undefined ? "done" : trap.vector === S.GP && trap.error === 0 ? "#GP" : trap;
  };
  assertEquals(outcome({}), "done");
  assertEquals(outcome({ ring: 3 }), "#GP");
  assertEquals(outcome({ type: 4n }), "#GP");
  assertEquals(outcome({ type: 1n << 32n }), "#GP");
  assertEquals(outcome({ pcid: 1 }), "#GP");
  assertEquals(outcome({ pcid: 1, type: 2n }), "done");
  assertEquals(outcome({ pcid: 1, cr4: S.CR4_PCIDE }), "done");
  assertEquals(outcome({ pcid: 0x1000, cr4: S.CR4_PCIDE }), "#GP");
  assertEquals(outcome({ reserved: 1, cr4: S.CR4_PCIDE }), "#GP");
  assertEquals(outcome({ high: 0x8000 }), "#GP");
  assertEquals(outcome({ high: 0x8000, type: 1n }), "done");
});

Deno.test("registers() of long mode has 64-bit registers, bases and EFER", () => {
  const bed = new LongBed({ efer: S.EFER_NXE }), { R } = bed;
  bed.setWide(16, -2n);
  [R[S.SEG_BASE + S.GS], R[S.SEG_BASE_HI + S.GS]] = [0x1000, HIGH];
  R[S.CR8] = 5;
  const registers = bed.cpu.registers();
  assertEquals(registers.r8, 0xfffffffffffffffen);
  assertEquals(registers.gs_base, 0xffffff8000001000n);
  assertEquals([registers.rip, registers.cr8, registers.cpl], [BigInt(CODE), 5, 0]);
  assertEquals(registers.efer, S.EFER_SCE | S.EFER_LME | S.EFER_LMA | S.EFER_NXE);
  assertEquals(new LongBed({ wide: false }).cpu.registers().cs, CODE0);
  assertEquals(new LongBed({ wide: false, ring: 3 }).cpu.registers().cs, CODE3);
});
