/**
 * Runs vectors on an engine of ours: a small machine with the recorder's surroundings, entered only by
 * what the architecture offers. An NMI brings the processor to a handler in ring 0, which loads the
 * case's state and returns to user mode; faults end at handlers that stand still.
 */
import { HostMemory } from "../../core/bus/host_memory.ts";
import { MemoryMap } from "../../core/bus/memory_map.ts";
import { VirtualClock } from "../../core/machine/clock.ts";
import type { Cpu } from "../../core/machine/cpu.ts";
import type { CpuBus, X86 } from "../../accel/x86/cpu.ts";
import { type CpuModel, parseCpuModel } from "../../accel/x86/models.ts";
import * as S from "../../accel/x86/state.ts";
import { Interpreter } from "../../accel/interp/interpreter.ts";
import { Translator } from "../../accel/jit/translator.ts";
import type { Job } from "./job.ts";
import { ARENA, ARENA_SIZE, BASE_MEMORY, LDT, READ_ONLY_SIZE } from "./machine.ts";
import type { Expected } from "./pack.ts";
import { FX_FOP, FX_USED } from "./state_inputs.ts";

/** A processor whose state can be read. */
export type TestCpu = Cpu & { readonly x86: X86 };
/** Makes the processor under test. */
export type MakeCpu = (bus: CpuBus, model: CpuModel) => TestCpu;

/** The engines that the vectors know by name. */
export const ENGINES: Record<string, MakeCpu> = {
  interp: (bus, model) => new Interpreter(bus, model),
  jit: (bus, model) => new Translator(bus, model, { eager: true }),
};

/** How much runs at once: the instruction alone, or it and the jumps to themselves around it. */
export type Mode = "step" | "block";

/** Physical and linear addresses of the system's own structures. */
const SYSTEM = 0x400000;
const DIRECTORY = SYSTEM, LOW_TABLE = SYSTEM + 0x1000, SYSTEM_TABLE = SYSTEM + 0x2000;
const GDT = SYSTEM + 0x3000, LDT_AT = SYSTEM + 0x3800, IDT = SYSTEM + 0x4000, TSS = SYSTEM + 0x5000;
const ENTRY = SYSTEM + 0x6000, IDTR = SYSTEM + 0x6100, NMI_HANDLER = SYSTEM + 0x6200;
const HANDLERS = SYSTEM + 0x7000, FRAME = SYSTEM + 0x8000, FX_IMAGE = SYSTEM + 0x8200;
const STACK = SYSTEM + 0xa000, SYSTEM_SIZE = 0x10000;
const RESET_PAGE = 0xfffff000;

const hexBytes = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (b) => parseInt(b, 16));

/**
 * At F000:F000 after the far jump of the reset vector:
 * `lgdt [cs:0xf100]; mov eax, 0x11; mov cr0, eax; jmp dword 0x08:ENTRY`.
 */
const RESET_CODE = hexBytes("2e660f011600f166b8110000000f22c066ea006040000800");
/**
 * Segments, ESP, CR3, CR4 (OSFXSR, OSXMMEXCPT), CR0 (PG, AM, WP, NE, ET, MP, PE), IDT, LDT, task register,
 * then `jmp $`.
 */
const ENTRY_CODE = hexBytes(
  "66b818008ed88ec08ed0bc00a04000b8000040000f22d8b8000600000f22e0b8330005800f22c0" +
    "0f011d0061400066b850000f00d066b840000f00d8ebfe",
);
/** `mov esp, FRAME; fxrstor [ss:FX_IMAGE]; pop gs; pop fs; pop es; pop ds; popa; iret`: eight instructions. */
const NMI_CODE = hexBytes("bc00804000360fae0d008240000fa90fa1071f61cf");
const NMI_LENGTH = 8;

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

