/**
 * A guest of random bytes on a board with every device, in every mode of the processor: whatever it does, no
 * exception may leave the machine and no instruction may hold the host up.
 */
import { Interpreter } from "../../accel/interp/interpreter.ts";
import { parseCpuModel } from "../../accel/x86/models.ts";
import * as S from "../../accel/x86/state.ts";
import { updateAlignment } from "../../accel/x86/system/control.ts";
import { updateWatches } from "../../accel/x86/system/debug.ts";
import { setSegment } from "../../accel/x86/system/segments.ts";
import { MemoryDevice } from "../../core/block/memory_device.ts";
import type { MachineControls } from "../../core/machine/board.ts";
import { createPc, type PcBoard } from "../../hw/boards/pc.ts";
import { Prng } from "../vectors/prng.ts";

/** How the processor runs the random bytes. */
export const MODES = [
  "real",
  "v86",
  "protected 16-bit",
  "protected 32-bit",
  "ring 3 with paging",
  "ring 0 with PAE",
  "v86 with VME and paging",
] as const;
export type FuzzMode = typeof MODES[number];

const MIB = 2 ** 20;
/** Physical addresses: tables of the processor, and where code, data and stacks are. */
const IDT = 0x1000,
  GDT = 0x2000,
  LDT = 0x3000,
  TSS = 0x4000,
  DIRECTORY = 0x6000,
  PAE_DIRECTORY = 0x7000;
const TABLE = 0x8000, PAE_TABLE = 0x9000, PAE_TABLES = 0xa000, CODE = 0x10000, CODE_SIZE = 0x10000;
/** Instructions of one round at most, and of one slice. */
const ROUND = 4000, SLICE = 500;
/** Host milliseconds that no slice may take. */
const SLICE_LIMIT = 5000;

/** Ports that something answers. */
const PORTS: readonly (readonly [number, number])[] = [
  [0x00, 16],
  [0x20, 2],
  [0x40, 4],
  [0x60, 5],
  [0x70, 2],
  [0x80, 16],
  [0x92, 1],
  [0xa0, 2],
  [0xb2, 2],
  [0xc0, 32],
  [0xe0, 12],
  [0x170, 8],
  [0x1f0, 8],
  [0x2e8, 8],
  [0x2f8, 8],
  [0x376, 1],
  [0x3b0, 48],
  [0x3e8, 8],
  [0x3f6, 1],
  [0x3f8, 8],
  [0x4d0, 2],
  [0x501, 4],
  [0x510, 12],
  [0x1ce, 4],
  [0xcf8, 8],
  [0x600, 64],
  [0xafe0, 4],
  [0xc000, 16],
  [0x2000, 16],
];

/** A machine for random guests. */
export class FuzzMachine {
  private requested = false;
  private readonly R: Int32Array;

  private constructor(private readonly board: PcBoard, private readonly cpu: Interpreter) {
    this.R = cpu.x86.R;
    board.clock.instructions = () => cpu.instructions;
    board.clock.onEarlier = (deadline) =>
      cpu.shortenSlice(Math.max(1, board.clock.instructionsUntil(deadline)));
  }

  /** A board with every device there is. */
  static async create(model: string): Promise<FuzzMachine> {
    let cpu: Interpreter | undefined;
    const end = () => {
      if (machine !== undefined) machine.requested = true;
      cpu?.endSlice();
    };
    let machine: FuzzMachine | undefined = undefined as FuzzMachine | undefined;
    const controls: MachineControls = {
      powerOff: end,
      requestReset: end,
      debugExit: end,
      hold: () => {},
    };
    const board = await createPc({
      cpu: (bus) => cpu = new Interpreter(bus, parseCpuModel(model)),
      memory: 4 * MIB,
      kernel: { kernel: { file: "none", bytes: new Uint8Array(512).fill(0xf4) }, flat: {} },
      drives: [
        { media: "disk", block: new MemoryDevice(256 * 1024) },
        { media: "disk", block: new MemoryDevice(64 * 1024, { readOnly: true }) },
        { media: "cdrom", block: new MemoryDevice(128 * 1024, { readOnly: true }) },
        { media: "cdrom" },
      ],
      devices: ["pc-testdev", "isa-debug-exit"],
      debugcon: () => {},
    }, controls);
    machine = new FuzzMachine(board, cpu!);
    return machine;
  }

