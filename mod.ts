/**
 * A PC that a script owns: it composes a machine, starts it, and awaits what the guest does.
 *
 * The guest runs only while the script waits for something, and stops on the very instruction that
 * satisfied the wait. Time is virtual and counts instructions, so that two runs of one script are the
 * same run.
 *
 * ```ts
 * // A boot sector that prints "Hi\n" to the first serial port and powers off through isa-debug-exit.
 * const guest = new Uint8Array([
 *   0xba, 0xf8, 0x03, // mov dx, 0x3f8
 *   0xb0, 0x48, 0xee, // mov al, 'H'; out dx, al
 *   0xb0, 0x69, 0xee, // mov al, 'i'; out dx, al
 *   0xb0, 0x0a, 0xee, // mov al, '\n'; out dx, al
 *   0xba, 0x01, 0x05, // mov dx, 0x501
 *   0xb0, 0x10, 0xee, // mov al, 0x10; out dx, al
 * ]);
 * await using vm = await Machine.create({
 *   memory: "16M",
 *   kernel: guest,
 *   flat: { address: 0x7c00 },
 *   devices: ["isa-debug-exit"],
 * });
 * const line = await vm.serial.readLine({ within: "1s" });
 * if (line !== "Hi") throw new Error(line);
 * const exit = await vm.exited;
 * if (exit.kind !== "debug-exit" || exit.status !== 0x21) throw new Error(describeExit(exit));
 * ```
 *
 * @module
 */
import { Interpreter } from "./accel/interp/interpreter.ts";
import { Translator } from "./accel/jit/translator.ts";
import { type CpuModel, MODEL_NAMES, parseCpuModel } from "./accel/x86/models.ts";
import type { BlockDevice } from "./core/block/block_device.ts";
import { MemoryDevice } from "./core/block/memory_device.ts";
import { Overlay } from "./core/block/overlay.ts";
import { openRawFile } from "./core/block/raw_file.ts";
import { formatRegion, TRACE_ITEMS, type TraceItem } from "./core/debug/translation.ts";
import type { CpuFactory } from "./core/machine/board.ts";
import type { TranslatedRegion } from "./core/machine/cpu.ts";
import { VirtualClock } from "./core/machine/clock.ts";
import { type Duration, nanoseconds } from "./core/machine/duration.ts";
import type { Disassembler } from "./core/machine/exit.ts";
import { BoardMachine, type Limits, type MachineSettings } from "./core/machine/machine.ts";
import { ControlLatch } from "./core/machine/run_loop.ts";
import {
  checkChoice,
  checkOptions,
  type Kind,
  OptionError,
  shown,
} from "./core/machine/options.ts";
import type { DeviceRequest } from "./hw/boards/devices.ts";
import type { KernelOptions as BoardKernel } from "./hw/boards/direct_boot.ts";
import type { PcDrive } from "./hw/boards/drives.ts";
import type { PcFlash } from "./hw/boards/flash.ts";
import { createPc } from "./hw/boards/pc.ts";
import { MOST_PROCESSORS } from "./hw/boards/processors.ts";
import type { NamedImage } from "./hw/boot/plan.ts";

