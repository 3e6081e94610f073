/** The devices that a board `pc` can be given, and those that it always has, by the names that QEMU gave them. */
import { didYouMean } from "../../core/text.ts";
import { DeviceError } from "./errors.ts";

/** A property of a device. */
export interface PropertyModel {
  name: string;
  about: string;
  /** Shown in lists; undefined when there is none and the property is required. */
  default?: string;
}

/** A kind of device. */
export interface DeviceModel {
  driver: string;
  about: string;
  properties: readonly PropertyModel[];
  /** It is on every board and cannot be added. */
  onBoard?: true;
}

/** A device as asked for. */
export interface DeviceRequest {
  /** Name of the kind of device. */
  driver: string;
  /** Properties in the order given. */
  properties?: readonly (readonly [name: string, value: string])[];
}

const onBoard = (driver: string, about: string): DeviceModel => ({
  driver,
  about,
  properties: [],
  onBoard: true,
});

/** All kinds of devices, those that can be added first. */
export const DEVICES: readonly DeviceModel[] = [
  {
    driver: "ide-cd",
    about: "ATAPI CD-ROM drive",
    properties: [
      { name: "drive", about: "id of the drive that is its medium", default: "none" },
      { name: "bus", about: "channel: ide.0 or ide.1", default: "the first with a free place" },
      { name: "unit", about: "0 for master, 1 for slave", default: "the first free one" },
    ],
  },
  {
    driver: "ide-hd",
    about: "ATA hard disk",
    properties: [
      { name: "drive", about: "id of the drive that holds its sectors" },
      { name: "bus", about: "channel: ide.0 or ide.1", default: "the first with a free place" },
      { name: "unit", about: "0 for master, 1 for slave", default: "the first free one" },
    ],
  },
  {
    driver: "isa-debug-exit",
    about: "port whose written value ends the machine",
    properties: [
      { name: "iobase", about: "first port", default: "0x501" },
      { name: "iosize", about: "ports, 1 to 4", default: "0x02" },
    ],
  },
  {
    driver: "isa-debugcon",
    about: "port whose written bytes go to the host",
    properties: [{ name: "iobase", about: "port", default: "0xe9" }],
  },
  {
    driver: "pc-testdev",
    about: "ports and memory that kvm-unit-tests are written for",
    properties: [],
  },
  {
    driver: "VGA",
    about: "VGA with the Bochs VBE extensions, on every board unless switched off",
    properties: [{ name: "vgamem_mb", about: "video memory in MiB", default: "16" }],
  },
  onBoard("fw_cfg", "interface by which firmware asks about the board, ports 0x510 to 0x51b"),
  onBoard("hpet", "high precision event timers, memory at 0xfed00000, unless switched off"),
  onBoard("i440FX", "host bridge, PCI 00:00.0"),
  onBoard("i8042", "keyboard controller with PS/2 keyboard and mouse, ports 0x60 and 0x64"),
  onBoard("i8237", "two DMA controllers, ports 0x00, 0x80 and 0xc0"),
  onBoard(
    "apic",
    "local APIC of each processor, memory at 0xfee00000, message-signalled interrupts",
  ),
  onBoard("ioapic", "I/O APIC with 24 inputs, memory at 0xfec00000"),
  onBoard("isa-pcspk", "PC speaker, port 0x61"),
  onBoard("isa-pic", "two 8259 interrupt controllers, ports 0x20, 0xa0 and 0x4d0"),
  onBoard("isa-pit", "8254 timer, port 0x40"),
  onBoard("isa-serial", "four 16550A UARTs, ports 0x3f8, 0x2f8, 0x3e8 and 0x2e8"),
  onBoard("mc146818rtc", "clock and CMOS memory, port 0x70"),
  onBoard("PIIX3", "ISA bridge, PCI 00:01.0"),
  onBoard("piix3-ide", "IDE controller with two channels, PCI 00:01.1"),
  onBoard("PIIX4_PM", "ACPI power management, PCI 00:01.3"),
  onBoard("port80", "latch of POST codes, port 0x80"),
  onBoard("port92", "A20 and fast reset, port 0x92"),
  onBoard("reset-control", "reset register, port 0xcf9"),
];

