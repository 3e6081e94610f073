import { assert, assertEquals, assertThrows } from "@std/assert";
import { BlockError, type BlockErrorKind } from "../core/block/block_device.ts";
import { MemoryDevice } from "../core/block/memory_device.ts";
import { StateError } from "../core/chip.ts";
import { AtaDisk } from "./ata_disk.ts";
import { diskGeometry, TRANSLATION_LARGE, TRANSLATION_LBA } from "./disk_geometry.ts";
import { IDE, IdeBoard } from "./ide_testing.ts";

const SECTORS = 4 * 16 * 63;

/** Every sector starts with its own number. */
function numbered(sectors = SECTORS): MemoryDevice {
  const device = new MemoryDevice(sectors * 512);
  const view = new DataView(device.bytes.buffer);
  for (let i = 0; i < sectors; i++) {
    view.setUint32(i * 512, i, true);
    view.setUint32(i * 512 + 508, ~i, true);
  }
  return device;
}

function board(block: MemoryDevice = numbered()) {
  const b = new IdeBoard();
  const errors: BlockError[] = [];
  const disk = new AtaDisk({ clock: b.clock, block, onError: (e) => errors.push(e) });
  b.ide.attach(0, 0, disk);
  return { b, disk, block, errors };
}

class Failing extends MemoryDevice {
  bad = new Set<number>();
  kind: BlockErrorKind = "io";
  override read(offset: number, length: number): Uint8Array {
    this.fail(offset, length);
    return super.read(offset, length);
  }
  override write(offset: number, bytes: Uint8Array): void {
    this.fail(offset, bytes.length);
    super.write(offset, bytes);
  }
  override flush(): void {
    if (this.bad.has(-1)) throw new BlockError(this.kind, this.source, "cannot flush");
  }
  private fail(offset: number, length: number) {
    for (const sector of this.bad) {
      if (sector * 512 < offset + length && sector * 512 + 512 > offset) {
        throw new BlockError(this.kind, this.source, `sector ${sector} is bad`);
      }
    }
  }
}

const sectorNumber = (bytes: Uint8Array) => new DataView(bytes.buffer).getUint32(0, true);
const wordsOf = (bytes: Uint8Array) => new Uint16Array(bytes.buffer);
const text = (words: Uint16Array, at: number, count: number) =>
  [...words.subarray(at, at + count)].map((w) => String.fromCharCode(w >> 8, w & 0xff)).join("");

Deno.test("AtaDisk shows its signature and readiness after reset", () => {
  const { b } = board();
  assertEquals([1, 2, 3, 4, 5, 7].map((r) => b.register(r)), [1, 1, 1, 0, 0, 0x50]);
});

Deno.test("AtaDisk answers IDENTIFY DEVICE with size, geometry and capabilities", () => {
  const { b } = board();
  b.command(...new Array(6), 0xec);
  assertEquals([b.alternateStatus, b.irqs[0]], [0x58, true]);
  const words = wordsOf(b.readData(512));
  assertEquals([words[1], words[3], words[6]], [4, 16, 63]);
  assertEquals(words[60] | words[61] << 16, SECTORS);
  assertEquals([words[100], words[101], words[102], words[103]], [SECTORS, 0, 0, 0]);
  assertEquals(text(words, 27, 20).trim(), "COMPY HARDDISK");
  assertEquals(words[49] & 0x300, 0x300);
  assertEquals(words[83] & 0xc400, 0x4400);
  assertEquals(words[63] & 7, 7);
  assertEquals([b.register(7), b.irqs[0]], [0x50, false]);
});

Deno.test("AtaDisk keeps BSY while a command takes its time", () => {
  const { b } = board();
  b.ports.write(IDE + 2, 1, 1);
  b.ports.write(IDE + 7, 1, 0x20);
  assertEquals([b.alternateStatus, b.irqs[0]], [0x80, false]);
  b.ports.write(IDE + 7, 1, 0xec);
  b.settle();
  assertEquals(b.alternateStatus, 0x58);
});

Deno.test("AtaDisk reads sectors by LBA, one data request and one interrupt a sector", () => {
  const { b } = board();
  b.command(undefined, 3, 0x10, 0, 0, 0xe0, 0x20);
  for (let i = 0; i < 3; i++) {
    assertEquals(b.irqs[0], true);
    assertEquals(b.register(7), 0x58);
    assertEquals(b.irqs[0], false);
    assertEquals(sectorNumber(b.readData(512)), 0x10 + i);
    b.settle();
  }
  assertEquals([b.irqs[0], b.register(7)], [false, 0x50]);
  assertEquals([b.register(2), b.register(3)], [0, 0x12]);
});

