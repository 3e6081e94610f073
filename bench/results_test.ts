import { assertEquals, assertThrows } from "@std/assert";
import { median } from "./results.ts";

Deno.test("median takes the middle, and the mean of two middles", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertThrows(() => median([]), RangeError);
});
