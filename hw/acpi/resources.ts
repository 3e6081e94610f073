/** Resource descriptors (ACPI specification 6.3, section 6.4 "Resource Data Types for ACPI"). */
import { type Aml, buffer, littleEndian } from "./aml.ts";

/** ResourceTemplate () { … } */
export function resourceTemplate(...descriptors: Aml[]): Aml {
  const END_TAG = [0x79, 0];
  return buffer([...descriptors.flatMap((d) => [...d]), ...END_TAG]);
}

/** IO (Decode16, base, base, 1, length) */
export function io(base: number, length: number): Aml {
  return [0x47, 1, ...littleEndian(base, 2), ...littleEndian(base, 2), 1, length];
}

/** Memory32Fixed (ReadOnly, base, length) */
export function fixedMemory(base: number, length: number): Aml {
  const READ_ONLY = 0;
  return [0x86, 9, 0, READ_ONLY, ...littleEndian(base, 4), ...littleEndian(length, 4)];
}

/** IRQNoFlags () { irq }: edge-triggered, active high, exclusive. */
export function irq(number: number): Aml {
  return [0x22, ...littleEndian(1 << number, 2)];
}

/** DMA (Compatibility, NotBusMaster, Transfer8_16) { channel } */
export function dma(channel: number): Aml {
  return [0x2a, 1 << channel, 0x01];
}

/** Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { numbers } */
export function sharedInterrupt(...numbers: number[]): Aml {
  const CONSUMER_LEVEL_HIGH_SHARED = 0x09;
  const list = numbers.flatMap((n) => littleEndian(n, 4));
  return [
    0x89,
    ...littleEndian(2 + list.length, 2),
    CONSUMER_LEVEL_HIGH_SHARED,
    numbers.length,
    ...list,
  ];
}
/** Offset of the first interrupt number within {@linkcode sharedInterrupt}. */
export const INTERRUPT_NUMBER = 5;

/** Minimum and maximum are fixed; the bridge passes the range on (producer, positive decode). */
const FIXED_RANGE = 0x0c;
const MEMORY_RANGE = 0, IO_RANGE = 1, BUS_NUMBER_RANGE = 2;

function wordRange(type: number, flags: number, first: number, last: number): Aml {
  const fields = [0, first, last, 0, last - first + 1].flatMap((n) => littleEndian(n, 2));
  return [0x88, ...littleEndian(3 + fields.length, 2), type, FIXED_RANGE, flags, ...fields];
}

/** WordBusNumber of the buses `first` to `last`. */
export function busNumbers(first: number, last: number): Aml {
  return wordRange(BUS_NUMBER_RANGE, 0, first, last);
}

/** WordIO of the ports `first` to `last`, passed on by a bridge. */
export function ioWindow(first: number, last: number): Aml {
  const ENTIRE_RANGE = 3;
  return wordRange(IO_RANGE, ENTIRE_RANGE, first, last);
}

/** DWordMemory of the addresses `first` to `last`, passed on by a bridge. */
export function memoryWindow(first: number, last: number, { cacheable = false } = {}): Aml {
  const READ_WRITE = 1, CACHEABLE = 1 << 1;
  const flags = READ_WRITE | (cacheable ? CACHEABLE : 0);
  const fields = [0, first, last, 0, last - first + 1].flatMap((n) => littleEndian(n, 4));
  return [0x87, ...littleEndian(3 + fields.length, 2), MEMORY_RANGE, FIXED_RANGE, flags, ...fields];
}
