import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { chart, scaleOf } from "./chart.ts";
import type { Row } from "./results.ts";

const ROWS: Row[] = [
  { group: "kernels-32", name: "a<b", seconds: { compy: [1], v86: [4], qemu: [0.5] }, failed: {} },
  { group: "kernels-32", name: "c", seconds: { compy: [1], qemu: [1] }, failed: { v86: "no" } },
];

Deno.test("scaleOf spans whole powers of two around level", () => {
  assertEquals(scaleOf([]), { from: -1, to: 1 });
  assertEquals(scaleOf([0.3, 5]), { from: -2, to: 3 });
  assertEquals(scaleOf([1.5, 4]), { from: -1, to: 2 });
});

Deno.test("chart draws a bar for each speed and each mean, from level to the speed", () => {
  const text = chart(ROWS);
  // Three speeds, two means, the background, and two in the legend.
  assertEquals(text.match(/<rect /g)?.length, 3 + 2 + 1 + 2);
  assertStringIncludes(text, ">a&lt;b</text>");
  // The scale is 1/2 to 4 on 580 units from 130: level lies at a third.
  const level = 130 + 580 / 3;
  const bar = (colour: string) =>
    new RegExp(`<rect x="([\\d.]+)" y="\\d+" width="([\\d.]+)" height="7" fill="${colour}"/>`)
      .exec(text)!.slice(1).map(Number);
  const near = (value: number, expected: number) => assert(Math.abs(value - expected) < 0.06);
  const [faster, slower] = [bar("#2f6db3"), bar("#d9822b")];
  near(faster[0], level);
  near(faster[1], 580 * 2 / 3);
  near(slower[0], 130);
  near(slower[1], 580 / 3);
});
