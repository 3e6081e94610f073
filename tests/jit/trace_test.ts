/** What a machine tells of the code that it translates, and how much. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { formatRegion } from "../../core/debug/translation.ts";
import { disassemble } from "../../core/debug/disassemble.ts";
import type { TranslatedRegion } from "../../core/machine/cpu.ts";
import {
  HostFailureError,
  Machine,
  type MachineOptions,
  OptionError,
  type TraceOptions,
} from "../../mod.ts";
import { kernel } from "./guests.ts";
import { Lockstep } from "./lockstep.ts";

const ELF = fromFileUrl(new URL("../../bench/microbench/out10/fib.32.elf", import.meta.url));
const OPTIONS: MachineOptions = {
  memory: "32M",
  kernel: ELF,
  devices: ["isa-debug-exit,iobase=0xf4,iosize=4"],
  accel: "jit",
};

Deno.test("A machine tells of each region that it translates when it enters it first", async () => {
  const told: string[] = [];
  await using vm = await Machine.create({
    ...OPTIONS,
    trace: { items: ["in_asm", "op", "out_js"], write: (text) => void told.push(text) },
  });
  await vm.run({ instructions: 5_000_000 });
  const { compiled } = vm.translation!;
  assert(compiled > 0);
  assertEquals(told.length, compiled);
  told.forEach((text, i) => {
    assertEquals(
      text.match(/^\w+: region \d+$/gm),
      ["IN", "OP", "OUT"].map((item) => `${item}: region ${i + 1}`),
    );
  });
  // The recursive function calls itself.
  assert(/call 0x[0-9a-f]+$/m.test(told[0]), told[0]);
  assert(/return \(n\+/.test(told[0]), told[0]);
});

Deno.test("Tracing changes nothing in the guest's run", async () => {
  const hashes: string[] = [];
  for (const trace of [undefined, { items: ["op"], write: () => {} }] as const) {
    await using vm = await Machine.create({ ...OPTIONS, trace });
    await vm.run({ instructions: 2_000_000 });
    hashes.push(vm.stateHash());
  }
  assertEquals(hashes[1], hashes[0]);
});

for (const name of ["fib.32", "fib.64"]) {
  Deno.test(`The addresses and bytes told of ${name} are those in memory`, async () => {
    const told: TranslatedRegion[] = [];
    const lockstep = await Lockstep.create(await kernel(name), {
      jit: { eager: true, trace: (region) => void told.push(region) },
    });
    assertEquals(lockstep.advance(300_000), "");
    assert(told.length > 3);
    // 64-bit kernels begin with 32-bit code.
    assertEquals(told.at(-1)!.bits, Number(name.slice(-2)));
    for (const { blocks, entries, page, text } of told) {
      // The board's first instructions are not mapped any more.
      if (page > 0xfff00000) continue;
      assert(text.length > 100);
      for (const entry of entries) assert(blocks.some(({ address }) => address === entry));
      for (const { address, instructions } of blocks) {
        assertEquals(instructions[0].address, address);
        for (const one of instructions) {
          assert(one.address >= page && one.address < page + 0x1000);
          assertEquals(lockstep.a.cpu.peekLinear(one.address, one.bytes.length), one.bytes);
        }
      }
    }
    const text = formatRegion(told[0], ["in_asm"], disassemble);
    assert(!text.includes("(bad)"), text);
    await lockstep.dispose();
  });
}

Deno.test("A listener that fails ends the machine", async () => {
  const failure = new Error("the disk is full");
  await using vm = await Machine.create({
    ...OPTIONS,
    trace: {
      items: ["op"],
      write() {
        throw failure;
      },
    },
  });
  const error = await assertRejects(() => vm.run({ instructions: 50_000_000 }), HostFailureError);
  assertEquals(error.cause, failure);
});

Deno.test("Wrong wishes for a trace are refused", async () => {
  const write = () => {};
  const cases: [MachineOptions["accel"], unknown, string, string][] = [
    ["jit", { items: ["in_asn"], write }, "trace.items", 'did you mean "in_asm"?'],
    ["jit", { items: [], write }, "trace.items", "at least one of in_asm, op, out_js"],
    ["jit", { items: ["op"] }, "trace.write", "function"],
    ["jit", { items: ["op"], sink: write }, "sink", "write"],
    ["interp", { items: ["op"], write }, "trace", 'accel: "jit"'],
  ];
  for (const [accel, trace, option, part] of cases) {
    const error = await assertRejects(
      () => Machine.create({ ...OPTIONS, accel, trace: trace as TraceOptions }),
      OptionError,
    );
    assertEquals(error.option, option);
    assert(error.message.includes(part), error.message);
  }
});

Deno.test("Every region that was translated exists, or is counted by the way it ended", async () => {
  const ended = (vm: Machine) => {
    const { compiled, regions, invalidated, replaced, unworthy, evicted, forgotten } = vm
      .translation!;
    assertEquals(compiled, regions + invalidated + replaced + unworthy + evicted + forgotten);
    return compiled - regions;
  };
  await using vm = await Machine.create(OPTIONS);
  const snapshot = vm.snapshot();
  await vm.run({ instructions: 2_000_000 });
  const { regions } = vm.translation!;
  assert(regions > 0);
  ended(vm);
  // Another state: nothing is known of its code.
  vm.restore(snapshot);
  assert(ended(vm) >= regions);
  assertEquals(vm.translation!.regions, 0);
  // This one writes into its own loops.
  await using changing = await Machine.create({ ...OPTIONS, kernel: ELF.replace("fib", "smc") });
  await changing.exited;
  assert(ended(changing) > 0);
});

Deno.test("Statistics tell the host time that translating took, which no state depends on", async () => {
  await using vm = await Machine.create(OPTIONS);
  assertEquals(vm.translation!.compileTime, 0);
  await vm.run({ instructions: 2_000_000 });
  const { compileTime, longestCompile, compiled } = vm.translation!;
  assert(compiled > 0 && longestCompile > 0 && compileTime >= longestCompile);
  const snapshot = vm.snapshot(), hash = vm.stateHash();
  await vm.run({ instructions: 1000 });
  vm.restore(snapshot);
  assertEquals(vm.stateHash(), hash);
});