export { BlockError, type BlockErrorKind } from "./core/block/block_device.ts";
export type { BlockDevice } from "./core/block/block_device.ts";
export { MemoryDevice, type MemoryDeviceOptions } from "./core/block/memory_device.ts";
export { Overlay } from "./core/block/overlay.ts";
export type { CharBackend } from "./core/char/backend.ts";
export { type State, StateError, type StateValue } from "./core/chip.ts";
export { formatTranslation, type TraceItem } from "./core/debug/translation.ts";
export type { Display, Picture, TextCursor } from "./core/display/display.ts";
export type { Keyboard, KeyOptions, KeySink } from "./core/expect/keyboard.ts";
export { PatternError } from "./core/expect/pattern.ts";
export type { Arrival } from "./core/expect/execution.ts";
export type { Access, AccessFilter, Probe, Recorder } from "./core/expect/probes.ts";
export type { Screen, ScreenMatch } from "./core/expect/screen.ts";
export type {
  RunOptions,
  SerialMatch,
  SerialStream,
  TaggedMatch,
  WithinOptions,
} from "./core/expect/serial_stream.ts";
export { type ShellResult, stripAnsi } from "./core/expect/shell.ts";
export type {
  CpuActivity,
  CpuRegisters,
  ExecutedInstruction,
  TranslationStatistics,
} from "./core/machine/cpu.ts";
export { type Duration, formatNanoseconds, nanoseconds } from "./core/machine/duration.ts";
export {
  describeExit,
  type Exit,
  type ExitCause,
  formatReport,
  GuestFailureError,
  HostFailureError,
  LimitError,
  MachineEndedError,
  MachineError,
  type MachineReport,
  type ProcessorReport,
  type ReportedInstruction,
  WaitTimeoutError,
} from "./core/machine/exit.ts";
export { BoardMachine, type Limits, type MachineSettings } from "./core/machine/machine.ts";
export type { MachineSnapshot } from "./core/machine/state_image.ts";
export type { DeviceRequest } from "./hw/boards/devices.ts";
export { OptionError } from "./core/machine/options.ts";
export { BoardError } from "./hw/boards/errors.ts";
export { ImageError } from "./hw/boot/image_error.ts";

/** A file: its path, or its bytes. */
export type Image = string | URL | Uint8Array;

/** A drive. Give one of `file`, `bytes` and `device`; a CD-ROM drive may be empty. */
export interface DriveOptions {
  /** A raw image file, or an ISO image. Writes go to the file before the guest is told so. */
  file?: string | URL;
  /** The contents in memory; writes change them. */
  bytes?: Uint8Array;
  /** Any other holder of the bytes. The machine closes it. */
  device?: BlockDevice;
  /** Default `disk`; `cdrom` for a file whose name ends in `.iso`. */
  media?: "disk" | "cdrom";
  /** Refuses the guest's writes. CD-ROMs always do. Default false. */
  readOnly?: boolean;
  /** Keeps the guest's writes in memory and leaves the file alone. Default false. */
  snapshot?: boolean;
  /** Where it sits: 0 and 1 are master and slave of the first IDE channel, 2 and 3 of the second. Default the first free place. */
  index?: number;
  /** The name by which a device `ide-hd` or `ide-cd` refers to it. */
  id?: string;
  /** Serial number that the guest reads, at most 20 characters. */
  serial?: string;
}

/** A flash chip. Give one of `file`, `bytes` and `device`; its size is a multiple of 4 KiB. */
export interface FlashOptions {
  /** A raw image file. What the guest programs reaches the file before the guest is told so. */
  file?: string | URL;
  /** The contents in memory; programming changes them. */
  bytes?: Uint8Array;
  /** Any other holder of the bytes. The machine closes it. */
  device?: BlockDevice;
  /** Locks all blocks against the guest. Default false. */
  readOnly?: boolean;
  /** Keeps what the guest programs in memory and leaves the file alone. Default false. */
  snapshot?: boolean;
  /** Unit 0 ends at 4 GiB and is started from, unit 1 lies below it. Default the first that is free. */
  unit?: number;
}

/** A Multiboot module. */
export interface ModuleOptions {
  /** The module's file. */
  image: Image;
  /** The module's string; default the file's name. */
  string?: string;
}

/** How a flat image is loaded and entered. */
export interface FlatImageOptions {
  /** Physical address of the first byte. Default 0x7c00. */
  address?: number;
  /** `real` starts as a BIOS starts a boot sector, `protected` in flat 32-bit segments. Default `real`. */
  mode?: "real" | "protected";
  /** Real mode: segment to start in. Default 0. */
  cs?: number;
  /** Real mode: offset to start at. Default the load address. */
  ip?: number;
  /** Protected mode: address to start at. Default the load address. */
  eip?: number;
  /** General registers at the start. Default 0, and ESP 0x7000. */
  registers?: Partial<
    Record<"eax" | "ebx" | "ecx" | "edx" | "esi" | "edi" | "ebp" | "esp", number>
  >;
}

/** The engines that execute a guest's code; all compute the same. */
export type Engine = "interp" | "jit";

