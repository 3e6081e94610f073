/** The same inputs give the same run, and the host's event loop keeps turning meanwhile. */
import { assert, assertEquals } from "@std/assert";
import { Machine, type MachineOptions } from "../../mod.ts";
import { linuxGuest, READY } from "../../scripts/guests/initramfs.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import { assertResponsive, measureEventLoop } from "../../core/machine/event_loop_testing.ts";

/** A machine's place in its run. */
function place(vm: Machine): { instructions: number; time: number; hash: string } {
  return { instructions: vm.instructions, time: vm.virtualTime, hash: vm.stateHash() };
}
type Place = ReturnType<typeof place>;

/** What is compared: the start of the first process, the shell, and a command in it. */
const INIT = "Run /init as init process";
async function toShell(vm: Machine): Promise<Place[]> {
  await vm.serial.expect(READY);
  const shell = place(vm);
  const { stdout, status } = await vm.serial.run("cat /proc/uptime /proc/interrupts; date; ls /");
  assertEquals(status, 0, stdout);
  return [shell, place(vm)];
}

/** Keeps both processors of a small host busy. */
function loadHost(): AsyncDisposable {
  const spin = "for (;;) { Math.sqrt(performance.now()); }";
  const children = [0, 1].map(() =>
    new Deno.Command(Deno.execPath(), { args: ["eval", spin], stdin: "null" }).spawn()
  );
  return {
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map((child) => child.status));
    },
  };
}

guestTest("Linux reaches the same state on every way to its shell", async (t) => {
  const { kernel, initrd } = await linuxGuest();
  const options: MachineOptions = {
    memory: "128M",
    kernel,
    initrd,
    append: "console=ttyS0 cryptomgr.notests",
    failOn: [/Kernel panic/],
  };
  await using first = await Machine.create(options);
  const stretches = await measureEventLoop(() => first.serial.expect(INIT));
  await t.step("The event loop turns during the boot", () => assertResponsive(stretches));
  const init = place(first);
  const snapshot = first.snapshot();
  const later = await toShell(first);

  await t.step("Another boot, in odd pieces and on a busy host, is the same", async () => {
    await using _load = loadHost();
    await using vm = await Machine.create(options);
    for (let size = 1; vm.instructions + size < init.instructions / 4; size = size * 3 + 1) {
      await vm.run({ instructions: size });
    }
    for (let i = 1; i < 2000; i++) await vm.run({ instructions: (i * 7919) % 20_011 });
    await vm.run({ for: "333us" });
    await vm.serial.expect(INIT);
    assertEquals(place(vm), init);
    assertEquals(await toShell(vm), later);
  });

  await t.step("A boot under the translator is the same, and the event loop turns", async () => {
    await using vm = await Machine.create({ ...options, accel: "jit" });
    assertResponsive(await measureEventLoop(() => vm.serial.expect(INIT)));
    assertEquals(place(vm), init);
    assertEquals(await toShell(vm), later);
    const { executed } = vm.translation!;
    assert(executed > vm.instructions / 2, `${executed} of ${vm.instructions} were translated`);
  });

  await t.step("A machine that goes on from a snapshot is the same", async () => {
    await using vm = await Machine.create(options);
    vm.restore(snapshot);
    assertEquals(place(vm), init);
    assertEquals(await toShell(vm), later);
  });
});
