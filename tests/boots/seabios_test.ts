/** SeaBIOS and its VGA BIOS, unmodified, boot programs of our own from disks and CD-ROMs. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Machine, type MachineOptions } from "../../mod.ts";
import { seabios } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import {
  bootableCd,
  disk,
  exerciser,
  namesItself,
  SECTOR,
  TEXT_SECTOR,
  WRITTEN_BY_LBA,
  WRITTEN_CHS_SECTOR,
  WRITTEN_HEAD,
} from "./programs.ts";

/** Sectors on a track of the small disks here, as the drives tell. */
const TRACK = 63;

async function firmware(): Promise<MachineOptions> {
  const { bios256k, vgaBios } = await seabios();
  return { memory: "16M", firmware: bios256k, optionRoms: [vgaBios], limits: { within: "10s" } };
}

async function withImage(
  content: Uint8Array,
  work: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".img" });
  try {
    await Deno.writeFile(path, content);
    await work(path);
  } finally {
    await Deno.remove(path);
  }
}

/** The image of the exerciser's disk. */
function exercise(): Uint8Array<ArrayBuffer> {
  const image = disk(exerciser());
  image.set(new TextEncoder().encode("text of sector 300\0"), TEXT_SECTOR * SECTOR);
  return image;
}

guestTest(
  "SeaBIOS boots our sector, whose disk services reach the image file",
  () =>
    withImage(exercise(), async (file) => {
      await using vm = await Machine.create({ ...await firmware(), drives: [{ file }] });
      await vm.serial.expect("boot sector, drive 80\r\n");
      await vm.serial.expect("second sector\r\n");
      const { before } = await vm.serial.expect("\r\nkeys: ");
      assertEquals(before, "text of sector 300");
      await vm.screen.expect(/^boot sector, drive 80\nsecond sector\ntext of sector 300\nkeys:$/m);

      const untouched = await Deno.readFile(file);
      await vm.keyboard.type("Hello, Disk? 7+8\n");
      await vm.serial.expect("Hello, Disk? 7+8\r\nwritten\r\n");
      // The machine stands still on the byte that says so: the file has it.
      const image = await Deno.readFile(file);
      assertEquals(image.length, untouched.length);
      const text = (sector: number) =>
        new TextDecoder().decode(image.subarray(sector * SECTOR, (sector + 1) * SECTOR))
          .split("\0")[0];
      const byChs = WRITTEN_HEAD * TRACK + WRITTEN_CHS_SECTOR - 1;
      assertEquals(text(WRITTEN_BY_LBA), "Hello, Disk? 7+8");
      assertEquals(text(byChs), "Hello, Disk? 7+8");
      for (const sector of [WRITTEN_BY_LBA, byChs]) {
        untouched.set(image.subarray(sector * SECTOR, (sector + 1) * SECTOR), sector * SECTOR);
      }
      assertEquals(image, untouched);
      assertStringIncludes(vm.screen.text(), "keys: Hello, Disk? 7+8\nwritten");
    }),
);

guestTest(
  "SeaBIOS resets the machine at Ctrl-Alt-Delete",
  () =>
    withImage(exercise(), async (file) => {
      await using vm = await Machine.create({ ...await firmware(), drives: [{ file }] });
      await vm.serial.expect("keys: ");
      await vm.keyboard.press("Ctrl-Alt-Delete");
      await vm.serial.expect("boot sector, drive 80\r\n");
      assertEquals(vm.exit, undefined);

      await using ends = await Machine.create({
        ...await firmware(),
        drives: [{ file }],
        noReboot: true,
      });
      await ends.serial.expect("keys: ");
      await ends.keyboard.press("Ctrl-Alt-Delete");
      assertEquals((await ends.exited).kind, "reset");
      assertEquals(ends.serial.unread, "");
    }),
);

const INTRODUCTION =
  /I am (\w+); drive (\w\w), equipment (\w{4}), hard disks (\w\w), diskette (\w\w)/;

/** Two disks and a CD that say who they are. */
function threeDrives(): MachineOptions["drives"] {
  return [
    { bytes: disk(namesItself("Alpha")) },
    { bytes: disk(namesItself("Beta")) },
    { bytes: bootableCd(namesItself("Gamma")), media: "cdrom" },
  ];
}

