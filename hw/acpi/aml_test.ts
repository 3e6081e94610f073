import { assertEquals, assertThrows } from "@std/assert";
import * as aml from "./aml.ts";
import {
  busNumbers,
  dma,
  io,
  ioWindow,
  irq,
  memoryWindow,
  resourceTemplate,
  sharedInterrupt,
} from "./resources.ts";

function text(bytes: aml.Aml): string {
  return bytes.map((b) => b.toString(16).padStart(2, "0")).join(" ");
}

Deno.test("integers take their shortest form", () => {
  assertEquals(text(aml.integer(0)), "00");
  assertEquals(text(aml.integer(1)), "01");
  assertEquals(text(aml.integer(2)), "0a 02");
  assertEquals(text(aml.integer(0x100)), "0b 00 01");
  assertEquals(text(aml.integer(0x10000)), "0c 00 00 01 00");
  assertThrows(() => aml.integer(2 ** 32), RangeError);
  assertThrows(() => aml.integer(-1), RangeError);
});

Deno.test("paths have root and parent prefixes and counted segments", () => {
  assertEquals(text(aml.path("A")), "41 5f 5f 5f");
  assertEquals(text(aml.path("\\")), "5c 00");
  assertEquals(text(aml.path("^AB12")), "5e 41 42 31 32");
  assertEquals(text(aml.path("\\_SB.PCI0")), "5c 2e 5f 53 42 5f 50 43 49 30");
  assertEquals(text(aml.path("A.B.C")).slice(0, 6), "2f 03 ");
  assertThrows(() => aml.path("lower"), RangeError);
  assertThrows(() => aml.path("TOOLONG"), RangeError);
});

Deno.test("an EISA ID is compressed to a big-endian number", () => {
  assertEquals(text(aml.eisaId("PNP0A03")), "0c 41 d0 0a 03");
  assertThrows(() => aml.eisaId("pnp0a03"), RangeError);
});

Deno.test("package lengths count themselves in one to three bytes", () => {
  const length = (n: number): string =>
    text(aml.scope("A", new Array(n).fill(0xa3)).slice(1, -(n + 4)));
  assertEquals(length(0), "05");
  assertEquals(length(0x3f - 5), "3f");
  assertEquals(length(0x3f - 4), "41 04");
  assertEquals(length(0xfff - 6), "4f ff");
  assertEquals(length(0x1000 - 6), "81 00 01");
});

Deno.test("declarations and control flow match the specification's encodings", () => {
  assertEquals(text(aml.name("X", aml.integer(1))), "08 58 5f 5f 5f 01");
  assertEquals(
    text(aml.device("D", aml.name("X", aml.integer(0)))),
    "5b 82 0b 44 5f 5f 5f 08 58 5f 5f 5f 00",
  );
  assertEquals(text(aml.packageOf(aml.integer(0), aml.integer(5))), "12 05 02 00 0a 05");
  assertEquals(text(aml.buffer([9, 8])), "11 05 0a 02 09 08");
  assertEquals(text(aml.string("ab")), "0d 61 62 00");
  assertEquals(
    text(aml.method("M", { args: 1, serialized: true }, aml.returns(aml.arg(0)))),
    "14 08 4d 5f 5f 5f 09 a4 68",
  );
  assertEquals(
    text(aml.when(aml.and(aml.local(0), aml.integer(2)), aml.store(aml.integer(1), aml.local(1)))),
    "a0 09 7b 60 0a 02 00 70 01 61",
  );
  assertEquals(
    text(aml.operationRegion("R", aml.PCI_CONFIG, { offset: 0x60, length: 4 })),
    "5b 80 52 5f 5f 5f 02 0a 60 0a 04",
  );
  assertEquals(
    text(aml.byteField("R", ["", 64], ["F", 8])),
    "5b 81 0e 52 5f 5f 5f 01 00 40 04 46 5f 5f 5f 08",
  );
  assertEquals(
    text(aml.createDWordField(aml.arg(0), 5, "F")),
    "8a 68 0a 05 46 5f 5f 5f",
  );
});

Deno.test("resource descriptors match the specification's encodings", () => {
  assertEquals(text(io(0x3f8, 8)), "47 01 f8 03 f8 03 01 08");
  assertEquals(text(irq(4)), "22 10 00");
  assertEquals(text(dma(2)), "2a 04 01");
  assertEquals(text(sharedInterrupt(5, 11)), "89 0a 00 09 02 05 00 00 00 0b 00 00 00");
  assertEquals(text(busNumbers(0, 255)), "88 0d 00 02 0c 00 00 00 00 00 ff 00 00 00 00 01");
  assertEquals(text(ioWindow(0, 0xcf7)), "88 0d 00 01 0c 03 00 00 00 00 f7 0c 00 00 f8 0c");
  assertEquals(
    text(memoryWindow(0xa0000, 0xbffff, { cacheable: true })).slice(0, 17),
    "87 17 00 00 0c 03",
  );
  assertEquals(text(resourceTemplate(irq(1))), "11 08 0a 05 22 02 00 79 00");
});
