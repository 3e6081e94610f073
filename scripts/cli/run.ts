/** Makes the machine that a command line asks for, joins it to the host, and runs it to its end. */
import type { CharBackend } from "../../core/char/backend.ts";
import { describeExit, type Exit, formatReport, Machine, type MachineOptions } from "../../mod.ts";
import { checkFirmware } from "../../hw/firmware.ts";
import { GuestError } from "../guests/debian.ts";
import { seabios } from "../guests/guests.ts";
import { type HostEnd, openCharDevice } from "./char_device.ts";
import type { CharRequest, Configuration } from "./command_line.ts";
import { ESCAPE_HELP } from "./escapes.ts";
import { tracedItems } from "./log_items.ts";
import { traceRun } from "./trace.ts";

/** What `-initrd` means for a Multiboot kernel: `FILE ARGUMENTS,FILE ARGUMENTS`. */
const MULTIBOOT_SEPARATOR = ",";

function rtcDate(rtc: Configuration["rtc"]): Date | undefined {
  if (rtc === undefined || rtc instanceof Date) return rtc;
  const now = new Date();
  // The clock's registers hold what UTC of this date reads.
  return rtc === "utc" ? now : new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
}

/** Somebody may be watching, or another program that has its own clock. */
function isLive(request: CharRequest): boolean {
  switch (request.kind) {
    case "stdio":
      return Deno.stdin.isTerminal();
    case "tcp":
    case "unix":
      return true;
    default:
      return false;
  }
}

/** Whether the file starts with a Multiboot 1 header within its first 8 KiB. */
async function isMultiboot(path: string): Promise<boolean> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch {
    return false; // The machine says what is wrong with it.
  }
  using _ = file;
  const bytes = new Uint8Array(8192);
  const count = await file.read(bytes) ?? 0;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 12 <= count; at += 4) {
    if (view.getUint32(at, true) !== 0x1badb002) continue;
    const sum = view.getUint32(at, true) + view.getUint32(at + 4, true) +
      view.getUint32(at + 8, true);
    if (sum % 2 ** 32 === 0) return true;
  }
  return false;
}

/** The user's firmware, and for the display the VGA BIOS that goes with SeaBIOS where it can be had. */
async function ownBios(bios: string): Promise<{ bios256k: string; vgaBios?: string }> {
  let image: Uint8Array;
  try {
    image = await Deno.readFile(bios);
  } catch {
    return { bios256k: bios }; // The machine says what is wrong with it.
  }
  checkFirmware(bios, image); // Nothing is fetched for firmware that cannot be used.
  try {
    return { bios256k: bios, vgaBios: (await seabios()).vgaBios };
  } catch (error) {
    if (!(error instanceof GuestError)) throw error;
    console.error("compy: there will be no VGA BIOS, as SeaBIOS cannot be fetched here");
    return { bios256k: bios };
  }
}

async function bootOptions(config: Configuration): Promise<Partial<MachineOptions>> {
  const { kernel, initrd, append, flash } = config;
  // Firmware in flash brings what it needs for the display.
  if (flash.length > 0) return { flash };
  if (kernel === undefined) {
    const { bios256k, vgaBios } = config.bios === undefined
      ? await seabios()
      : await ownBios(config.bios);
    return { firmware: bios256k, optionRoms: vgaBios === undefined ? [] : [vgaBios] };
  }
  if (initrd === undefined || !await isMultiboot(kernel)) return { kernel, initrd, append };
  const modules = initrd.split(MULTIBOOT_SEPARATOR).map((module) => {
    const [file] = module.split(" ", 1);
    return { image: file, string: module };
  });
  return { kernel, append, modules };
}

/** Options of the library for what the command line asks for, but for the host's ends. */
export async function machineOptions(config: Configuration): Promise<MachineOptions> {
  return {
    ...await bootOptions(config),
    memory: config.memory,
    cpu: config.cpu,
    processors: config.processors,
    hpet: config.hpet,
    vga: config.vga,
    accel: config.accel as MachineOptions["accel"],
    drives: config.drives.map(({ file, media, index, id, readOnly, snapshot, detached }) => ({
      file,
      media,
      readOnly,
      snapshot,
      id,
      index: index < 0 || detached ? undefined : index,
    })),
    bootOrder: config.bootOrder,
    bootMenu: config.bootMenu,
    devices: config.devices,
    date: rtcDate(config.rtc),
    icountShift: config.icountShift,
    noReboot: config.noReboot,
    tripleFault: config.noReboot ? "exit" : "reset",
    realTime: config.sleep ?? config.serial.some(isLive),
    limits: { within: "none" },
  };
}

