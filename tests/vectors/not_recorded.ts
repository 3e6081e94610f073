/** What user mode cannot execute, and the scenario tests that have it instead. Keys are semantics of decode table rows. */

/** A reason, and where to look. */
export interface Elsewhere {
  because: string;
  test: string;
  title: string;
}

const SYSTEM = "accel/x86/system/";
const elsewhere = (because: string, file: string, title: string): Elsewhere => ({
  because,
  test: file.includes("/") ? file : SYSTEM + file,
  title,
});

const XCR0 =
  "which components are enabled is up to the host's kernel, and which of them are in use to its processor";
const UMIP = "the host's kernel sets CR4.UMIP and makes up an answer";

/** Rows without vectors. */
export const NOT_RECORDED: Record<string, Elsewhere> = {
  int1: elsewhere(
    "its trap cannot be told from that of single-stepping",
    "interrupts_test.ts",
    "INT1 ignores the gate's DPL, INT n, INT3 and INTO do not",
  ),
  sysenter: elsewhere(
    "enters the host's kernel",
    "transfers_test.ts",
    "SYSENTER and SYSEXIT switch between flat rings 0 and 3",
  ),
  sysexit: elsewhere(
    "AMD's processors have none in long mode, where the host runs",
    "transfers_test.ts",
    "SYSENTER and SYSEXIT are #GP(0) in real mode, with a null SYSENTER_CS, and SYSEXIT outside ring 0",
  ),
  sldt: elsewhere(UMIP, "tables_test.ts", "LLDT loads an LDT or none"),
  str: elsewhere(UMIP, "tables_test.ts", "LTR loads an available TSS and marks it busy"),
  sgdt: elsewhere(UMIP, "tables_test.ts", "SGDT and SIDT store all six bytes or none"),
  sidt: elsewhere(UMIP, "tables_test.ts", "SGDT and SIDT store all six bytes or none"),
  smsw: elsewhere(
    UMIP,
    "control_test.ts",
    "LMSW sets the low four bits and cannot clear PE, SMSW reads CR0, CLTS clears TS",
  ),
  rdtsc: elsewhere(
    "the host's clock is not ours",
    "msr_test.ts",
    "the time-stamp counter follows virtual time from where it was set",
  ),
  syscall: elsewhere(
    "enters the host's kernel",
    "long_transfers_test.ts",
    "SYSCALL saves RIP and RFLAGS in RCX and R11 and enters LSTAR",
  ),
  sysret: elsewhere(
    "belongs to ring 0",
    "long_transfers_test.ts",
    "SYSRET goes back to 64-bit code with 64-bit operands, else to compatibility mode",
  ),
  rdtscp: elsewhere(
    "the host's clock is not ours",
    "long_control_test.ts",
    "RDTSCP gives TSC_AUX and clears the high halves",
  ),
  rdrand: elsewhere(
    "the host's numbers are not ours",
    "accel/interp/extensions_test.ts",
    "RDRAND and RDSEED set CF alone, and give numbers that a snapshot and a second run give again",
  ),
  rdpid: elsewhere(
    "the host's kernel sets TSC_AUX",
    "accel/interp/extensions_test.ts",
    "RDPID gives TSC_AUX",
  ),
  stac: elsewhere(
    "belongs to ring 0",
    "long_control_test.ts",
    "STAC and CLAC set and clear AC in ring 0",
  ),
  clac: elsewhere(
    "belongs to ring 0",
    "long_control_test.ts",
    "STAC and CLAC set and clear AC in ring 0",
  ),
  invpcid: elsewhere(
    "belongs to ring 0",
    "tests/modes/long_system_test.ts",
    "a new CR3 of another PCID forgets what is not global, INVPCID of every type what it names",
  ),
  xsave: elsewhere(
    XCR0,
    "xsave_test.ts",
    "XSAVE writes the components asked for, and of the header their bits",
  ),
  xsaveopt: elsewhere(
    XCR0,
    "xsave_test.ts",
    "XSAVE writes components in their initial configuration, XSAVEOPT leaves them out",
  ),
  xsavec: elsewhere(
    XCR0,
    "xsave_test.ts",
    "XSAVEC writes the compacted format: what is in use, MXCSR with SSE",
  ),
  xrstor: elsewhere(
    XCR0,
    "xsave_test.ts",
    "XRSTOR loads what XSAVE, XSAVEOPT and XSAVEC saved",
  ),
  xgetbv: elsewhere(
    XCR0,
    "xsave_test.ts",
    "XSETBV takes x87 with or without SSE, in ring 0, and XGETBV reads it in any",
  ),
  xsetbv: elsewhere(
    "belongs to ring 0",
    "xsave_test.ts",
    "XSETBV takes x87 with or without SSE, in ring 0, and XGETBV reads it in any",
  ),
  rdpmc: elsewhere(
    "whether user mode may is up to the host's kernel",
    "msr_test.ts",
    "RDPMC needs CR4.PCE or ring 0 and one of two counters; a Pentium has none",
  ),
  cpuid: elsewhere(
    "the host is not our model",
    "accel/x86/models_test.ts",
    "CPUID names vendor, signature and features",
  ),
};

