/** Power-up, RESET and INIT (SDM vol. 3, table 9-1), and what must be derived again after a restore. */
import type { X86 } from "../cpu.ts";
import { signature } from "../models.ts";
import * as S from "../state.ts";
import { updateAlignment } from "./control.ts";
import { resetDebug, updateWatches } from "./debug.ts";
import { ATTR_REAL, LDT, setSegment, TSS32_BUSY } from "./segments.ts";

/** Where execution starts: F000:FFF0 with the base at the top of the 4 GiB. */
const RESET_BASE = 0xffff0000 | 0, RESET_SELECTOR = 0xf000, RESET_IP = 0xfff0;
/** Value of `R[ACTIVITY]`. */
const WAIT_FOR_SIPI = 3;
const SYSTEM_PRESENT = 0x80;

/** What RESET and INIT have in common. */
function restart(cpu: X86, cr0: number): void {
  const R = cpu.R;
  R.fill(0, 0, S.GPR_COUNT * 2);
  R[S.RDX] = signature(cpu.model);
  R[S.RIP] = RESET_IP;
  R[S.RIP + 1] =
    R[S.INSN_IP_HI] =
    R[S.NEXT_IP_HI] =
    R[S.INSN_EA_HI] =
      0;
  S.writeEflags(R, 0);
  R[S.CPL] = 0;
  R[S.ACTIVITY] = 0;
  R[S.SHADOW] = 0;
  R[S.NMI_BLOCKED] = 0;
  R[S.CR0] = cr0;
  for (const control of [S.CR2, S.CR3, S.CR4, S.CR8, S.EFER]) R[control] = R[control + 1] = 0;
  for (let segment = S.ES; segment <= S.GS; segment++) {
    const code = segment === S.CS;
    setSegment(
      cpu,
      segment,
      code ? RESET_SELECTOR : 0,
      code ? RESET_BASE : 0,
      0xffff,
      ATTR_REAL,
    );
  }
  setSegment(cpu, S.LDTR, 0, 0, 0xffff, SYSTEM_PRESENT | LDT);
  setSegment(cpu, S.TR, 0, 0, 0xffff, SYSTEM_PRESENT | TSS32_BUSY);
  for (const table of [S.GDTR_BASE, S.IDTR_BASE]) {
    R[table] = R[table + 1] = 0;
    R[table + 2] = 0xffff;
  }
  cpu.mmu.pdptes.fill(0);
  resetDebug(cpu);
  updateAlignment(cpu);
  cpu.mmu.flushAll();
  cpu.mmu64.flushAll();
}

/** Bootstrap processors start at the reset vector, application processors wait (SDM vol. 3, 9.4.3). */
function park(cpu: X86): void {
  if ((cpu.bus.index ?? 0) !== 0) cpu.R[S.ACTIVITY] = WAIT_FOR_SIPI;
}

/** RESET: every register gets its power-up value. */
export function resetState(cpu: X86): void {
  const R = cpu.R;
  restart(cpu, S.CR0_CD | S.CR0_NW | S.CR0_ET);
  // Deviation: hardware starts with a full stack and unmasked exceptions (control word 0x40) and leaves
  // FNINIT to its firmware. SeaBIOS leaves it out, since QEMU and KVM start like this, and what it boots
  // (COM32 programs of Syslinux for one) computes without it.
  R.fill(0, S.FCW, S.SCRATCH);
  R[S.FCW] = 0x37f;
  R[S.FTAG] = 0;
  R[S.MXCSR] = 0x1f80;
  R[S.XCR0] = 1;
  cpu.msrs.reset();
  park(cpu);
}

/** INIT: as RESET, but for x87, SSE and model-specific registers and the cache bits of CR0. */
export function initState(cpu: X86): void {
  restart(cpu, (cpu.R[S.CR0] & (S.CR0_CD | S.CR0_NW)) | S.CR0_ET);
  park(cpu);
}

/** A start-up message: a processor that waits for one starts in real mode at `vector` × 4 KiB, others ignore it. */
export function startState(cpu: X86, vector: number): void {
  const { R } = cpu;
  if (R[S.ACTIVITY] !== WAIT_FOR_SIPI) return;
  R[S.ACTIVITY] = 0;
  R[S.RIP] = 0;
  setSegment(cpu, S.CS, vector << 8, vector << 12, 0xffff, ATTR_REAL);
}

/** To be called after `R`, the MSRs and the PDPTEs were restored: brings along what is derived from them. */
export function resumeState(cpu: X86): void {
  updateWatches(cpu);
  updateAlignment(cpu);
  cpu.mmu.flushAll();
  cpu.mmu64.flushAll();
}
