/** The options of the `compy` command: QEMU's names, and what they mean here. Touches no file. */
import { didYouMean } from "../../core/text.ts";
import {
  deviceHelp,
  type DeviceRequest,
  parseDevice as parseDeviceText,
  Properties,
  propertyHelp,
} from "../../hw/boards/devices.ts";
import { cpuHelp, parseCpuModel } from "../../accel/x86/models.ts";
import { BOOT_LETTERS } from "../../hw/boards/cmos.ts";
import { FLASH_UNITS } from "../../hw/boards/flash.ts";
import { DeviceError } from "../../hw/boards/errors.ts";
import { MOST_PROCESSORS } from "../../hw/boards/processors.ts";
import { LOG_ITEMS, type LogItem, tracedItems } from "./log_items.ts";
import { choice, number, size, Suboptions, UsageError } from "./suboptions.ts";

/** A drive as asked for. */
export interface DriveRequest {
  file: string;
  media: "disk" | "cdrom";
  /** 0 and 1 are master and slave of the first channel, 2 and 3 of the second; -1 is for the board to choose. */
  index: number;
  /** The name by which a device refers to it. */
  id?: string;
  /** It is there only for a device that refers to it. */
  detached: boolean;
  readOnly: boolean;
  /** Writes go to memory and are forgotten. */
  snapshot: boolean;
}

/** A flash chip as asked for. */
export interface FlashRequest {
  file: string;
  /** 0 ends at 4 GiB, 1 lies below it; the first that is free when left out. */
  unit?: number;
  readOnly: boolean;
  /** What is programmed goes to memory and is forgotten. */
  snapshot: boolean;
}

/** Where a character stream goes. */
export type CharRequest =
  | { kind: "null" }
  | { kind: "stdio" }
  | { kind: "file"; path: string; append: boolean }
  | { kind: "tcp"; host: string; port: number; server: boolean; wait: boolean }
  | { kind: "unix"; path: string; server: boolean; wait: boolean };

/** What the command line asks for. */
export interface Configuration {
  /** Bytes. */
  memory: number;
  /** Model with features switched on and off, as {@linkcode parseCpuModel} reads it. */
  cpu: string;
  /** Default 1. */
  processors?: number;
  /** Whether the board has an HPET. */
  hpet?: boolean;
  vga?: "std" | "none";
  accel: string;
  kernel?: string;
  initrd?: string;
  append?: string;
  bios?: string;
  drives: DriveRequest[];
  flash: FlashRequest[];
  /** QEMU's drive letters in order of preference: `a`, `c`, `d`, `n`. */
  bootOrder?: string;
  /** Whether the firmware offers its boot menu. */
  bootMenu?: boolean;
  serial: CharRequest[];
  debugcon?: CharRequest;
  nographic: boolean;
  devices: DeviceRequest[];
  noReboot: boolean;
  /** An instruction takes 2 to the power of this many virtual nanoseconds. */
  icountShift?: number;
  /** Whether virtual time keeps to the host's; by default where somebody may be watching. */
  sleep?: boolean;
  /** Log items. */
  log: LogItem[];
  logFile?: string;
  /** What the real-time clock starts from. */
  rtc?: "utc" | "localtime" | Date;
}

/** What can execute the guest's code, the default first. */
const ENGINES = [
  { name: "jit", about: "translator of hot code to JavaScript (default)" },
  { name: "interp", about: "interpreter of pre-decoded instructions" },
];
const ENGINE_NAMES = ENGINES.map(({ name }) => name);

/** What to do: run a machine, or print something and end. */
export type Command = { run: Configuration } | { print: string };

/** Longest list of drives: two channels, master and slave. */
const DRIVES = 4;
const SERIAL_PORTS = 4;

interface Draft extends Configuration {
  snapshotAll: boolean;
  serialGiven: boolean;
  /** Drives without a place of their own yet have index -1. */
  print?: string;
}

interface Option {
  names: readonly string[];
  /** Name of the argument in the help; an option without takes none. */
  argument?: string;
  help: string;
  apply(draft: Draft, value: string, option: string): void;
}

