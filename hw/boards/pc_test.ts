import { assert, assertEquals, assertRejects } from "@std/assert";
import { BlockError } from "../../core/block/block_device.ts";
import { MemoryDevice } from "../../core/block/memory_device.ts";
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import { PortMap } from "../../core/bus/port_map.ts";
import type { State } from "../../core/chip.ts";
import type { MachineControls } from "../../core/machine/board.ts";
import { hashState, putSnapshot, takeSnapshot } from "../../core/machine/state_image.ts";
import { ScriptedCpu } from "../../core/machine/testing.ts";
import { FirmwareError, KernelError } from "../boot/image_error.ts";
import { BoardError, DeviceError, MemorySizeError } from "./errors.ts";
import { createPc, type PcBoard, type PcOptions } from "./pc.ts";

const MIB = 2 ** 20;

/** A processor whose pins are watched. */
class WatchedCpu extends ScriptedCpu {
  a20 = false;
  intr = false;
  nmis = 0;
  inits = 0;
  constructor(memory: MemoryMap) {
    super([{ op: "nop" }], new PortMap(), memory);
    // The scripted processor leaves the parameter out, so a method cannot add it.
    Object.assign(this, { setA20: (enabled: boolean) => this.a20 = enabled });
  }
  override setIntr(level: boolean): void {
    this.intr = level;
  }
  override nmi(): void {
    this.nmis++;
  }
  override init(): void {
    this.inits++;
  }
  override restore(state: State): void {
    super.restore(state);
    // A snapshot has no request that is still to be served.
    this.nmis = 0;
  }
}

interface Bench {
  board: PcBoard;
  cpu: WatchedCpu;
  events: string[];
  write(port: number, value: number, size?: 1 | 2 | 4): void;
  read(port: number, size?: 1 | 2 | 4): number;
  /** Reads PCI configuration space of bus 0. */
  pci(device: number, func: number, offset: number): number;
}

async function bench(options: Partial<PcOptions> = {}): Promise<Bench> {
  const events: string[] = [];
  const controls: MachineControls = {
    powerOff: () => events.push("power off"),
    requestReset: () => events.push("reset"),
    debugExit: (value) => events.push(`exit ${value}`),
    hold: () => {},
  };
  let cpu: WatchedCpu | undefined;
  const board = await createPc({
    cpu: ({ memory }) => cpu = new WatchedCpu(memory),
    memory: 4 * MIB,
    kernel: options.firmware === undefined ? FLAT : undefined,
    ...options,
  }, controls);
  return {
    board,
    cpu: cpu!,
    events,
    write: (port, value, size = 1) => board.ports.write(port, size, value),
    read: (port, size = 1) => board.ports.read(port, size),
    pci: (device, func, offset) => {
      board.ports.write(0xcf8, 4, 0x80000000 + device * 0x800 + func * 0x100 + offset);
      return board.ports.read(0xcfc, 4);
    },
  };
}

const FLAT = { kernel: { file: "flat.bin", bytes: new Uint8Array(512).fill(0x90) }, flat: {} };
const BIOS = { file: "bios.bin", bytes: new Uint8Array(65536).fill(0xf4) };

Deno.test("every chip of the board has a name of its own", async () => {
  const { board } = await bench({ devices: ["pc-testdev", "isa-debug-exit"], debugcon: () => {} });
  const names = board.chips.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length, names.join());
});

Deno.test("no two chips claim the same port", async () => {
  const { board } = await bench({
    devices: ["pc-testdev", "isa-debug-exit", "isa-debugcon,iobase=0x402"],
  });
  const owner = new Map<number, string>();
  for (const { name, base, count } of board.ports.list()) {
    for (let port = base; port < base + count; port++) {
      // The reset register shares the address port of PCI, which takes only 32-bit accesses.
      if (port !== 0xcf9) assertEquals(owner.get(port), undefined, `${name} ${port.toString(16)}`);
      owner.set(port, name);
    }
  }
});

Deno.test("the bridges and their functions are where SeaBIOS looks for them", async () => {
  const { pci } = await bench();
  assertEquals(
    [pci(0, 0, 0), pci(1, 0, 0), pci(1, 1, 0), pci(1, 3, 0)].map((id) => id.toString(16)),
    ["12378086", "70008086", "70108086", "71138086"],
  );
});

Deno.test("a board with firmware starts with PCI as the reset leaves it", async () => {
  const { board, pci } = await bench({ firmware: BIOS });
  assertEquals(pci(1, 0, 0x60).toString(16), "80808080");
  assertEquals(board.memory.read(0xfffffff0, 1), 0xf4);
  assertEquals(board.memory.read(0xffff0, 1), 0xf4);
});

