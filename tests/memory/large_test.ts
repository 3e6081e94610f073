/** A machine with all the RAM that it can have. */
import { assert, assertEquals } from "@std/assert";
import { Machine } from "../../mod.ts";
import { seabios } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import { code } from "../modes/bed.ts";
import { HUGE_GUEST } from "./huge_guest.ts";

const MIB = 2 ** 20, GIB = 2 ** 30;
/** Where the guest writes: the first doubleword above 4 GiB, and the last ones below the PCI devices and of all RAM. */
const PLACES = [4 * GIB, 3 * GIB - 4, 5 * GIB - 4];

Deno.test("a guest with 4 GiB uses all of it, and the host pays for what it touches", async () => {
  await using vm = await Machine.create(HUGE_GUEST);
  const writes = PLACES.map((address) => vm.memory(address, 4).record({ reads: false }));
  const exit = await vm.exited;
  assertEquals(exit.kind, "dead-halt");
  const word = (address: number) =>
    new DataView(vm.readMemory(address, 4).buffer).getUint32(0, true);
  assertEquals(PLACES.map(word), [0x11111101, 0x22222202, 0x33333303]);
  assertEquals(word(0x500), 0x66666606);
  assertEquals(writes.map(({ entries }) => entries.map(({ address }) => address)), [
    [PLACES[0]],
    [PLACES[1]],
    [PLACES[2]],
  ]);
  const hash = vm.stateHash(), snapshot = vm.snapshot();
  assert(snapshot.pages.length < 1000, `${snapshot.pages.length} pages were stored`);
  vm.writeMemory(PLACES[2], new Uint8Array(4));
  vm.writeMemory(4 * GIB + 123 * MIB, Uint8Array.of(1));
  assert(vm.stateHash() !== hash);
  vm.restore(snapshot);
  assertEquals([vm.stateHash(), word(PLACES[2])], [hash, 0x33333303]);
  assertEquals(vm.readMemory(4 * GIB + 123 * MIB, 1)[0], 0);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("host_cost.ts", import.meta.url).href],
    stderr: "inherit",
  }).output();
  const cost = Number(new TextDecoder().decode(stdout));
  assert(cost > 0 && cost < 300, `the host has spent ${cost} MiB on an idle guest`);
});

// Asks INT 15h, E820h for the whole map, from 600h on; where it ends is stored at 5FEh.
const ASKS_FOR_MAP = code(`
  66 31 db 31 c0 8e c0 8e d8 bf 00 06 ; xor ebx,ebx; xor ax,ax; mov es,ax; mov ds,ax; mov di,600h
  66 b8 20 e8 00 00 66 ba 50 41 4d 53 ; next: mov eax,0e820h; mov edx,'SMAP'
  66 b9 14 00 00 00 cd 15             ; mov ecx,20; int 15h
  72 08 83 c7 14 66 85 db 75 e2       ; jc done; add di,20; test ebx,ebx; jnz next
  89 3e fe 05 fa f4                   ; done: mov [5feh],di; cli; hlt
`);

guestTest("SeaBIOS tells of 4 GiB, a quarter of it above the PCI devices", async () => {
  const { bios256k, vgaBios } = await seabios();
  const bytes = new Uint8Array(MIB);
  bytes.set(ASKS_FOR_MAP);
  bytes.set([0x55, 0xaa], 510);
  await using vm = await Machine.create({
    firmware: bios256k,
    optionRoms: [vgaBios],
    memory: "4G",
    drives: [{ bytes }],
    limits: { within: "10s" },
  });
  assertEquals((await vm.exited).kind, "dead-halt");
  const end = new DataView(vm.readMemory(0x5fe, 2).buffer).getUint16(0, true);
  const view = new DataView(vm.readMemory(0x600, end - 0x600).buffer);
  const ram: [number, number][] = [];
  for (let at = 0; at < view.byteLength; at += 20) {
    const base = Number(view.getBigUint64(at, true));
    const length = Number(view.getBigUint64(at + 8, true));
    if (view.getUint32(at + 16, true) === 1) ram.push([base, base + length]);
  }
  // SeaBIOS keeps some for itself below the end of the lower part.
  const [, [base, top], above] = ram;
  assertEquals([base, Math.ceil(top / MIB)], [MIB, 3072]);
  assertEquals(above, [4 * GIB, 5 * GIB]);
});