/** Parses a character device as `-serial` takes it. */
export function parseChar(option: string, given: string): CharRequest {
  // QEMU's prefix for a terminal that has its monitor too: here the escape keys alone.
  const text = given.replace(/^mon:/, "");
  const colon = text.indexOf(":");
  const kind = colon < 0 ? text : text.slice(0, colon);
  const kinds = ["stdio", "file", "null", "none", "tcp", "unix"] as const;
  const checked = choice(option, "kind of character device ", kind, kinds);
  const rest = colon < 0 ? undefined : text.slice(colon + 1);
  if (checked === "stdio" || checked === "null" || checked === "none") {
    if (rest !== undefined) throw new UsageError(`${option}: ${checked} takes no argument`);
    return { kind: checked === "stdio" ? "stdio" : "null" };
  }
  if (rest === undefined || rest === "") {
    const form = { file: "file:PATH", tcp: "tcp:HOST:PORT", unix: "unix:PATH" }[checked];
    throw new UsageError(`${option}: ${checked} needs an argument: ${form}`);
  }
  const suboptions = new Suboptions(option, rest, "address");
  const address = suboptions.take("address")!;
  if (checked === "file") {
    const append = suboptions.takeBoolean("append") ?? false;
    suboptions.finish(["append"]);
    return { kind: "file", path: address, append };
  }
  const server = suboptions.takeBoolean("server") ?? false;
  const nowait = suboptions.takeBoolean("nowait");
  const wait = suboptions.takeBoolean("wait") ?? (nowait === undefined ? true : !nowait);
  suboptions.finish(["server", "wait", "nowait"]);
  if (checked === "unix") return { kind: "unix", path: address, server, wait };
  const match = /^(?:\[([^\]]+)\]|([^:]*)):([^:]+)$/.exec(address);
  if (match === null) {
    throw new UsageError(`${option}: "${address}" is no HOST:PORT`);
  }
  const host = match[1] ?? match[2];
  return {
    kind: "tcp",
    host: host === "" ? (server ? "0.0.0.0" : "127.0.0.1") : host,
    port: number(option, "port", match[3], server ? 0 : 1, 65535),
    server,
    wait,
  };
}

function addDrive(draft: Draft, option: string, drive: DriveRequest): void {
  if (drive.file === "") throw new UsageError(`${option}: the file's name is empty`);
  if (drive.index >= 0 && draft.drives.some((d) => d.index === drive.index)) {
    throw new UsageError(`${option}: there is a drive at index ${drive.index} already`);
  }
  draft.drives.push(drive);
}

function shorthandDrive(name: string, index: number, media: "disk" | "cdrom"): Option {
  const about = media === "disk"
    ? `raw disk image as ${index % 2 === 0 ? "master" : "slave"} of IDE channel ${index >> 1}`
    : "ISO image in the CD-ROM drive (IDE channel 1, master)";
  return {
    names: [name],
    argument: "FILE",
    help: about,
    apply: (draft, file, option) =>
      addDrive(draft, option, {
        file,
        media,
        index,
        detached: false,
        readOnly: media === "cdrom",
        snapshot: false,
      }),
  };
}

function addFlash(draft: Draft, option: string, flash: FlashRequest): void {
  if (flash.file === "") throw new UsageError(`${option}: the file's name is empty`);
  if (draft.flash.length === FLASH_UNITS) {
    throw new UsageError(`${option}: the board has ${FLASH_UNITS} flash chips`);
  }
  const { unit } = flash;
  if (unit !== undefined && draft.flash.some((other) => other.unit === unit)) {
    throw new UsageError(`${option}: there is a flash chip as unit ${unit} already`);
  }
  draft.flash.push(flash);
}

function parseFlash(
  draft: Draft,
  option: string,
  file: string | undefined,
  suboptions: Suboptions,
): void {
  suboptions.takeNumber("bus", 0, 0);
  const unit = suboptions.takeNumber("unit", 0, FLASH_UNITS - 1);
  const index = suboptions.takeNumber("index", 0, FLASH_UNITS - 1);
  if (unit !== undefined && index !== undefined) {
    throw suboptions.error("give index or unit, not both");
  }
  const readOnly = suboptions.takeBoolean("readonly") ?? suboptions.takeBoolean("read-only") ??
    false;
  const snapshot = suboptions.takeBoolean("snapshot") ?? false;
  suboptions.finish([
    "file",
    "format",
    "if",
    "bus",
    "unit",
    "index",
    "readonly",
    "snapshot",
    "cache",
  ]);
  if (file === undefined) throw suboptions.error("file=FILE is missing");
  addFlash(draft, option, { file, unit: unit ?? index, readOnly, snapshot });
}

