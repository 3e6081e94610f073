/** Control registers: what may be written to them and what else changes then (SDM vol. 3, 2.5 and 4.10). */
import type { X86 } from "../cpu.ts";
import type { Feature } from "../models.ts";
import * as Words from "../state.ts";
import { updateAllFlat, updateLongMode } from "./segments.ts";
import { alignmentChecked } from "./stack.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

/** Bits of CR0 that exist; the others ignore writes. ET is always set. */
const CR0_BITS = S.CR0_PE | S.CR0_MP | S.CR0_EM | S.CR0_TS | S.CR0_NE | S.CR0_WP | S.CR0_AM |
  S.CR0_NW | S.CR0_CD | S.CR0_PG;

const CR4_FEATURES: [Feature, number][] = [
  ["vme", S.CR4_VME | S.CR4_PVI],
  ["tsc", S.CR4_TSD],
  ["de", S.CR4_DE],
  ["pse", S.CR4_PSE],
  ["pae", S.CR4_PAE],
  ["mce", S.CR4_MCE],
  ["pge", S.CR4_PGE],
  ["fxsr", S.CR4_OSFXSR],
  ["sse", S.CR4_OSXMMEXCPT],
  ["umip", S.CR4_UMIP],
  ["fsgsbase", S.CR4_FSGSBASE],
  ["smep", S.CR4_SMEP],
  ["smap", S.CR4_SMAP],
  ["xsave", S.CR4_OSXSAVE],
  ["pcid", S.CR4_PCIDE],
];

/** The bits of CR4 that a model has; with none there is no CR4. */
export function cr4Bits(cpu: X86): number {
  let bits = 0;
  for (const [feature, mask] of CR4_FEATURES) if (cpu.model.features.has(feature)) bits |= mask;
  if (cpu.model.family >= 6) bits |= S.CR4_PCE;
  return bits;
}

/** Tells the MMUs whether user accesses must be aligned, and whether SMAP lets supervisor accesses through. To be called when CPL, EFLAGS.AC or CR0.AM changed. */
export function updateAlignment(cpu: X86): void {
  // Usually AC is clear, and nothing depends on it.
  if ((cpu.R[S.EFLAGS] & S.AC) !== 0 || cpu.mmu.relies || cpu.mmu64.relies) followAlignment(cpu);
}

function followAlignment(cpu: X86): void {
  const checked = alignmentChecked(cpu);
  cpu.mmu.setAlignmentChecks(checked);
  cpu.mmu64.setAlignmentChecks(checked);
  if ((cpu.R[S.EFLAGS] & S.AC) === 0) cpu.closeUserPages();
}

/** Enters a privilege level. */
export function setCpl(cpu: X86, cpl: number): void {
  cpu.R[S.CPL] = cpl;
  updateAlignment(cpu);
}

/** Raises #UD for a control register that there is not, which comes before the check of privilege. */
export function requireControl(cpu: X86, n: number): void {
  const exists = n === 0 || n === 2 || n === 3 || (n === 4 && cr4Bits(cpu) !== 0) ||
    (n === 8 && cpu.R[S.LONG] !== 0);
  if (!exists) cpu.raise(S.UD);
}

/** The value of a control register, its high half in `R[HIGH]`. */
export function readControl(cpu: X86, n: number): number {
  const R = cpu.R;
  const { apic } = cpu.bus;
  if (n === 8 && apic !== undefined) {
    R[S.HIGH] = 0;
    return apic.taskPriority;
  }
  const at = S.CR0 + (n === 0 ? 0 : n === 8 ? S.CR8 - S.CR0 : 2 * (n - 1));
  R[S.HIGH] = R[at + 1];
  return R[at];
}

/** MOV to a control register, privilege already checked; `high` is 0 outside 64-bit mode. */
export function writeControl(cpu: X86, n: number, value: number, high = 0): void {
  const R = cpu.R;
  if (n === 2) {
    R[S.CR2] = value;
    R[S.CR2 + 1] = high;
  } else if (n === 3) writeCr3(cpu, value, high);
  else if (n === 0 || (n === 4 && cr4Bits(cpu) !== 0)) {
    if (high !== 0) cpu.raise(S.GP, 0);
    if (n === 0) writeCr0(cpu, value);
    else writeCr4(cpu, value);
  } else if (n === 8 && R[S.LONG] !== 0) {
    if (high !== 0 || (value & ~0xf) !== 0) cpu.raise(S.GP, 0);
    // With a local APIC CR8 is its task-priority register; otherwise a register that nothing heeds.
    if (cpu.bus.apic !== undefined) cpu.bus.apic.taskPriority = value;
    else R[S.CR8] = value;
  } else cpu.raise(S.UD);
}

