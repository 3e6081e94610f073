/**
 * The board `pc`: Intel 440FX and PIIX3 with the power management function of the PIIX4, wired as QEMU's
 * machine of the same name, so that firmware and operating systems made for one run on the other.
 */
import type { BlockDevice, BlockError } from "../../core/block/block_device.ts";
import { PortMap } from "../../core/bus/port_map.ts";
import type { Chip, Wire } from "../../core/chip.ts";
import type { Board, CpuFactory, MachineControls } from "../../core/machine/board.ts";
import { VirtualClock } from "../../core/machine/clock.ts";
import { buildAcpiTables } from "../acpi/tables.ts";
import { AtaDisk } from "../ata_disk.ts";
import { AtapiCdrom } from "../atapi_cdrom.ts";
import { ramPieces } from "../boot/e820.ts";
import {
  type NamedImage,
  RESET_ROM_BASE,
  RESET_ROM_SIZE,
  resetRom,
  RESTART_ROM_BASE,
  restartRom,
} from "../boot/plan.ts";
import { checkFirmware, checkOptionRom, mapFirmware, placeRom } from "../firmware.ts";
import { FwCfg } from "../fw_cfg.ts";
import { Hpet, HPET_BASE, HPET_SIZE } from "../hpet.ts";
import { I440fx } from "../i440fx.ts";
import { I8042 } from "../i8042.ts";
import { I8237 } from "../i8237.ts";
import { I8254 } from "../i8254.ts";
import { Mc146818 } from "../mc146818.ts";
import { PcSpeaker } from "../pc_speaker.ts";
import { PciHost } from "../pci.ts";
import { Piix3 } from "../piix3.ts";
import { Piix3Ide } from "../piix3_ide.ts";
import { Piix4Pm } from "../piix4_pm.ts";
import { Port80 } from "../port80.ts";
import { Port92 } from "../port92.ts";
import { Ps2Keyboard } from "../ps2_keyboard.ts";
import { Ps2Mouse } from "../ps2_mouse.ts";
import { ResetControl } from "../reset_control.ts";
import { buildSmbios } from "../smbios.ts";
import { Uart16550 } from "../uart16550.ts";
import { drawFont, findFont } from "../vga/font.ts";
import { A20Gate } from "./a20_gate.ts";
import { BOOT_LETTERS, cmosContents } from "./cmos.ts";
import { type DeviceRequest, parseDevice, Properties } from "./devices.ts";
import { installPlan, type KernelOptions, planDirectBoot } from "./direct_boot.ts";
import { addDisplay, displayMemory, planDisplay } from "./display.ts";
import { type PcDrive, placeDrives } from "./drives.ts";
import { BoardError } from "./errors.ts";
import { addFirmwareItems } from "./firmware_items.ts";
import { addFlash, type PcFlash, placeFlash } from "./flash.ts";
import { GatedLine } from "./gated_line.ts";
import { PcInterrupts, TIMER_INPUT } from "./interrupts.ts";
import { setUpLegacy } from "./legacy_setup.ts";
import { createPcMemory, PCI_MEMORY_LAST, pciMemoryFirst } from "./pc_memory.ts";
import { TABLE_ROM_BASE, TABLE_ROM_SIZE, tableRom } from "./table_rom.ts";
import { addIsaDevices, isIsaDevice } from "./extra_devices.ts";
import { Processors } from "./processors.ts";
import { PM_BASE, SCI_INTERRUPT, setUpPci, SMBUS_BASE } from "./pci_setup.ts";

const MIB = 2 ** 20;
/** Memory of a board that was not told. */
export const DEFAULT_MEMORY = 128 * MIB;

