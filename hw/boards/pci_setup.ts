/**
 * What firmware does for PCI before an operating system starts: assigns addresses and interrupts and
 * switches the chips on. The results are those of SeaBIOS on the same board, so that a kernel booted
 * directly sees the board that one booted by firmware sees.
 */
import { COMMAND, COMMAND_IO, COMMAND_MEMORY, INTERRUPT_LINE, INTERRUPT_PIN } from "../pci.ts";
import { BASE_ADDRESS, EXPANSION_ROM, type PciConfig, type PciFunction } from "../pci.ts";
import { pirqOfSlot } from "../piix3.ts";

/** Ports from here on are for base address registers. */
const IO_BASE = 0xc000;
/** Memory for base address registers ends below the I/O APIC. */
const MEMORY_END = 0xfec00000;

/** ISA interrupts of PIRQA# to PIRQD#. */
export const PIRQ_INTERRUPTS: readonly number[] = [10, 10, 11, 11];
/** System control interrupt. */
export const SCI_INTERRUPT = 9;
/** Bases that the power management function gets. */
export const PM_BASE = 0x600, SMBUS_BASE = 0x700;

const INTEL = 0x8086;
const PIIX3_ISA = 0x7000, PIIX3_IDE = 0x7010, PIIX4_PM = 0x7113;
/** PIIX3 ISA bridge: interrupt routing. */
const PIRQRCA = 0x60;
/** PIIX3 IDE: timing registers of both channels, whose upper bit makes the channel decode its ports. */
const IDETIM = 0x40, IDE_DECODE_ENABLE = 0x8000;
/** PIIX4 power management: bases and their enable bits. */
const PMBA = 0x40, PMREGMISC = 0x80, PMIOSE = 1 << 0, SMBBA = 0x90, SMBHSTCFG = 0xd2;
const BASE_IS_IO = 1, SMB_HST_EN = 1 << 0, SMB_INTRSEL_IRQ9 = 4 << 1;

interface Request {
  config: PciConfig;
  offset: number;
  size: number;
}

function requests(functions: readonly PciFunction[], kind: "io" | "memory"): Request[] {
  return functions
    .flatMap(({ config }) =>
      config.shapes.filter(({ shape }) => shape.kind === kind).map(({ index, shape }) => ({
        config,
        offset: index === "rom" ? EXPANSION_ROM : BASE_ADDRESS + 4 * index,
        size: shape.size,
      }))
    )
    // Largest first: each next one is then aligned without a gap. The sort keeps the order of equals.
    .sort((a, b) => b.size - a.size);
}

function assign(list: readonly Request[], base: number): number {
  let next = base;
  for (const { config, offset, size } of list) {
    next = Math.ceil(next / size) * size;
    config.write(offset, 4, next);
    next += size;
  }
  return next;
}

/**
 * Assigns every base address register an address and every interrupt pin a line, and programs the
 * south bridge.
 *
 * @param setEdgeLevel programs the edge/level control registers with a mask of level-triggered lines
 * @throws {RangeError} when the devices need more address space than there is
 */
export function setUpPci(
  functions: readonly PciFunction[],
  { pciMemoryFirst, setEdgeLevel }: {
    /** First address above RAM that base address registers may get. */
    pciMemoryFirst: number;
    setEdgeLevel: (levelTriggered: number) => void;
  },
): void {
  const io = requests(functions, "io"), memory = requests(functions, "memory");
  const total = memory.reduce((sum, { size }) => sum + size, 0);
  const align = memory[0]?.size ?? 1;
  const memoryBase = Math.floor((MEMORY_END - total) / align) * align;
  if (memoryBase < pciMemoryFirst) {
    throw new RangeError(
      `PCI devices need ${total} bytes of memory space, which is more than is left`,
    );
  }
  assign(memory, memoryBase);
  if (assign(io, IO_BASE) > 0x10000) {
    throw new RangeError("PCI devices need more I/O ports than there are from 0xc000 on");
  }
  for (const { device, config } of functions) {
    const pin = config.get8(INTERRUPT_PIN);
    if (pin !== 0) {
      config.write(INTERRUPT_LINE, 1, PIRQ_INTERRUPTS[pirqOfSlot(device, pin)]);
    }
    config.write(COMMAND, 2, config.get16(COMMAND) | COMMAND_IO | COMMAND_MEMORY);
    if (config.get16(0) === INTEL) setUpIntel(config);
  }
  const level = [...PIRQ_INTERRUPTS, SCI_INTERRUPT].reduce((mask, irq) => mask | (1 << irq), 0);
  setEdgeLevel(level);
}

function setUpIntel(config: PciConfig): void {
  switch (config.get16(2)) {
    case PIIX3_ISA:
      PIRQ_INTERRUPTS.forEach((irq, i) => config.write(PIRQRCA + i, 1, irq));
      break;
    case PIIX3_IDE:
      config.write(IDETIM, 2, IDE_DECODE_ENABLE);
      config.write(IDETIM + 2, 2, IDE_DECODE_ENABLE);
      break;
    case PIIX4_PM:
      config.write(INTERRUPT_LINE, 1, SCI_INTERRUPT);
      config.write(PMBA, 4, PM_BASE | BASE_IS_IO);
      config.write(PMREGMISC, 1, PMIOSE);
      config.write(SMBBA, 4, SMBUS_BASE | BASE_IS_IO);
      config.write(SMBHSTCFG, 1, SMB_HST_EN | SMB_INTRSEL_IRQ9);
      break;
  }
}
