import { check } from "./check.ts";

Deno.test("integer instructions do what silicon did when recorded", () => check("integer"));
