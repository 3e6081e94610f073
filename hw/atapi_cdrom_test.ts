import { assert, assertEquals, assertThrows } from "@std/assert";
import { BlockError } from "../core/block/block_device.ts";
import { MemoryDevice } from "../core/block/memory_device.ts";
import { StateError } from "../core/chip.ts";
import { AtapiCdrom } from "./atapi_cdrom.ts";
import { IDE, IdeBoard } from "./ide_testing.ts";

function disc(blocks = 100): MemoryDevice {
  const device = new MemoryDevice(blocks * 2048, { readOnly: true });
  const view = new DataView(device.bytes.buffer);
  for (let i = 0; i < blocks; i++) view.setUint32(i * 2048, i);
  return device;
}

function board(medium: MemoryDevice | undefined = disc()) {
  const b = new IdeBoard();
  const errors: BlockError[] = [];
  const trays: boolean[] = [];
  const drive = new AtapiCdrom({
    clock: b.clock,
    medium,
    onError: (e) => errors.push(e),
    onTray: (open) => trays.push(open),
  });
  b.ide.attach(0, 0, drive);
  /** Sends a packet; the answer is all that the drive sends, in data requests of at most `limit` bytes. */
  const packet = (cdb: number[], limit = 0xfffe) => {
    b.command(0, undefined, undefined, limit & 0xff, limit >> 8, 0xa0, 0xa0);
    assertEquals([b.alternateStatus & 0x88, b.register(2) & 3, b.irqs[0]], [0x08, 1, false]);
    b.writeData(Uint8Array.from([...cdb, ...new Array(12).fill(0)].slice(0, 12)));
    b.settle();
    const sizes: number[] = [];
    const data: number[] = [];
    while ((b.alternateStatus & 8) !== 0) {
      assertEquals([b.irqs[0], b.register(2) & 3], [true, 2]);
      b.register(7);
      const count = b.register(4) | b.register(5) << 8;
      sizes.push(count);
      data.push(...b.readData(count));
      b.settle();
    }
    assertEquals([b.irqs[0], b.register(2) & 3], [true, 3]);
    return { data: Uint8Array.from(data), sizes, status: b.register(7), error: b.register(1) };
  };
  const sense = () => {
    const { data } = packet([0x03, 0, 0, 0, 18]);
    return [data[2], data[12], data[13]];
  };
  return { b, drive, packet, sense, errors, trays };
}

const word = (bytes: Uint8Array, at: number) => bytes[at] << 8 | bytes[at + 1];
const long = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer).getUint32(at);
const read10 = (block: number, count: number) => [0x28, 0, 0, 0, 0, block, 0, 0, count];

Deno.test("AtapiCdrom shows the PACKET signature after reset and with aborted ATA commands", () => {
  const { b } = board();
  const signature = () => [2, 3, 4, 5].map((r) => b.register(r));
  assertEquals([signature(), b.register(7)], [[1, 1, 0x14, 0xeb], 0]);
  for (const command of [0xec, 0x20]) {
    b.command(0, 9, 9, 9, 9, 0xa0, command);
    assertEquals([b.register(7), b.register(1), signature()], [0x51, 4, [1, 1, 0x14, 0xeb]]);
  }
  b.command(undefined, 9, 9, 9, 9, 0xa0, 0x08);
  assertEquals([signature(), b.register(7), b.irqs[0]], [[1, 1, 0x14, 0xeb], 0, false]);
});

Deno.test("AtapiCdrom answers IDENTIFY PACKET DEVICE", () => {
  const { b } = board();
  b.command(...new Array(6), 0xa1);
  const words = new Uint16Array(b.readData(512).buffer);
  assertEquals([words[0], words[49] & 0x300], [0x85c0, 0x300]);
  assertEquals(b.register(7), 0x50);
});

