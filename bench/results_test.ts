import { assertEquals, assertThrows } from "@std/assert";
import { geometricMean, grouped, meanSpeed, median, type Row, speed } from "./results.ts";

Deno.test("median takes the middle, and the mean of two middles", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertThrows(() => median([]), RangeError);
});

Deno.test("geometricMean takes twice and half for level", () => {
  assertEquals(geometricMean([2, 0.5]).toFixed(9), "1.000000000");
  assertEquals(geometricMean([1, 10, 100]).toFixed(9), "10.000000000");
  assertThrows(() => geometricMean([]), RangeError);
  assertThrows(() => geometricMean([1, 0]), RangeError);
});

const ROWS: Row[] = [
  {
    group: "kernels-32",
    name: "a",
    seconds: { compy: [1, 2, 3], v86: [4], qemu: [1] },
    failed: {},
  },
  { group: "kernels-32", name: "b", seconds: { compy: [2], v86: [], qemu: [8] }, failed: {} },
  { group: "boot", name: "i386", seconds: { compy: [2], qemu: [1] }, failed: { v86: "no" } },
];

Deno.test("speed is another's median time by compy's, where both have one", () => {
  assertEquals(ROWS.map((row) => speed(row, "qemu")), [0.5, 4, 0.5]);
  assertEquals(ROWS.map((row) => speed(row, "v86")), [2, undefined, undefined]);
});

Deno.test("meanSpeed leaves out rows that another did not run", () => {
  const [boot, kernels] = grouped(ROWS);
  assertEquals([boot.group, kernels.group], ["boot", "kernels-32"]);
  assertEquals(meanSpeed(kernels.rows, "qemu")?.toFixed(9), Math.SQRT2.toFixed(9));
  assertEquals(meanSpeed(kernels.rows, "v86"), 2);
  assertEquals(meanSpeed(boot.rows, "v86"), undefined);
});
