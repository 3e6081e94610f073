/** SSE3 instructions on XMM registers (SDM vol. 1, 12.2 to 12.4); FISTTP is with the x87. */
import type { Helper } from "../rows.ts";
import * as L from "./float.ts";
import { commit4, move8 } from "./sse.ts";

function horizontal64(op: number): Helper {
  return (cpu, a, b) => {
    L.settle(cpu, L.lane64(cpu, op, a, a + 2, 0) | L.lane64(cpu, op, b, b + 2, 2));
    commit4(cpu.R, a);
  };
}

function horizontal32(op: number): Helper {
  return (cpu, a, b) => {
    const flags = L.lane32(cpu, op, a, a + 1, 0) | L.lane32(cpu, op, a + 2, a + 3, 1) |
      L.lane32(cpu, op, b, b + 1, 2) | L.lane32(cpu, op, b + 2, b + 3, 3);
    L.settle(cpu, flags);
    commit4(cpu.R, a);
  };
}

/** Helpers of this file. */
export const SSE3: Record<string, Helper> = {
  haddpd: horizontal64(L.ADD),
  hsubpd: horizontal64(L.SUB),
  haddps: horizontal32(L.ADD),
  hsubps: horizontal32(L.SUB),
  addsubpd: (cpu, a, b) => {
    L.settle(cpu, L.lane64(cpu, L.SUB, a, b, 0) | L.lane64(cpu, L.ADD, a + 2, b + 2, 2));
    commit4(cpu.R, a);
  },
  addsubps: (cpu, a, b) => {
    const flags = L.lane32(cpu, L.SUB, a, b, 0) | L.lane32(cpu, L.ADD, a + 1, b + 1, 1) |
      L.lane32(cpu, L.SUB, a + 2, b + 2, 2) | L.lane32(cpu, L.ADD, a + 3, b + 3, 3);
    L.settle(cpu, flags);
    commit4(cpu.R, a);
  },
  movddup: (cpu, a, b) => {
    move8(cpu.R, a, b);
    move8(cpu.R, a + 2, b);
  },
  movsldup: (cpu, a, b) => {
    const R = cpu.R;
    R[a] = R[a + 1] = R[b];
    R[a + 2] = R[a + 3] = R[b + 2];
  },
  movshdup: (cpu, a, b) => {
    const R = cpu.R;
    R[a] = R[a + 1] = R[b + 1];
    R[a + 2] = R[a + 3] = R[b + 3];
  },
};
