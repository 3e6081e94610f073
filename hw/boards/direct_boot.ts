/**
 * Starting a kernel without firmware: choosing the loader, and leaving memory as firmware would have
 * left it.
 */
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import { ACPI_ALIGNMENT, type AcpiTables, linkAcpiTables } from "../acpi/tables.ts";
import { BIOS_AREA, e820Map, EBDA_BASE, ramBelow4G } from "../boot/e820.ts";
import { type FlatOptions, planFlat } from "../boot/flat.ts";
import { isElf64 } from "../boot/elf.ts";
import { InitrdError } from "../boot/image_error.ts";
import { isLinux, planLinux } from "../boot/linux.ts";
import { type MultibootModule, planMultiboot } from "../boot/multiboot.ts";
import type { BootPlan, GuestBlob, NamedImage } from "../boot/plan.ts";
import { planPvh } from "../boot/pvh.ts";
import { loadBytes } from "./pc_memory.ts";

/** What to start without firmware. */
export interface KernelOptions {
  /** A Linux bzImage, a Multiboot 1 kernel, an ELF kernel with a PVH entry, or with {@linkcode KernelOptions.flat} any bytes. */
  kernel: NamedImage;
  commandLine?: string;
  /** For Multiboot and PVH kernels the first module. */
  initrd?: NamedImage;
  /** Multiboot and PVH only. */
  modules?: readonly MultibootModule[];
  /** Starts the file as a flat image: where to load it, and how to enter it. */
  flat?: Omit<FlatOptions, "file" | "image" | "ramSize">;
}

/** What the board has to tell a kernel. */
export interface BoardFacts {
  ramSize: number;
  acpi: AcpiTables;
  /** Whether a VGA in text mode 3 is present. */
  vgaText: boolean;
  /** First ports of the serial ports. */
  serialPorts: readonly number[];
}

/** Where the ACPI root pointer is put, and the tables behind it. */
const RSDP_ADDRESS = BIOS_AREA, ACPI_ADDRESS = BIOS_AREA + ACPI_ALIGNMENT;

/** BIOS data area, by the addresses of the IBM AT Technical Reference. */
const BDA = 0x400,
  BDA_EBDA_SEGMENT = 0x0e,
  BDA_EQUIPMENT = 0x10,
  BDA_BASE_MEMORY = 0x13,
  BDA_VIDEO_MODE = 0x49,
  BDA_VIDEO_COLUMNS = 0x4a,
  BDA_VIDEO_PAGE_SIZE = 0x4c,
  BDA_CURSOR_SHAPE = 0x60,
  BDA_CRTC_PORT = 0x63,
  BDA_VIDEO_ROWS = 0x84,
  BDA_CHARACTER_HEIGHT = 0x85,
  BDA_SIZE = 0x100;
const EQUIPMENT_FPU = 1 << 1, EQUIPMENT_MOUSE = 1 << 2, EQUIPMENT_SERIAL_SHIFT = 9;

function biosDataArea({ serialPorts, vgaText }: BoardFacts): Uint8Array {
  const area = new DataView(new ArrayBuffer(BDA_SIZE));
  serialPorts.slice(0, 4).forEach((port, i) => area.setUint16(2 * i, port, true));
  area.setUint16(BDA_EBDA_SEGMENT, EBDA_BASE >>> 4, true);
  area.setUint16(
    BDA_EQUIPMENT,
    EQUIPMENT_FPU | EQUIPMENT_MOUSE | (Math.min(serialPorts.length, 4) << EQUIPMENT_SERIAL_SHIFT),
    true,
  );
  area.setUint16(BDA_BASE_MEMORY, EBDA_BASE >>> 10, true);
  if (vgaText) {
    area.setUint8(BDA_VIDEO_MODE, 3);
    area.setUint16(BDA_VIDEO_COLUMNS, 80, true);
    area.setUint16(BDA_VIDEO_PAGE_SIZE, 0x1000, true);
    area.setUint16(BDA_CURSOR_SHAPE, 0x0d0e, true);
    area.setUint16(BDA_CRTC_PORT, 0x3d4, true);
    area.setUint8(BDA_VIDEO_ROWS, 24);
    area.setUint16(BDA_CHARACTER_HEIGHT, 16, true);
  }
  return new Uint8Array(area.buffer);
}

function planKernel(options: KernelOptions, facts: BoardFacts): BootPlan {
  const { kernel: { file, bytes }, commandLine, initrd, modules = [] } = options;
  const { vgaText } = facts;
  // Whatever is loaded goes below 4 GiB.
  const ramSize = ramBelow4G(facts.ramSize);
  const refuse = (image: NamedImage | MultibootModule | undefined, reason: string): void => {
    if (image !== undefined) throw new InitrdError(image.file, reason, "leave it out");
  };
  if (options.flat !== undefined) {
    refuse(initrd, "a flat image takes no initrd");
    refuse(modules[0], "a flat image takes no modules");
    return planFlat({ file, image: bytes, ramSize, ...options.flat });
  }
  const memoryMap = e820Map(facts.ramSize);
  // A bzImage comes first: what looks like a Multiboot header in one is chance.
  if (!isLinux(bytes)) {
    const common = {
      file,
      kernel: bytes,
      commandLine,
      modules: initrd === undefined ? modules : [initrd, ...modules],
      ramSize,
      memoryMap,
    };
    const multiboot = () => planMultiboot({ ...common, vgaText });
    const pvh = () => planPvh({ ...common, rsdpAddress: RSDP_ADDRESS });
    // Multiboot 1 loads no 64-bit ELF files; in such a kernel its header is for another file made of it.
    const plan = isElf64(bytes) ? pvh() ?? multiboot() : multiboot() ?? pvh();
    if (plan !== undefined) return plan;
  } else refuse(modules[0], "Linux takes no Multiboot modules");
  return planLinux({
    file,
    kernel: bytes,
    commandLine,
    initrd,
    ramSize,
    memoryMap,
    vgaText,
    rsdpAddress: RSDP_ADDRESS,
  });
}

/**
 * Makes the plan that starts a kernel, firmware's traces in memory included.
 *
 * @throws {ImageError} when one of the files is bad
 */
export function planDirectBoot(options: KernelOptions, facts: BoardFacts): BootPlan {
  const { blobs, entry } = planKernel(options, facts);
  const { tables, rsdp } = linkAcpiTables(facts.acpi, ACPI_ADDRESS);
  const KIB_OF_EBDA = 1;
  const traces: GuestBlob[] = [
    { what: "BIOS data area", address: BDA, bytes: biosDataArea(facts) },
    { what: "EBDA", address: EBDA_BASE, bytes: new Uint8Array([KIB_OF_EBDA]) },
    { what: "ACPI root pointer", address: RSDP_ADDRESS, bytes: rsdp },
    { what: "ACPI tables", address: ACPI_ADDRESS, bytes: tables },
  ];
  // The kernel comes last: a flat image may lie where firmware would have left its data.
  return { blobs: [...traces, ...blobs], entry };
}

/** The part of the BIOS area that must be RAM before the plan is carried out. */
export const DIRECT_BOOT_SHADOW = { base: BIOS_AREA, size: 0x8000 };

/** Puts a plan into memory. */
export function installPlan(plan: BootPlan, memory: MemoryMap): void {
  for (const { address, bytes } of plan.blobs) loadBytes(memory, address, bytes);
}
