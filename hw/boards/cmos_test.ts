import { assertEquals } from "@std/assert";
import { cmosContents, type CmosOptions } from "./cmos.ts";

const MIB = 2 ** 20;

function contents(options: Partial<CmosOptions>): (address: number, bytes?: number) => number {
  const cmos = new Map(
    cmosContents({
      ramSize: 128 * MIB,
      bootOrder: "cda",
      disks: [],
      mouse: true,
      processors: 1,
      ...options,
    }),
  );
  return (address, bytes = 1) => {
    let value = 0;
    for (let i = 0; i < bytes; i++) value |= (cmos.get(address + i) ?? -1) << (8 * i);
    return value;
  };
}

Deno.test("memory sizes are told in the units of their time", () => {
  const cmos = contents({});
  assertEquals(cmos(0x15, 2), 640);
  assertEquals([cmos(0x17, 2), cmos(0x30, 2)], [0xffff, 0xffff]);
  assertEquals(cmos(0x34, 2), 112 * 16);
  assertEquals(cmos(0x5b, 3), 0);
  const large = contents({ ramSize: 4096 * MIB });
  assertEquals([large(0x34, 2), large(0x5b, 3)], [3056 * 16, 1024 * 16]);
  const small = contents({ ramSize: 8 * MIB });
  assertEquals([small(0x17, 2), small(0x30, 2), small(0x34, 2)], [7168, 7168, 0]);
});

Deno.test("the number of processors is told less one", () => {
  assertEquals([contents({})(0x5f), contents({ processors: 4 })(0x5f)], [0, 3]);
});

Deno.test("the boot order is told in nibbles", () => {
  const cmos = contents({ bootOrder: "dca" });
  assertEquals([cmos(0x3d), cmos(0x38)], [0x23, 0x11]);
  assertEquals(contents({ bootOrder: "n" })(0x3d), 0x04);
});

Deno.test("disks have a type, a geometry and a translation", () => {
  const disk = { cylinders: 1000, heads: 16, sectors: 63, translation: 1 };
  const cmos = contents({ disks: [disk, undefined, undefined, { ...disk, translation: 2 }] });
  assertEquals([cmos(0x12), cmos(0x19)], [0xf0, 47]);
  assertEquals([cmos(0x1b, 2), cmos(0x1d), cmos(0x20), cmos(0x23)], [1000, 16, 0xc8, 63]);
  assertEquals(cmos(0x39), 0x81);
});
