/** GRUB's rescue CD, booted by SeaBIOS: its prompt, what it shows, and Linux that it loads. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { decode } from "fast-png";
import { describeExit, Machine, type MachineOptions } from "../../mod.ts";
import { writeCpio } from "../../scripts/guests/cpio.ts";
import { grubRescueCd, seabios } from "../../scripts/guests/guests.ts";
import { linuxGuest, READY } from "../../scripts/guests/initramfs.ts";
import { guestTest } from "../../scripts/guests/testing.ts";

async function rescueCd(options: MachineOptions): Promise<MachineOptions> {
  const { bios256k, vgaBios } = await seabios();
  const cd = { file: await grubRescueCd(), media: "cdrom" } as const;
  return {
    firmware: bios256k,
    optionRoms: [vgaBios],
    bootOrder: "d",
    ...options,
    drives: [...options.drives ?? [], cd],
  };
}

/** Leaves the CD's menu for GRUB's prompt. */
async function prompt(vm: Machine): Promise<void> {
  await vm.screen.expect("`c' for a command-line", { within: "20s" });
  await vm.keyboard.type("c");
  await vm.screen.expect(/^grub>/m, { within: "20s" });
}

/** Types a command and waits for the next prompt: GRUB does not look at its keyboard while it works. */
async function enter(vm: Machine, command: string): Promise<string> {
  await vm.keyboard.type(command + "\n");
  const escaped = command.replace(/[()]/g, "\\$&");
  const answer = new RegExp(`^grub> ${escaped}\\n([^]*?)\\n*^grub>`, "m");
  return (await vm.screen.expect(answer, { within: "20s" })).groups[0]!;
}

/** Character cells of the picture: 9 by 16 pixels, one bit each. */
const CELL = { width: 9, height: 16 };

guestTest(
  "GRUB's rescue CD comes to a prompt and lists its devices at a typed command",
  async () => {
    const megabyte = () => ({ bytes: new Uint8Array(1 << 20) });
    await using vm = await Machine.create(
      await rescueCd({ memory: "32M", drives: [megabyte(), megabyte()] }),
    );
    await prompt(vm);
    assertMatch(await enter(vm, "ls"), /^\(hd0\) \(hd1\) \(cd\)/);

    // The cursor comes to rest behind the prompt.
    await vm.run({ for: "100ms" });
    const lines = vm.screen.lines();
    assertEquals(vm.screen.cursor, { row: lines.lastIndexOf("grub>"), column: 6, visible: true });
    const { width, height, channels, data } = decode(vm.screen.screenshot());
    assertEquals([width, height], [80 * CELL.width, 25 * CELL.height]);
    // Each cell has the glyph that the VGA BIOS has for its character, the ninth column empty.
    const { vgaBios } = await seabios();
    const rom = await Deno.readFile(vgaBios);
    const glyph = (row: number, column: number): number[] =>
      Array.from({ length: CELL.height }, (_, y) => {
        let bits = 0;
        for (let x = 0; x < CELL.width; x++) {
          const pixel = ((row * CELL.height + y) * width + column * CELL.width + x) * channels;
          bits = bits * 2 + (data[pixel] + data[pixel + 1] + data[pixel + 2] > 0 ? 1 : 0);
        }
        assertEquals(bits & 1, 0, "ninth column");
        return bits >> 1;
      });
    const find = (bytes: number[]): number => {
      for (let at = 0; at <= rom.length - bytes.length; at++) {
        if (bytes.every((byte, i) => rom[at + i] === byte)) return at;
      }
      return -1;
    };
    const title = lines.findIndex((line) => line.includes("GNU GRUB"));
    const font = find(glyph(title, lines[title].indexOf("G"))) - "G".charCodeAt(0) * CELL.height;
    assert(font > 0, "the VGA BIOS has the glyph of the first letter");
    let seen = 0;
    for (const [row, line] of lines.entries()) {
      for (let column = 0; column < 80; column++) {
        if (row === vm.screen.cursor!.row && column === vm.screen.cursor!.column) continue;
        const code = line.charCodeAt(column) || 0x20;
        if (code > 0x7e) continue;
        const wanted = rom.subarray(font + code * CELL.height, font + (code + 1) * CELL.height);
        assertEquals(glyph(row, column), [...wanted], `row ${row}, column ${column}`);
        if (code !== 0x20) seen++;
      }
    }
    assert(seen > 200, `${seen} visible characters`);
  },
);

guestTest(
  "Linux, loaded by GRUB, finds SeaBIOS's tables and switches the power off by ACPI",
  async () => {
    const { kernel, initrd } = await linuxGuest();
    const file = async (path: string, from: string) =>
      ({ kind: "file", path, data: await Deno.readFile(from) }) as const;
    // GRUB reads cpio archives as file systems.
    const archive = writeCpio([await file("vmlinuz", kernel), await file("initrd", initrd)]);
    await using vm = await Machine.create(
      await rescueCd({
        memory: "128M",
        drives: [{ bytes: archive }],
        failOn: [/Kernel panic/],
        noReboot: true,
        limits: { within: "60s" },
      }),
    );
    await prompt(vm);
    assertEquals(await enter(vm, "linux (hd0)/vmlinuz console=ttyS0 cryptomgr.notests"), "");
    assertEquals(await enter(vm, "initrd (hd0)/initrd"), "");
    await vm.keyboard.type("boot\n");
    await vm.serial.expect(READY);
    const { stdout } = await vm.serial.run(
      "dmesg | grep -E 'BIOS-e820|ACPI: (RSDP|DSDT)'",
    );
    assertMatch(stdout, /BIOS-e820: \[mem 0x0{16}-0x0{11}9fbff\] usable/);
    assertMatch(stdout, /ACPI: RSDP 0x0{11}F[0-9A-F]{3}0 /);
    assertMatch(stdout, /ACPI: DSDT 0x0{8}0[0-9A-F]{7} .*COMPY/);
    await vm.serial.writeLine("poweroff -f");
    const exit = await vm.exited;
    assertEquals(exit.kind, "power-off", describeExit(exit));
  },
);
