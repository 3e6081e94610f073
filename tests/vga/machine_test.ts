/** A machine's screen without firmware, and a machine without a screen. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { decode } from "fast-png";
import { Machine, OptionError } from "../../mod.ts";

/** Writes "Hi" in yellow on blue at the top left and halts. */
const HELLO = new Uint8Array([
  ...[0xb8, 0x00, 0xb8, 0x8e, 0xc0], // mov ax, 0xb800; mov es, ax
  ...[0x26, 0xc7, 0x06, 0x00, 0x00, 0x48, 0x1e], // mov word es:[0], 0x1e48
  ...[0x26, 0xc7, 0x06, 0x02, 0x00, 0x69, 0x1e], // mov word es:[2], 0x1e69
  ...[0xe6, 0x80], // out 0x80, al
  ...[0xf4, 0xeb, 0xfd], // hlt; jmp $-1
]);

Deno.test("a kernel without firmware finds the screen in 80 by 25 characters, with a font", async () => {
  await using vm = await Machine.create({ kernel: HELLO, flat: {}, memory: "2M" });
  assertEquals(vm.screen.cursor, { row: 0, column: 0, visible: true });
  const later = vm.port(0x80).record();
  const match = await vm.screen.expect("Hi", { within: "1ms" });
  assertEquals([match.row, match.column], [0, 0]);
  assertEquals(later.entries, [], "stopped before the instruction that follows");
  const { width, height, data } = decode(vm.screen.screenshot());
  assertEquals([width, height], [720, 400]);
  // The upright strokes of H
  const dot = (x: number) => [...data.slice((2 * 720 + x) * 4, (2 * 720 + x) * 4 + 3)];
  const yellow = [0xff, 0xff, 0x55], blue = [0, 0, 0xaa];
  assertEquals([0, 1, 4, 5, 6, 8].map(dot), [yellow, blue, blue, yellow, blue, blue]);
});

Deno.test("a snapshot brings the picture back", async () => {
  await using vm = await Machine.create({ kernel: HELLO, flat: {}, memory: "2M" });
  const before = vm.snapshot(), blank = vm.screen.screenshot();
  await vm.port(0x80).nextWrite({ within: "1ms" });
  const after = vm.snapshot(), hello = vm.screen.screenshot();
  vm.restore(before);
  assertEquals(vm.screen.text().trim(), "");
  assertEquals(vm.screen.screenshot(), blank);
  vm.restore(after);
  assertEquals(vm.screen.lines()[0], "Hi");
  assertEquals(vm.screen.screenshot(), hello);
});

Deno.test("a machine without a display adapter has no screen and nothing at its addresses", async () => {
  await using vm = await Machine.create({ kernel: HELLO, flat: {}, memory: "2M", vga: "none" });
  assertThrows(() => vm.screen.lines(), Error, "no display adapter");
  await vm.port(0x80).nextWrite({ within: "1ms" });
  await assertRejects(
    () => Machine.create({ kernel: HELLO, flat: {}, vga: "sdt" as "std" }),
    OptionError,
    'did you mean "std"',
  );
  assert(vm.instructions > 0);
});
