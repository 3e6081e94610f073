/** How a machine ends, and how a wait that was in vain says so. */
import type { CpuActivity, CpuRegisters, ExecutedInstruction } from "./cpu.ts";
import { formatNanoseconds } from "./duration.ts";

/** Turns a reported instruction into assembly text. */
export type Disassembler = (instruction: ExecutedInstruction) => string;

/** An executed instruction with its assembly text. */
export interface ReportedInstruction extends ExecutedInstruction {
  /** Assembly in Intel syntax. */
  text: string;
}

/** One of several processors, in a report. */
export interface ProcessorReport {
  /** Whether it executes, halts, is in shutdown, or waits for its start-up message. */
  activity: CpuActivity;
  /** Code segment in which it stood. */
  cs: number;
  /** Its offset in the code segment. */
  ip: number;
  /** The registers, by their names in Intel's manual. */
  registers: CpuRegisters;
}

/**
 * What the machine looked like when it ended or when a wait failed. Of several processors `cs`, `ip`,
 * `registers` and `recent` are those of the one that executed last.
 */
export interface MachineReport {
  /** Code segment in which the processor stood. */
  cs: number;
  /** Its offset in the code segment. */
  ip: number;
  /** The registers, by their names in Intel's manual. */
  registers: CpuRegisters;
  /** The last instructions executed, oldest first. */
  recent: ReportedInstruction[];
  /** Number of the processor that executed last, if there are several. */
  processor?: number;
  /** All processors by their numbers, if there are several. */
  processors?: ProcessorReport[];
  /** Instructions executed since power-on, by all processors. */
  instructions: number;
  /** Virtual nanoseconds since power-on. */
  virtualTime: number;
  /** Host milliseconds during which the guest ran. */
  hostTime: number;
  /** The last text of each serial port that has sent any, by port name. */
  serial: Record<string, string>;
  /** The text screen, if there is one with anything on it. */
  screen?: string[];
}

/** How a machine ended. */
export type Exit =
  & (
    /** The guest wrote `value` to the debug-exit port; `status` is the process exit status that QEMU makes of it, `(value << 1) | 1` (its low 8 bits). */
    | { kind: "debug-exit"; value: number; status: number }
    /** The guest switched the power off. */
    | { kind: "power-off" }
    /** The guest asked for a reset, and the machine was made with `noReboot`. */
    | { kind: "reset" }
    /** The processor went into shutdown after a triple fault. */
    | { kind: "triple-fault" }
    /** The processor executed HLT and nothing can ever wake it. `reason` says why. */
    | { kind: "dead-halt"; reason: string }
    /** The script stopped or disposed the machine. */
    | { kind: "stopped"; reason: string }
  )
  & MachineReport;

/** An end, before the report is added. */
export type ExitCause = Exit extends infer E ? E extends Exit ? Omit<E, keyof MachineReport> : never
  : never;

/** Says in words how a machine ended. */
export function describeExit(exit: ExitCause): string {
  switch (exit.kind) {
    case "debug-exit":
      return `the guest wrote 0x${exit.value.toString(16)} to debug-exit (status ${exit.status})`;
    case "power-off":
      return "the guest switched the power off";
    case "reset":
      return "the guest asked for a reset";
    case "triple-fault":
      return "the processor shut down after a triple fault";
    case "dead-halt":
      return `the processor halted for good: ${exit.reason}`;
    case "stopped":
      return `the machine was stopped: ${exit.reason}`;
  }
}

/** Canonical addresses of the upper half are below zero as numbers. */
function hex(value: number | bigint, digits: number): string {
  const unsigned = value < 0 ? BigInt.asUintN(64, BigInt(value)) : value;
  return unsigned.toString(16).padStart(digits, "0");
}

/** Lines that a message shows of each serial port. */
const TAIL_LINES = 25;

function registerLines(title: string, given: CpuRegisters): string[] {
  const registers = Object.entries(given);
  if (registers.length === 0) return [];
  const lines = [title];
  for (let i = 0; i < registers.length; i += 6) {
    lines.push(
      "  " +
        registers.slice(i, i + 6).map(([name, value]) =>
          `${name}=${hex(value, typeof value === "bigint" ? 16 : value > 0xffff ? 8 : 4)}`
        ).join(" "),
    );
  }
  return lines;
}

/** The report as indented lines of text, for an error message or a terminal. */
export function formatReport(report: MachineReport): string {
  const lines: string[] = [];
  lines.push(
    `after ${report.instructions} instructions, ${
      formatNanoseconds(report.virtualTime)
    } of virtual ` +
      `and ${(report.hostTime / 1000).toFixed(3)} s of host time`,
  );
  for (const [name, tail] of Object.entries(report.serial)) {
    const last = tail.split(/\r?\n/).slice(-TAIL_LINES);
    lines.push(`last of ${name}:`, ...last.map((line) => `  | ${printable(line)}`));
  }
  if (report.screen !== undefined) {
    lines.push("screen:", ...report.screen.map((line) => `  | ${line}`));
  }
  const { processors, processor } = report;
  if (processors === undefined) lines.push(...registerLines("registers:", report.registers));
  processors?.forEach(({ activity, registers }, i) => {
    const last = i === processor ? ", executed last" : "";
    lines.push(...registerLines(`registers of processor ${i} (${activity}${last}):`, registers));
  });
  if (report.recent.length > 0) {
    lines.push(`last instructions${processor === undefined ? "" : ` of processor ${processor}`}:`);
    for (const { cs, ip, bytes, text, unlisted } of report.recent) {
      const code = [...bytes].map((byte) => hex(byte, 2)).join(" ");
      lines.push(`  ${hex(cs, 4)}:${hex(ip, 8)}  ${code.padEnd(24)} ${text}`);
      if (unlisted !== undefined) lines.push(`  ... ${unlisted} more by translated code`);
    }
  }
  return lines.join("\n");
}

/** Makes control characters visible. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => c === "\x1b" ? "\\e" : `\\x${hex(c.charCodeAt(0), 2)}`);
}

/** A wait that failed. Its message says what was awaited and what the machine last did. */
export class MachineError extends Error {
  /** What the machine looked like. */
  readonly report: MachineReport | undefined;
  /**
   * Makes the error.
   *
   * @param message says what was awaited; the report is added to it
   */
  constructor(message: string, report?: MachineReport, options?: ErrorOptions) {
    super(report === undefined ? message : `${message}\n${formatReport(report)}`, options);
    this.name = new.target.name;
    this.report = report;
  }
}

/** The awaited thing did not happen within its virtual time. */
export class WaitTimeoutError extends MachineError {}

/** The machine ended, so that the awaited thing can no longer happen. */
export class MachineEndedError extends MachineError {
  /** Makes the error of one wait. */
  constructor(
    message: string,
    /** How the machine ended. */
    readonly exit: Exit | undefined,
    report?: MachineReport,
  ) {
    super(message, report);
  }
}

/** The guest did what the script declared to be a failure: a `failOn` pattern, or something an `expectNot` forbids. */
export class GuestFailureError extends MachineError {}

/** The machine's own limit of virtual or host time is used up. */
export class LimitError extends MachineError {}

/** Something on the host failed that the machine cannot do without, a drive's file for one. `cause` is the original error. */
export class HostFailureError extends MachineError {}
