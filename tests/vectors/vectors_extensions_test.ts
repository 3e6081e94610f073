import { check } from "./check.ts";
import { checkLong } from "./long/check.ts";

Deno.test("instruction-set extensions do what silicon did when recorded", () =>
  check("extensions"));

Deno.test("instruction-set extensions in 64-bit code do what silicon did when recorded", () =>
  checkLong("long_extensions"));
