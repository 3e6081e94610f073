/** Programs in which the engines once differed, as small as they could be made. */
import { assertEquals } from "@std/assert";
import { Assembler, EAX, EBX, ECX, type Label } from "./assembler.ts";
import { Engines } from "./engines.ts";
import { kernelImage } from "./kernel.ts";
import * as L from "./layout.ts";
import type { Setup } from "./layout.ts";
import { Fuzzer, runTrial } from "./run.ts";

const SETUP: Setup = {
  bits: 64,
  ring: 0,
  paging: "long",
  high: false,
  timer: 0,
  writeProtect: true,
  alignment: false,
};

/** Runs code again and again on all engines; a fault in it ends a round. */
function alike(
  name: string,
  setup: Partial<Setup>,
  emit: (a: Assembler, at: (address: number) => number) => void,
): void {
  Deno.test(`the engines agree on ${name}`, async () => {
    const all = { ...SETUP, ...setup }, at = (address: number) => L.linear(all, address);
    const a = new Assembler(at(L.CODE), all.bits), top = a.label(), after: Label = {};
    a.storeLabel(at(L.RESUME_IP), after);
    a.op([0x89], 4, { disp: at(L.RESUME_SP) }, { size: all.bits });
    emit(a, at);
    a.op([0xff], 0, { disp: at(L.TICKS) });
    a.bind(after);
    a.op([0xff], 0, { disp: at(L.ROUNDS) });
    a.jump(top);
    const image = [
      ...kernelImage(all, L.CODE, []),
      { address: L.CODE, bytes: a.finish() },
      { address: L.DATA, bytes: new Uint8Array(0x1000).map((_, i) => i * 7) },
    ];
    const engines = await Engines.create();
    const counts = [700, 1001, 1500, 3000];
    assertEquals(runTrial(engines, { image, counts, names: ["eager", "hot"] }), undefined);
    await engines.dispose();
  });
}

alike("an address that has moved by 4 GiB in steps", {}, (a) => {
  a.set(EBX, L.DATA + 0x100);
  a.op([0x8b], EAX, { base: EBX, disp: 0 });
  for (let n = 0; n < 2; n++) {
    a.op([0x81], 0, EBX, { size: 64, immediate: [0xff, 0xff, 0xff, 0x7f] });
  }
  a.op([0x83], 0, EBX, { size: 64, immediate: [2] });
  a.op([0x8b], ECX, { base: EBX, disp: 4 });
});

alike("an index that has moved by 1 GiB, scaled by 4", {}, (a) => {
  a.set(EBX, L.DATA + 0x100);
  a.set(ECX, 3);
  a.op([0x8b], EAX, { base: EBX, index: ECX, scale: 2, disp: 0 });
  a.op([0x81], 0, ECX, { size: 64, immediate: [0, 0, 0, 0x40] });
  a.op([0x8b], EAX, { base: EBX, index: ECX, scale: 2, disp: 0 });
});

alike("two addresses of which only the upper halves differ", { high: true }, (a, at) => {
  a.set(EBX, at(L.DATA + 0x100));
  a.put(0x48, 0xb9, 0x00, 0x01, 0x16, 0x80, 0, 0, 0, 0); // mov rcx, 80160100h
  a.op([0x8b], EAX, { base: EBX, disp: 0 });
  a.op([0x8b], EAX, { base: ECX, disp: 4 });
});

alike("a call of the last byte of the page before, in code with a return", {}, (a, at) => {
  const back: Label = {}, main: Label = {}, near: Label = {};
  a.jump(main);
  a.fill(at(L.CODE + 0xfff), 0xcc);
  a.bind(back);
  a.set(EBX, -5);
  a.put(0xc3);
  a.bind(near);
  a.put(0xc3);
  a.bind(main);
  a.call(near);
  a.call(back);
});

alike("the address of an x87 instruction in compatibility mode", { high: true }, (a, at) => {
  const pointer: Label = {},
    inside: Label = {},
    low: Label = {},
    high: Label = {},
    over: Label = {};
  const down = -at(0);
  a.put(0xdb, 0xe3, 0xd9, 0xe8); // fninit; fld1
  a.jump(over);
  a.bind(pointer);
  a.address(inside, 4, down);
  a.put(L.CODE0, 0);
  a.bind(over);
  a.op([0xff], 5, { disp: 0, relative: true }); // jmp far [pointer]
  a.bytes.length -= 4;
  a.distance(pointer, 4);
  a.bind(inside);
  a.put(0xd9, 0xee, 0xde, 0xc1); // fldz; faddp
  a.put(0xea); // jmp far low
  a.address(low, 4, down);
  a.put(L.LONG0, 0);
  a.bind(low);
  a.setLabel(EAX, high);
  a.put(0xff, 0xe0); // jmp rax
  a.bind(high);
});

Deno.test("the engines agree on a region that calls more than its text has room for", async () => {
  const fuzzer = new Fuzzer();
  // Shortening what is called did not end.
  assertEquals(await fuzzer.run(435), undefined);
  await fuzzer.dispose();
});