Deno.test("AtaDisk reads 256 sectors for a count of 0 and moves doublewords", () => {
  const { b } = board();
  b.command(undefined, 0, 0, 0, 0, 0xe0, 0x20);
  for (let i = 0; i < 256; i++) {
    const first = b.ports.read(IDE, 4);
    for (let k = 1; k < 128; k++) b.ports.read(IDE, 4);
    assertEquals(first, i);
    b.settle();
  }
  assertEquals(b.alternateStatus, 0x50);
});

Deno.test("AtaDisk addresses by cylinder, head and sector", () => {
  const { b } = board();
  b.command(undefined, 1, 5, 2, 0, 0xa3, 0x20);
  assertEquals(sectorNumber(b.readData(512)), (2 * 16 + 3) * 63 + 4);
  b.settle();
  assertEquals([3, 4, 5, 6].map((r) => b.register(r)), [5, 2, 0, 0xa3]);
  for (const [sector, head] of [[0, 0], [64, 0]]) {
    b.command(undefined, 1, sector, 0, 0, 0xa0 | head, 0x20);
    assertEquals([b.register(7), b.register(1)], [0x51, 0x10]);
  }
});

Deno.test("AtaDisk follows INITIALIZE DEVICE PARAMETERS", () => {
  const { b } = board();
  b.command(undefined, 32, 0, 0, 0, 0xa7, 0x91);
  b.command(undefined, 1, 1, 1, 0, 0xa1, 0x20);
  assertEquals(sectorNumber(b.readData(512)), (1 * 8 + 1) * 32);
  b.settle();
  b.command(...new Array(6), 0xec);
  const words = wordsOf(b.readData(512));
  assertEquals([words[1], words[54], words[55], words[56]], [4, 15, 8, 32]);
});

Deno.test("AtaDisk writes through before it interrupts", () => {
  const { b, block } = board();
  b.command(undefined, 2, 7, 0, 0, 0xe0, 0x30);
  assertEquals([b.alternateStatus, b.irqs[0]], [0x58, false]);
  b.writeData(new Uint8Array(512).fill(0xaa));
  assertEquals(b.alternateStatus, 0x80);
  b.settle();
  assertEquals([b.irqs[0], block.bytes[7 * 512]], [true, 0xaa]);
  assertEquals(b.register(7), 0x58);
  b.writeData(new Uint8Array(512).fill(0xbb));
  b.settle();
  assertEquals([b.irqs[0], b.register(7)], [true, 0x50]);
  assertEquals([block.bytes[8 * 512 + 511], block.bytes[9 * 512]], [0xbb, 9]);
});

Deno.test("AtaDisk moves blocks of sectors in READ MULTIPLE and WRITE MULTIPLE", () => {
  const { b, block } = board();
  b.command(undefined, 4, 0, 0, 0, 0xe0, 0xc6);
  b.command(undefined, 6, 0, 0, 0, 0xe0, 0xc4);
  assertEquals(b.readData(4 * 512), block.read(0, 4 * 512));
  b.settle();
  assertEquals([b.irqs[0], b.register(7)], [true, 0x58]);
  assertEquals(b.readData(2 * 512), block.read(4 * 512, 2 * 512));
  b.settle();
  assertEquals(b.alternateStatus, 0x50);
  b.command(undefined, 3, 100, 0, 0, 0xe0, 0xc5);
  b.writeData(new Uint8Array(3 * 512).fill(1));
  b.settle();
  assertEquals([b.register(7), block.bytes[102 * 512 + 1]], [0x50, 1]);
  b.command(undefined, 3, 0, 0, 0, 0xe0, 0xc6);
  assertEquals([b.register(7), b.register(1)], [0x51, 4]);
  b.command(undefined, 0, 0, 0, 0, 0xe0, 0xc6);
  b.command(undefined, 1, 0, 0, 0, 0xe0, 0xc4);
  assertEquals([b.register(7), b.register(1)], [0x51, 4]);
});

