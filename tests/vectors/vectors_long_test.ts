import { checkLong } from "./long/check.ts";

Deno.test("64-bit code does what silicon did when recorded", () => checkLong("long"));
