import { assertEquals } from "@std/assert";
import { buildSmbios, linkSmbios } from "./smbios.ts";

const GIB = 2 ** 30;
const ADDRESS = 0xf0020;

interface Parsed {
  type: number;
  handle: number;
  /** Formatted area, header included. */
  view: DataView;
  strings: string[];
}

/** Reads structures as an inventory tool does. */
function parse(tables: Uint8Array<ArrayBuffer>): Parsed[] {
  const list: Parsed[] = [];
  for (let at = 0; at < tables.length;) {
    const length = tables[at + 1];
    let end = at + length;
    while (tables[end] !== 0 || tables[end + 1] !== 0) end++;
    const view = new DataView(tables.buffer, at, length);
    const text = new TextDecoder().decode(tables.subarray(at + length, end));
    const strings = text.split("\0").filter((s) => s !== "");
    list.push({ type: tables[at], handle: view.getUint16(2, true), view, strings });
    at = end + 2;
  }
  return list;
}

function of(type: number, memory = [{ base: 0, length: GIB }], processors = 1): Parsed[] {
  return parse(buildSmbios({ processors, memory }).tables).filter((s) => s.type === type);
}

Deno.test("the SMBIOS entry point has right checksums, sizes and counts", () => {
  const smbios = buildSmbios({ processors: 2, memory: [{ base: 0, length: GIB }] });
  const anchor = linkSmbios(smbios, ADDRESS);
  const sum = (bytes: Uint8Array) => bytes.reduce((a, b) => a + b, 0) & 0xff;
  assertEquals(anchor.length, 0x1f);
  assertEquals([sum(anchor), sum(anchor.subarray(0x10))], [0, 0]);
  assertEquals(new TextDecoder().decode(anchor.subarray(0, 4)), "_SM_");
  assertEquals(new TextDecoder().decode(anchor.subarray(0x10, 0x15)), "_DMI_");
  assertEquals([anchor[6], anchor[7], anchor[0x1e]], [2, 8, 0x28]);
  const view = new DataView(anchor.buffer);
  assertEquals(view.getUint32(0x18, true), ADDRESS);
  assertEquals(view.getUint16(0x16, true), smbios.tables.length);
  assertEquals(view.getUint16(0x1c, true), parse(smbios.tables).length);
});

Deno.test("SMBIOS has each type that a board must have, with handles of their own, and ends", () => {
  const { tables } = buildSmbios({ processors: 1, memory: [{ base: 0, length: GIB }] });
  const list = parse(tables);
  assertEquals(list.map(({ type }) => type), [0, 1, 3, 4, 16, 17, 19, 32, 127]);
  assertEquals(new Set(list.map(({ handle }) => handle)).size, list.length);
});

Deno.test("SMBIOS counts cores of one package", () => {
  const [processor, ...others] = of(4, undefined, 4);
  assertEquals(others, []);
  assertEquals([0x23, 0x24, 0x25].map((at) => processor.view.getUint8(at)), [4, 4, 4]);
  assertEquals(processor.strings[0], "CPU 0");
});

Deno.test("SMBIOS tells memory of all sizes and on both sides of 4 GiB", () => {
  const sizeOf = (length: number) => of(17, [{ base: 0, length }])[0].view.getUint16(0x0c, true);
  assertEquals(sizeOf(GIB), 1024);
  assertEquals(sizeOf(GIB + 2 ** 16), 1024);
  assertEquals(sizeOf(2 ** 20 + 2 ** 16), 0x8000 | 1088);
  const ranges = [{ base: 0, length: 3 * GIB }, { base: 4 * GIB, length: GIB }];
  const [low, high] = of(19, ranges);
  assertEquals([low.view.getUint32(4, true), low.view.getUint32(8, true)], [0, 3 * 2 ** 20 - 1]);
  assertEquals(high.view.getUint32(4, true), 0xffffffff);
  assertEquals(high.view.getBigUint64(0x0f, true), 2n ** 32n);
  assertEquals(high.view.getBigUint64(0x17, true), 5n * 2n ** 30n - 1n);
  assertEquals(of(16, ranges)[0].view.getUint32(7, true), 4 * 2 ** 20);
});