/** One machine with the recorder's surroundings. */
export class VectorMachine {
  readonly cpu: TestCpu;
  readonly memory: MemoryMap;
  /** The arena as the guest left it. */
  readonly arena: Int32Array;
  private readonly R: Int32Array;

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
    this.arena = new Int32Array(host.buffer, ram + ARENA, ARENA_SIZE / 4);
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
    this.cpu.run(40);
    const at = this.cpu.location;
    if (at.cs !== 0x08 || (this.R[S.CR0] & S.CR0_PG) === 0) {
      throw new Error(
        `the vectors' machine did not start: at ${at.cs.toString(16)}:${at.ip.toString(16)}`,
      );
    }
  }

  private word(address: number, value: number): void {
    this.memory.write(address, 4, value >>> 0);
  }

  private descriptor(at: number, base: number, limit: number, attributes: number): void {
    this.word(at, (limit & 0xffff) | (base << 16));
    this.word(
      at + 4,
      ((base >>> 16) & 0xff) | ((attributes & 0xf0ff) << 8) | (limit & 0xf0000) |
        (base & 0xff000000),
    );
  }

  private build(): void {
    const user = 7, userReadOnly = 5, supervisor = 3;
    this.word(DIRECTORY, LOW_TABLE | user);
    this.word(DIRECTORY + 4, SYSTEM_TABLE | user);
    for (let at = ARENA; at < ARENA + ARENA_SIZE + READ_ONLY_SIZE; at += 0x1000) {
      this.word(LOW_TABLE + (at >>> 10), at | (at < ARENA + ARENA_SIZE ? user : userReadOnly));
    }
    for (let at = SYSTEM; at < SYSTEM + SYSTEM_SIZE; at += 0x1000) {
      this.word(SYSTEM_TABLE + ((at - SYSTEM) >>> 10), at | supervisor);
    }
    // As Linux on x86-64 lays them out.
    this.descriptor(GDT + 0x08, 0, 0xfffff, 0xc09b);
    this.descriptor(GDT + 0x10, 0, 0xfffff, 0xa09b);
    this.descriptor(GDT + 0x18, 0, 0xfffff, 0xc093);
    this.descriptor(GDT + 0x20, 0, 0xfffff, 0xc0fb);
    this.descriptor(GDT + 0x28, 0, 0xfffff, 0xc0f3);
    this.descriptor(GDT + 0x30, 0, 0xfffff, 0xa0fb);
    this.descriptor(GDT + 0x40, TSS, 0x67, 0x89);
    this.descriptor(GDT + 0x50, LDT_AT, LDT.length * 8 - 1, 0x82);
    LDT.forEach((d, i) => this.descriptor(LDT_AT + i * 8, d.base, d.limit, d.attributes));
    for (let vector = 0; vector < 256; vector++) {
      const handler = vector === 2 ? NMI_HANDLER : HANDLERS + vector * 16;
      const open = vector === 3 || vector === 4 ? 0x6000 : 0;
      this.word(IDT + vector * 8, (handler & 0xffff) | 0x080000);
      this.word(IDT + vector * 8 + 4, (handler & 0xffff0000) | 0x8e00 | open);
      this.memory.writeBlock(HANDLERS + vector * 16, Uint8Array.of(0xeb, 0xfe));
    }
    this.word(TSS + 4, STACK);
    this.word(TSS + 8, 0x18);
    this.word(TSS + 100, 0x680000);
    this.memory.writeBlock(
      IDTR,
      Uint8Array.of(0xff, 0x07, IDT & 0xff, (IDT >> 8) & 0xff, IDT >> 16, 0),
    );
    this.memory.writeBlock(ENTRY, ENTRY_CODE);
    this.memory.writeBlock(NMI_HANDLER, NMI_CODE);
    this.memory.writeBlock(ARENA, BASE_MEMORY);
  }

  /** Puts the case's memory and registers in place; throws when the engine does not even get there. */
  prepare(job: Job): void {
    const { memory, cpu, R } = this;
    for (const p of job.patches) memory.writeBlock(ARENA + p.offset, p.bytes);
    const [es, cs, ss, ds, fs, gs] = job.seg, g = job.gpr;
    const frame = [gs, fs, es, ds, g[7], g[6], g[5], 0, g[3], g[2], g[1], g[0]];
    frame.push(job.eip, cs, job.eflags, g[4], ss);
    frame.forEach((value, i) => this.word(FRAME + 4 * i, value));
    memory.writeBlock(FX_IMAGE, (job.fx ?? PLAIN_IMAGE).subarray(0, FX_USED));
    cpu.nmi();
    cpu.run(NMI_LENGTH);
    // IRET to a 16-bit stack leaves the upper half of ESP as it was (Linux hides that: "espfix").
    R[S.RSP] = g[4];
    if (R[S.CPL] !== 3 || R[S.RIP] !== (job.eip | 0)) {
      throw new Error(
        `the engine did not enter the case: CPL ${R[S.CPL]}, ` +
          `${R[S.SEG_SEL + S.CS].toString(16)}:${(R[S.RIP] >>> 0).toString(16)}`,
      );
    }
  }

  /** Executes the prepared case. `shadow`: the instruction holds the next one's trap off, so that both run. */
  execute(job: Job, mode: Mode, shadow: boolean): Expected {
    const { cpu, R } = this;
    let steps = 0;
    if (mode === "block") cpu.run(BLOCK);
    else {
      const from = job.eip | 0;
      while (steps < job.maxSteps) {
        cpu.run(1);
        if (R[S.CPL] !== 3) break;
        steps++;
        if (R[S.RIP] !== from) break;
      }
      if (shadow && R[S.CPL] === 3) cpu.run(1);
    }
    return this.read(job, steps);
  }

  private read(job: Job, steps: number): Expected {
    const { R, memory } = this;
    const seg = Array.from({ length: 6 }, (_, i) => R[S.SEG_SEL + i] & 0xffff);
    const gpr = Int32Array.from({ length: 8 }, (_, i) => R[i * 2]);
    const out: Expected = {
      vector: -1,
      error: 0,
      cr2: 0,
      steps,
      gpr,
      eip: R[S.RIP] >>> 0,
      eflags: S.readEflags(R),
      seg,
      state: job.fx === undefined ? undefined : this.readState(),
      memory: [],
    };
    if (R[S.CPL] !== 3) {
      let at = R[S.RSP];
      out.vector = (R[S.RIP] - HANDLERS) >> 4;
      if (WITH_ERROR.includes(out.vector)) {
        out.error = memory.read(at, 4);
        at += 4;
      }
      const [eip, cs, eflags, esp, ss] = [0, 4, 8, 12, 16].map((i) => memory.read(at + i, 4));
      out.eip = eip;
      out.seg[1] = cs & 0xffff;
      out.seg[2] = ss & 0xffff;
      out.eflags = eflags;
      out.gpr[4] = esp;
      if (out.vector === 14) out.cr2 = R[S.CR2] >>> 0;
    }
    out.eflags &= ~0x10100;
    return out;
  }

  /** In the form of `stateWords`. */
  private readState(): Int32Array {
    const { R } = this, state = new Int32Array(FX_USED / 4);
    state[0] = (R[S.FCW] & 0xffff) | (R[S.FSW] << 16);
    state[1] = R[S.FTAG] & 0xff;
    if ((R[S.FSW] & 0x80) !== 0) {
      state[1] |= R[S.FOP] << (8 * (FX_FOP - 4));
      state[2] = R[S.FIP];
      state[4] = R[S.FDP];
    }
    state[6] = R[S.MXCSR];
    for (let i = 0; i < 8; i++) {
      state[8 + 4 * i] = R[S.ST0 + 4 * i];
      state[9 + 4 * i] = R[S.ST0 + 4 * i + 1];
      state[10 + 4 * i] = R[S.ST0 + 4 * i + 2] & 0xffff;
      for (let k = 0; k < 4; k++) state[40 + 4 * i + k] = R[S.XMM0 + 4 * i + k];
    }
    return state;
  }

  /** Puts the arena back: what the case changed of `before`, and its patches. */
  restore(job: Job, changed: number[]): void {
    for (const i of changed) {
      this.memory.writeBlock(ARENA + i * 4, BASE_MEMORY.subarray(i * 4, i * 4 + 4));
    }
    for (const p of job.patches) {
      this.memory.writeBlock(
        ARENA + p.offset,
        BASE_MEMORY.subarray(p.offset, p.offset + p.bytes.length),
      );
    }
  }
}
