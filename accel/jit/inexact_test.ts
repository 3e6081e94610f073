import { assertEquals } from "@std/assert";
import { INEXACT } from "./inexact.ts";

Deno.test("zero divided by infinity is exact in both formats", () => {
  for (const zero of [0, -0]) {
    assertEquals(INEXACT.div32(zero, Infinity, zero), false);
    assertEquals(INEXACT.div64(zero, Infinity, zero), false);
  }
});

Deno.test("a quotient of singles is exact only where it gives the dividend again", () => {
  assertEquals(INEXACT.div32(1, 4, 0.25), false);
  assertEquals(INEXACT.div32(1, 3, Math.fround(1 / 3)), true);
});
