import { assertEquals, assertThrows } from "@std/assert";
import { Ticks } from "./ticks.ts";

Deno.test("Ticks counts whole periods exactly, also after a month", () => {
  const pit = new Ticks(1_193_182);
  assertEquals(pit.at(0), 0);
  assertEquals(pit.at(838), 0);
  assertEquals(pit.at(839), 1);
  assertEquals(pit.at(1_000_000_000), 1_193_182);
  const month = 30 * 86_400;
  assertEquals(pit.at(month * 1e9), month * 1_193_182);
  assertEquals(pit.at(month * 1e9 - 1), month * 1_193_182 - 1);
});

Deno.test("Ticks gives the first nanosecond of a tick", () => {
  for (const hz of [1, 32_768, 1_193_182, 3_579_545]) {
    const ticks = new Ticks(hz);
    for (
      const tick of [0, 1, 2, 17, 65_536, 1_193_181, 1_193_182, 123_456_789, hz * 1_000_003 + 1]
    ) {
      const ns = ticks.time(tick);
      if (ns > Number.MAX_SAFE_INTEGER) continue;
      assertEquals(ticks.at(ns), tick);
      if (tick > 0) assertEquals(ticks.at(ns - 1), tick - 1);
    }
  }
});

Deno.test("Ticks refuses frequencies that it cannot handle exactly", () => {
  assertThrows(() => new Ticks(0), RangeError);
  assertThrows(() => new Ticks(1.5), RangeError);
  assertThrows(() => new Ticks(10_000_000), RangeError);
});
