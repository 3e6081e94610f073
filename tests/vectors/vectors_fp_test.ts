import { check } from "./check.ts";

Deno.test("x87 instructions do what silicon did when recorded", () => check("x87"));

Deno.test("MMX and SSE instructions do what silicon did when recorded", () => check("simd"));