  /** Instructions executed so far. */
  get instructions(): number {
    return this.cpu.instructions;
  }

  dispose(): Promise<void> {
    return this.board.dispose();
  }

  /**
   * One round: random memory, a mode, and a few thousand instructions.
   *
   * @throws {Error} what left the machine, with the seed as its message
   */
  round(mode: FuzzMode, seed: number): void {
    const rng = new Prng(seed);
    try {
      this.prepare(rng, mode);
      this.execute();
    } catch (cause) {
      throw new Error(`round of seed ${seed} in mode "${mode}"`, { cause });
    }
  }

  private put(address: number, ...words: number[]): void {
    words.forEach((word, i) => this.board.memory.write(address + i * 4, 4, word >>> 0));
  }

  private prepare(rng: Prng, mode: FuzzMode): void {
    const { board, cpu, R } = this, { memory } = board;
    if (rng.chance(4)) board.reset();
    else cpu.reset();
    memory.writeBlock(CODE, randomCode(rng));
    memory.writeBlock(0, rng.bytes(0x400));
    cpu.setA20(!rng.chance(10));
    this.writeTables(rng);
    const virtual = mode.startsWith("v86");
    for (let i = 0; i < 8; i++) R[i * 2] = rng.chance(60) ? rng.below(0x30000) : rng.value();
    const at = CODE + rng.below(CODE_SIZE - 256);
    const real = mode === "real";
    if (!real) this.protect(rng, mode);
    if (real || virtual) {
      // Code, data and stack start where the offsets stay within what was filled.
      for (let s = S.ES; s <= S.GS; s++) {
        const selector = s === S.CS
          ? CODE >> 4
          : rng.chance(80)
          ? rng.below(0x3000)
          : rng.next() & 0xffff;
        setSegment(cpu.x86, s, selector, selector << 4, 0xffff, virtual ? 0xf3 : 0x93);
      }
      R[S.RIP] = at - CODE;
      R[S.RSP] = rng.below(0x10000);
    } else {
      const ring = mode.startsWith("ring 3") ? 3 : 0, wide = mode !== "protected 16-bit";
      const big = wide ? 0xc000 : 0x8000;
      for (let s = S.ES; s <= S.GS; s++) {
        const type = (s === S.CS ? 0x9b : 0x93) | (ring << 5) | big;
        setSegment(cpu.x86, s, (s === S.CS ? 0x08 : 0x10) + ring * 0x10 + ring, 0, -1, type);
      }
      R[S.CPL] = ring;
      R[S.RIP] = at;
      R[S.RSP] = 0x20000 + rng.below(0x8000);
      if (!wide) {
        setSegment(cpu.x86, S.CS, 0x08, CODE, 0xffff, 0x9b);
        R[S.RIP] = at - CODE;
      }
    }
    const flags = rng.chance(30) ? rng.next() & 0x247fd5 : rng.next() & 0x8d5;
    S.writeEflags(R, flags | (virtual ? S.VM : 0) | (rng.chance(50) ? S.IF : 0));
    if (rng.chance(10)) {
      for (let i = 0; i < 4; i++) {
        R[S.DR0 + i * 2] = CODE + rng.below(CODE_SIZE);
      }
    }
    if (rng.chance(10)) R[S.DR7] = 0x400 | (rng.next() & 0xffff00ff);
    updateAlignment(cpu.x86);
    updateWatches(cpu.x86);
    cpu.x86.mmu.flushAll();
  }

