/** I/O permission and port accesses (SDM vol. 1, chapter 19). */
import type { X86 } from "../cpu.ts";
import * as S from "../state.ts";
import { noteIo } from "./debug.ts";
import { ATTR_PRESENT, segmentBase } from "./segments.ts";

/** Offset of the I/O map base in a 386 TSS. */
const IO_MAP_BASE = 0x66;

/**
 * Raises #GP(0) unless the program may access `size` bytes of ports from `port`: by CPL and IOPL, or by
 * the permission bitmap in the TSS. To be called before the operands of IN, OUT, INS and OUTS are touched.
 */
export function checkIo(cpu: X86, port: number, size: number): void {
  const R = cpu.R;
  if ((R[S.CR0] & S.CR0_PE) === 0) return;
  if ((R[S.EFLAGS] & S.VM) === 0 && R[S.CPL] <= cpu.iopl) return;
  const base = segmentBase(cpu, S.TR), limit = R[S.SEG_LIMIT + S.TR] >>> 0;
  const attr = R[S.SEG_ATTR + S.TR];
  const has = (attr & ATTR_PRESENT) !== 0 && (attr & 8) !== 0 && limit >= IO_MAP_BASE + 1;
  if (!has) cpu.raise(S.GP, 0);
  port &= 0xffff;
  const at = cpu.sysLoad16(base + IO_MAP_BASE) + (port >>> 3);
  // Two bytes are read always: a map ends with a byte of ones.
  if (at + 1 > limit) cpu.raise(S.GP, 0);
  const mask = ((1 << size) - 1) << (port & 7);
  if ((cpu.sysLoad16(base + at) & mask) !== 0) cpu.raise(S.GP, 0);
}

/** Reads a port, permission already checked; I/O breakpoints see it. Unsigned. */
export function readPort(cpu: X86, port: number, size: 1 | 2 | 4): number {
  port &= 0xffff;
  const value = cpu.bus.ports.read(port, size);
  noteIo(cpu, port, size);
  return value;
}

/** Writes a port, permission already checked; I/O breakpoints see it. */
export function writePort(cpu: X86, port: number, size: 1 | 2 | 4, value: number): void {
  port &= 0xffff;
  const mask = size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
  cpu.bus.ports.write(port, size, (value & mask) >>> 0);
  noteIo(cpu, port, size);
}

/** IN, permission included. The result is an int32, its high half in `R[HIGH]`. */
export function input(cpu: X86, port: number, size: 1 | 2 | 4): number {
  checkIo(cpu, port & 0xffff, size);
  const value = readPort(cpu, port, size) | 0;
  cpu.R[S.HIGH] = 0;
  return value;
}

/** OUT, permission included. */
export function output(cpu: X86, port: number, size: 1 | 2 | 4, value: number): void {
  checkIo(cpu, port & 0xffff, size);
  writePort(cpu, port, size, value);
}