Deno.test("a board with a kernel starts with PCI as firmware leaves it", async () => {
  const { pci, read } = await bench();
  assertEquals(pci(1, 0, 0x60).toString(16), "b0b0a0a");
  assertEquals(pci(1, 1, 0x40).toString(16), "80008000");
  assertEquals(pci(1, 3, 0x40).toString(16), "601");
  assertEquals([read(0x4d0), read(0x4d1)], [0, 0x0e]);
  // The power management timer answers.
  assert(read(0x608, 4) < 0x1000000);
});

Deno.test("a board with a kernel starts with the chips of the AT as a BIOS leaves them", async () => {
  const { read, write } = await bench();
  assertEquals([read(0x21), read(0xa1)], [0xfb, 0xff]);
  write(0x64, 0x20);
  assertEquals([read(0x64) & 0x04, read(0x60)], [0x04, 0x65]);
  write(0x43, 0xe2);
  assertEquals(read(0x40) & 0x3f, 0x34, "counter 0 runs in mode 2");
});

Deno.test("a kernel finds the ACPI root pointer on a 16-byte boundary of the BIOS area", async () => {
  const { board: { memory } } = await bench();
  const signature = new TextEncoder().encode("RSD PTR ");
  const found: number[] = [];
  for (let at = 0xe0000; at < 0x100000; at += 16) {
    const bytes = new Uint8Array(8);
    memory.readBlock(at, bytes);
    if (bytes.every((byte, i) => byte === signature[i])) found.push(at);
  }
  assertEquals(found, [0xe0000]);
});

Deno.test("the reset ROM lies at the reset vector and reset loads the kernel again", async () => {
  const { board } = await bench();
  const { memory } = board;
  assertEquals(memory.read(0xfffffff0, 1), 0xe9);
  assertEquals(memory.read(0x7c00, 1), 0x90);
  memory.write(0x7c00, 1, 0);
  memory.write(0x8000, 1, 0x55);
  board.reset();
  assertEquals(memory.read(0x7c00, 1), 0x90);
  assertEquals(memory.read(0x8000, 1), 0x55, "a reset does not clear RAM");
});

Deno.test("port CF9h, port 92h and the keyboard controller reset the board", async () => {
  const { write, events } = await bench();
  write(0xcf9, 2);
  assertEquals(events, []);
  write(0xcf9, 6);
  write(0x92, 3);
  write(0x64, 0xfe);
  assertEquals(events, ["reset", "reset", "reset"]);
});

Deno.test("only the processor is reset when CMOS tells the firmware to resume", async () => {
  const { write, events, cpu } = await bench({ firmware: BIOS });
  write(0x70, 0x0f);
  write(0x71, 0x0a);
  write(0x64, 0xfe);
  assertEquals([events, cpu.inits], [[], 1]);
  write(0xcf9, 6);
  assertEquals(events, ["reset"]);
  const direct = await bench();
  direct.write(0x70, 0x0f);
  direct.write(0x71, 0x0a);
  direct.write(0x64, 0xfe);
  assertEquals([direct.events, direct.cpu.inits], [["reset"], 0], "no firmware, nobody to resume");
});

Deno.test("the keyboard controller and port 92h each switch A20", async () => {
  const { write, cpu, board } = await bench();
  assert(cpu.a20);
  write(0x92, 0);
  assert(!cpu.a20);
  const snapshot = takeSnapshot(board);
  write(0x64, 0xdf);
  assert(cpu.a20);
  putSnapshot(board, snapshot);
  assert(!cpu.a20, "a snapshot keeps who came last");
  write(0x64, 0xdf);
  write(0x64, 0xdd);
  assert(!cpu.a20);
  board.reset();
  assert(cpu.a20);
});

Deno.test("an NMI from outside heeds the mask in port 70h", async () => {
  const { write, cpu, board } = await bench();
  write(0x70, 0x80);
  board.nmi();
  assertEquals(cpu.nmis, 0);
  write(0x70, 0x00);
  board.nmi();
  assertEquals(cpu.nmis, 1);
});

Deno.test("serial ports 1 and 3 share an interrupt", async () => {
  const { write, read, board, cpu } = await bench();
  for (const [port, value] of [[0x20, 0x11], [0x21, 8], [0x21, 4], [0x21, 1], [0x21, 0xef]]) {
    write(port, value);
  }
  const pending = (): boolean => {
    write(0x20, 0x0a);
    return (read(0x20) & 0x10) !== 0;
  };
  for (const base of [0x3f8, 0x3e8]) {
    write(base + 4, 0x08);
    write(base + 1, 0x01);
  }
  assert(!pending());
  board.serial[2].receive(0x41);
  assert(pending() && cpu.intr);
  assertEquals(read(0x3e8), 0x41);
});

