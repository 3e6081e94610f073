import { assertEquals, assertThrows } from "@std/assert";
import { type Duration, formatNanoseconds, nanoseconds } from "./duration.ts";

Deno.test("A duration is a number of milliseconds or a number with its unit", () => {
  assertEquals(nanoseconds(5), 5_000_000);
  assertEquals(nanoseconds("20ns"), 20);
  assertEquals(nanoseconds("3us"), 3000);
  assertEquals(nanoseconds("1.5s"), 1_500_000_000);
  assertEquals(nanoseconds("2min"), 120e9);
  assertEquals(nanoseconds("1h"), 3600e9);
  assertEquals(nanoseconds(0), 0);
});

Deno.test("What is no duration is refused with an example", () => {
  for (const bad of [-1, NaN, Infinity, "5", "5 weeks", "s", "", "-3s", "101h1"]) {
    assertThrows(() => nanoseconds(bad as Duration), RangeError, "not a duration");
  }
});

Deno.test("A duration is printed in the largest fitting unit", () => {
  assertEquals(formatNanoseconds(0), "0 ns");
  assertEquals(formatNanoseconds(1500), "1.5 us");
  assertEquals(formatNanoseconds(2_500_000_000), "2.5 s");
});