const privileged = (file: string, title: string): Elsewhere =>
  elsewhere("user mode is refused, which is what the vectors check", file, title);
const PORTS = privileged("io_test.ts", "IN and OUT reach the bus with their size");
const PORT_STRINGS = privileged(
  "tests/vectors/port_strings_test.ts",
  "INS and OUTS move strings between ports and memory",
);
const FLUSHES = privileged(
  "control_test.ts",
  "privileged instructions are #GP(0) in rings 1 and 3 and in virtual-8086 mode",
);
const CR = privileged("control_test.ts", "CR2 and CR3 read back what was written");
const DR = privileged("debug_test.ts", "DR6 and DR7 keep their fixed bits, DR0 to DR3 any value");
const IF = privileged(
  "flags_test.ts",
  "STI holds interrupts off for one instruction when they were off",
);

/** Rows whose vectors show only the fault that user mode gets. */
export const REFUSED: Record<string, Elsewhere> = {
  hlt: privileged("control_test.ts", "HLT stops the processor after itself"),
  cli: IF,
  sti: IF,
  lldt: privileged("tables_test.ts", "LLDT loads an LDT or none"),
  ltr: privileged("tables_test.ts", "LTR loads an available TSS and marks it busy"),
  lgdt: privileged("tables_test.ts", "LGDT and LIDT load 16 bits of limit and 32 or 24 of base"),
  lidt: privileged("tables_test.ts", "LGDT and LIDT load 16 bits of limit and 32 or 24 of base"),
  lmsw: privileged(
    "control_test.ts",
    "LMSW sets the low four bits and cannot clear PE, SMSW reads CR0, CLTS clears TS",
  ),
  clts: privileged(
    "control_test.ts",
    "LMSW sets the low four bits and cannot clear PE, SMSW reads CR0, CLTS clears TS",
  ),
  invlpg: privileged("control_test.ts", "INVLPG forgets one page, addressed through its segment"),
  invd: FLUSHES,
  wbinvd: FLUSHES,
  mov_from_cr: CR,
  mov_to_cr: CR,
  mov_from_dr: DR,
  mov_to_dr: DR,
  rdmsr: privileged("msr_test.ts", "SYSENTER registers are those that the instruction uses"),
  wrmsr: privileged("msr_test.ts", "SYSENTER registers are those that the instruction uses"),
  in_byte: PORTS,
  in_imm: PORTS,
  in_byte_dx: PORTS,
  in_dx: PORTS,
  out_byte: PORTS,
  out_imm: PORTS,
  out_byte_dx: PORTS,
  out_dx: PORTS,
  insb: PORT_STRINGS,
  insv: PORT_STRINGS,
  outsb: PORT_STRINGS,
  outsv: PORT_STRINGS,
  int: privileged(
    "interrupts_test.ts",
    "INT1 ignores the gate's DPL, INT n, INT3 and INTO do not",
  ),
  ud: privileged("control_test.ts", "UD2 and RSM are #UD"),
  int3: privileged(
    "interrupts_test.ts",
    "INT1 ignores the gate's DPL, INT n, INT3 and INTO do not",
  ),
};