/** What is told of code that is translated. */
export interface TraceOptions {
  /** What to tell, at least one. Names are QEMU's, but for `out_js`. */
  items: readonly TraceItem[];
  /** Takes the text about a region, some lines without a line end after the last, when the region is entered for the first time. */
  write: (text: string) => void;
}

/** What a machine is made of. It starts with `firmware`, with `flash` or with a `kernel`. */
export interface MachineOptions extends MachineSettings {
  /** The board. `pc` is the only one: Intel 440FX and PIIX3. */
  board?: "pc";
  /**
   * RAM in bytes, or with a unit as in `"128M"`: 1 MiB to 4 GiB. Default 128 MiB. From 3.5 GiB on what lies
   * beyond 3 GiB goes above 4 GiB. Pages that nobody touches cost the host nothing.
   */
  memory?: number | string;
  /** Processor model with features switched on and off: `max` (default: all that is emulated, 64-bit mode included), `qemu64`, `Nehalem`, `qemu32`, `pentium3`, `max,-sse3`; {@linkcode CPU_MODELS} has all names. */
  cpu?: string;
  /** How many processors there are, 1 (default) to 16. They take turns by instruction count; time is the sum of their instructions. */
  processors?: number;
  /** Whether the board has an HPET. Default true. */
  hpet?: boolean;
  /** What executes the guest's code: a translator of hot code to JavaScript (`jit`, default), or the interpreter alone (`interp`), which computes the same. */
  accel?: Engine;
  /**
   * Tells what is translated: guest code, what regions are made of, JavaScript. For `accel: "jit"`.
   *
   * ```ts
   * // mov ecx, 3000000; L: dec ecx; jnz L; hlt
   * const guest = new Uint8Array([0xb9, 0xc0, 0xc6, 0x2d, 0x00, 0x49, 0x75, 0xfd, 0xf4]);
   * const told: string[] = [];
   * await using vm = await Machine.create({
   *   kernel: guest,
   *   flat: { address: 0x100000, mode: "protected" },
   *   memory: "2M",
   *   accel: "jit",
   *   trace: { items: ["in_asm"], write: (text) => void told.push(text) },
   * });
   * await vm.exited;
   * if (!told.join("\n").includes("dec ecx")) throw new Error(told.join("\n"));
   * ```
   */
  trace?: TraceOptions;
  /** A system ROM such as SeaBIOS's `bios-256k.bin`. */
  firmware?: Image;
  /** Flash chips, such as OVMF's code and variables; a path stands for `{ file: path }`. */
  flash?: readonly (FlashOptions | string)[];
  /** Option ROMs that the firmware runs. The VGA BIOS for PCI device 1234:1111 becomes the display adapter's own ROM. */
  optionRoms?: readonly Image[];
  /** The display adapter: `std` (default), a VGA with the Bochs VBE extensions, or `none`. */
  vga?: "std" | "none";
  /** What to start without firmware: a Linux bzImage, a Multiboot kernel, an ELF kernel with a PVH entry, or with `flat` any bytes. */
  kernel?: Image;
  /** Initial RAM disk for Linux; first module for Multiboot and PVH. */
  initrd?: Image;
  /** Command line of the kernel. */
  append?: string;
  /** Multiboot or PVH modules. */
  modules?: readonly ModuleOptions[];
  /** Starts `kernel` as a flat image. */
  flat?: FlatImageOptions;
  /** Disks and CD-ROMs; a path stands for `{ file: path }`. */
  drives?: readonly (DriveOptions | string)[];
  /** Drive letters in the order in which firmware tries them. Default `cdn`. */
  bootOrder?: string;
  /** Whether firmware offers its boot menu (SeaBIOS: at Escape), and waits for the key. Default false. */
  bootMenu?: boolean;
  /** Further devices: `"isa-debug-exit,iobase=0xf4"`, or driver and properties. */
  devices?: readonly (DeviceRequest | string)[];
  /** Takes what the guest writes to the debug console, port 0xe9. */
  debugcon?: (byte: number) => void;
  /** The real-time clock at power-on. Default 2026-01-01 in UTC, so that runs are repeatable. */
  date?: Date;
  /** An instruction lasts 2 to the power of this many virtual nanoseconds, 0 to 10. Default 3. */
  icountShift?: number;
  /**
   * What a failing drive backend (host disk full, file cut short) does: `fail` (default) ends the machine
   * with a {@linkcode HostFailureError} that names the file and the cause; `report` gives only the guest an error.
   */
  driveErrors?: "fail" | "report";
}

