/** Devices that a board has only when asked for them. */
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import type { PortMap } from "../../core/bus/port_map.ts";
import type { Chip, Wire } from "../../core/chip.ts";
import type { MachineControls } from "../../core/machine/board.ts";
import { Debugcon } from "../debugcon.ts";
import { IsaDebugExit } from "../isa_debug_exit.ts";
import { PcTestdev, TESTDEV_IOMEM_SIZE, TESTDEV_IRQ_LINES } from "../pc_testdev.ts";
import type { Properties } from "./devices.ts";
import { DeviceError } from "./errors.ts";

/** What a device on the ISA bus reaches. */
export interface IsaBus {
  ports: PortMap;
  memory: MemoryMap;
  /** One more output on an interrupt line; undefined for a number without one. */
  interrupt(line: number): Wire | undefined;
  controls: MachineControls;
  /** Takes the bytes of the debug console. */
  debugcon: (byte: number) => void;
}

const DEBUGCON_PORT = 0xe9;

function debugExit(properties: Properties, bus: IsaBus): Chip {
  const chip = new IsaDebugExit(
    { exit: (value) => bus.controls.debugExit(value) },
    {
      iobase: properties.integer("iobase", 0, 0xfffc),
      iosize: properties.integer("iosize", 1, 4),
    },
  );
  bus.ports.claim(chip.name, chip.iobase, chip.iosize, chip.register, { sizes: [1, 2, 4] });
  return chip;
}

function debugcon(properties: Properties, bus: IsaBus): Chip {
  const chip = new Debugcon({ byte: bus.debugcon });
  const port = properties.integer("iobase", 0, 0xffff) ?? DEBUGCON_PORT;
  bus.ports.claim(chip.name, port, 1, chip.register);
  return chip;
}

function testdev(_properties: Properties, { ports, memory, interrupt }: IsaBus): Chip {
  const lines = Array.from({ length: TESTDEV_IRQ_LINES }, (_, line) => interrupt(line));
  const chip = new PcTestdev({ irq: (line, level) => lines[line]?.(level) });
  const any = { sizes: [1, 2, 4] } as const;
  ports.claim(`${chip.name} ioport`, 0xe0, 4, chip.ioport, any);
  ports.claim(`${chip.name} flush`, 0xe4, 4, chip.flush, any);
  ports.claim(`${chip.name} ioport-byte`, 0xe8, 4, chip.ioportByte);
  ports.claim(`${chip.name} irq-line`, 0x2000, TESTDEV_IRQ_LINES, chip.irqLines);
  memory.addMmio(`${chip.name} iomem`, 0xff000000, TESTDEV_IOMEM_SIZE, chip.iomem, any);
  return chip;
}

const MAKERS: { readonly [driver: string]: (properties: Properties, bus: IsaBus) => Chip } = {
  "isa-debug-exit": debugExit,
  "isa-debugcon": debugcon,
  "pc-testdev": testdev,
};

/**
 * Adds the devices asked for, in that order.
 *
 * @throws {DeviceError} when there would be two of one kind
 */
export function addIsaDevices(requests: readonly Properties[], bus: IsaBus): Chip[] {
  const chips: Chip[] = [];
  for (const request of requests) {
    const chip = MAKERS[request.driver](request, bus);
    if (chips.some(({ name }) => name === chip.name)) {
      throw new DeviceError(request.driver, `the board takes only one ${request.driver}`);
    }
    chips.push(chip);
  }
  return chips;
}

/** Whether {@linkcode addIsaDevices} makes this kind. */
export function isIsaDevice({ driver }: Properties): boolean {
  return Object.hasOwn(MAKERS, driver);
}
