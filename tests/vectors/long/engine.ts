/**
 * Runs vectors of 64-bit code on an engine: `../engine.ts` in long mode, entered only by what the architecture
 * offers. An NMI brings the processor to a handler in ring 0, which loads the case's state and returns to user
 * mode; faults end at handlers that stand still.
 */
import { HostMemory } from "../../../core/bus/host_memory.ts";
import { MemoryMap } from "../../../core/bus/memory_map.ts";
import { VirtualClock } from "../../../core/machine/clock.ts";
import { parseCpuModel } from "../../../accel/x86/models.ts";
import * as S from "../../../accel/x86/state.ts";
import type { MakeCpu, Mode, TestCpu } from "../engine.ts";
import { FX_USED, type Job, type Result } from "./job.ts";
import * as M from "./machine.ts";

/** Physical and linear addresses of the system's own structures; page tables come first. */
const SYSTEM = 0x400000, GDT = 0x41f000, ENTRY = 0x420000, IDTR = 0x421000, BASES = 0x421010;
const NMI_HANDLER = 0x421100, IDT = 0x422000, TSS = 0x423000, FRAME = 0x424000, FX_IMAGE = 0x424200;
const HANDLERS = 0x425000, STACK = 0x42a000, SYSTEM_END = 0x42c000;
const RESET_PAGE = 0xfffff000;

const hexBytes = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (b) => parseInt(b, 16));

/** As in `../engine.ts`: `lgdt [cs:0xf100]; mov eax, 0x11; mov cr0, eax; jmp dword 0x08:ENTRY`. */
const RESET_CODE = hexBytes("2e660f011600f166b8110000000f22c066ea000042000800");
/**
 * In 32-bit code: SS, DS, CR3, CR4 (PAE, OSFXSR, OSXMMEXCPT), EFER.LME, CR0 (PG, AM, WP, NE, ET, MP, PE), far jump. In
 * 64-bit code: RSP, IDT, task register, null LDT and data segments, FS and GS bases from BASES, then `jmp $`.
 */
const ENTRY_CODE = hexBytes(
  "66b818008ed08ed8b8000040000f22d8b8200600000f22e0b9800000c0b80001000031d20f30b8330005800f22" +
    "c0ea350042001000bc00a042000f011c250010420066b840000f00d831c00f00d08ed88ec08ee08ee8b9000100" +
    "c08b0425101042008b1425141042000f30b9010100c08b0425181042008b14251c1042000f30ebfe",
);
/** `mov esp, FRAME; fxrstor [FX_IMAGE]`, POP of R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX, then `iretq`. */
const NMI_CODE = hexBytes(
  "bc004042000fae0c2500424200415f415e415d415c415b415a415941585f5e5d5b5a595848cf",
);
const NMI_LENGTH = 18;
/** The order in which the handler pops registers. */
const POPPED = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 3, 2, 1, 0];

/** Vectors that push an error code. */
const WITH_ERROR = [8, 10, 11, 12, 13, 14, 17];