/** What executes the guest's code unless `accel` says otherwise. */
const DEFAULT_ENGINE: Engine = "jit";

/** All options and their kinds, so that wrong ones are found. */
const OPTIONS: Record<keyof MachineOptions, Kind> = {
  board: "any",
  memory: "any",
  cpu: "text",
  processors: "any",
  hpet: "boolean",
  accel: "any",
  trace: "object",
  firmware: "any",
  flash: "list",
  optionRoms: "list",
  vga: "any",
  kernel: "any",
  initrd: "any",
  append: "text",
  modules: "list",
  flat: "object",
  drives: "list",
  bootOrder: "text",
  bootMenu: "boolean",
  devices: "list",
  debugcon: "function",
  date: "date",
  icountShift: "any",
  driveErrors: "any",
  limits: "object",
  failOn: "list",
  noReboot: "boolean",
  tripleFault: "any",
  newline: "any",
  realTime: "boolean",
  serial: "list",
};
const DRIVE_OPTIONS: Record<keyof DriveOptions, Kind> = {
  file: "any",
  bytes: "any",
  device: "object",
  media: "any",
  readOnly: "boolean",
  snapshot: "boolean",
  index: "any",
  id: "text",
  serial: "text",
};
const FLASH_OPTIONS: Record<keyof FlashOptions, Kind> = {
  file: "any",
  bytes: "any",
  device: "object",
  readOnly: "boolean",
  snapshot: "boolean",
  unit: "any",
};
const MODULE_OPTIONS: Record<keyof ModuleOptions, Kind> = { image: "any", string: "text" };
const FLAT_OPTIONS: Record<keyof FlatImageOptions, Kind> = {
  address: "number",
  mode: "any",
  cs: "number",
  ip: "number",
  eip: "number",
  registers: "object",
};
const REGISTERS: Record<keyof NonNullable<FlatImageOptions["registers"]>, Kind> = {
  eax: "number",
  ebx: "number",
  ecx: "number",
  edx: "number",
  esi: "number",
  edi: "number",
  ebp: "number",
  esp: "number",
};
const TRACE: Record<keyof TraceOptions, Kind> = { items: "list", write: "function" };
const LIMITS: Record<keyof Limits, Kind> = { within: "any", virtual: "any", host: "any" };

/** Checks the kinds of all options, and the choices. */
function checkMachine(options: MachineOptions): void {
  checkOptions("a machine", options, OPTIONS);
  const { limits = {}, modules = [], flat } = options;
  checkOptions("limits", limits, LIMITS);
  for (const name of ["within", "virtual", "host"] as const) {
    const limit = limits[name];
    if (limit === undefined || (name === "within" && limit === "none")) continue;
    try {
      nanoseconds(limit as Duration);
    } catch (error) {
      throw new OptionError(`limits.${name}`, (error as Error).message);
    }
  }
  for (const module of modules) checkOptions("a module", module, MODULE_OPTIONS);
  if (flat !== undefined) {
    checkOptions("flat", flat, FLAT_OPTIONS);
    checkOptions("flat.registers", flat.registers ?? {}, REGISTERS);
    checkChoice("flat.mode", flat.mode, ["real", "protected"]);
  }
  checkChoice("board", options.board, ["pc"]);
  checkChoice("accel", options.accel, ["interp", "jit"]);
  checkTrace(options);
  checkChoice("vga", options.vga, ["std", "none"]);
  checkChoice("tripleFault", options.tripleFault, ["exit", "reset"]);
  checkChoice("driveErrors", options.driveErrors, ["fail", "report"]);
  checkChoice("newline", options.newline, ["\n", "\r", "\r\n"]);
}