Deno.test("AtapiCdrom answers INQUIRY within the allocated length", () => {
  const { packet } = board();
  const { data, status } = packet([0x12, 0, 0, 0, 36]);
  assertEquals([data.length, data[0], data[1], status], [36, 5, 0x80, 0x50]);
  assertEquals(new TextDecoder().decode(data.subarray(8, 29)), "COMPY   COMPY DVD-ROM");
  assertEquals(packet([0x12, 0, 0, 0, 5]).sizes, [5]);
});

Deno.test("AtapiCdrom reads blocks by PIO in the host's byte counts", () => {
  const { packet } = board();
  const { data, sizes } = packet(read10(3, 2), 1500);
  assertEquals(sizes, [1500, 1500, 1096]);
  assertEquals([long(data, 0), long(data, 2048)], [3, 4]);
  assertEquals(packet(read10(3, 1), 2048).sizes, [2048]);
  assertEquals(packet(read10(3, 1), 1001).sizes, [1000, 1000, 48]);
  assertEquals(packet(read10(3, 0)).sizes, []);
  const many = packet([0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 70]);
  assertEquals(many.data.length, 70 * 2048);
  assertEquals(many.sizes, [65534, 2, 65534, 2, 12288]);
});

Deno.test("AtapiCdrom aborts a data packet with a byte count limit of 0", () => {
  const { b } = board();
  b.command(0, undefined, undefined, 0, 0, 0xa0, 0xa0);
  b.writeData(Uint8Array.from([0x12, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0]));
  b.settle();
  assertEquals([b.register(7), b.register(1)], [0x51, 4]);
});

Deno.test("AtapiCdrom reads blocks by DMA over several descriptors", () => {
  const { b } = board();
  b.command(1, undefined, undefined, 0, 0, 0xa0, 0xa0);
  b.writeData(Uint8Array.from([...read10(0, 64), 0, 0, 0]));
  b.startDma(true, [[0x20000, 2048], [0x30000, 0], [0x40000, 0]]);
  assertEquals([b.irqs[0], b.alternateStatus, b.register(2) & 3], [true, 0x50, 3]);
  assertEquals(b.busMasterStatus, 5);
  assertEquals(b.memory.read(0x30000, 4), 0x01000000);
  assertEquals(b.memory.read(0x40000 + 31 * 2048 - 2048, 4), 0x3f000000);
});

Deno.test("AtapiCdrom tells READ CAPACITY and refuses blocks past the end", () => {
  const { packet, sense } = board();
  const { data } = packet([0x25]);
  assertEquals([long(data, 0), long(data, 4)], [99, 2048]);
  const { status, error } = packet(read10(99, 2));
  assertEquals([status, error], [0x51, 0x54]);
  assertEquals(sense(), [5, 0x21, 0]);
  packet([0x00]);
  assertEquals(sense(), [0, 0, 0]);
});

Deno.test("AtapiCdrom reads past the end of a ragged image as zeros", () => {
  const { packet } = board(new MemoryDevice(new Uint8Array(2048 + 512).fill(7)));
  const { data } = packet(read10(1, 1));
  assertEquals([data[511], data[512], data.length], [7, 0, 2048]);
});

Deno.test("AtapiCdrom reads the table of contents in its three formats", () => {
  const { packet } = board();
  const toc = packet([0x43, 0, 0, 0, 0, 0, 0, 0, 100]).data;
  assertEquals([word(toc, 0), toc[2], toc[3], toc[6], toc[14]], [18, 1, 1, 1, 0xaa]);
  assertEquals([long(toc, 8), long(toc, 16)], [0, 100]);
  const msf = packet([0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100]).data;
  assertEquals([word(msf, 0), ...msf.subarray(8, 12)], [10, 0, 0, 3, 25]);
  assertEquals(packet([0x43, 0, 1, 0, 0, 0, 0, 0, 100]).data.length, 12);
  const full = packet([0x43, 2, 2, 0, 0, 0, 0, 0, 100]).data;
  assertEquals([full.length, full[7], full[18], full[29], full[40]], [48, 0xa0, 0xa1, 0xa2, 1]);
  assertEquals(packet([0x43, 0, 0, 0, 0, 0, 2, 0, 100]).error, 0x54);
  assertEquals(packet([0x43, 0, 5, 0, 0, 0, 0, 0, 100]).error, 0x54);
});

