import { assertEquals } from "@std/assert";
import { CD_BLOCK_SIZE, rawSector, toMsf } from "./cd_sector.ts";

Deno.test("Logical blocks start two seconds into the disc", () => {
  assertEquals(toMsf(0), [0, 2, 0]);
  assertEquals(toMsf(74), [0, 2, 74]);
  assertEquals(toMsf(4350), [1, 0, 0]);
});

Deno.test("A raw sector has sync, header and data in their places", () => {
  const data = Uint8Array.from({ length: CD_BLOCK_SIZE }, (_, i) => i * 31 & 0xff);
  const sector = rawSector(4350 + 16, data);
  assertEquals([...sector.subarray(0, 16)], [0, ...new Array(10).fill(255), 0, 1, 0, 0x16, 1]);
  assertEquals(sector.subarray(16, 2064), data);
  assertEquals(sector.subarray(2068, 2076), new Uint8Array(8));
});

Deno.test("The detection code of a raw sector divides by its polynomial", () => {
  const sector = rawSector(16, new Uint8Array(CD_BLOCK_SIZE).fill(0x5a));
  let remainder = 0;
  for (const byte of sector.subarray(0, 2068)) {
    remainder ^= byte;
    for (let i = 0; i < 8; i++) {
      remainder = (remainder & 1) !== 0 ? (remainder >>> 1) ^ 0xd8018001 : remainder >>> 1;
    }
  }
  assertEquals(remainder >>> 0, 0);
});

Deno.test("Every P and Q code word of a raw sector has zero syndromes", () => {
  const data = Uint8Array.from({ length: CD_BLOCK_SIZE }, (_, i) => (i * i) >> 3 & 0xff);
  const sector = rawSector(1234, data);
  const check = (offsets: number[]) => {
    let sum = 0, horner = 0;
    for (const at of offsets) {
      sum ^= sector[at];
      horner = ((horner << 1) ^ (horner & 0x80 ? 0x11d : 0)) ^ sector[at];
    }
    assertEquals([sum, horner], [0, 0]);
  };
  for (const half of [0, 1]) {
    for (let n = 0; n < 43; n++) {
      check(Array.from({ length: 26 }, (_, m) => 12 + 2 * (43 * m + n) + half));
    }
    for (let n = 0; n < 26; n++) {
      const words = Array.from({ length: 43 }, (_, m) => (44 * m + 43 * n) % 1118);
      check([...words, 1118 + n, 1144 + n].map((word) => 12 + 2 * word + half));
    }
  }
});
