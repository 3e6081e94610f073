/** A processor on which the tests of `fpu/` and `simd/` call instructions one by one, without an engine. */
import { HostMemory } from "../../../core/bus/host_memory.ts";
import { MemoryMap } from "../../../core/bus/memory_map.ts";
import { PortMap } from "../../../core/bus/port_map.ts";
import { VirtualClock } from "../../../core/machine/clock.ts";
import { FAULT, X86 } from "../cpu.ts";
import { parseCpuModel } from "../models.ts";
import * as S from "../state.ts";
import { setSegment } from "../system/segments.ts";

/** A processor in flat protected mode with 64 KiB of RAM, its x87 as after FNINIT, SSE switched on. */
export function fpuTestCpu(model = "max"): X86 {
  const memory = new MemoryMap(new HostMemory(1 << 16));
  memory.addRam("ram", 0, 1 << 16, memory.host.allocate(1 << 16));
  const cpu = new X86(
    { memory, ports: new PortMap(), clock: new VirtualClock(), acknowledge: () => 0 },
    parseCpuModel(model),
  );
  const { R } = cpu;
  R[S.CR0] = S.CR0_PE | S.CR0_NE;
  R[S.CR4] = S.CR4_OSFXSR | S.CR4_OSXMMEXCPT;
  R[S.EFLAGS] = 2;
  R[S.FCW] = 0x37f;
  R[S.MXCSR] = 0x1f80;
  for (const s of [S.ES, S.SS, S.DS, S.FS, S.GS]) setSegment(cpu, s, 0x10, 0, -1, 0xc093);
  setSegment(cpu, S.CS, 0x08, 0, -1, 0xc09b);
  R[S.INSN_SEG] = S.DS;
  return cpu;
}

/** The vector that a call raises, or -1. */
export function vectorOf(cpu: X86, call: () => void): number {
  try {
    call();
  } catch (e) {
    if (e !== FAULT) throw e;
    return cpu.faultVector;
  }
  return -1;
}

/** Hexadecimal digits of a word. */
export function hex(value: number, digits = 8): string {
  return (value >>> 0).toString(16).padStart(digits, "0");
}

/** Sets ST(i), without its tag, from `sign and exponent:significand` in hexadecimal. */
export function setSt(R: Int32Array, i: number, text: string): void {
  const at = S.ST0 + 4 * (((R[S.FSW] >>> 11) + i) & 7);
  R[at] = parseInt(text.slice(13), 16);
  R[at + 1] = parseInt(text.slice(5, 13), 16);
  R[at + 2] = parseInt(text.slice(0, 4), 16);
}

/** ST(i) in the same notation. */
export function st(R: Int32Array, i: number): string {
  const at = S.ST0 + 4 * (((R[S.FSW] >>> 11) + i) & 7);
  return `${hex(R[at + 2], 4)}:${hex(R[at + 1])}${hex(R[at])}`;
}