Deno.test("AtapiCdrom reads user data or whole sectors by READ CD", () => {
  const { packet } = board();
  const readCd = (selection: number, type = 0) =>
    packet([0xbe, type << 2, 0, 0, 0, 16, 0, 0, 1, selection]);
  assertEquals(long(readCd(0x10).data, 0), 16);
  const raw = readCd(0xf8, 2).data;
  assertEquals([raw.length, raw[0], raw[1], raw[14], raw[15]], [2352, 0, 255, 0x16, 1]);
  assertEquals(readCd(0).sizes, []);
  assertEquals(readCd(0x10, 1).error, 0x54);
});

Deno.test("AtapiCdrom answers MODE SENSE in both lengths", () => {
  const { packet, sense } = board();
  const ten = packet([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100]).data;
  assertEquals([word(ten, 0), ten.length, ten[8], ten[9]], [26, 28, 0x2a, 18]);
  const six = packet([0x1a, 0, 0x3f, 0, 100]).data;
  assertEquals([six[0], six.length, six[4], six[12]], [31, 32, 1, 0x2a]);
  packet([0x5a, 0, 0x05, 0, 0, 0, 0, 0, 100]);
  assertEquals(sense(), [5, 0x24, 0]);
  packet([0x5a, 0, 0xea, 0, 0, 0, 0, 0, 100]);
  assertEquals(sense(), [5, 0x39, 0]);
});

Deno.test("AtapiCdrom tells its profile: none, CD or DVD", () => {
  const current = (blocks: number) => {
    const { packet, drive } = board(disc(1));
    if (blocks === 0) drive.eject();
    else drive.insert({ ...disc(1), size: blocks * 2048 } as MemoryDevice);
    const { data } = packet([0x46, 0, 0, 0, 0, 0, 0, 1, 0]);
    assertEquals(long(data, 0), data.length - 4);
    return word(data, 6);
  };
  assertEquals([current(0), current(1000), current(400000)], [0, 8, 16]);
  const { packet } = board();
  const one = packet([0x46, 2, 0, 3, 0, 0, 0, 1, 0]).data;
  assertEquals([one.length, one[9], one[11]], [16, 3, 4]);
});

Deno.test("AtapiCdrom has DVD structures for a DVD only", () => {
  const { packet, sense, drive } = board();
  const structure = (format: number) => packet([0xad, 0, 0, 0, 0, 0, 0, format, 0xff, 0xff]);
  structure(0);
  assertEquals(sense(), [5, 0x30, 0]);
  drive.insert({ ...disc(1), size: 400000 * 2048 } as MemoryDevice);
  packet([0x00]);
  const physical = structure(0).data;
  assertEquals([physical.length, long(physical, 12)], [2052, 0x30000 + 399999]);
  assertEquals(structure(1).data.length, 8);
  assertEquals(structure(0xff).data.length, 16);
});

Deno.test("AtapiCdrom without a disc is not ready", () => {
  const { packet, sense, drive, b } = board();
  drive.eject();
  drive.reset();
  assertEquals(packet([0x00]).error, 0x20);
  assertEquals(sense(), [2, 0x3a, 2]);
  packet([0x1b, 0, 0, 0, 3]);
  assertEquals(packet(read10(0, 1)).error, 0x20);
  assertEquals(sense(), [2, 0x3a, 1]);
  assertEquals(b.register(7), 0x50);
});