/** What a board is made of. */
export interface PcOptions {
  cpu: CpuFactory;
  /** How many processors there are, 1 (default) to 16. */
  processors?: number;
  /** The clock of the machine. Default a new one. */
  clock?: VirtualClock;
  /** RAM in bytes. Default 128 MiB. */
  memory?: number;
  /** The system ROM to start with, unless there is a kernel or flash. */
  firmware?: NamedImage;
  /** Flash chips, of which the first is started from; the board closes what keeps them. */
  flash?: readonly PcFlash[];
  /** Option ROMs, which firmware runs. The one made for the display adapter is its own, the others are on no device. */
  optionRoms?: readonly NamedImage[];
  /** The display adapter: `std` (default), or `none` unless there is a device `VGA`. */
  vga?: string;
  /** What to start without firmware. */
  kernel?: KernelOptions;
  /** Drives; the board closes them. */
  drives?: readonly PcDrive[];
  /** Drive letters in the order in which firmware tries them. Default `cdn`. */
  bootOrder?: string;
  /** Whether firmware offers its boot menu, and waits for the key that calls it. Default false. */
  bootMenu?: boolean;
  /** Further devices, also in the form `driver,property=value`. */
  devices?: readonly (DeviceRequest | string)[];
  /** Takes the bytes of the debug console; the board then has one at port 0xe9, unless a device says where. */
  debugcon?: (byte: number) => void;
  /** Date and time of the real-time clock at power-on, in milliseconds since 1970. */
  start?: number;
  /** Whether the processors have local APICs, which kernels are told of. Default true. */
  localApics?: boolean;
  /** Whether it has an HPET. Default true. */
  hpet?: boolean;
  /** Hears of failing drive backends; the guest sees error bits only. */
  onDriveError?: (error: BlockError) => void;
}

/** A board `pc`, with what its host may want beyond any board. */
export interface PcBoard extends Board {
  readonly keyboard: Ps2Keyboard;
  readonly mouse: Ps2Mouse;
  /** A non-maskable interrupt from outside, unless port 0x70 masks it. */
  nmi(): void;
}

/** First ports and interrupts of the serial ports. */
const SERIAL_PORTS = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
] as const;

/** Widths of registers that take wider accesses whole. */
const ANY_SIZE = { sizes: [1, 2, 4] } as const;
/** What a base address register will put somewhere. */
const FLOATING = { ...ANY_SIZE, enabled: false };
/** Advanced power management control, and QEMU's general purpose events. */
const APM_PORTS = 0xb2, GPE_PORTS = 0xafe0;
/** Host bridge, ISA bridge and its functions sit where SeaBIOS looks for them. */
const HOST_BRIDGE = 0, SOUTH_BRIDGE = 1, DISPLAY = 2;
/** CMOS byte by which software tells the firmware how to go on after a reset of the processor, and those codes that ask for it. */
const SHUTDOWN_STATUS = 0x0f, RESUME_CODES: readonly number[] = [0x05, 0x09, 0x0a];
/** PAM register of the lower half of the BIOS area, where the tables for a kernel lie, and RAM in all of it. */
const PAM_OF_BIOS_AREA = 0x5e, PAM_READ_WRITE = 0x33;

/** Makes a board. Rejects with a `BoardError` or an `ImageError` when the options or the files in them are no good. */
export function createPc(options: PcOptions, controls: MachineControls): Promise<PcBoard> {
  return new Promise((resolve) => resolve(wirePc(options, controls)));
}

