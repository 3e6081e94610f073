import { assertEquals, assertThrows } from "@std/assert";
import { MemoryDevice } from "../../core/block/memory_device.ts";
import { Properties } from "./devices.ts";
import { type PcDrive, placeDrives } from "./drives.ts";
import { BoardError } from "./errors.ts";

const block = new MemoryDevice(1 << 20);
const disk = (more: Partial<PcDrive> = {}): PcDrive => ({ media: "disk", block, ...more });
const device = (driver: string, ...properties: [string, string][]): Properties =>
  new Properties({ driver, properties });

function ids(drives: PcDrive[], ...requests: Properties[]): string[] {
  return placeDrives(drives, requests).map((d) => d?.id ?? (d === undefined ? "-" : d.media));
}

Deno.test("disks fill the places in order and CD-ROMs start on the second channel", () => {
  assertEquals(ids([disk({ id: "a" }), { media: "cdrom" }, disk({ id: "b" })]), [
    "a",
    "b",
    "cdrom",
    "-",
  ]);
});

Deno.test("a drive without a place never takes that of another", () => {
  assertEquals(ids([disk({ id: "a" }), disk({ id: "b", index: 0 })]), ["b", "a", "-", "-"]);
});

Deno.test("ide-hd and ide-cd place the drives that they name", () => {
  assertEquals(
    ids(
      [disk({ id: "a" }), disk({ id: "b" })],
      device("ide-hd", ["drive", "b"], ["bus", "ide.1"], ["unit", "1"]),
      device("ide-cd"),
    ),
    ["a", "cdrom", "-", "b"],
  );
});

const REFUSED: [string, PcDrive[], Properties[], string][] = [
  ["an index out of range", [disk({ index: 4 })], [], "index 4: give 0 to 3"],
  [
    "a place taken twice",
    [disk({ index: 1 }), disk({ index: 1 })],
    [],
    "at index 1: memory is there already",
  ],
  ["five drives", [disk(), disk(), disk(), disk(), disk()], [], "no place is free, there are 4"],
  ["two drives of one id", [disk({ id: "x" }), disk({ id: "x" })], [], 'have the id "x"'],
  ["a disk without contents", [{ media: "disk" }], [], "disk without contents"],
  [
    "a drive that does not exist",
    [disk({ id: "root" })],
    [device("ide-hd", ["drive", "rot"])],
    'no drive "rot" (did you mean "root"?)',
  ],
  ["a disk as a CD-ROM", [disk({ id: "x" })], [device("ide-cd", ["drive", "x"])], "is a disk"],
  ["a disk device without a drive", [], [device("ide-hd")], "give drive=ID"],
  ["a bus that does not exist", [], [device("ide-cd", ["bus", "ide.2"])], "ide.0 and ide.1"],
  [
    "a drive in two devices",
    [disk({ id: "x" })],
    [device("ide-hd", ["drive", "x"]), device("ide-hd", ["drive", "x"])],
    "in use already",
  ],
];
for (const [what, drives, requests, message] of REFUSED) {
  Deno.test(`placeDrives refuses ${what}`, () => {
    assertThrows(() => placeDrives(drives, requests), BoardError, message);
  });
}