Deno.test("isa-debug-exit takes a value of 32 bits at the port it is given", async () => {
  const { write, events } = await bench({ devices: ["isa-debug-exit,iobase=0xf4,iosize=4"] });
  write(0xf4, 0x12345678, 4);
  assertEquals(events, [`exit ${0x12345678}`]);
});

Deno.test("the debug console is at port E9h, or where its device says", async () => {
  const bytes: number[] = [];
  const debugcon = (byte: number) => bytes.push(byte);
  const usual = await bench({ debugcon });
  usual.write(0xe9, 1);
  assertEquals([usual.read(0xe9), usual.read(0x402)], [0xe9, 0xff]);
  const moved = await bench({ debugcon, devices: ["isa-debugcon,iobase=0x402"] });
  moved.write(0x402, 2);
  assertEquals([bytes, moved.read(0xe9)], [[1, 2], 0xff]);
});

Deno.test("pc-testdev drives interrupt lines and has memory", async () => {
  const { write, read, board } = await bench({ devices: ["pc-testdev"] });
  board.memory.write(0xff000010, 4, 0xcafe);
  assertEquals(board.memory.read(0xff000010, 4), 0xcafe);
  write(0x2000 + 5, 1);
  write(0x20, 0x0a);
  assertEquals(read(0x20) & 0x20, 0x20);
  write(0x2000 + 2, 1);
  write(0x2000 + 23, 1);
});

Deno.test("drives sit on their channels and CMOS describes the first disks", async () => {
  const block = new MemoryDevice(32 * MIB);
  const { write, read, board } = await bench({
    drives: [{ media: "disk", block }, { media: "cdrom" }],
  });
  assertEquals(read(0x1f7) & 0x40, 0x40);
  assertEquals([read(0x174), read(0x175)], [0x14, 0xeb]);
  write(0x70, 0x12);
  assertEquals(read(0x71), 0xf0);
  const names = board.chips.map(({ name }) => name).filter((name) => /^ide\d/.test(name));
  assertEquals(names, ["ide0.0", "ide1.0"]);
});

Deno.test("disposing the board closes its drives, also behind one that fails to close", async () => {
  let closed = 0;
  const block = (close: () => void) => Object.assign(new MemoryDevice(MIB), { close });
  const bad = block(() => {
    throw new BlockError("io", "bad.img", "lost");
  });
  const { board } = await bench({
    drives: [{ media: "disk", block: bad }, { media: "disk", block: block(() => closed++) }],
  });
  await assertRejects(() => board.dispose(), BlockError, "bad.img: lost");
  assertEquals(closed, 1);
});

Deno.test("a snapshot put back gives the same state hash", async () => {
  const { board, write } = await bench();
  const before = takeSnapshot(board), hash = hashState(board);
  for (const [port, value] of [[0x43, 0x34], [0x40, 1], [0x3f9, 3], [0x92, 0], [0x70, 0x10]]) {
    write(port, value);
  }
  board.memory.write(0x5000, 4, 1);
  assert(hashState(board) !== hash);
  putSnapshot(board, before);
  assertEquals(hashState(board), hash);
});

Deno.test("reset brings a board back to the state after power-on, RAM and clock aside", async () => {
  const { board, write } = await bench();
  const states = () => JSON.stringify(board.chips.map((chip) => chip.snapshot()));
  const initial = states();
  for (const [port, value] of [[0x43, 0x34], [0x40, 1], [0x3f9, 3], [0x92, 0], [0x4d1, 0]]) {
    write(port, value);
  }
  assert(states() !== initial);
  board.reset();
  assertEquals(states(), initial);
});