function checkTrace({ trace, accel = DEFAULT_ENGINE }: MachineOptions): void {
  if (trace === undefined) return;
  checkOptions("trace", trace, TRACE);
  const names = TRACE_ITEMS.map(({ name }) => name);
  if ((trace.items ?? []).length === 0) {
    throw new OptionError("trace.items", `give at least one of ${names.join(", ")}`);
  }
  for (const item of trace.items) checkChoice("trace.items", item, names);
  if (trace.write === undefined) {
    throw new OptionError("trace.write", "give a function that takes the text");
  }
  if (accel !== "jit") {
    throw new OptionError(
      "trace",
      `the engine ${accel} translates nothing that could be told of: give accel: "jit" too`,
    );
  }
}

const SIZE_UNITS: Record<string, number> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

function memorySize(given: number | string | undefined): number | undefined {
  if (given === undefined || typeof given === "number") return given;
  const parts = /^\s*(\d+)\s*([kmg]?)i?b?\s*$/i.exec(given);
  if (parts === null) {
    throw new OptionError(
      "memory",
      `${JSON.stringify(given)} is not a size: give bytes as a number, or text such as "128M"`,
    );
  }
  return Number(parts[1]) * SIZE_UNITS[parts[2].toLowerCase()];
}

function checkProcessors(count: number | undefined): void {
  if (count === undefined) return;
  if (!(Number.isInteger(count) && count >= 1 && count <= MOST_PROCESSORS)) {
    throw new OptionError(
      "processors",
      `${shown(count)} will not do: give a whole number from 1 to ${MOST_PROCESSORS}`,
    );
  }
}

function cpuModel(text: string): CpuModel {
  try {
    return parseCpuModel(text);
  } catch (error) {
    throw new OptionError("cpu", (error as Error).message);
  }
}

/** Makes processors of one model, for one board: they share decoded code. */
function cpuFactory(
  model: CpuModel,
  engine: Engine,
  trace: ((region: TranslatedRegion) => void) | undefined,
): CpuFactory {
  if (engine === "jit") {
    let peer: Translator | undefined;
    return (bus) => {
      const processor = new Translator(bus, model, { peer, trace });
      peer ??= processor;
      return processor;
    };
  }
  let first: Interpreter | undefined;
  return (bus) => {
    const processor = new Interpreter(bus, model, first);
    first ??= processor;
    return processor;
  };
}

/** Writes about each region. What fails there ends the machine, but not in the middle of the engine's work. */
async function tracer(
  { items, write }: TraceOptions,
  latch: ControlLatch,
): Promise<(region: TranslatedRegion) => void> {
  const { disassemble } = await import("./core/debug/disassemble.ts");
  return (region) => {
    try {
      write(formatRegion(region, items, disassemble));
    } catch (error) {
      queueMicrotask(() => latch.fail(error));
    }
  };
}

/** Reads a file, or takes bytes under the option's name. */
async function readImage(option: string, image: Image): Promise<NamedImage> {
  if (image instanceof Uint8Array) return { file: `(${option})`, bytes: image };
  if (typeof image !== "string" && !(image instanceof URL)) {
    throw new OptionError(option, "give a path or the bytes as a Uint8Array");
  }
  const file = image instanceof URL ? image.pathname : image;
  try {
    const { isDirectory, isCharDevice, isBlockDevice } = await Deno.stat(image);
    if (isDirectory) throw new Error("it is a directory");
    // Some have no end.
    if (isCharDevice || isBlockDevice) throw new Error("it is a device, not a file");
    return { file, bytes: await Deno.readFile(image) };
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : (error as Error).message;
    throw new OptionError(option, `cannot read ${file}: ${why}`);
  }
}

/** The name of a drive's or flash chip's file. */
function fileName(option: string, { file, bytes }: DriveOptions | FlashOptions) {
  if (file !== undefined && typeof file !== "string" && !(file instanceof URL)) {
    throw new OptionError("file", `${shown(file)} will not do: give a path`);
  }
  const name = file instanceof URL ? file.pathname : file;
  if (name === "") throw new OptionError(option, "the name of a file is empty");
  if (bytes !== undefined && !(bytes instanceof Uint8Array)) {
    throw new OptionError("bytes", "give a Uint8Array");
  }
  return name;
}