function wirePc(options: PcOptions, controls: MachineControls): PcBoard {
  const ramSize = options.memory ?? DEFAULT_MEMORY;
  const { firmware, kernel, bootOrder = "cdn", optionRoms = [], localApics = true } = options;
  const flash = placeFlash(options.flash ?? []);
  const starts = [firmware, kernel, flash[0]].filter((start) => start !== undefined).length;
  if (starts !== 1) {
    throw new BoardError(
      "kernel",
      "a board starts with firmware, with flash or with a kernel: give one of them",
    );
  }
  checkBootOrder(bootOrder);
  const requests = (options.devices ?? []).map((device) =>
    new Properties(typeof device === "string" ? parseDevice(device) : device)
  );
  const ideRequests = requests.filter(({ driver }) => driver === "ide-hd" || driver === "ide-cd");
  const places = placeDrives(options.drives ?? [], ideRequests);

  // Memory, ports, time, and the processor that will come last
  if (firmware !== undefined) checkFirmware(firmware.file, firmware.bytes);
  for (const { file, bytes } of optionRoms) checkOptionRom(file, bytes);
  const rom = (firmware?.bytes.length ?? 2 * RESET_ROM_SIZE + TABLE_ROM_SIZE) +
    flash.reduce((sum, { size }) => sum + size, 0);
  const display = planDisplay(options.vga, requests, optionRoms);
  const { memory, pam, smram } = createPcMemory(ramSize, rom + displayMemory(display));
  const ports = new PortMap();
  const clock = options.clock ?? new VirtualClock();
  const processors = new Processors(options.processors ?? 1);
  const a20 = new A20Gate({ out: (level) => processors.setA20(level) });

  // Interrupts: every line may have several sources
  const interrupts = new PcInterrupts({
    memory,
    ports,
    clock,
    processor: (index) => processors.at(index),
    current: () => processors.current,
  }, processors.count);
  const { pic } = interrupts;
  const interrupt = (irq: number): Wire => interrupts.source(irq)!;

  // Timer and speaker
  const timerLine = new GatedLine(interrupt(0)), rtcLine = new GatedLine(interrupt(8));
  const pit = new I8254({ clock, irq: timerLine.source });
  ports.claim("pit", 0x40, 4, pit.registers);
  const speaker = new PcSpeaker({
    clock,
    gate2: (level) => pit.setGate(2, level),
    out2: () => pit.out(2),
  });
  ports.claim("speaker", 0x61, 1, speaker.register);

  const hpet = options.hpet === false ? undefined : new Hpet({
    clock,
    isa: [interrupt(0), interrupt(8)],
    input2: interrupts.input(2),
    replaces: (level) => {
      timerLine.disconnect(level);
      rtcLine.disconnect(level);
    },
  });
  if (hpet !== undefined) {
    memory.addMmio("hpet", HPET_BASE, HPET_SIZE, hpet.registers, { sizes: [4] });
  }

  // DMA
  const dma = new I8237({
    memory: {
      read: (address) => memory.read(address, 1),
      write: (address, value) => memory.write(address, 1, value),
    },
  });
  ports.claim("dma master", 0x00, 16, dma.master);
  ports.claim("dma slave", 0xc0, 32, dma.slave);
  ports.claim("dma pages", 0x81, 15, dma.pages);

  // Clock and CMOS memory
  const rtc = new Mc146818({ clock, irq: rtcLine.source }, { start: options.start });
  ports.claim("rtc", 0x70, 2, rtc.registers);

  // Keyboard, mouse, and resets: the processor alone where firmware says how to go on, else everything
  const resetProcessor = (): void => {
    const resumes = kernel === undefined && RESUME_CODES.includes(rtc.getCmos(SHUTDOWN_STATUS));
    if (resumes) { for (const apic of interrupts.local) apic.init(); }
    else controls.requestReset();
  };
  const port92 = new Port92({ a20: (level) => a20.drive(level), reset: resetProcessor });
  ports.claim("port92", 0x92, 1, port92.register);
  const keyboard = new Ps2Keyboard();
  const mouse = new Ps2Mouse();
  const i8042 = new I8042({
    irq1: interrupt(1),
    irq12: interrupt(12),
    a20: (level) => a20.drive(level),
    reset: resetProcessor,
    keyboard,
    mouse,
  });
  ports.claim("i8042 data", 0x60, 1, i8042.data);
  ports.claim("i8042 command", 0x64, 1, i8042.command);
  const resetControl = new ResetControl({
    hardReset: () => controls.requestReset(),
    softReset: resetProcessor,
  });
  ports.claim("reset control", 0xcf9, 1, resetControl.register, { priority: 1 });
  const port80 = new Port80();
  ports.claim("port80", 0x80, 1, port80.register);

  // Serial ports
  const serial = SERIAL_PORTS.map(({ base, irq }, i) => {
    const uart = new Uart16550({ clock, irq: interrupt(irq) }, { name: `serial${i}` });
    ports.claim(uart.name, base, 8, uart.registers);
    return uart;
  });

  // PCI
  const pci = new PciHost();
  ports.claim("pci address", 0xcf8, 4, pci.address, { sizes: [4] });
  ports.claim("pci data", 0xcfc, 4, pci.data, ANY_SIZE);
  const hostBridge = new I440fx({ pam, smram });
  pci.attach(HOST_BRIDGE, 0, hostBridge.config);
  const southBridge = new Piix3({
    irqs: Array.from({ length: 16 }, (_, irq) => interrupts.source(irq)),
  });
  pci.attach(SOUTH_BRIDGE, 0, southBridge.config);

  // Drives
  const ide = new Piix3Ide({ irqs: [interrupt(14), interrupt(15)], memory });
  pci.attach(SOUTH_BRIDGE, 1, ide.config);
  ide.config.connectBar(4, ports.claim("ide bus master", 0, 16, ide.busMaster, FLOATING));
  for (const channel of [0, 1] as const) {
    const { command, control } = ide.ports[channel];
    const base = channel === 0 ? 0x1f0 : 0x170;
    ide.connectPorts(
      channel,
      ports.claim(`ide${channel}`, base, 8, command, ANY_SIZE),
      ports.claim(`ide${channel} control`, base + 0x206, 1, control),
    );
  }
  const drives = places.map((drive, place) => drive && makeDrive(drive, place, options, clock));
  drives.forEach((drive, place) => {
    if (drive !== undefined) ide.attach((place >> 1) as 0 | 1, (place & 1) as 0 | 1, drive);
  });

  // Power management
  const pm = new Piix4Pm({
    clock,
    sci: interrupt(SCI_INTERRUPT),
    powerOff: () => controls.powerOff(),
  });
  pci.attach(SOUTH_BRIDGE, 3, pm.config);
  pm.connectPorts(
    ports.claim("pm", 0, 0x40, pm.pm, FLOATING),
    ports.claim("smbus", 0, 0x10, pm.smbus, { enabled: false }),
  );
  ports.claim("apm", APM_PORTS, 2, pm.apm);
  ports.claim("gpe", GPE_PORTS, 4, pm.gpe, ANY_SIZE);

  // Display
  const vga = display && addDisplay(display, { memory, ports, clock });
  if (vga !== undefined) pci.attach(DISPLAY, 0, vga.config);

  // Flash, and firmware's questions
  const flashChips = addFlash(flash, memory, options.onDriveError);
  const fwCfg = new FwCfg({ memory });
  ports.claim("fw_cfg", 0x510, 2, fwCfg.ports, { sizes: [1, 2] });
  ports.claim("fw_cfg dma", 0x514, 8, fwCfg.dma, ANY_SIZE);

  // What was asked for besides
  const extras = addIsaDevices(
    withDebugcon(requests.filter(isIsaDevice), options),
    {
      ports,
      memory,
      interrupt: (irq) => interrupts.source(irq),
      controls,
      debugcon: options.debugcon ?? (() => {}),
    },
  );

  for (const { config } of pci.list()) {
    config.connectMessages((address, data) => memory.write(address, 4, data));
  }

  const disks = drives.map((drive) => drive instanceof AtaDisk ? drive.geometry : undefined);
  for (
    const [address, value] of cmosContents({
      ramSize,
      bootOrder,
      disks,
      mouse: true,
      processors: processors.count,
    })
  ) {
    rtc.setCmos(address, value);
  }

  // The order of snapshots. The interrupt controllers come last: when they are restored, all lines are
  // what they were.
  const chips: Chip[] = [
    pit,
    ...(hpet === undefined ? [] : [hpet]),
    speaker,
    dma,
    rtc,
    keyboard,
    mouse,
    i8042,
    port92,
    a20,
    resetControl,
    port80,
    ...serial,
    pci,
    hostBridge,
    southBridge,
    ide,
    pm,
    ...flashChips,
    fwCfg,
    ...drives.filter((drive) => drive !== undefined),
    ...extras,
    ...(vga === undefined ? [] : [vga]),
    ...interrupts.chips,
  ];

  const acpi = buildAcpiTables({
    isaBridge: SOUTH_BRIDGE << 16,
    southBridgeSlot: SOUTH_BRIDGE,
    serial: SERIAL_PORTS,
    pciMemory: { first: pciMemoryFirst(ramSize), last: PCI_MEMORY_LAST },
    pmBase: PM_BASE,
    smbusBase: SMBUS_BASE,
    sciInterrupt: SCI_INTERRUPT,
    pciInterrupts: [5, 10, 11],
    resetPort: 0xcf9,
    resetValue: 6,
    gpeBase: GPE_PORTS,
    gpeLength: 4,
    pmPorts: [[APM_PORTS, 2], [GPE_PORTS, 4]],
    smiCommand: APM_PORTS,
    acpiEnable: 0xf1,
    acpiDisable: 0xf0,
    timerInput: TIMER_INPUT,
    processors: processors.count,
    localApics,
    hpet: hpet !== undefined,
  });
  const smbios = buildSmbios({
    processors: processors.count,
    memory: ramPieces(ramSize),
  });
  const otherRoms = optionRoms.filter((image) => image !== display?.rom);
  addFirmwareItems(fwCfg, {
    ramSize,
    acpi,
    optionRoms: otherRoms,
    bootMenu: options.bootMenu ?? false,
    processors: processors.count,
    smbios,
  });
  let prepare = (): void => {};
  if (firmware !== undefined) mapFirmware(firmware, memory);
  if (kernel !== undefined) {
    const plan = planDirectBoot(kernel, {
      ramSize,
      acpi,
      vgaText: vga !== undefined,
      serialPorts: SERIAL_PORTS.map(({ base }) => base),
    });
    const at = placeRom(memory.host, resetRom(plan.entry), RESET_ROM_SIZE);
    memory.addRom("reset-rom", RESET_ROM_BASE, RESET_ROM_SIZE, at);
    const again = placeRom(memory.host, restartRom(), RESET_ROM_SIZE);
    memory.addRom("restart-rom", RESTART_ROM_BASE, RESET_ROM_SIZE, again);
    const tables = placeRom(
      memory.host,
      tableRom({
        smbios,
        localApics,
        processors: processors.count,
        functions: pci.list(),
        southBridge: SOUTH_BRIDGE,
      }),
      TABLE_ROM_SIZE,
    );
    memory.addRom("table-rom", TABLE_ROM_BASE, TABLE_ROM_SIZE, tables);
    const font = (display?.rom && findFont(display.rom.bytes)) ?? drawFont();
    prepare = () => {
      setUpPci(pci.list(), {
        pciMemoryFirst: pciMemoryFirst(ramSize),
        setEdgeLevel: (mask) => {
          pic.elcr.write(0, 1, mask & 0xff);
          pic.elcr.write(1, 1, mask >>> 8);
        },
      });
      setUpLegacy({ pic, pit, i8042 });
      hostBridge.config.write(PAM_OF_BIOS_AREA, 1, PAM_READ_WRITE);
      vga?.setTextMode(font);
      installPlan(plan, memory);
    };
  }

  const processor = processors.make((index) => {
    const apic = interrupts.local[index];
    return options.cpu({
      memory,
      ports,
      acknowledge: () => apic.acknowledge(),
      clock,
      apic,
      index,
      count: processors.count,
    });
  });
  const board: PcBoard = {
    cpu: processor,
    memory,
    ports,
    clock,
    chips,
    serial,
    display: vga,
    keyboard,
    mouse,
    reset(): void {
      // The processor comes first: the chips then drive its pins. A chip's line that moves on the way must
      // find the interrupt controllers masked.
      processor.reset();
      for (const chip of interrupts.chips) chip.reset();
      for (const chip of chips) chip.reset();
      prepare();
    },
    interruptsMasked: () => interrupts.closed,
    nmi(): void {
      if (!rtc.nmiMasked) interrupts.nmi();
    },
    dispose(): Promise<void> {
      return closeDrives([...options.drives ?? [], ...options.flash ?? []]);
    },
  };
  board.reset();
  return board;
}