function parseDrive(draft: Draft, value: string, option: string): void {
  const suboptions = new Suboptions(option, value);
  const file = suboptions.take("file");
  suboptions.takeChoice("format", ["raw"]);
  const kind = suboptions.takeChoice("if", ["ide", "none", "pflash"]);
  suboptions.takeChoice("cache", ["writethrough"]);
  if (kind === "pflash") return parseFlash(draft, option, file, suboptions);
  const detached = kind === "none";
  const id = suboptions.take("id");
  const media = suboptions.takeChoice("media", ["disk", "cdrom"]) ?? "disk";
  const bus = suboptions.takeNumber("bus", 0, 1);
  const unit = suboptions.takeNumber("unit", 0, 1);
  let index = suboptions.takeNumber("index", 0, DRIVES - 1);
  if (index !== undefined && (bus !== undefined || unit !== undefined)) {
    throw suboptions.error("give index, or bus and unit, not both");
  }
  if (bus !== undefined || unit !== undefined) index = (bus ?? 0) * 2 + (unit ?? 0);
  const readOnly = suboptions.takeBoolean("readonly") ?? suboptions.takeBoolean("read-only") ??
    (media === "cdrom");
  const snapshot = suboptions.takeBoolean("snapshot") ?? false;
  suboptions.finish([
    "file",
    "format",
    "if",
    "media",
    "bus",
    "unit",
    "index",
    "readonly",
    "snapshot",
    "cache",
    "id",
  ]);
  if (file === undefined) throw suboptions.error("file=FILE is missing");
  addDrive(draft, option, { file, media, index: index ?? -1, id, detached, readOnly, snapshot });
}

/** How QEMU's users factor the number of processors. Guests are always shown one socket of single-threaded cores. */
const TOPOLOGY = ["sockets", "dies", "clusters", "cores", "threads"];

function parseProcessors(value: string, option: string): number {
  const suboptions = new Suboptions(option, value, "cpus");
  const given = suboptions.takeNumber("cpus", 1, MOST_PROCESSORS);
  const factors = TOPOLOGY.map((key) =>
    [key, suboptions.takeNumber(key, 1, MOST_PROCESSORS)] as const
  )
    .filter(([, factor]) => factor !== undefined) as [string, number][];
  const most = suboptions.takeNumber("maxcpus", 1, MOST_PROCESSORS);
  suboptions.finish(["cpus", ...TOPOLOGY, "maxcpus"]);
  const product = factors.reduce((all, [, factor]) => all * factor, 1);
  const count = given ?? most ?? product;
  const all = factors.map(([key, factor]) => `${key}=${factor}`).join(" × ");
  // A factor that is not given is what is missing.
  const whole = ["sockets", "cores", "threads"].every((key) =>
    factors.some(([name]) => name === key)
  );
  if (whole ? product !== count : count % product !== 0) {
    throw suboptions.error(`${all} is ${product}, which does not make ${count} processors`);
  }
  if (count > MOST_PROCESSORS) {
    throw suboptions.error(
      `${all} is ${product}; the machine has at most ${MOST_PROCESSORS} processors`,
    );
  }
  if (most !== undefined && most !== count) {
    throw suboptions.error(
      `maxcpus=${most} is not ${count}: processors cannot be added to a running machine`,
    );
  }
  return count;
}

function parseRtc(value: string, option: string): Configuration["rtc"] {
  const suboptions = new Suboptions(option, value);
  const base = suboptions.take("base");
  suboptions.finish(["base"]);
  if (base === undefined) {
    throw suboptions.error("base=utc, base=localtime or base=DATE is missing");
  }
  if (base === "utc" || base === "localtime") return base;
  const iso = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2})?$/.test(base);
  const date = new Date(iso ? (base.includes("T") ? `${base}Z` : base) : NaN);
  if (Number.isNaN(date.getTime())) {
    throw suboptions.error(`"${base}" is not utc, localtime or a date like 2026-01-31T12:00:00`);
  }
  return date;
}

function onlyValue(name: string, argument: string, allowed: readonly string[], help: string) {
  const option: Option = {
    names: [name],
    argument,
    help,
    apply: (_draft, value, given) => void choice(given, "value ", value, allowed),
  };
  return option;
}

/** Lists for `help` as a value. */
function listing(draft: Draft, lines: readonly string[]): void {
  draft.print ??= lines.join("\n") + "\n";
}

function pad(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, about]) => `  ${name.padEnd(width)}  ${about}`.trimEnd());
}