/** Whether paging is on with physical address extension, but not in long mode, with these values of CR0 and CR4. */
function usesPdptes(cpu: X86, cr0: number, cr4: number): boolean {
  return (cr0 & S.CR0_PG) !== 0 && (cr4 & S.CR4_PAE) !== 0 &&
    (cpu.R[S.EFER] & S.EFER_LME) === 0;
}

/** Drops all translations of both paging modes. */
function flushAll(cpu: X86): void {
  cpu.mmu.flushAll();
  cpu.mmu64.flushAll();
}

/** Drops all translations but those of global pages. Compatibility mode has a TLB of its own. */
function flush(cpu: X86): void {
  cpu.mmu.flush();
  if (cpu.longActive) cpu.mmu64.flush();
}

/** INVLPG: drops the translation of one linear address. */
export function flushPage(cpu: X86, linear: number): void {
  if (!cpu.longActive) return cpu.mmu.flushPage(linear | 0);
  cpu.mmu64.flushPage(linear);
  if (linear >= 0 && linear < 0x100000000) cpu.mmu.flushPage(linear | 0);
}

/** INVLPG of an address given by its halves, of which compatibility mode and legacy modes have the low one. */
export function invalidate(cpu: X86, low: number, high: number): void {
  if (high >= -0x8000 && high <= 0x7fff) flushPage(cpu, high * 0x100000000 + (low >>> 0));
}

/** What turning paging on or off means for long mode, before anything changes (SDM vol. 3, 9.8.5). */
function checkLongSwitch(cpu: X86, paging: boolean): void {
  const R = cpu.R;
  if (!paging) {
    // 64-bit code cannot turn paging off under itself, nor can code that uses PCIDs.
    if (R[S.LONG] !== 0 || (R[S.CR4] & S.CR4_PCIDE) !== 0) cpu.raise(S.GP, 0);
    return;
  }
  if ((R[S.EFER] & S.EFER_LME) === 0) return;
  const long = (R[S.SEG_ATTR + S.CS] & S.ATTR_LONG) !== 0;
  const tss16 = (R[S.SEG_ATTR + S.TR] & 0x8f) === 0x83;
  if ((R[S.CR4] & S.CR4_PAE) === 0 || long || tss16) cpu.raise(S.GP, 0);
}

/** Writes CR0 and lets paging, flat segments and alignment checks follow. */
export function writeCr0(cpu: X86, value: number): void {
  const R = cpu.R, old = R[S.CR0];
  if ((value & S.CR0_PG) !== 0 && (value & S.CR0_PE) === 0) cpu.raise(S.GP, 0);
  if ((value & S.CR0_NW) !== 0 && (value & S.CR0_CD) === 0) cpu.raise(S.GP, 0);
  const cr0 = (value & CR0_BITS) | S.CR0_ET, changed = cr0 ^ old;
  if ((changed & S.CR0_PG) !== 0) checkLongSwitch(cpu, (cr0 & S.CR0_PG) !== 0);
  // The PDPTEs are loaded anew when CD, NW or PG changes (SDM vol. 3, 4.4.1).
  if (
    usesPdptes(cpu, cr0, R[S.CR4]) && (changed & (S.CR0_PG | S.CR0_CD | S.CR0_NW)) !== 0 &&
    !cpu.mmu.loadPdptes(R[S.CR3])
  ) {
    cpu.raise(S.GP, 0);
  }
  R[S.CR0] = cr0;
  if ((changed & S.CR0_PG) !== 0) {
    const active = (cr0 & S.CR0_PG) !== 0 && (R[S.EFER] & S.EFER_LME) !== 0;
    R[S.EFER] = active ? R[S.EFER] | S.EFER_LMA : R[S.EFER] & ~S.EFER_LMA;
    updateLongMode(cpu);
  }
  if ((changed & (S.CR0_PG | S.CR0_PE | S.CR0_WP)) !== 0) flushAll(cpu);
  if ((changed & S.CR0_PE) !== 0) updateAllFlat(cpu);
  updateAlignment(cpu);
}