  private writeTables(rng: Prng): void {
    const { memory } = this.board;
    const code = CODE + rng.below(0x4000);
    // Interrupt, trap, call and task gates, some of them broken.
    for (let vector = 0; vector < 256; vector++) {
      const target = code + rng.below(CODE_SIZE / 2);
      const type = rng.pick([
        0x8e,
        0x8e,
        0x8f,
        0xee,
        0xee,
        0xef,
        0x86,
        0xe5,
        0x85,
        rng.next() & 0xff,
      ]);
      const selector = type === 0xe5 || type === 0x85
        ? 0x60
        : rng.chance(95)
        ? 0x08
        : rng.next() & 0xffff;
      this.put(
        IDT + vector * 8,
        (selector << 16) | (target & 0xffff),
        (target & 0xffff0000) | (type << 8),
      );
    }
    // Flat rings 0 and 3 where `prepare` says they are, then anything.
    const flat = (at: number, access: number) =>
      this.put(at, 0x0000ffff, 0x00cf0000 | (access << 8));
    memory.writeBlock(GDT, rng.bytes(0x100));
    this.put(GDT, 0, 0);
    flat(GDT + 0x08, 0x9b);
    flat(GDT + 0x10, 0x93);
    flat(GDT + 0x38, 0xfb);
    flat(GDT + 0x40, 0xf3);
    this.put(GDT + 0x50, (TSS << 16) | 0x2067, 0x00008b00 | (TSS >>> 16));
    this.put(GDT + 0x58, (LDT << 16) | 0xff, 0x00008200 | (LDT >>> 16));
    this.put(GDT + 0x60, ((TSS + 0x400) << 16) | 0x67, 0x00008900 | ((TSS + 0x400) >>> 16));
    memory.writeBlock(LDT, rng.bytes(0x100));
    memory.writeBlock(TSS, rng.bytes(0x800));
    this.put(TSS + 4, 0x2f000, 0x10, 0x2e000, 0x10);
    this.put(TSS + 0x400 + 4, 0x2d000, 0x10);
    this.put(TSS + 0x400 + 0x1c, rng.chance(70) ? DIRECTORY : rng.next());
    this.put(TSS + 0x400 + 0x20, code, 2);
    this.put(TSS + 0x400 + 0x48, 0x10, 0x08, 0x10, 0x10, 0x10, 0x10, 0x58);
    // Page tables: mostly the identity, some pages elsewhere, in devices, or faulting.
    this.put(DIRECTORY, TABLE | 7);
    for (let i = 1; i < 1024; i++) {
      const large = rng.chance(50) ? 0x87 | (i << 22) : rng.next();
      this.put(DIRECTORY + i * 4, rng.chance(70) ? 0 : large);
    }
    for (let i = 0; i < 1024; i++) this.put(TABLE + i * 4, pageEntry(rng, i));
    this.put(PAE_DIRECTORY, PAE_TABLES | 1, 0, 0, 0, 0, 0, 0, 0);
    this.put(PAE_TABLES, PAE_TABLE | 7, 0, 0x200087, 0);
    for (let i = 2; i < 512; i++) {
      this.put(
        PAE_TABLES + i * 8,
        rng.chance(90) ? 0 : rng.next(),
        rng.chance(90) ? 0 : rng.next(),
      );
    }
    for (let i = 0; i < 512; i++) {
      this.put(PAE_TABLE + i * 8, pageEntry(rng, i), rng.chance(2) ? rng.next() : 0);
    }
  }

  private protect(rng: Prng, mode: FuzzMode): void {
    const { R } = this, { model } = this.cpu.x86;
    const has = (feature: Parameters<typeof model.features.has>[0]) => model.features.has(feature);
    R[S.GDTR_BASE] = GDT;
    R[S.GDTR_LIMIT] = 0xff;
    R[S.IDTR_BASE] = IDT;
    R[S.IDTR_LIMIT] = rng.chance(95) ? 0x7ff : rng.below(0x800);
    setSegment(this.cpu.x86, S.TR, 0x50, TSS, 0x2067, 0x8b);
    setSegment(this.cpu.x86, S.LDTR, 0x58, LDT, 0xff, 0x82);
    let cr0 = S.CR0_PE | S.CR0_ET | (rng.chance(50) ? S.CR0_NE : 0) |
      (rng.chance(20) ? S.CR0_AM : 0);
    cr0 |= (rng.chance(5) ? S.CR0_TS : 0) | (rng.chance(5) ? S.CR0_EM : 0) |
      (rng.chance(50) ? S.CR0_WP : 0);
    let cr4 = 0;
    if (has("fxsr")) cr4 |= S.CR4_OSFXSR | (rng.chance(50) ? S.CR4_OSXMMEXCPT : 0);
    if (has("pse") && rng.chance(70)) cr4 |= S.CR4_PSE;
    if (has("pge") && rng.chance(50)) cr4 |= S.CR4_PGE;
    if (has("de") && rng.chance(30)) cr4 |= S.CR4_DE;
    if (has("vme") && (mode.includes("VME") || rng.chance(20))) cr4 |= S.CR4_VME | S.CR4_PVI;
    if (mode.includes("paging")) {
      cr0 |= S.CR0_PG;
      R[S.CR3] = DIRECTORY;
    } else if (mode.includes("PAE") && has("pae")) {
      cr0 |= S.CR0_PG;
      cr4 |= S.CR4_PAE;
      R[S.CR3] = PAE_DIRECTORY;
      this.cpu.x86.mmu.loadPdptes(PAE_DIRECTORY);
    }
    R[S.CR0] = cr0;
    R[S.CR4] = cr4;
    R[S.CPL] = mode.startsWith("v86") ? 3 : 0;
  }

