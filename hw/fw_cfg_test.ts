import { assertEquals, assertThrows } from "@std/assert";
import { HostMemory } from "../core/bus/host_memory.ts";
import { MemoryMap } from "../core/bus/memory_map.ts";
import { PortMap } from "../core/bus/port_map.ts";
import { StateError } from "../core/chip.ts";
import { FW_CFG_FILE_DIR, FW_CFG_NB_CPUS, FW_CFG_RAM_SIZE, FwCfg } from "./fw_cfg.ts";

const READ = 2, SKIP = 4, SELECT = 8, WRITE = 16;

function board() {
  const ports = new PortMap();
  const memory = new MemoryMap(new HostMemory(65536 + 8192));
  memory.addRam("ram", 0, 65536, memory.host.allocate(65536));
  const chip = new FwCfg({ memory });
  ports.claim("fw-cfg", 0x510, 2, chip.ports, { sizes: [1, 2] });
  ports.claim("fw-cfg dma", 0x514, 8, chip.dma, { sizes: [1, 2, 4] });
  const read = (key: number, length: number) => {
    ports.write(0x510, 2, key);
    return Uint8Array.from({ length }, () => ports.read(0x511, 1));
  };
  const big = (value: number) => {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, value);
    return view.getUint32(0, true);
  };
  const dma = (control: number, length: number, address: number, high = 0) => {
    memory.write(0x100, 4, big(control));
    memory.write(0x104, 4, big(length));
    memory.write(0x108, 4, big(high));
    memory.write(0x10c, 4, big(address));
    ports.write(0x514, 4, 0);
    ports.write(0x518, 4, big(0x100));
    return big(memory.read(0x100, 4));
  };
  const bytes = (address: number, length: number) => {
    const target = new Uint8Array(length);
    memory.readBlock(address, target);
    return target;
  };
  return { ports, memory, chip, read, dma, bytes, big };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const encode = (s: string) => new TextEncoder().encode(s);

Deno.test("FwCfg answers with its signature and both interfaces", () => {
  const { read, ports } = board();
  assertEquals(text(read(0, 4)), "QEMU");
  assertEquals(read(1, 5), new Uint8Array([3, 0, 0, 0, 0]));
  assertEquals(ports.read(0x514, 4), 0x554d4551);
  assertEquals(ports.read(0x51b, 1), "G".charCodeAt(0));
});

Deno.test("FwCfg reads zeros behind an item's end and where there is none", () => {
  const { read, chip, ports } = board();
  chip.addNumber(FW_CFG_NB_CPUS, 2, 1);
  chip.addNumber(FW_CFG_RAM_SIZE, 8, 0x180000000);
  assertEquals(read(FW_CFG_NB_CPUS, 3), new Uint8Array([1, 0, 0]));
  assertEquals(read(FW_CFG_RAM_SIZE, 8), new Uint8Array([0, 0, 0, 0x80, 1, 0, 0, 0]));
  assertEquals(read(0x1234, 2), new Uint8Array(2));
  ports.write(0x511, 1, 5);
  assertEquals(ports.read(0x510, 2), 0xffff);
});

Deno.test("FwCfg lists its files with size and key", () => {
  const { read, chip } = board();
  assertEquals(read(FW_CFG_FILE_DIR, 4), new Uint8Array(4));
  chip.addFile("etc/e820", encode("abc"));
  chip.addFile("bootorder", encode("xy"));
  chip.addFile("etc/e820", encode("abcd"));
  const directory = read(FW_CFG_FILE_DIR, 4 + 2 * 64);
  const view = new DataView(directory.buffer);
  assertEquals([view.getUint32(0), view.getUint32(4), view.getUint16(8)], [2, 4, 0x20]);
  assertEquals(text(directory.subarray(12, 21)), "etc/e820\0");
  assertEquals([view.getUint32(68), view.getUint16(72)], [2, 0x21]);
  assertEquals(text(read(0x20, 4)), "abcd");
  assertEquals(text(chip.file("bootorder")!), "xy");
  assertThrows(() => chip.addFile("x".repeat(56), new Uint8Array(1)), RangeError);
});

Deno.test("FwCfg reads, skips and pads by DMA", () => {
  const { dma, chip, bytes } = board();
  chip.addFile("f", encode("0123456789"));
  assertEquals(dma(0x200000 | SELECT | READ, 4, 0x1000), 0);
  assertEquals(text(bytes(0x1000, 4)), "0123");
  assertEquals(dma(SKIP, 2, 0), 0);
  assertEquals(dma(READ, 6, 0x1000), 0);
  assertEquals(text(bytes(0x1000, 6)), "6789\0\0");
  assertEquals(dma(0x7f0000 | SELECT | READ, 2, 0x1000), 0);
  assertEquals(bytes(0x1000, 3), new Uint8Array([0, 0, "8".charCodeAt(0)]));
});

Deno.test("FwCfg finds requests and puts answers above 4 GiB", () => {
  const { dma, memory, ports, bytes, big } = board();
  const base = 2 ** 32;
  memory.addRam("high", base, 8192, memory.host.allocate(8192));
  assertEquals(dma(SELECT | READ, 4, 0x1000, 1), 0);
  assertEquals([text(bytes(base + 0x1000, 4)), bytes(0x1000, 1)[0]], ["QEMU", 0]);
  [SELECT | READ, 4, 1, 0x1800].forEach((word, i) => memory.write(base + 4 * i, 4, big(word)));
  ports.write(0x514, 4, big(1));
  ports.write(0x518, 4, 0);
  assertEquals([memory.read(base, 4), text(bytes(base + 0x1800, 4))], [0, "QEMU"]);
});

Deno.test("FwCfg survives absurd DMA requests", () => {
  const { dma, ports } = board();
  assertEquals(dma(SELECT | READ, 0xffffffff, 0x1000), 1);
  assertEquals(dma(SELECT | READ, 4, 0x1000, 0x100), 1);
  assertEquals(dma(0xffff0000 | SELECT | SKIP, 0xffffffff, 0), 0);
  ports.write(0x514, 4, 1);
  ports.write(0x518, 4, 0);
  ports.write(0x518, 4, 0xfeffffff);
});

Deno.test("FwCfg lets the guest write what the board allows and nothing else", () => {
  const { dma, chip, memory } = board();
  const writes: number[][] = [];
  chip.addFile("w", encode("abcdef"), { onWrite: (...at) => writes.push(at) });
  memory.writeBlock(0x2000, encode("XY"));
  assertEquals(dma(0x200000 | SELECT | SKIP, 2, 0), 0);
  assertEquals(dma(WRITE, 2, 0x2000), 0);
  assertEquals([text(chip.file("w")!), writes], ["abXYef", [[2, 2]]]);
  assertEquals(dma(WRITE, 3, 0x2000), 1);
  assertEquals(dma(0x000000 | SELECT | WRITE, 1, 0x2000), 1);
  const state = chip.snapshot();
  chip.reset();
  assertEquals(text(chip.file("w")!), "abcdef");
  chip.restore(state);
  assertEquals(text(chip.file("w")!), "abXYef");
  assertThrows(() => chip.restore({ ...state, written: [] }), StateError);
  assertThrows(() => chip.restore({ ...state, selector: 1e6 }), StateError);
});
