/** Pieces about interrupts, the kernel, ports, time and the stack. */
import { bytesOf, EBX, ECX, type Label } from "./assembler.ts";
import { resumed, sometimes } from "./code.ts";
import { type Context, ZERO } from "./context.ts";
import { instruction } from "./integer.ts";
import { TIMER } from "./kernel.ts";
import * as L from "./layout.ts";

/** Asks the kernel to take rights from a page, to change page tables and so on. */
export function service(c: Context): void {
  const { a, rng } = c;
  sometimes(c, () => {
    a.store(c.at(L.SERVICE), rng.range(1, 10));
    a.store(c.at(L.ARGUMENT), rng.below(L.SHIFTING_PAGES));
    a.put(0xcd, 0x80);
  });
}

/** Ports that answer and do no harm. */
export function ports(c: Context): void {
  const { a, rng } = c;
  const port = rng.pick([0x80, 0x61, 0x84, 0x71, 0x40, 0x3f8 - 0x100 & 0xff, 0x20, 0x21]);
  const read = rng.chance(60) || port !== 0x80;
  if (rng.chance(50)) {
    a.put(0xba, port, 0, 0, 0);
    a.put((read ? 0xec : 0xee) + (port === 0x80 && rng.chance(50) ? 1 : 0));
  } else a.put(read ? 0xe4 : 0xe6, port);
}

/** Single steps over what follows, or a breakpoint on it. */
export function stepped(c: Context, body: () => void): void {
  const { a, rng } = c;
  sometimes(c, () => {
    a.store(c.at(L.STEPS), rng.below(12));
    a.put(0x9c);
    a.op([0x81], 1, { base: 4, disp: 0 }, { immediate: [0, 1, 0, 0] });
    a.put(0x9d);
  });
  body();
}

/** Waits for the timer, or reads the time. */
export function timing(c: Context): void {
  const { a, rng } = c;
  if (c.setup.timer > 0 && c.setup.ring === 0 && rng.chance(40)) {
    return sometimes(c, () => a.put(0xf4));
  }
  if (c.setup.timer > 0 && rng.chance(40)) {
    return sometimes(c, () => {
      const r = c.target(), top: Label = {};
      a.op([0x8b], r, { disp: c.at(L.TICKS) });
      a.bind(top);
      if (rng.chance(50)) a.put(0xf3, 0x90);
      a.op([0x3b], r, { disp: c.at(L.TICKS) });
      a.branch(ZERO, top);
    });
  }
  if (rng.chance(50)) a.put(0x0f, 0x31); // rdtsc
  else if (c.can(EBX, ECX)) a.put(0x31, 0xc0, 0x0f, 0xa2); // xor eax, eax; cpuid
}

/** Interrupts that the processor sends itself, held off or not; code that the timer's handler changes. */
export function interrupts(c: Context): void {
  const { a, rng, setup } = c;
  // To itself, fixed, edge.
  const send = () => a.store(L.APIC + 0x300, 0x44000 | TIMER);
  switch (rng.below(6)) {
    case 0:
    case 1:
      return sometimes(c, send);
    case 2: // Held off, then by STI, whose shadow is one instruction, or by POPF.
      if (setup.paging === "none" && setup.ring === 3) return;
      a.put(0xfa);
      if (rng.chance(70)) sometimes(c, send);
      for (let n = rng.range(1, 3); n > 0; n--) instruction(c);
      if (rng.chance(60)) a.put(0xfb);
      else {
        a.put(0x9c);
        a.op([0x81], 1, { base: 4, disp: 0 }, { immediate: [0, 2, 0, 0] });
        a.put(0x9d);
      }
      return instruction(c);
    case 3: // The shadow of a load of SS.
      a.put(0x8c, 0xd0, 0x8e, 0xd0); // mov eax, ss; mov ss, eax
      return instruction(c);
    case 4: // An alignment check, or floating point that is switched off.
      return resumed(c, () => {
        if (rng.chance(50)) {
          a.put(0x9c);
          a.op([0x81], 1, { base: 4, disp: 0 }, { immediate: bytesOf(1 << 18, 4) });
          a.put(0x9d);
        }
        for (let n = rng.range(1, 4); n > 0; n--) instruction(c);
        a.put(0x9c);
        a.op([0x81], 4, { base: 4, disp: 0 }, { immediate: bytesOf(~(1 << 18), 4) });
        a.put(0x9d);
      });
    default: {
      if (c.immediates.length === 0) return;
      const { label, size } = rng.pick(c.immediates);
      a.storeLabel(c.at(L.PATCHED), label);
      a.op([0x83], 5, { disp: c.at(L.PATCHED) }, {
        size: c.word,
        immediate: [size === 32 ? rng.pick([4, 2]) : 1],
      });
    }
  }
}

/** The stack in the data, or in pages that come and go, where the kernel has one of its own. */
export function otherStack(c: Context, body: () => void): void {
  const { a, rng, setup } = c;
  if (setup.ring !== 3) return body();
  const cell = { disp: c.counter() }, page = rng.chance(50) ? L.DATA + 0x8000 : L.SHIFTING + 0x3000;
  a.op([0x89], 4, cell, { size: c.word });
  resumed(c, () => {
    a.set(4, c.at(page + rng.pick([0x800, 0x1000, 0x1004, 0x1802, 0x1ffc])));
    body();
  });
  a.op([0x8b], 4, cell, { size: c.word });
}
