import { assertEquals } from "@std/assert";
import { checkSource } from "./check_imports.ts";

function problems(file: string, source: string): string[] {
  return checkSource(file, source).map(({ line, problem }) => `${line}: ${problem}`);
}

// Joined from pieces, so that the check does not find these in this very file.
const imports = (path: string) => `import { x } ${"from"} "${path}";`;

Deno.test("checkSource lets chips and engines import core", () => {
  assertEquals(problems("hw/timer/i8254.ts", imports("../../core/chip.ts")), []);
  assertEquals(problems("accel/x86/mmu.ts", imports("../../core/bus/memory_map.ts")), []);
  assertEquals(problems("hw/timer/i8254.ts", imports("./other.ts")), []);
});

Deno.test("checkSource forbids core to import chips and engines, however it is written", () => {
  const expected = [`1: imports "../hw/x.ts" from hw: core imports nothing else`];
  assertEquals(problems("core/a.ts", imports("../hw/x.ts")), expected);
  assertEquals(problems("core/a.ts", `import("${"../hw/x.ts"}")`), expected);
  assertEquals(problems("core/a.ts", `export * ${"from"} '../hw/x.ts';`), expected);
  assertEquals(problems("core/a.ts", `import "${"../hw/x.ts"}";`), expected);
});

Deno.test("checkSource forbids chips to import engines, and either to import the top level", () => {
  assertEquals(problems("hw/a.ts", "\n" + imports("../accel/x.ts")), [
    `2: imports "../accel/x.ts" from accel: hw imports only core`,
  ]);
  assertEquals(problems("accel/a.ts", imports("../mod.ts")), [
    `1: imports "../mod.ts" from the top level: accel imports only core`,
  ]);
});

Deno.test("checkSource forbids imports that leave the repository, from anywhere", () => {
  assertEquals(problems("scripts/a.ts", imports("../../other/x.ts")), [
    `1: imports "../../other/x.ts", outside of the repository`,
  ]);
  assertEquals(problems("tests/a.ts", imports("/tmp/x.ts")), [
    `1: imports "/tmp/x.ts" by an absolute path`,
  ]);
});

Deno.test("checkSource lets tests, scripts and mod.ts import anything here", () => {
  assertEquals(problems("tests/a_test.ts", imports("../hw/x.ts")), []);
  assertEquals(problems("mod.ts", imports("./accel/x.ts")), []);
});