function parseDevice(draft: Draft, value: string, option: string): void {
  if (value === "help" || value === "?") return listing(draft, [deviceHelp()]);
  try {
    const driver = /^(.*),(help|\?)$/.exec(value)?.[1];
    if (driver !== undefined) return listing(draft, [propertyHelp(driver)]);
    const request = parseDeviceText(value);
    // Checks the names of properties.
    new Properties(request);
    draft.devices.push(request);
  } catch (error) {
    if (error instanceof DeviceError) throw new UsageError(`${option}: ${error.message}`);
    throw error;
  }
}

function parseLog(draft: Draft, value: string, option: string): void {
  const names = LOG_ITEMS.map(({ name }) => name);
  if (value === "help" || value === "?") {
    const rows = LOG_ITEMS.map(({ name, about }) => [name, about] as const);
    return listing(draft, ["Log items (comma separated):", ...pad(rows)]);
  }
  for (const item of value.split(",")) draft.log.push(choice(option, "log item ", item, names));
}

function optionTable(): Option[] {
  return [
    {
      names: ["machine", "M"],
      argument: "pc[,hpet=off]",
      help: "board; there is one, a PC with i440FX and PIIX3; without its HPET",
      apply(draft, value, option) {
        if (value === "help" || value === "?") {
          return listing(draft, ["Boards:", "  pc  PC with i440FX and PIIX3 (default)"]);
        }
        const suboptions = new Suboptions(option, value, "type");
        const type = suboptions.take("type") ?? "pc";
        choice(option, "board ", type, ["pc"]);
        const accel = suboptions.take("accel");
        if (accel !== undefined) draft.accel = choice(option, "engine ", accel, ENGINE_NAMES);
        draft.hpet = suboptions.takeBoolean("hpet") ?? draft.hpet;
        suboptions.finish(["type", "accel", "hpet"]);
      },
    },
    {
      names: ["no-hpet"],
      help: "leave the HPET out; as -machine hpet=off",
      apply: (draft) => void (draft.hpet = false),
    },
    {
      names: ["m"],
      argument: "SIZE",
      help: "memory in MiB, or with a suffix: 512M, 1G (default 128M)",
      apply(draft, value, option) {
        const suboptions = new Suboptions(option, value, "size");
        draft.memory = size(option, suboptions.take("size") ?? "", 1024 * 1024);
        suboptions.finish(["size"]);
      },
    },
    {
      names: ["cpu"],
      argument: "MODEL[,+FEATURE][,-FEATURE]",
      help: "processor model; -cpu help lists models and features",
      apply(draft, value, option) {
        if (value === "help" || value === "?") return listing(draft, [cpuHelp()]);
        try {
          parseCpuModel(value);
        } catch (error) {
          throw new UsageError(`${option}: ${(error as Error).message}`);
        }
        draft.cpu = value;
      },
    },
    {
      names: ["smp"],
      argument: "[cpus=]N[,sockets=S][,cores=C][,threads=T]",
      help: `processors, 1 (default) to ${MOST_PROCESSORS}, which take turns`,
      apply(draft, value, option) {
        draft.processors = parseProcessors(value, option);
      },
    },
    {
      names: ["accel"],
      argument: "ENGINE",
      help: "what executes the guest's code; -accel help lists engines",
      apply(draft, value, option) {
        if (value === "help" || value === "?") {
          return listing(draft, [
            "Engines:",
            ...pad(ENGINES.map((e) => [e.name, e.about] as const)),
          ]);
        }
        draft.accel = choice(option, "engine ", value, ENGINE_NAMES);
      },
    },
    {
      names: ["kernel"],
      argument: "FILE",
      help:
        "boot this Linux bzImage, Multiboot kernel or ELF kernel with a PVH entry without firmware",
      apply: (draft, value) => void (draft.kernel = value),
    },
    {
      names: ["initrd"],
      argument: "FILE",
      help: "initial RAM disk; for Multiboot kernels FILE ARGUMENTS,FILE ARGUMENTS…",
      apply: (draft, value) => void (draft.initrd = value),
    },
    {
      names: ["append"],
      argument: "TEXT",
      help: "the kernel's command line",
      apply: (draft, value) => void (draft.append = value),
    },
    {
      names: ["bios"],
      argument: "FILE",
      help: "firmware image (default: SeaBIOS, fetched from Debian, unless there is a kernel)",
      apply: (draft, value) => void (draft.bios = value),
    },
    shorthandDrive("hda", 0, "disk"),
    shorthandDrive("hdb", 1, "disk"),
    shorthandDrive("hdc", 2, "disk"),
    shorthandDrive("hdd", 3, "disk"),
    shorthandDrive("cdrom", 2, "cdrom"),
    {
      names: ["drive"],
      argument: "file=FILE[,index=N][,media=cdrom][,readonly=on][,snapshot=on]",
      help: "a drive; also format=raw, if=ide|none|pflash, id=, bus=, unit=, cache=writethrough",
      apply: parseDrive,
    },
    {
      names: ["pflash"],
      argument: "FILE",
      help: "flash chip with this raw image; the first ends at 4 GiB and is started from",
      apply: (draft, file, option) =>
        addFlash(draft, option, { file, readOnly: false, snapshot: false }),
    },
    {
      names: ["boot"],
      argument: "[ORDER][,menu=on]",
      help:
        "drives the firmware tries, in order: c disk, d CD-ROM (also order=…); menu=on: its menu",
      apply(draft, value, option) {
        const suboptions = new Suboptions(option, value, "order");
        const order = suboptions.take("order");
        draft.bootMenu = suboptions.takeBoolean("menu") ?? draft.bootMenu;
        suboptions.finish(["order", "menu"]);
        if (order === undefined) return;
        for (const letter of order) choice(option, "boot device ", letter, BOOT_LETTERS);
        if (order === "") throw suboptions.error("the order is empty");
        draft.bootOrder = order;
      },
    },
    {
      names: ["snapshot"],
      help: "keep what the guest writes to drives and flash in memory; leave the files alone",
      apply: (draft) => void (draft.snapshotAll = true),
    },
    {
      names: ["serial"],
      argument: "CHAR",
      help:
        "where the next serial port goes: stdio, file:PATH, null, tcp:HOST:PORT[,server[,nowait]]," +
        " unix:PATH[,server[,nowait]]",
      apply(draft, value, option) {
        if (draft.serial.length === SERIAL_PORTS) {
          throw new UsageError(`${option}: the board has ${SERIAL_PORTS} serial ports`);
        }
        draft.serial.push(parseChar(option, value));
        draft.serialGiven = true;
      },
    },
    {
      names: ["debugcon"],
      argument: "CHAR",
      help: "where bytes written to port 0xe9 go; as for -serial",
      apply: (draft, value, option) => void (draft.debugcon = parseChar(option, value)),
    },
    {
      names: ["nographic"],
      help: "join the terminal to the first serial port; Ctrl-A H there helps",
      apply: (draft) => void (draft.nographic = true),
    },
    {
      names: ["vga"],
      argument: "std|none",
      help: "the display adapter: a VGA with the Bochs VBE extensions (default), or none",
      apply: (draft, value, option) =>
        void (draft.vga = choice(option, "display adapter ", value, ["std", "none"] as const)),
    },
    {
      names: ["name"],
      argument: "TEXT",
      help: "a name for the machine; nothing shows it",
      apply: () => {},
    },
    onlyValue("display", "none", ["none"], "no window is ever shown"),
    onlyValue("monitor", "none", ["none"], "there is no monitor"),
    onlyValue("parallel", "none", ["none"], "there is no parallel port"),
    onlyValue("net", "none", ["none"], "there is no network"),
    onlyValue("nic", "none", ["none"], "there is no network"),
    {
      names: ["device"],
      argument: "DRIVER[,PROPERTY=VALUE…]",
      help: "add a device; -device help lists them, -device DRIVER,help its properties",
      apply: (draft, value, option) => parseDevice(draft, value, option),
    },
    {
      names: ["rtc"],
      argument: "base=utc|localtime|DATE",
      help: "what the real-time clock starts from; fixed by default, so that runs are alike",
      apply: (draft, value, option) => void (draft.rtc = parseRtc(value, option)),
    },
    {
      names: ["no-reboot"],
      help: "end when the guest asks for a reset",
      apply: (draft) => void (draft.noReboot = true),
    },
    {
      names: ["icount"],
      argument: "shift=N[,sleep=on|off]",
      help:
        "one instruction takes 2^N virtual nanoseconds, N from 0 to 10 (default 3); sleep=on keeps" +
        " virtual time from running ahead of the host's (default at a terminal and on sockets)",
      apply(draft, value, option) {
        const suboptions = new Suboptions(option, value, "shift");
        const shift = suboptions.takeNumber("shift", 0, 10);
        draft.sleep = suboptions.takeBoolean("sleep") ?? draft.sleep;
        suboptions.finish(["shift", "sleep"]);
        draft.icountShift = shift ?? draft.icountShift;
      },
    },
    {
      names: ["d"],
      argument: "ITEM[,ITEM…]",
      help: "log these; -d help lists them",
      apply: (draft, value, option) => parseLog(draft, value, option),
    },
    {
      names: ["D"],
      argument: "FILE",
      help: "write the log there instead of to standard error",
      apply: (draft, value) => void (draft.logFile = value),
    },
    {
      names: ["version"],
      help: "print the version and end",
      apply: (draft) => void (draft.print ??= VERSION_REQUEST),
    },
    {
      names: ["help", "h"],
      help: "print this and end",
      apply: (draft) => void (draft.print ??= usage()),
    },
  ];
}