  /** The run loop's part, without waits: slices, alarms, and HLT's leap to the next alarm. */
  private execute(): void {
    const { cpu, board: { clock } } = this;
    const end = cpu.instructions + ROUND;
    this.requested = false;
    for (let idle = 0; cpu.instructions < end && idle < 20 && !this.requested;) {
      clock.fireDue();
      const before = cpu.instructions;
      const limit = Math.max(1, Math.min(SLICE, clock.instructionsUntil(clock.next), end - before));
      const began = performance.now();
      cpu.run(limit);
      if (performance.now() - began > SLICE_LIMIT) {
        throw new Error(`${limit} instructions held the host up`);
      }
      const executed = cpu.instructions - before;
      if (executed > limit || executed < 0) {
        throw new Error(`${executed} instructions, not ${limit}`);
      }
      if (cpu.activity === "shutdown") return;
      if (executed > 0) continue;
      if (clock.next === Infinity) return;
      clock.skipTo(clock.next);
      idle++;
    }
  }
}

function pageEntry(rng: Prng, page: number): number {
  const address = page << 12;
  // Tables, code and stacks stay where they are.
  if (page < 0x30 || rng.chance(85)) return address | (rng.chance(90) ? 7 : rng.next() & 0x1e7) | 1;
  return rng.pick([
    0,
    0xa0000 | 7,
    0xb8000 | 7,
    0xe0000007,
    0xfebf0007,
    0xff000007,
    (rng.next() & 0xfffff000) | 7,
    rng.next(),
    address | 5,
    (rng.below(0x100) << 12) | 7,
  ]);
}

/** Random bytes with instructions among them that reach far: ports, prefixes, system registers, jumps. */
function randomCode(rng: Prng): Uint8Array {
  const code = rng.bytes(CODE_SIZE);
  for (let at = 0; at < CODE_SIZE - 32; at += rng.range(1, 40)) code.set(snippet(rng), at);
  return code;
}

function snippet(rng: Prng): number[] {
  const byte = () => rng.next() & 0xff;
  switch (rng.below(16)) {
    case 0:
    case 1:
    case 2: { // mov dx, port; in or out
      const [base, count] = rng.pick(PORTS);
      const port = base + rng.below(count);
      const prefix = rng.chance(50) ? [] : [0x66];
      return [
        0xba,
        port & 0xff,
        port >> 8,
        ...(rng.chance(50) ? [0, 0] : []),
        ...prefix,
        0xec + rng.below(4),
      ];
    }
    case 3: { // in and out with a port in the instruction
      const [base, count] = rng.pick(PORTS.filter(([at]) => at < 0x100));
      return [rng.pick([0xe4, 0xe5, 0xe6, 0xe7]), base + rng.below(count)];
    }
    case 4:
      return [0xb0 + rng.below(8), byte()];
    case 5:
      return [0xeb, 0x80 + rng.below(0x100)];
    case 6:
      return [0x0f, byte(), byte()];
    case 7:
      return [0xd8 + rng.below(8), byte(), byte()];
    case 8:
      return [rng.pick([0xf2, 0xf3]), 0x6c + rng.below(4)];
    case 9:
      return [rng.pick([0xf2, 0xf3]), 0xa4 + rng.below(12)];
    case 10:
      return [0x0f, rng.pick([0x00, 0x01, 0x20, 0x21, 0x22, 0x23, 0x30, 0x32, 0xae]), byte()];
    case 11:
      return [rng.pick([0xfa, 0xfb, 0xfb, 0xf4, 0x9c, 0x9d, 0xcf, 0xcb, 0xc3])];
    case 12:
      return [rng.pick([0x66, 0x67, 0xf0, 0x2e, 0x65]), 0x0f, byte(), byte()];
    case 13:
      return [0xcd, byte()];
    case 14:
      return [0x8e, 0xc0 | byte()];
    default:
      return [0x70 + rng.below(16), byte()];
  }
}