const bytes = new Uint8Array(100);
const REFUSED: [string, Partial<PcOptions>, new (...args: never[]) => Error, string][] = [
  ["neither firmware nor kernel", { kernel: undefined }, BoardError, "give one of them"],
  ["firmware and kernel", { firmware: BIOS, kernel: FLAT }, BoardError, "give one of them"],
  ["too little memory", { memory: 65536 }, MemorySizeError, "0.0625 MiB is out of range"],
  ["too much memory", { memory: 4097 * MIB }, MemorySizeError, "4097 MiB is out of range"],
  ["firmware of a wrong size", { firmware: { file: "b", bytes } }, FirmwareError, "100 bytes"],
  [
    "an option ROM that is none",
    { firmware: BIOS, optionRoms: [{ file: "o", bytes }] },
    FirmwareError,
    "firmware o: it does not begin",
  ],
  ["a kernel that is none", { kernel: { kernel: { file: "k", bytes } } }, KernelError, "kernel k:"],
  ["an unknown device", { devices: ["pc-testdef"] }, DeviceError, 'mean "pc-testdev"'],
  ["two of one device", { devices: ["pc-testdev", "pc-testdev"] }, DeviceError, "only one"],
  ["an unknown boot device", { bootOrder: "cx" }, BoardError, 'the letter "x"'],
];
for (const [what, options, type, message] of REFUSED) {
  Deno.test(`createPc refuses ${what}`, async () => {
    const error = await assertRejects(() => bench(options), Error, message);
    assert(error instanceof type, `${error}`);
  });
}

Deno.test("a board has an HPET unless it is to have none", async () => {
  const id = async (options: Partial<PcOptions>) =>
    (await bench(options)).board.memory.read(0xfed00000, 4);
  assertEquals(await id({}), 0x8086a201);
  assertEquals(await id({ hpet: false }), 0xffffffff);
});

Deno.test("the HPET takes the timer's line over in legacy replacement mode", async () => {
  const asks = async (configuration: number) => {
    const { board, write, read } = await bench();
    board.memory.write(0xfed00010, 4, configuration);
    // Mode 0 of the 8254: its output rises at the end of the count.
    write(0x43, 0x30);
    write(0x40, 1);
    write(0x40, 0);
    board.clock.skipTo(board.clock.now() + 1_000_000);
    board.clock.fireDue();
    write(0x20, 0x0a);
    return (read(0x20) & 1) !== 0;
  };
  assertEquals([await asks(1), await asks(3)], [true, false]);
});

Deno.test("a message-signalled interrupt is a write to memory", async () => {
  const { board, cpu } = await bench();
  board.memory.write(0xfee000f0, 4, 0x1ff);
  board.memory.write(0xfee00000, 4, 0x41);
  assertEquals(cpu.intr, true);
  assertEquals(board.memory.read(0xfee00220, 4), 1 << 1);
  board.memory.write(0xfee00080, 4, 0xf0);
  assertEquals(cpu.intr, false);
});

Deno.test("a kernel without firmware finds SMBIOS and MP tables in the segment F000h", async () => {
  const { board } = await bench({ processors: 3, memory: 16 * MIB });
  const segment = new Uint8Array(0x10000);
  board.memory.readBlock(0xf0000, segment);
  const find = (text: string): number => {
    for (let at = 0; at < segment.length; at += 16) {
      const found = String.fromCharCode(...segment.subarray(at, at + text.length));
      if (found === text) return at;
    }
    throw new Error(`no ${text}`);
  };
  const view = new DataView(segment.buffer);
  const smbios = view.getUint32(find("_SM_") + 0x18, true) - 0xf0000;
  assertEquals(segment[smbios], 0);
  const mp = view.getUint32(find("_MP_") + 4, true) - 0xf0000;
  assertEquals(String.fromCharCode(...segment.subarray(mp, mp + 4)), "PCMP");
  assertEquals([0, 1, 2].map((i) => segment[mp + 44 + 20 * i + 1]), [0, 1, 2]);
});

Deno.test("lines that move while a snapshot is put back interrupt nobody", async () => {
  const devices = ["pc-testdev"];
  const source = await bench({ devices });
  source.write(0x2005, 1);
  const snapshot = takeSnapshot(source.board);
  const { board, cpu, write } = await bench({ devices });
  // Input 5 of the I/O APIC gives an NMI at every edge.
  board.memory.write(0xfec00000, 4, 0x10 + 2 * 5);
  board.memory.write(0xfec00010, 4, 0x400);
  write(0x2005, 1);
  write(0x2005, 0);
  assertEquals(cpu.nmis, 1);
  putSnapshot(board, snapshot);
  assertEquals(cpu.nmis, 0);
});

Deno.test("lines that move during a reset interrupt nobody", async () => {
  const { board, cpu, write } = await bench({ devices: ["pc-testdev"] });
  write(0x2005, 1);
  // Input 5 of the I/O APIC gives an NMI when its line falls, as it does in a reset of the device.
  board.memory.write(0xfec00000, 4, 0x10 + 2 * 5);
  board.memory.write(0xfec00010, 4, 0x2400);
  board.reset();
  assertEquals(cpu.nmis, 0);
});