/** Stands in {@linkcode Command} for the version, which the command itself knows. */
export const VERSION_REQUEST = "version";

/** The text of `-help`. */
export function usage(): string {
  const lines = optionTable().flatMap(({ names, argument, help }) => {
    const name = names.map((n) => `-${n}`).join(", ");
    return [`  ${name}${argument === undefined ? "" : ` ${argument}`}`, `        ${help}`];
  });
  return [
    "Usage: compy [OPTION…] [DISK]",
    "",
    "Runs a PC. Options are QEMU's, with one dash or two; DISK is short for -hda DISK.",
    "",
    ...lines,
    "",
  ].join("\n");
}

/**
 * Understands a command line.
 *
 * @throws {UsageError} naming the option, the problem, and the nearest right word
 */
export function parseCommandLine(args: readonly string[]): Command {
  const table = optionTable();
  const byName = new Map(table.flatMap((option) => option.names.map((n) => [n, option] as const)));
  const draft: Draft = {
    memory: 128 * 1024 * 1024,
    cpu: "max",
    accel: ENGINE_NAMES[0],
    drives: [],
    flash: [],
    serial: [],
    nographic: false,
    devices: [],
    noReboot: false,
    log: [],
    snapshotAll: false,
    serialGiven: false,
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!arg.startsWith("-")) {
      byName.get("hda")!.apply(draft, arg, arg);
      continue;
    }
    const name = arg.replace(/^--?/, "");
    const option = byName.get(name);
    if (option === undefined) {
      const dashes = arg.startsWith("--") ? "--" : "-";
      const near = didYouMean(name, byName.keys()).replace(`"`, `"${dashes}`);
      throw new UsageError(`unknown option ${arg}${near || "; -help lists what there is"}`);
    }
    let value = "";
    if (option.argument !== undefined) {
      i++;
      if (i >= args.length) throw new UsageError(`${arg} needs an argument: ${option.argument}`);
      value = args[i];
    }
    option.apply(draft, value, arg);
  }
  const { print, snapshotAll, serialGiven, ...configuration } = draft;
  if (print !== undefined) return { print };
  checkTogether(configuration);
  if (snapshotAll) {
    const { drives, flash } = configuration;
    for (const drive of [...drives, ...flash]) drive.snapshot ||= !drive.readOnly;
  }
  if (configuration.nographic && !serialGiven) configuration.serial = [{ kind: "stdio" }];
  return { run: configuration };
}