/** What `-device help` prints: one device a line. */
export function deviceHelp(): string {
  const width = Math.max(...DEVICES.map(({ driver }) => driver.length));
  const rows = (list: readonly DeviceModel[]): string[] =>
    list.map(({ driver, about }) => `  ${driver.padEnd(width)}  ${about}`);
  return [
    "Devices that can be added:",
    ...rows(DEVICES.filter((d) => !d.onBoard)),
    "Devices on every board:",
    ...rows(DEVICES.filter((d) => d.onBoard)),
  ].join("\n");
}

/** What `-device DRIVER,help` prints: one property a line. */
export function propertyHelp(driver: string): string {
  const { properties } = findModel(driver);
  if (properties.length === 0) return `${driver} has no properties.`;
  return [
    `Properties of ${driver}:`,
    ...properties.map((p) =>
      `  ${p.name}  ${p.about}${p.default === undefined ? "" : ` (default: ${p.default})`}`
    ),
  ].join("\n");
}

function findModel(driver: string): DeviceModel {
  const model = DEVICES.find((d) => d.driver === driver);
  if (model !== undefined) return model;
  const names = DEVICES.map((d) => d.driver);
  throw new DeviceError(
    driver,
    `there is no device ${JSON.stringify(driver)}${
      didYouMean(driver, names)
    }; -device help lists them`,
  );
}

/** Splits at single commas; two commas stand for one. */
function splitCommas(text: string): string[] {
  const parts = [""];
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== ",") parts[parts.length - 1] += text[i];
    else if (text[i + 1] === ",") {
      parts[parts.length - 1] += ",";
      i++;
    } else parts.push("");
  }
  return parts;
}

/** Parses `driver,name=value,…`, in which two commas stand for one. */
export function parseDevice(text: string): DeviceRequest {
  const [driver, ...rest] = splitCommas(text);
  const properties = rest.filter((part) => part !== "").map((part): [string, string] => {
    const at = part.indexOf("=");
    if (at > 0) return [part.slice(0, at), part.slice(at + 1)];
    throw new DeviceError(driver, `${driver}: ${JSON.stringify(part)} is not property=value`);
  });
  return { driver, properties };
}

/** The checked properties of one device. */
export class Properties {
  private readonly values = new Map<string, string>();

  /** @throws {DeviceError} when the device or a property does not exist, is given twice, or the device cannot be added */
  constructor(readonly request: DeviceRequest) {
    const { driver, properties = [] } = request;
    const model = findModel(driver);
    if (model.onBoard) {
      throw new DeviceError(driver, `${driver} is on every board and cannot be added`);
    }
    const names = model.properties.map((p) => p.name);
    for (const [name, value] of properties) {
      if (!names.includes(name)) {
        const list = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
        throw new DeviceError(
          driver,
          `${driver} has no property ${JSON.stringify(name)}${didYouMean(name, names)}; ${list}`,
        );
      }
      if (this.values.has(name)) {
        throw new DeviceError(driver, `${driver}: ${name} is given twice`);
      }
      this.values.set(name, value);
    }
  }

  get driver(): string {
    return this.request.driver;
  }

  /** A property as it was given. */
  text(name: string): string | undefined {
    return this.values.get(name);
  }

  /**
   * An integer in decimal, hexadecimal (0x) or octal (leading 0).
   *
   * @throws {DeviceError} when it is none, or outside of `min` to `max`
   */
  integer(name: string, min: number, max: number): number | undefined {
    const text = this.values.get(name);
    if (text === undefined) return undefined;
    const value = /^0[0-7]+$/.test(text)
      ? parseInt(text, 8)
      : /^(0x[0-9a-f]+|\d+)$/i.test(text)
      ? Number(text)
      : NaN;
    if (!(value >= min && value <= max)) {
      throw new DeviceError(
        this.driver,
        `${this.driver}: ${name} ${JSON.stringify(text)} is not an integer from ${min} to ${max}`,
      );
    }
    return value;
  }
}