/** FXSAVE image of a case that says nothing of x87 and SSE: as after FNINIT. */
const PLAIN_IMAGE: Uint8Array = (() => {
  const fx = new Uint8Array(512), view = new DataView(fx.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  return fx;
})();

/** More than any repeated instruction needs, so that a block ends in the jump after it. */
const BLOCK = 80;

/** One machine with the surroundings of `recorder64.c`. */
export class LongVectorMachine {
  readonly cpu: TestCpu;
  readonly memory: MemoryMap;
  /** The arena as the guest left it. */
  readonly arena: Int32Array;
  private readonly R: Int32Array;
  private tables = SYSTEM + 0x1000;

  constructor(make: MakeCpu, model = "max") {
    const host = new HostMemory(0x900000);
    this.memory = new MemoryMap(host);
    const ram = host.allocate(0x800000);
    this.memory.addRam("ram", 0, 0x800000, ram);
    const rom = host.allocate(0x1000);
    this.memory.addRom("reset", RESET_PAGE, 0x1000, rom);
    host.bytes.set(RESET_CODE, rom);
    // JMP rel16 from FFF3 to F000.
    host.bytes.set([0xe9, 0x0d, 0xf0], rom + 0xff0);
    host.bytes.set([0xff, 0x07, GDT & 0xff, (GDT >> 8) & 0xff, GDT >> 16, 0], rom + 0x100);
    this.arena = new Int32Array(host.buffer, ram + M.PHYSICAL, M.ARENA_SIZE / 4);
    this.build();
    const clock = new VirtualClock();
    const ports = {
      read: (_port: number, size: 1 | 2 | 4) => 0xffffffff >>> (32 - 8 * size),
      write: () => {},
    };
    this.cpu = make(
      { memory: this.memory, ports, clock, acknowledge: () => 0xff },
      parseCpuModel(model),
    );
    this.R = this.cpu.x86.R;
    this.cpu.setA20(true);
    this.cpu.run(80);
    if (this.R[S.LONG] !== 1 || this.R[S.SEG_SEL + S.GS] !== 0) {
      throw new Error(`the vectors' machine did not start: at ${this.R[S.RIP].toString(16)}`);
    }
  }

  private word(address: number, value: number): void {
    this.memory.write(address, 4, value >>> 0);
  }

  private quad(address: number, value: bigint): void {
    this.word(address, Number(value & 0xffffffffn));
    this.word(address + 4, Number((value >> 32n) & 0xffffffffn));
  }

  /** Maps one page. */
  private map(linear: bigint, physical: number, flags: number): void {
    let table = SYSTEM;
    for (const shift of [39n, 30n, 21n]) {
      const entry = table + Number((linear >> shift) & 511n) * 8;
      let next = this.memory.read(entry, 4) & -4096;
      if (next === 0) {
        next = this.tables;
        this.tables += 0x1000;
        this.word(entry, next | 7);
      }
      table = next;
    }
    this.word(table + Number((linear >> 12n) & 511n) * 8, physical | flags);
  }

  private build(): void {
    for (let at = 0; at < M.ARENA_SIZE + M.READ_ONLY_SIZE; at += 0x1000) {
      const flags = at < M.ARENA_SIZE ? 7 : 5;
      this.map(M.LOW + BigInt(at), M.PHYSICAL + at, flags);
      this.map(M.HIGH + BigInt(at), M.PHYSICAL + at, flags);
    }
    for (let at = SYSTEM; at < SYSTEM_END; at += 0x1000) this.map(BigInt(at), at, 3);
    // Selectors as in Linux on x86-64: 10h and 33h are 64-bit code, 2Bh is data.
    const attributes = [0, 0xc09b, 0xa09b, 0xc093, 0xc0fb, 0xc0f3, 0xa0fb];
    attributes.forEach((a, i) => {
      if (i === 0) return;
      this.word(GDT + i * 8, 0xffff);
      this.word(GDT + i * 8 + 4, (a << 8) | 0xf0000);
    });
    this.word(GDT + 0x40, 0x67 | ((TSS & 0xffff) << 16));
    this.word(GDT + 0x44, 0x8900 | (TSS >> 16));
    for (let vector = 0; vector < 256; vector++) {
      const handler = vector === 2 ? NMI_HANDLER : HANDLERS + vector * 16;
      const open = vector === 3 || vector === 4 ? 0x6000 : 0;
      this.word(IDT + vector * 16, (handler & 0xffff) | 0x100000);
      this.word(IDT + vector * 16 + 4, (handler & 0xffff0000) | 0x8e00 | open);
      this.memory.writeBlock(HANDLERS + vector * 16, Uint8Array.of(0xeb, 0xfe));
    }
    this.word(TSS + 4, STACK);
    this.word(TSS + 100, 0x680000);
    this.word(IDTR, 0xfff | ((IDT & 0xffff) << 16));
    this.word(IDTR + 4, IDT >>> 16);
    this.quad(BASES, M.FS_BASE);
    this.quad(BASES + 8, M.GS_BASE);
    this.memory.writeBlock(ENTRY, ENTRY_CODE);
    this.memory.writeBlock(NMI_HANDLER, NMI_CODE);
    this.memory.writeBlock(M.PHYSICAL, M.BASE_MEMORY);
  }

  /** Puts the case's memory and registers in place; throws when the engine does not even get there. */
  prepare(job: Job): void {
    const { memory, cpu, R } = this, g = job.gpr;
    for (const p of job.patches) memory.writeBlock(M.PHYSICAL + p.offset, p.bytes);
    const frame = POPPED.flatMap((n) => [g[2 * n], g[2 * n + 1]]);
    const low = Number(job.rip & 0xffffffffn) | 0, high = Number(job.rip >> 32n) | 0;
    frame.push(low, high, 0x33, 0, job.eflags, 0, g[8], g[9], 0x2b, 0);
    const bytes = new Uint8Array(Int32Array.from(frame).buffer);
    memory.writeBlock(FRAME, bytes);
    memory.writeBlock(FX_IMAGE, (job.fx ?? PLAIN_IMAGE).subarray(0, FX_USED));
    cpu.nmi();
    cpu.run(NMI_LENGTH);
    if (R[S.CPL] !== 3 || R[S.RIP] !== low || R[S.RIP + 1] !== high) {
      throw new Error(
        `the engine did not enter the case: CPL ${R[S.CPL]}, RIP ${(R[S.RIP] >>> 0).toString(16)}`,
      );
    }
  }

  /** Executes the prepared case. */
  execute(job: Job, mode: Mode): Result {
    const { cpu, R } = this;
    let steps = 0;
    if (mode === "block") cpu.run(BLOCK);
    else {
      const low = Number(job.rip & 0xffffffffn) | 0;
      while (steps < job.maxSteps) {
        cpu.run(1);
        if (R[S.CPL] !== 3) break;
        steps++;
        if (R[S.RIP] !== low) break;
      }
    }
    return this.read(job, steps);
  }

  private readQuad(at: number): bigint {
    return (BigInt(this.memory.read(at + 4, 4)) << 32n) | BigInt(this.memory.read(at, 4));
  }

  private read(job: Job, steps: number): Result {
    const { R } = this;
    const pair = (at: number) => (BigInt(R[at + 1] >>> 0) << 32n) | BigInt(R[at] >>> 0);
    const out: Result = {
      vector: -1,
      error: 0,
      cr2: 0n,
      steps,
      gpr: R.slice(0, 32),
      rip: pair(S.RIP),
      eflags: S.readEflags(R),
      state: job.fx === undefined ? undefined : this.readState(),
      memory: [],
    };
    if (R[S.CPL] !== 3) {
      let at = R[S.RSP];
      out.vector = (R[S.RIP] - HANDLERS) >> 4;
      if (WITH_ERROR.includes(out.vector)) {
        out.error = this.memory.read(at, 4);
        at += 8;
      }
      out.rip = this.readQuad(at);
      out.eflags = this.memory.read(at + 16, 4);
      out.gpr[8] = this.memory.read(at + 24, 4);
      out.gpr[9] = this.memory.read(at + 28, 4);
      if (out.vector === 14) out.cr2 = pair(S.CR2);
    }
    out.eflags &= ~0x10100;
    return out;
  }

  /** In the form of `stateWords`. */
  private readState(): Int32Array {
    const { R } = this, state = new Int32Array(FX_USED / 4);
    state[0] = (R[S.FCW] & 0xffff) | (R[S.FSW] << 16);
    state[1] = R[S.FTAG] & 0xff;
    state[6] = R[S.MXCSR];
    for (let i = 0; i < 8; i++) {
      state[8 + 4 * i] = R[S.ST0 + 4 * i];
      state[9 + 4 * i] = R[S.ST0 + 4 * i + 1];
      state[10 + 4 * i] = R[S.ST0 + 4 * i + 2] & 0xffff;
    }
    for (let k = 0; k < 64; k++) state[40 + k] = R[S.XMM0 + k];
    return state;
  }

  /** Puts the arena back: what the case changed, and its patches. */
  restore(job: Job, changed: number[]): void {
    const put = (from: number, to: number) =>
      this.memory.writeBlock(M.PHYSICAL + from, M.BASE_MEMORY.subarray(from, to));
    for (const i of changed) put(i * 4, i * 4 + 4);
    for (const p of job.patches) put(p.offset, p.offset + p.bytes.length);
  }
}