guestTest("SeaBIOS tries the drives in the order that the machine was given", async () => {
  const options = await firmware();
  const cases: [string | undefined, MachineOptions["drives"], string, string][] = [
    [undefined, threeDrives(), "Alpha", "80"],
    ["c", threeDrives(), "Alpha", "80"],
    ["dc", threeDrives(), "Gamma", "E0"],
    // What cannot be booted is passed over.
    ["dc", [{ media: "cdrom" }, { bytes: disk(namesItself("Beta")) }], "Beta", "80"],
    ["cd", [{ bytes: new Uint8Array(1 << 20) }, threeDrives()![2]], "Gamma", "E0"],
    ["ac", threeDrives(), "Alpha", "80"],
  ];
  for (const [bootOrder, drives, name, drive] of cases) {
    await using vm = await Machine.create({ ...options, drives, bootOrder });
    const { groups } = await vm.serial.expect(INTRODUCTION);
    assertEquals(groups.slice(0, 2), [name, drive]);
  }
});

guestTest(
  "SeaBIOS finds two hard disks, a mouse, four serial ports and no diskette drive",
  async () => {
    await using vm = await Machine.create({ ...await firmware(), drives: threeDrives() });
    const { groups } = await vm.serial.expect(INTRODUCTION);
    const equipment = parseInt(groups[2]!, 16);
    assertEquals(equipment & 1, 0, "diskette drive");
    assertEquals(equipment >> 1 & 1, 1, "coprocessor");
    assertEquals(equipment >> 2 & 1, 1, "mouse");
    assertEquals(equipment >> 9 & 7, 4, "serial ports");
    assertEquals(groups[3], "02", "hard disks");
    assertEquals(groups[4], "FF", "reading a diskette fails");
  },
);

guestTest("SeaBIOS says when there is nothing to boot", async () => {
  const options = await firmware();
  const cases: MachineOptions[] = [
    options,
    { ...options, drives: [{ bytes: new Uint8Array(1 << 20) }, { media: "cdrom" }] },
    { ...options, drives: [{ bytes: new Uint8Array(1 << 20), media: "cdrom" }], bootOrder: "d" },
  ];
  for (const machine of cases) {
    await using vm = await Machine.create(machine);
    await vm.screen.expect("No bootable device.");
    assertMatch(vm.screen.lines()[0], /^SeaBIOS \(version /);
    assertEquals(vm.exit, undefined);
  }
});

guestTest("SeaBIOS offers a menu of the drives and boots the one that is chosen", async () => {
  await using vm = await Machine.create({
    ...await firmware(),
    drives: threeDrives(),
    bootMenu: true,
  });
  await vm.screen.expect("Press ESC for boot menu.");
  await vm.keyboard.press("Escape");
  const { row } = await vm.screen.expect("Select boot device:");
  await vm.screen.expect(/^\d\. DVD\/CD \[ata1-0: COMPY DVD-ROM .*\]$/m);
  const menu = vm.screen.lines().slice(row).filter((line) => /^\d\. /.test(line)).join("\n");
  assertMatch(menu, /^1\. .*ata0-0: COMPY HARDDISK .*\(1 MiBytes\)$/m);
  const [, entry] = /^(\d)\. ata0-1: /m.exec(menu) ?? [];
  await vm.keyboard.type(entry);
  const { groups } = await vm.serial.expect(INTRODUCTION);
  // The chosen disk becomes the first.
  assertEquals(groups.slice(0, 2), ["Beta", "80"]);
});

guestTest(
  "SeaBIOS boots for the command, whose options give the order",
  () =>
    withImage(
      disk(namesItself("Alpha")),
      (hda) =>
        withImage(bootableCd(namesItself("Gamma")), async (cdrom) => {
          const command = fromFileUrl(new URL("../../scripts/compy.ts", import.meta.url));
          const child = new Deno.Command(Deno.execPath(), {
            args: [
              ...["run", "-A", command, "-m", "16", "-nographic", "-no-reboot"],
              ...["-hda", hda, "-cdrom", cdrom, "-boot", "order=d", "-snapshot"],
            ],
            stdin: "null",
            stdout: "piped",
            stderr: "piped",
          }).spawn();
          let output = "";
          const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
          const errors = new Response(child.stderr).text();
          while (!INTRODUCTION.test(output)) {
            const { value, done } = await reader.read();
            if (done) {
              break;
            }
            output += value;
          }
          child.kill("SIGTERM");
          await reader.cancel();
          assert(INTRODUCTION.exec(output)?.[1] === "Gamma", output + await errors);
          assertEquals((await child.status).code, 143, await errors);
        }),
    ),
);