/** Refuses what makes no sense together. */
function checkTogether(configuration: Configuration): void {
  const { kernel, initrd, append, serial, debugcon, drives, devices, flash, bios } = configuration;
  const { accel, log } = configuration;
  for (const [option, given] of [["-kernel", kernel], ["-bios", bios]] as const) {
    if (given === undefined || flash.length === 0) continue;
    throw new UsageError(
      `${option} and flash chips make no sense together: the machine starts from one of them`,
    );
  }
  if (kernel === undefined && initrd !== undefined) {
    throw new UsageError("-initrd needs a kernel: add -kernel FILE");
  }
  if (kernel === undefined && append !== undefined) {
    throw new UsageError("-append needs a kernel: add -kernel FILE");
  }
  const used = devices.flatMap(({ properties = [] }) =>
    properties.filter(([name]) => name === "drive").map(([, id]) => id)
  );
  for (const { file, id, detached } of drives) {
    if (!detached || (id !== undefined && used.includes(id))) continue;
    throw new UsageError(
      `-drive: ${file} has if=none, and no -device has drive=${id ?? "the id that it should get"}`,
    );
  }
  const [item] = [...tracedItems(log), ...log.filter((one) => one === "stats")];
  if (item !== undefined && accel !== "jit") {
    throw new UsageError(`-d ${item}: the engine ${accel} translates nothing: add -accel jit`);
  }
  const ends = debugcon === undefined ? serial : [...serial, debugcon];
  if (ends.filter(({ kind }) => kind === "stdio").length > 1) {
    throw new UsageError("stdio can be given to one port only");
  }
}