/** Collects bytes until the guest's slice is over. */
function collector(backend: CharBackend): (byte: number) => void {
  let bytes: number[] = [];
  return (byte) => {
    if (bytes.length === 0) {
      queueMicrotask(() => {
        backend.write(Uint8Array.from(bytes));
        bytes = [];
      });
    }
    bytes.push(byte);
  };
}

/** The exit status for an end, and what there is to say about it. */
export function exitStatus(exit: Exit): { status: number; message?: string } {
  switch (exit.kind) {
    case "debug-exit":
      return { status: exit.status };
    case "power-off":
    case "reset":
      return { status: 0 };
    case "stopped":
      return { status: 0 };
    case "triple-fault":
      // Many guests reset this way; the status is QEMU's.
      return { status: 0, message: describeExit(exit) };
    case "dead-halt":
      return { status: 1, message: `${describeExit(exit)}\n${formatReport(exit)}` };
  }
}

/**
 * Runs the machine to its end and returns the exit status.
 *
 * @throws {Error} when it cannot be made, or the host fails it
 */
export async function runMachine(config: Configuration): Promise<number> {
  const options = await machineOptions(config);
  let vm: Machine | undefined;
  let quitting = false;
  const quit = () => {
    quitting = true;
    vm?.stop("by the user");
  };
  const events = {
    onQuit: quit,
    onHelp: () => void Deno.stdout.writeSync(new TextEncoder().encode(ESCAPE_HELP)),
  };
  /** Closed by us: the machine closes what it was given. */
  const ours = new Set<HostEnd>();
  const open = async (request: CharRequest) => {
    const backend = await openCharDevice(request, events);
    ours.add(backend);
    return backend;
  };
  let signal: Deno.Signal | undefined;
  const onSignal = (name: Deno.Signal) => () => {
    signal = name;
    quit();
  };
  const signals = (["SIGINT", "SIGTERM"] as Deno.Signal[]).map((name) =>
    [name, onSignal(name)] as [Deno.Signal, () => void]
  );
  // A write beyond the host's limit of file sizes shall fail, not kill the process.
  if (Deno.build.os === "linux") signals.push(["SIGXFSZ", () => {}]);
  for (const [name, listener] of signals) Deno.addSignalListener(name, listener);
  try {
    const serial: CharBackend[] = [];
    for (const request of config.serial) serial.push(await open(request));
    const console = config.debugcon === undefined ? undefined : await open(config.debugcon);
    const traced = tracedItems(config.log);
    let writeLog: (line: string) => void = () => {};
    vm = await Machine.create({
      ...options,
      trace: traced.length === 0 ? undefined : { items: traced, write: (text) => writeLog(text) },
      serial,
      debugcon: console === undefined ? undefined : collector(console),
    });
    const opened = [...ours];
    for (const backend of serial) ours.delete(backend);
    if (quitting) return 0;
    // Only now are files emptied: a machine that cannot be made leaves everything as it is.
    using log = openLog(config.logFile);
    writeLog = log.write;
    for (const backend of opened) backend.begin?.();
    const exit = await traceRun(vm, config.log, log.write);
    const { status, message } = exitStatus(exit);
    await vm[Symbol.asyncDispose]();
    if (message !== undefined) globalThis.console.error(`compy: ${message}`);
    if (signal !== undefined) return 128 + (signal === "SIGINT" ? 2 : 15);
    return status;
  } finally {
    await vm?.[Symbol.asyncDispose]();
    for (const backend of ours) await backend.close();
    for (const [name, listener] of signals) Deno.removeSignalListener(name, listener);
  }
}

function openLog(path: string | undefined): Disposable & { write: (line: string) => void } {
  if (path === undefined) {
    return { write: (line) => console.error(line), [Symbol.dispose]: () => {} };
  }
  const encoder = new TextEncoder();
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, create: true, truncate: true });
  } catch (error) {
    throw new Error(`cannot open the log ${path}: ${(error as Error).message}`, { cause: error });
  }
  return {
    write: (line) => void file.writeSync(encoder.encode(line + "\n")),
    [Symbol.dispose]: () => file.close(),
  };
}
