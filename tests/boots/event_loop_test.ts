/**
 * The host's event loop keeps turning while a guest does nothing else than compute.
 *
 * In a file of its own, which has a heap of its own: behind the boots of another test V8 collected what those had
 * left in the middle of this one (31 ms at once by `--trace-gc`), and on loaded hosts it failed at 60 to 70 ms.
 */
import { Machine } from "../../mod.ts";
import { assertResponsive, measureEventLoop } from "../../core/machine/event_loop_testing.ts";

Deno.test("The event loop turns while a guest spins", async () => {
  const kernel = new Uint8Array([0xeb, 0xfe]); // jmp to itself
  await using vm = await Machine.create({ memory: "2M", kernel, flat: {} });
  assertResponsive(await measureEventLoop(() => vm.run({ instructions: 200_000_000 })));
});

Deno.test("The event loop turns while a guest copies and clears memory with repeated instructions", async () => {
  const kernel = new Uint8Array([
    0xfc, // cld
    ...[0xbf, 0x00, 0x00, 0x20, 0x00], // again: mov edi, 2 MiB
    ...[0xb9, 0x00, 0x00, 0x40, 0x00], // mov ecx, 4 Mi
    ...[0xf3, 0xab], // rep stosd
    ...[0xbe, 0x00, 0x00, 0x20, 0x00], // mov esi, 2 MiB
    ...[0xbf, 0x03, 0x00, 0x20, 0x01], // mov edi, 18 MiB + 3
    ...[0xb9, 0x00, 0x00, 0xd0, 0x00], // mov ecx, 13 Mi
    ...[0xf3, 0xa4], // rep movsb
    ...[0xeb, 0xe1], // jmp again
  ]);
  const flat = { address: 0x100000, mode: "protected" } as const;
  await using vm = await Machine.create({ memory: "32M", kernel, flat });
  assertResponsive(await measureEventLoop(() => vm.run({ instructions: 1_000_000_000 })));
});
