/** OVMF from two flash chips: its setup, where a script chooses what to boot, and its shell. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { decode } from "fast-png";
import { Machine } from "../../mod.ts";
import { ovmf } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";

guestTest("OVMF's boot manager starts the entry chosen with the keyboard", async () => {
  const { code, vars } = await ovmf();
  const variables = await Deno.readFile(vars);
  const empty = variables.slice();
  await using vm = await Machine.create({
    memory: "64M",
    cpu: "qemu64",
    flash: [{ file: code, readOnly: true }, { bytes: variables }],
    // Otherwise it does not wait for a key.
    bootMenu: true,
    limits: { within: "20s" },
  });
  const { serial, keyboard, screen } = vm;
  // The first that it sends once it has its consoles; the keyboard is one of them soon after.
  await serial.expect("\x1b[2J");
  while (!serial.unread.includes("Boot Maintenance Manager")) {
    await keyboard.press("esc");
    await vm.run({ for: "100ms" });
  }
  await serial.expect("<Enter>=Select Entry");
  await serial.expect("current system");
  // The setup draws anew what the mark leaves and what it comes to.
  await keyboard.press("down");
  await serial.expect("Device Manager");
  await keyboard.press("down");
  await serial.expect("Boot Manager");
  await keyboard.press("enter");
  await serial.expect("EFI Internal Shell");
  await keyboard.press("up");
  await serial.expect("EFI Internal Shell");
  await keyboard.press("enter");
  await serial.expect("UEFI Interactive Shell v2.2");
  await serial.expect("to skip");
  await keyboard.press("esc");
  await serial.expect("Shell> ");
  const before = decode(screen.screenshot());
  await keyboard.type("set answer 42\n");
  await serial.expect("Shell> ");
  await keyboard.type("echo %answer%7\n");
  await serial.expect("\r\n427");

  // The screen shows the same, in a graphics mode that its driver has set.
  const after = decode(screen.screenshot());
  assert(before.width >= 640 && before.height >= 400, `${before.width}×${before.height}`);
  assertEquals([after.width, after.height], [before.width, before.height]);
  assertNotEquals(after.data, before.data);
  // What it keeps it has programmed into the second chip: a shell variable is a UEFI variable.
  assertNotEquals(variables, empty);
  assert(new TextDecoder("utf-16le").decode(variables.subarray(0, 0x10000)).includes("answer"));
});