Deno.test("AtapiCdrom tells of a new disc once by UNIT ATTENTION and once by event", () => {
  const { packet, sense, drive } = board();
  const event = () => [...packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]).data.subarray(2, 6)];
  assertEquals(event(), [4, 0x10, 0, 2]);
  drive.insert(disc(50));
  assertEquals(event(), [4, 0x10, 2, 2]);
  assertEquals(event(), [4, 0x10, 0, 2]);
  assertEquals(packet([0x00]).error, 0x60);
  assertEquals(sense(), [6, 0x28, 0]);
  assertEquals(packet([0x00]).status, 0x50);
  assertEquals(long(packet([0x25]).data, 0), 49);
  assertEquals(packet([0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8]).error, 0x54);
  assertEquals(packet([0x4a, 1, 0, 0, 2, 0, 0, 0, 8]).data[2], 0x80);
});

Deno.test("AtapiCdrom ejects for the guest unless it is locked, for the host by force", () => {
  const { packet, sense, drive, trays } = board();
  packet([0x1e, 0, 0, 0, 1]);
  packet([0x1b, 0, 0, 0, 2]);
  assertEquals([sense(), drive.open], [[5, 0x53, 2], false]);
  assertEquals(drive.eject(), undefined);
  assertEquals(packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]).data[4], 1);
  packet([0x1e, 0, 0, 0, 0]);
  packet([0x1b, 0, 0, 0, 2]);
  assertEquals([drive.open, trays], [true, [true]]);
  assertEquals(packet([0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8]).data[1], 0x10);
  packet([0x00]);
  assertEquals(sense(), [2, 0x3a, 2]);
  packet([0x1b, 0, 0, 0, 3]);
  assertEquals([drive.open, trays], [false, [true, false]]);
  packet([0x00]);
  assertEquals(sense(), [6, 0x28, 0]);
  packet([0x1e, 0, 0, 0, 1]);
  assert(drive.eject({ force: true }) !== undefined);
});

Deno.test("AtapiCdrom refuses packets it does not know", () => {
  const { packet, sense } = board();
  for (const code of [0x2a, 0x55, 0x42, 0xff]) {
    assertEquals(packet([code]).error, 0x54);
    assertEquals(sense(), [5, 0x20, 0]);
  }
});

Deno.test("AtapiCdrom turns a failing image into a medium error and tells the host", () => {
  const medium = disc();
  const { packet, sense, errors } = board(medium);
  medium.read = () => {
    throw new BlockError("io", "cd.iso", "the stick was pulled");
  };
  assertEquals(packet(read10(0, 1)).error, 0x30);
  assertEquals([sense(), errors.length], [[3, 0x11, 0], 1]);
});

Deno.test("AtapiCdrom restores the middle of an answer, with the same disc only", () => {
  const first = board();
  first.b.command(0, undefined, undefined, 0, 8, 0xa0, 0xa0);
  first.b.writeData(Uint8Array.from([...read10(5, 2), 0, 0, 0]));
  first.b.settle();
  first.b.readData(2048);
  const state = first.drive.snapshot();
  const second = board();
  second.drive.restore(state);
  second.b.settle();
  assertEquals(second.b.register(4) | second.b.register(5) << 8, 2048);
  assertEquals(long(second.b.readData(2048), 0), 6);
  assertThrows(() => board(disc(5)).drive.restore(state), StateError, "100 blocks");
  assertThrows(() => second.drive.restore({ ...state, event: "x" }), StateError);
});

Deno.test("AtapiCdrom leaves unknown ATA commands aborted and knows transfer modes", () => {
  const { b } = board();
  b.command(3, 0x22, undefined, undefined, undefined, 0xa0, 0xef);
  assertEquals(b.register(7), 0x50);
  b.command(2, 0, undefined, undefined, undefined, 0xa0, 0xef);
  assertEquals(b.register(7), 0x51);
  b.command(...new Array(6), 0xca);
  assertEquals(b.ports.read(IDE + 7, 1), 0x51);
});
