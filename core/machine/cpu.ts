/** What the machine asks of a processor, whatever engine executes it. */
import type { Chip } from "../chip.ts";

/** Why a processor is not executing. */
export type CpuActivity =
  /** Executing instructions. */
  | "running"
  /** In HLT, waiting for an interrupt. */
  | "halted"
  /** In shutdown after a triple fault; only reset ends it. */
  | "shutdown"
  /** An application processor after reset or INIT: only a start-up message (SIPI) ends it. */
  | "wait-for-sipi";

/** The registers in a report, by their SDM names. 64-bit values as bigint, the others as unsigned numbers. */
export interface CpuRegisters {
  /** A register's value by its name. */
  [name: string]: number | bigint;
}

/** One instruction in a report. */
export interface ExecutedInstruction {
  /** Code segment selector. */
  cs: number;
  /** Offset in the code segment. */
  ip: number;
  /** Linear address. */
  linear: number;
  /** The bytes, as far as they are still readable at that address. */
  bytes: Uint8Array;
  /** Default operand and address size of the code segment in bits. */
  bits: 16 | 32 | 64;
  /**
   * Instructions that were executed between this one and the next in the list, and are not listed: an engine that
   * translates code does not note what its translations execute, but counts it. Absent where there are none.
   */
  unlisted?: number;
}

/** What an engine that translates code did so far. */
export interface TranslationStatistics {
  /** Regions of translated code that exist now. */
  regions: number;
  /** Length of their texts in characters. */
  bytes: number;
  /** Regions translated in all. */
  compiled: number;
  /** Guest instructions in all of those. */
  instructions: number;
  /** Regions that were given up because the guest changed the code. */
  invalidated: number;
  /** Regions that others took the place of, or that are to be made in another way. */
  replaced: number;
  /** Regions that were given up because entering them did not pay. */
  unworthy: number;
  /** Regions given up, as the least lately entered ones, to make room for others. */
  evicted: number;
  /** Regions that were forgotten with all code: room for it ran out, or the machine was put into another state. */
  forgotten: number;
  /** How often a region was entered. */
  entered: number;
  /** Guest instructions that were executed in regions. */
  executed: number;
  /** How often regions were left, by reason. */
  exits: Record<string, number>;
  /** Host milliseconds that translating took. Of the host, not of the guest: no state depends on it, and no snapshot has it. */
  compileTime: number;
  /** The longest time that the guest stood still for one region, in host milliseconds. */
  longestCompile: number;
}

/** An instruction of a {@linkcode TranslatedRegion}. */
export interface TranslatedInstruction {
  /** Linear address. */
  address: number;
  bytes: Uint8Array;
}

/** A basic block of a {@linkcode TranslatedRegion}. */
export interface TranslatedBlock {
  /** Linear address. */
  address: number;
  instructions: TranslatedInstruction[];
  /**
   * Where it leads, by linear addresses. `next` goes on at one, `branch` to the first or the second, `jump` to one,
   * `call` to the first, which returns to the second; `indirect` leads where a register or memory says, and `stop`
   * leaves what follows to the interpreter.
   */
  ending: { kind: "next" | "branch" | "jump" | "call" | "indirect" | "stop"; targets: number[] };
}

/** Guest code that an engine translated as one, told of when it is entered for the first time. */
export interface TranslatedRegion {
  /** Counts from 1 in the order of translation. */
  number: number;
  /** Instructions that the processor had executed when it was translated. */
  instructions: number;
  /** Instructions interpreted in its page since that was translated last, and how many it took; 0 where code is translated at first sight. */
  heat: number;
  threshold: number;
  /** Regions that it takes the place of. */
  replaces: number;
  bits: 32 | 64;
  /** Linear address of its page, as it was entered first. Canonical addresses of the upper half are below zero. */
  page: number;
  /** Offset of the page in host memory. */
  host: number;
  /** Linear addresses at which it may be entered, by the number that its text has for them. */
  entries: number[];
  blocks: TranslatedBlock[];
  /** The JavaScript that it became. */
  text: string;
  /** Host milliseconds that it took to translate. */
  hostTime: number;
}

/** How a port access reaches the board. Values are unsigned. */
export interface PortBus {
  read(port: number, size: 1 | 2 | 4): number;
  write(port: number, size: 1 | 2 | 4, value: number): void;
}