Deno.test("AtaDisk takes 48-bit addresses and counts from both halves of its registers", () => {
  const { b, block } = board();
  const ext = (command: number, count: number, lba: number) => {
    b.command(undefined, count >> 8, lba / 2 ** 24 & 0xff, 0, 0);
    b.command(undefined, count & 0xff, lba & 0xff, lba >> 8 & 0xff, 0, 0xe0, command);
  };
  ext(0x24, 1, 0x0234);
  assertEquals(sectorNumber(b.readData(512)), 0x234);
  b.settle();
  ext(0x34, 1, 0x0150);
  b.writeData(new Uint8Array(512).fill(3));
  b.settle();
  assertEquals(block.bytes[0x150 * 512], 3);
  ext(0x24, 1, 0x1000000);
  assertEquals([b.register(7), b.register(1)], [0x51, 0x10]);
  ext(0x42, 0x300, 0);
  assertEquals(b.register(7), 0x50);
});

Deno.test("AtaDisk shows the previous register contents while HOB is set", () => {
  const { b } = board();
  b.command(undefined, 0x11, 0x22);
  b.command(undefined, 0x33, 0x44);
  assertEquals([b.register(2), b.register(3)], [0x33, 0x44]);
  b.ports.write(0x3f6, 1, 0x80);
  assertEquals([b.register(2), b.register(3)], [0x11, 0x22]);
  b.command(undefined, undefined, 0x55);
  assertEquals(b.register(2), 0x33);
});

Deno.test("AtaDisk refuses accesses past its end at the first sector that is not there", () => {
  const { b } = board();
  const last = SECTORS - 1;
  b.command(undefined, 2, last & 0xff, last >> 8, 0, 0xe0, 0x20);
  assertEquals(sectorNumber(b.readData(512)), last);
  b.settle();
  assertEquals([b.register(7), b.register(1)], [0x51, 0x10]);
  assertEquals(b.register(3) | b.register(4) << 8, SECTORS);
  b.command(undefined, 1, 0xff, 0xff, 0xff, 0xef, 0x30);
  assertEquals([b.register(7), b.register(1)], [0x51, 0x10]);
});

Deno.test("AtaDisk reports its last address", () => {
  const { b } = board();
  b.command(...new Array(5), 0xe0, 0xf8);
  assertEquals(b.register(3) | b.register(4) << 8, SECTORS - 1);
  b.command(...new Array(5), 0xe0, 0x27);
  assertEquals(b.register(3) | b.register(4) << 8, SECTORS - 1);
});

Deno.test("AtaDisk aborts what it does not know: NOP, SECURITY, SMART, PACKET", () => {
  const { b } = board();
  for (const command of [0x00, 0x08, 0xa0, 0xa1, 0xb0, 0xf1, 0xf6, 0x22]) {
    b.command(...new Array(6), command);
    assertEquals([b.irqs[0], b.register(7), b.register(1)], [true, 0x51, 4], `${command}`);
  }
});

Deno.test("AtaDisk sets transfer modes and the write cache, and shows them", () => {
  const { b } = board();
  const feature = (code: number, value: number) => {
    b.command(code, value, undefined, undefined, undefined, 0xa0, 0xef);
    return b.register(7);
  };
  const identify = () => {
    b.command(...new Array(6), 0xec);
    return wordsOf(b.readData(512));
  };
  assertEquals(feature(3, 0x22), 0x50);
  assertEquals([identify()[63], identify()[88]], [0x0407, 0x003f]);
  assertEquals(feature(3, 0x45), 0x50);
  assertEquals(identify()[88], 0x203f);
  assertEquals(feature(3, 0x0c), 0x50);
  assertEquals(feature(3, 0x47), 0x51);
  assertEquals(feature(0x82, 0), 0x50);
  assertEquals(identify()[85] & 0x20, 0);
  assertEquals(feature(0x02, 0), 0x50);
  assertEquals(identify()[85] & 0x20, 0x20);
  assertEquals(feature(0x99, 0), 0x51);
});

Deno.test("AtaDisk knows the power modes and wakes from sleep by reset only", () => {
  const { b } = board();
  const run = (command: number) => b.command(...new Array(6), command);
  const mode = () => {
    run(0xe5);
    return b.register(2);
  };
  assertEquals(mode(), 0xff);
  run(0xe0);
  assertEquals(mode(), 0);
  run(0x95);
  assertEquals(mode(), 0xff);
  run(0xe6);
  b.register(7);
  run(0xe5);
  assertEquals(b.irqs[0], false);
  b.ports.write(0x3f6, 1, 4);
  b.ports.write(0x3f6, 1, 0);
  b.settle();
  assertEquals(mode(), 0xff);
});