/** Opens what holds a drive's or flash chip's bytes, of which one is given at most. */
function openBlock(
  file: string | undefined,
  { bytes, device, snapshot = false, readOnly = false }: DriveOptions | FlashOptions,
): BlockDevice | undefined {
  let block: BlockDevice | undefined = device;
  if (file !== undefined) block = openRawFile(file, { readOnly: readOnly || snapshot });
  else if (bytes !== undefined) block = new MemoryDevice(bytes, { readOnly });
  return block !== undefined && snapshot ? new Overlay(block) : block;
}

function openDrive(given: DriveOptions | string): PcDrive {
  const options = typeof given === "string" ? { file: given } : given;
  checkOptions("a drive", options, DRIVE_OPTIONS);
  checkChoice("media", options.media, ["disk", "cdrom"]);
  const { bytes, device, index, id, serial } = options;
  const file = fileName("drives", options);
  const { media = file?.toLowerCase().endsWith(".iso") ? "cdrom" : "disk" } = options;
  if (serial !== undefined && !/^[ -~]{0,20}$/.test(serial)) {
    throw new OptionError("serial", `${shown(serial)} is not up to 20 ASCII characters`);
  }
  const sources = [file, bytes, device].filter((source) => source !== undefined).length;
  if (sources > 1 || (sources === 0 && media === "disk")) {
    throw new OptionError("drives", "a disk needs one of file, bytes and device");
  }
  const cdrom = media === "cdrom" ? { readOnly: true, snapshot: false } : {};
  const block = openBlock(file, { ...options, ...cdrom });
  return { media, block, index, id, serial };
}

function openFlash(given: FlashOptions | string): PcFlash {
  const options = typeof given === "string" ? { file: given } : given;
  checkOptions("a flash chip", options, FLASH_OPTIONS);
  const { bytes, device, unit } = options;
  const file = fileName("flash", options);
  const sources = [file, bytes, device].filter((source) => source !== undefined).length;
  if (sources !== 1) {
    throw new OptionError("flash", "a flash chip needs one of file, bytes and device");
  }
  // What the guest may not write, it may not write to memory either.
  const { snapshot = false, readOnly = false } = options;
  const block = openBlock(file, { ...options, snapshot: snapshot && !readOnly })!;
  return { block, unit };
}

async function kernelOptions(options: MachineOptions): Promise<BoardKernel | undefined> {
  const { kernel, initrd, append, modules = [], flat } = options;
  if (kernel === undefined) {
    for (const option of ["initrd", "append", "modules", "flat"] as const) {
      if (options[option] !== undefined) {
        throw new OptionError(option, "is for a kernel: give kernel too");
      }
    }
    return undefined;
  }
  return {
    kernel: await readImage("kernel", kernel),
    commandLine: append,
    initrd: initrd === undefined ? undefined : await readImage("initrd", initrd),
    modules: await Promise.all(
      modules.map(async ({ image, string }) => ({ ...await readImage("modules", image), string })),
    ),
    flat,
  };
}

/** Backend failures that are the host's fault; others are answers to what the guest asked. */
const HOST_FAULTS: readonly string[] = [
  "missing",
  "no-space",
  "shrunk",
  "io",
  "permission",
  "closed",
];

/** Loads the disassembler only when something is to be reported. */
async function loadDisassembler(): Promise<Disassembler> {
  return (await import("./core/debug/disassemble.ts")).disassemble;
}

/**
 * A PC: a board with a processor, and everything that a script can await of it.
 *
 * ```ts
 * // Counts on port 0x80 for ever: mov al, 0; L: inc al; out 0x80, al; jmp L
 * const guest = new Uint8Array([0xb0, 0x00, 0xfe, 0xc0, 0xe6, 0x80, 0xeb, 0xfa]);
 * await using vm = await Machine.create({ kernel: guest, flat: {}, memory: "2M" });
 * await vm.port(0x80).nextWrite({ value: 5, within: "1ms" });
 * const snapshot = vm.snapshot(), hash = vm.stateHash();
 * const six = await vm.port(0x80).nextWrite();
 * vm.restore(snapshot);
 * if (vm.stateHash() !== hash) throw new Error("not the same state");
 * const again = await vm.port(0x80).nextWrite();
 * if (again.value !== 6 || again.time !== six.time) throw new Error("not the same run");
 * ```
 */