/** Bits 63:40 of CR3: MAXPHYADDR is 40. */
const CR3_RESERVED_HIGH = ~0xff;
/** Bit 63 of what is written to CR3: the translations of the PCID are to be kept. */
const CR3_NO_FLUSH = 1 << 31;
/** The PCID in CR3. */
const CR3_PCID = 0xfff;

/**
 * Writes CR3: with PAE the four PDPTEs must be valid, in long mode there are no bits above the physical
 * address. Translations are not kept by PCID, so all but global ones go, which is always allowed (SDM vol.
 * 3, 4.10.4.1).
 */
export function writeCr3(cpu: X86, value: number, high = 0): void {
  const R = cpu.R;
  if (usesPdptes(cpu, R[S.CR0], R[S.CR4]) && !cpu.mmu.loadPdptes(value)) cpu.raise(S.GP, 0);
  if ((R[S.CR4] & S.CR4_PCIDE) !== 0) high &= ~CR3_NO_FLUSH;
  if ((high & CR3_RESERVED_HIGH) !== 0) cpu.raise(S.GP, 0);
  R[S.CR3] = value;
  R[S.CR3 + 1] = high;
  flush(cpu);
}

/** Writes CR4: bits that the model lacks are reserved and raise #GP(0). */
export function writeCr4(cpu: X86, value: number): void {
  const R = cpu.R;
  if ((value & ~cr4Bits(cpu)) !== 0) cpu.raise(S.GP, 0);
  const changed = value ^ R[S.CR4];
  const paging = S.CR4_PAE | S.CR4_PSE | S.CR4_PGE | S.CR4_SMEP | S.CR4_SMAP;
  // PCIDs come in long mode only, and with PCID 0 (SDM vol. 3, 4.10.1).
  if (
    (changed & value & S.CR4_PCIDE) !== 0 && (!cpu.longActive || (R[S.CR3] & CR3_PCID) !== 0)
  ) cpu.raise(S.GP, 0);
  if (cpu.longActive && (value & S.CR4_PAE) === 0) cpu.raise(S.GP, 0);
  if (
    usesPdptes(cpu, R[S.CR0], value) && (changed & paging) !== 0 && !cpu.mmu.loadPdptes(R[S.CR3])
  ) {
    cpu.raise(S.GP, 0);
  }
  R[S.CR4] = value;
  if ((changed & (paging | S.CR4_PCIDE)) !== 0) flushAll(cpu);
}

/** INVPCID (SDM vol. 2): of type 0 one address, 1 one PCID, 2 everything, 3 everything but global pages. */
export function invalidatePcid(
  cpu: X86,
  { type, pcid, linear }: { type: number; pcid: number; linear: number },
): void {
  const R = cpu.R;
  // Without PCIDs there is only number 0.
  if (type < 2 && pcid !== 0 && (R[S.CR4] & S.CR4_PCIDE) === 0) cpu.raise(S.GP, 0);
  if (type === 0) {
    if (!isCanonicalAddress(linear)) cpu.raise(S.GP, 0);
    flushPage(cpu, linear);
  } else if (type === 2) flushAll(cpu);
  else flush(cpu);
}

function isCanonicalAddress(linear: number): boolean {
  return linear >= -0x800000000000 && linear < 0x800000000000;
}

/**
 * WRMSR of EFER: false for #GP. Long mode can be enabled and disabled only while paging is off; LMA is not
 * written to but follows.
 */
export function writeEfer(cpu: X86, low: number, high: number): boolean {
  const { R, model: { features } } = cpu, old = R[S.EFER];
  const allowed = (features.has("syscall") ? S.EFER_SCE : 0) |
    (features.has("lm") ? S.EFER_LME | S.EFER_LMA : 0) | (features.has("nx") ? S.EFER_NXE : 0);
  if (high !== 0 || (low & ~allowed) !== 0) return false;
  const changed = low ^ old;
  if ((changed & S.EFER_LME) !== 0 && (R[S.CR0] & S.CR0_PG) !== 0) return false;
  R[S.EFER] = (low & ~S.EFER_LMA) | (old & S.EFER_LMA);
  if ((changed & S.EFER_NXE) !== 0) flushAll(cpu);
  return true;
}

/** LMSW: the low four bits of CR0; PE can be set but not cleared. */
export function loadMachineStatus(cpu: X86, value: number): void {
  const cr0 = cpu.R[S.CR0];
  writeCr0(cpu, (cr0 & ~0xf) | (value & 0xf) | (cr0 & S.CR0_PE));
}
