/** OVMF from two flash chips: a program on a drive, its setup, where a script chooses what to boot, and its shell. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { decode } from "fast-png";
import { Machine } from "../../mod.ts";
import { ovmf } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import { efiDisk, efiProgram } from "./efi.ts";

const LINE = "compy: the drive's program";

guestTest(
  "OVMF boots a drive, and what is chosen in its boot manager with the keyboard",
  async () => {
    const { code, vars } = await ovmf();
    const variables = await Deno.readFile(vars);
    const empty = variables.slice();
    await using vm = await Machine.create({
      memory: "64M",
      cpu: "qemu64",
      flash: [{ file: code, readOnly: true }, { bytes: variables }],
      drives: [{ bytes: efiDisk(efiProgram(LINE)), readOnly: true }],
      limits: { within: "20s" },
    });
    const { serial, keyboard, screen } = vm;
    await serial.expect(/starting Boot\d+ "UEFI .* QM00001 "/);
    await serial.expect(LINE);
    // The program returns, nothing else can be booted: the setup.
    await serial.expect("Boot Maintenance Manager");
    await serial.expect("current system");
    // It draws anew what the mark leaves and what it comes to.
    await keyboard.press("down");
    await serial.expect("Device Manager");
    await keyboard.press("down");
    await serial.expect("Boot Manager");
    await keyboard.press("enter");
    await serial.expect(/UEFI .* QM00001/);
    await serial.expect("EFI Internal Shell");
    await keyboard.press("enter");
    await serial.expect(LINE);
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

    await keyboard.type("reset -s\n");
    assertEquals((await vm.exited).kind, "power-off");
  },
);