export class Machine extends BoardMachine {
  /**
   * Makes a machine in its power-on state. It executes nothing until the script waits for something.
   *
   * ```ts
   * // Counts down from 3 on port 0x80 and halts.
   * const guest = new Uint8Array([0xb0, 0x03, 0xe6, 0x80, 0xfe, 0xc8, 0x75, 0xfa, 0xf4]);
   * await using vm = await Machine.create({ kernel: guest, flat: {} });
   * const recorder = vm.port(0x80).record();
   * const exit = await vm.exited;
   * if (exit.kind !== "dead-halt") throw new Error(describeExit(exit));
   * if (recorder.entries.map(({ value }) => value).join() !== "3,2,1") throw new Error("miscounted");
   * ```
   *
   * @throws {OptionError} for an option that does not exist or has no meaning, naming the nearest
   * @throws {BoardError} for a board that cannot be made: memory size, places of drives, devices
   * @throws {ImageError} for a kernel, initial RAM disk or firmware that cannot be used, naming the file
   * @throws {BlockError} for a drive's image that cannot be opened, naming the file
   */
  static async create(options: MachineOptions): Promise<Machine> {
    checkMachine(options);
    const { firmware, icountShift, date, driveErrors = "fail" } = options;
    const flashGiven = (options.flash ?? []).length > 0;
    const starts = [firmware !== undefined, flashGiven, options.kernel !== undefined];
    if (starts.filter((given) => given).length !== 1) {
      throw new OptionError(
        firmware !== undefined ? "firmware" : flashGiven ? "flash" : "kernel",
        "a machine starts with firmware (SeaBIOS's bios-256k.bin for one), with flash (OVMF) or with a kernel: " +
          "give one of them",
      );
    }
    if (
      icountShift !== undefined &&
      !(Number.isInteger(icountShift) && icountShift >= 0 && icountShift <= 10)
    ) {
      throw new OptionError("icountShift", `${icountShift} is not an integer from 0 to 10`);
    }
    checkProcessors(options.processors);
    const model = cpuModel(options.cpu ?? "max");
    const memory = memorySize(options.memory);
    const kernel = await kernelOptions(options);
    const rom = firmware === undefined ? undefined : await readImage("firmware", firmware);
    const optionRoms = await Promise.all(
      (options.optionRoms ?? []).map((image) => readImage("optionRoms", image)),
    );
    const latch = new ControlLatch();
    const trace = options.trace && await tracer(options.trace, latch);
    const cpu = cpuFactory(model, options.accel ?? DEFAULT_ENGINE, trace);
    const drives: PcDrive[] = [], flash: PcFlash[] = [];
    try {
      for (const chip of options.flash ?? []) flash.push(openFlash(chip));
      for (const drive of options.drives ?? []) drives.push(openDrive(drive));
      const board = await createPc({
        cpu,
        processors: options.processors,
        localApics: model.features.has("apic"),
        hpet: options.hpet,
        clock: new VirtualClock(icountShift),
        memory,
        firmware: rom,
        flash,
        optionRoms,
        vga: options.vga,
        kernel,
        drives,
        bootOrder: options.bootOrder,
        bootMenu: options.bootMenu,
        devices: options.devices,
        debugcon: options.debugcon,
        start: date?.getTime(),
        onDriveError: (error) => {
          if (driveErrors === "fail" && HOST_FAULTS.includes(error.kind)) latch.fail(error);
        },
      }, latch);
      return new Machine(board, latch, options, loadDisassembler);
    } catch (error) {
      for (const { block } of [...drives, ...flash]) block?.close();
      throw error;
    }
  }
}

/** Names of the processor models that {@linkcode MachineOptions.cpu} takes. */
export const CPU_MODELS: readonly string[] = MODEL_NAMES;