/** A processor as the run loop sees it. */
export interface Cpu extends Chip {
  /**
   * Executes exactly `limit` instructions, or fewer when it halts, shuts down, or {@linkcode Cpu.endSlice}
   * is called meanwhile. Pending interrupts are delivered before the first instruction and wherever the
   * architecture allows one. An interrupt delivery is not counted. One iteration of a repeated string
   * instruction counts as one instruction.
   */
  run(limit: number): void;
  /** Instructions retired since power-on. Exact also when asked by a device in the middle of a slice. */
  readonly instructions: number;
  /** Ends the slice after the instruction that is executing now. Harmless between slices. */
  endSlice(): void;
  /** Ends the slice after at most `count` more instructions, counted from the one executing now. */
  shortenSlice(count: number): void;
  readonly activity: CpuActivity;
  /** Whether it would execute an instruction if it were run now: it runs, or halts and has an interrupt that it takes. */
  readonly ready: boolean;
  /**
   * Sets the linear addresses before whose instructions execution stops: {@linkcode Cpu.onStop} is called, and the slice
   * ends with nothing of the instruction done. It then goes on there. Where the processor is now does not count, nor do
   * the further iterations of a repeated string instruction. Code in pages with such an address runs more slowly.
   *
   * @param addresses as in {@linkcode Cpu.location}
   */
  stopAt(addresses: ReadonlySet<number>): void;
  /** Called with the address at which execution stops. */
  onStop: (linear: number) => void;
  /** Called from within each PAUSE instruction: the processor is spinning. Set by whoever shares time out. */
  onPause: () => void;
  /** The processors that it stands for, if several, and the number of the one that executes or executed last. */
  readonly processors?: readonly Cpu[];
  readonly currentProcessor?: number;
  /** Whether maskable interrupts could be delivered (EFLAGS.IF). */
  readonly interruptsEnabled: boolean;
  /** INTR pin. */
  setIntr(level: boolean): void;
  /** An edge on the NMI pin. */
  nmi(): void;
  /** A20M# pin inverted: true lets address bit 20 through. */
  setA20(enabled: boolean): void;
  /** INIT: what the keyboard controller's and port 92h's reset lines do to the processor. An application processor waits for a start-up message afterwards. */
  init(): void;
  /** A start-up message (SIPI): a processor that waits for one starts in real mode at `vector` × 4 KiB, any other ignores it. `vector` is 0 to 255. */
  startup(vector: number): void;
  /** Current code segment selector and instruction pointer, exact also during a port access. */
  readonly location: { cs: number; ip: number; linear: number };
  registers(): CpuRegisters;
  /** Of an engine that translates code. */
  readonly translation?: TranslationStatistics;
  /** The last instructions executed, oldest first, at most `count`; see {@linkcode ExecutedInstruction.unlisted}. */
  recent(count: number): ExecutedInstruction[];
  /** Reads guest memory at a linear address through the current paging; undefined where it is not mapped. No side effect. */
  peekLinear(address: number, length: number): Uint8Array | undefined;
}

/** The interrupt acknowledge cycle: the interrupt controller's answer is the vector, 0 to 255. */
export type InterruptAcknowledge = () => number;

/**
 * What a processor asks of its own local APIC (SDM vol. 3, chapter 11): the chip keeps its registers behind
 * memory, and the processor reaches them by model-specific registers and CR8. The chip drives `setIntr`,
 * `nmi`, `init` and `startup` of its processor, and answers its acknowledge cycle.
 */
export interface LocalApicPort {
  /** IA32_APIC_BASE (1Bh), both halves: base address, global enable (bit 11), x2APIC (bit 10), bootstrap processor (bit 8). */
  readBase(): { low: number; high: number };
  /** Writes IA32_APIC_BASE; false where that is #GP: reserved bits, a transition that is not allowed. */
  writeBase(low: number, high: number): boolean;
  /** Reads an x2APIC register, MSR 800h to 8FFh; undefined where that is #GP. */
  readMsr(index: number): { low: number; high: number } | undefined;
  /** Writes an x2APIC register; false where that is #GP. */
  writeMsr(index: number, low: number, high: number): boolean;
  /** CR8: bits 7:4 of the task-priority register, 0 to 15. */
  taskPriority: number;
  /** The IA32_TSC_DEADLINE register (6E0h), as an absolute time-stamp count; 0 disarms. */
  readDeadline(): { low: number; high: number };
  writeDeadline(low: number, high: number): void;
}
