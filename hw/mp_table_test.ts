import { assertEquals } from "@std/assert";
import { mpTables } from "./mp_table.ts";

const ADDRESS = 0xf0200;
const bytes = mpTables({
  processors: 2,
  timerInput: 2,
  pci: [{ device: 1, pin: 1, input: 9 }, { device: 3, pin: 1, input: 11 }],
}, ADDRESS);
const table = bytes.subarray(16);
const sum = (part: Uint8Array) => part.reduce((a, b) => a + b, 0) & 0xff;

/** The entries: 20 bytes for a processor, 8 for all others. */
function entries(): number[][] {
  const list: number[][] = [];
  for (let at = 44; at < table.length;) {
    const length = table[at] === 0 ? 20 : 8;
    list.push([...table.subarray(at, at + length)]);
    at += length;
  }
  return list;
}

Deno.test("the MP floating pointer leads to a configuration table, both with right checksums", () => {
  assertEquals(new TextDecoder().decode(bytes.subarray(0, 4)), "_MP_");
  assertEquals(new DataView(bytes.buffer).getUint32(4, true), ADDRESS + 16);
  assertEquals(new TextDecoder().decode(table.subarray(0, 4)), "PCMP");
  assertEquals([sum(bytes.subarray(0, 16)), sum(table)], [0, 0]);
  const view = new DataView(bytes.buffer, 16);
  assertEquals(view.getUint16(4, true), table.length);
  assertEquals(view.getUint16(34, true), entries().length);
  assertEquals(view.getUint32(36, true), 0xfee00000);
});

Deno.test("the MP table lists processors, buses and the I/O APIC", () => {
  const processors = entries().filter(([type]) => type === 0);
  assertEquals(processors.map((e) => e.slice(0, 4)), [[0, 0, 0x14, 3], [0, 1, 0x14, 1]]);
  const buses = entries().filter(([type]) => type === 1);
  assertEquals(
    buses.map((e) => [e[1], String.fromCharCode(...e.slice(2))]),
    [[0, "PCI   "], [1, "ISA   "]],
  );
  assertEquals(entries().filter(([type]) => type === 2), [
    [2, 0, 0x20, 1, 0x00, 0x00, 0xc0, 0xfe],
  ]);
});

Deno.test("the MP table routes each ISA interrupt once: to PCI, or straight, but the timer to input 2", () => {
  const interrupts = entries().filter(([type]) => type === 3);
  const pci = interrupts.filter((e) => e[4] === 0), isa = interrupts.filter((e) => e[4] === 1);
  assertEquals(pci, [[3, 0, 0x0d, 0, 0, 4, 0, 9], [3, 0, 0x0d, 0, 0, 12, 0, 11]]);
  assertEquals(
    isa.map((e) => [e[5], e[7]]),
    [0, 1, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 15].map((irq) => [irq, irq === 0 ? 2 : irq]),
  );
  assertEquals(entries().filter(([type]) => type === 4).map((e) => [e[1], e[6], e[7]]), [
    [3, 0, 0],
    [1, 0xff, 1],
  ]);
});