function checkBootOrder(order: string): void {
  for (const letter of order) {
    if (!BOOT_LETTERS.includes(letter)) {
      throw new BoardError(
        "bootOrder",
        `boot order ${JSON.stringify(order)} has the letter ${JSON.stringify(letter)}: ` +
          `there are ${BOOT_LETTERS.join(", ")}`,
      );
    }
  }
}

function makeDrive(
  { media, block, serial }: PcDrive,
  place: number,
  { onDriveError }: PcOptions,
  clock: VirtualClock,
): AtaDisk | AtapiCdrom {
  const identity = {
    name: `ide${place >> 1}.${place & 1}`,
    serial: serial ?? `QM0000${place + 1}`,
  };
  return media === "disk"
    ? new AtaDisk({ clock, block: block!, onError: onDriveError }, identity)
    : new AtapiCdrom({ clock, medium: block, onError: onDriveError }, identity);
}

/** The devices asked for, and the debug console that its consumer implies. */
function withDebugcon(requests: readonly Properties[], options: PcOptions): Properties[] {
  const given = requests.some(({ driver }) => driver === "isa-debugcon");
  return options.debugcon === undefined || given
    ? [...requests]
    : [...requests, new Properties({ driver: "isa-debugcon" })];
}

/** Closes every drive, also when one of them fails to. */
async function closeDrives(drives: readonly { block?: BlockDevice }[]): Promise<void> {
  const results = await Promise.allSettled(
    drives.map(({ block }) => Promise.resolve().then(() => block?.close())),
  );
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