Deno.test("AtaDisk hides its interrupt behind nIEN and shows it when nIEN goes", () => {
  const { b } = board();
  b.ports.write(0x3f6, 1, 2);
  b.command(...new Array(6), 0xe7);
  assertEquals([b.irqs[0], b.busMasterStatus & 4], [false, 0]);
  b.ports.write(0x3f6, 1, 0);
  assertEquals([b.irqs[0], b.busMasterStatus & 4], [true, 4]);
});

Deno.test("AtaDisk abandons a transfer on software reset", () => {
  const { b } = board();
  b.command(undefined, 4, 0, 0, 0, 0xe0, 0x20);
  b.ports.write(0x3f6, 1, 4);
  assertEquals([b.alternateStatus, b.irqs[0]], [0x80, false]);
  b.ports.write(0x3f6, 1, 0);
  assertEquals(b.alternateStatus, 0x80);
  b.settle();
  assertEquals([1, 2, 3, 4, 5, 6, 7].map((r) => b.register(r)), [1, 1, 1, 0, 0, 0xa0, 0x50]);
  assertEquals(b.irqs[0], false);
});

Deno.test("AtaDisk turns an unreadable sector into UNC with its address and tells the host", () => {
  const block = new Failing(SECTORS * 512);
  const { b, errors } = board(block);
  block.bad.add(100);
  b.command(undefined, 200, 1, 0, 0, 0xe0, 0x40);
  assertEquals([b.register(7), b.register(1), b.register(3)], [0x51, 0x40, 100]);
  assertEquals(errors.length, 1);
  b.startDma(true, [[0x8000, 4096]]);
  b.command(undefined, 8, 96, 0, 0, 0xe0, 0xc8);
  assertEquals([b.register(7), b.register(1), b.register(3)], [0x51, 0x40, 100]);
});

Deno.test("AtaDisk turns a full host disk into an aborted write and tells the host", () => {
  const block = new Failing(SECTORS * 512);
  block.kind = "no-space";
  const { b, errors } = board(block);
  block.bad.add(5).add(-1);
  b.command(undefined, 1, 5, 0, 0, 0xe0, 0x30);
  b.writeData(new Uint8Array(512));
  b.settle();
  assertEquals([b.register(7), b.register(1), b.register(3)], [0x51, 4, 5]);
  b.command(...new Array(6), 0xe7);
  assertEquals([b.register(7), b.register(1)], [0x51, 4]);
  assertEquals(errors.map((e) => e.kind), ["no-space", "no-space"]);
});

Deno.test("AtaDisk over a read-only image aborts writes", () => {
  const { b, errors } = board(new MemoryDevice(1 << 20, { readOnly: true }));
  b.command(undefined, 1, 5, 0, 0, 0xe0, 0xca);
  assertEquals([b.register(7), b.register(1)], [0x51, 4]);
  assertEquals(errors, []);
});

Deno.test("AtaDisk restores the middle of a transfer and refuses nonsense", () => {
  const first = board();
  first.b.command(undefined, 2, 40, 0, 0, 0xe0, 0x20);
  first.b.readData(256);
  const second = board();
  const state = first.disk.snapshot();
  second.disk.restore(state);
  second.b.ide.restore(first.b.ide.snapshot());
  second.b.readData(256);
  second.b.settle();
  assertEquals(sectorNumber(second.b.readData(512)), 41);
  assertThrows(() => second.disk.restore({ ...state, position: 600 }), StateError, "bounds");
  assertThrows(() => second.disk.restore({ ...state, phase: "x" }), StateError, "phase");
  assertThrows(() => second.disk.restore({ ...state, heads: 0 }), StateError);
  assertThrows(() => second.disk.restore({ ...state, step: "read" }), StateError, "deadline");
});

Deno.test("Disk geometry follows size and an older partition table", () => {
  assertEquals(diskGeometry(504 * 1024 * 1024).cylinders, 1024);
  assertEquals(diskGeometry(1 << 30).translation, TRANSLATION_LARGE);
  assertEquals(diskGeometry(100 * 2 ** 30), {
    cylinders: 16383,
    heads: 16,
    sectors: 63,
    translation: TRANSLATION_LBA,
  });
  const table = new Uint8Array(512);
  table.set([0x55, 0xaa], 510);
  table.set([0x80, 1, 1, 0, 6, 3, 17, 99, 17, 0, 0, 0, 100, 0, 0, 0], 0x1be);
  const { cylinders, heads, sectors, translation } = diskGeometry(10 << 20, table);
  assertEquals([cylinders, heads, sectors, translation], [301, 4, 17, 0]);
  table[0x1be + 5] = 254;
  assert(diskGeometry(1 << 30, table).heads === 16);
});
