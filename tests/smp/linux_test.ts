/** Firmware and Linux on several processors. */
import { assertEquals } from "@std/assert";
import { Machine, type MachineOptions } from "../../mod.ts";
import { seabios, vmlinux } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";

/** A machine's place in its run. */
function place(vm: Machine): { instructions: number; time: number; hash: string } {
  return { instructions: vm.instructions, time: vm.virtualTime, hash: vm.stateHash() };
}

guestTest("SeaBIOS starts all processors and counts them", async () => {
  const { bios256k, vgaBios } = await seabios();
  let log = "";
  await using vm = await Machine.create({
    firmware: bios256k,
    optionRoms: [vgaBios],
    memory: "32M",
    processors: 4,
    devices: ["isa-debugcon,iobase=0x402"],
    debugcon: (byte) => log += String.fromCharCode(byte),
  });
  await vm.screen.expect(/No bootable device/, { within: "60s" });
  assertEquals(/Found \d+ cpu.*/.exec(log)?.[0], "Found 4 cpu(s) max supported 4 cpu(s)");
});

guestTest("Linux starts four processors, and does so in the same way each time", async (t) => {
  const options: MachineOptions = {
    // Uncompressed and started directly: a good part of another boot is the unpacking.
    kernel: await vmlinux("amd64"),
    append: "console=ttyS0 cryptomgr.notests",
    memory: "128M",
    processors: 4,
    failOn: [/Kernel panic/, /BUG:/, /Call Trace/],
  };
  const FURTHER = 5_000_000;
  await using first = await Machine.create(options);
  await first.serial.expect("smp: Brought up 1 node, 4 CPUs");
  await first.run({ instructions: 234_567 });
  const early = place(first), snapshot = first.snapshot();
  await first.run({ instructions: FURTHER });
  const later = place(first);

  await t.step("Another boot, in odd pieces, is the same", async () => {
    await using vm = await Machine.create(options);
    await vm.run({ instructions: early.instructions - 2_000_000 });
    for (let i = 1; vm.instructions < early.instructions; i++) {
      const left = early.instructions - vm.instructions;
      await vm.run({ instructions: Math.min(left, (i * 7919) % 20_011) });
    }
    assertEquals(place(vm), early);
  });

  await t.step("A machine that goes on from a snapshot is the same", async () => {
    await using vm = await Machine.create(options);
    vm.restore(snapshot);
    assertEquals(place(vm), early);
    await vm.run({ instructions: FURTHER });
    assertEquals(place(vm), later);
  });
});
