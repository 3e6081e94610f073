/** What the translator tells of the instructions executed last. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { engine, testMachine } from "../../accel/interp/testing.ts";
import { type JitOptions, Translator } from "../../accel/jit/translator.ts";
import * as S from "../../accel/x86/state.ts";
import { Machine, WaitTimeoutError } from "../../mod.ts";
import { assemble, type Code, dword, label, rel32, rel8, word } from "../boots/assemble.ts";

const START = 0x1000, HANDLER = 0x3000, IDT = 0x4000;

/** Loops, calls, and now and then executes x87 instructions, which fault since there is no coprocessor. */
const PROGRAM: Code = [
  label("loop"),
  ...[0x40, 0x01, 0xc3], // inc eax; add ebx, eax
  ...[0xe8, rel32("sub")], // call
  ...[0xa9, dword(7)], // test eax, 7
  ...[0x75, rel8("loop")], // jnz
  ...[0x89, 0xc1, 0xd9, 0xe8, 0x41], // mov ecx, eax; fld1; inc ecx
  ...[0xa9, dword(15)], // test eax, 15
  ...[0x75, rel8("loop")], // jnz
  ...[0xd9, 0xe8, 0xeb, rel8("loop")], // fld1; jmp
  { fill: 0x1000 },
  label("sub"), // on the next page
  ...[0x89, 0xc2, 0x83, 0xe2, 3], // mov edx, eax; and edx, 3
  ...[0x0f, 0x01, 0xe1], // smsw ecx, which regions call a helper for
  ...[0xa9, dword(31), 0x75, rel8("again")], // test eax, 31; jnz
  ...[0xdb, 0xe3], // fninit, whose helper faults
  label("again"),
  ...[0x42, 0x83, 0xfa, 4, 0x75, rel8("again")], // inc edx; cmp edx, 4; jne
  0xc3,
];

function machine() {
  const made = testMachine({ ip: START }), { put, R } = made;
  put(START, ...assemble(START, PROGRAM));
  put(HANDLER, 0x83, 0x04, 0x24, 2, 0x45, 0xcf); // add dword [esp], 2; inc ebp; iret
  put(0x5000, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0);
  const gate = [word(HANDLER), word(8), word(0x8e00), word(0)].flat() as number[];
  put(IDT + 8 * S.NM, ...gate);
  R[S.GDTR_BASE] = 0x5000;
  R[S.GDTR_LIMIT] = 15;
  R[S.IDTR_BASE] = IDT;
  R[S.IDTR_LIMIT] = 0x7ff;
  R[S.CR0] |= S.CR0_EM;
  return made;
}

/** Addresses of the first instructions that the program executes, one after the other. */
function trace(count: number): number[] {
  const { cpu } = machine(), executed: number[] = [];
  for (let n = 0; n < count; n++) {
    executed.push(cpu.location.ip);
    cpu.run(1);
  }
  return executed;
}

const how: [string, JitOptions][] = [
  ["at first sight", { eager: true }],
  ["when hot", {}],
  ["and joined over two pages", { sample: 1000, hot: 2000, trial: 16, join: 64, call: 0 }],
  ["with what it calls in another page", { sample: 1000, hot: 2000, trial: 16 }],
];
for (const [name, options] of how) {
  Deno.test(`The instructions that code translated ${name} executed last are listed, or counted`, () => {
    const COUNT = 20_000, executed = trace(COUNT), interpreter = engine.make;
    engine.make = (bus, model) => new Translator(bus, model, options);
    const { cpu } = machine();
    engine.make = interpreter;
    if (options.eager !== true) {
      // As much as makes code hot, up to where the program is in its first state but for its counters.
      cpu.run(400_000);
      for (let n = 0; n < 400 && cpu.location.ip !== START; n++) cpu.run(1);
      cpu.x86.R.fill(0, S.RAX, S.RSP);
      cpu.x86.R[S.RBP] = 0;
    }
    const { translation } = cpu as Translator, first = cpu.instructions;
    let unlisted = 0, listed = 0;
    for (let n = 1; cpu.instructions - first + n < COUNT; n = n * 5 % 337 + 1) {
      cpu.run(n);
      let at = cpu.instructions - first;
      for (const one of cpu.recent(12).reverse()) {
        at -= 1 + (one.unlisted ?? 0);
        unlisted += one.unlisted ?? 0;
        listed++;
        if (at < 0) break;
        assertEquals(one.ip, executed[at], `instruction ${at} of ${cpu.instructions - first}`);
      }
    }
    assert(listed > 1000 && unlisted > 1000, `${listed} listed, ${unlisted} not`);
    assert((cpu as Translator).translation.entered > translation.entered + 100);
  });
}

Deno.test("Reports list real-mode code of segments that begin within a page at its addresses", async () => {
  const kernel = new Uint8Array(0x1100);
  kernel.set([0xea, 0x05, 0x01, 0xf0, 0x07]); // jmp 07f0:0105, which is 8005h
  kernel.set([0x40, 0xe9, 0x07, 0x10], 5); // inc ax; jmp 9010h
  kernel.set([0x43, 0xe9, 0xf1, 0xef], 0x1010); // inc bx; jmp 8005h
  await using vm = await Machine.create({ memory: "2M", kernel, flat: { address: 0x8000 } });
  await vm.reach(0x8005);
  await vm.run({ instructions: 12 });
  const { recent } = await vm.report();
  assertEquals(
    recent.slice(-8).map(({ linear, ip, text }) => `${linear.toString(16)} ${ip} ${text}`),
    [0, 1].flatMap(() => [
      "8005 261 inc ax",
      "8006 262 jmp 0x1110",
      "9010 4368 inc bx",
      "9011 4369 jmp 0x105",
    ]),
  );
});

Deno.test("A report tells how much of what was executed last it does not list", async () => {
  const kernel = assemble(0x8000, [label("loop"), 0x40, 0x43, 0xeb, rel8("loop")]);
  await using vm = await Machine.create({
    kernel,
    flat: { address: 0x8000, mode: "protected" },
    memory: "2M",
    accel: "jit",
  });
  const error = await assertRejects(
    () => vm.port(0x80).nextWrite({ within: "20ms" }),
    WaitTimeoutError,
  );
  const { recent } = error.report!;
  const more = recent.reduce((sum, { unlisted = 0 }) => sum + unlisted, 0);
  assert(more > 1000, `${more}`);
  assertStringIncludes(error.message, "more by translated code");
});
