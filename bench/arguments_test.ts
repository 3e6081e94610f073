import { assertEquals, assertThrows } from "@std/assert";
import { parseBenchArguments } from "./arguments.ts";

Deno.test("parseBenchArguments takes a benchmark, its options and names", () => {
  assertEquals(parseBenchArguments([]), {
    what: "boot",
    runs: 3,
    small: false,
    names: [],
    help: false,
  });
  const { what, runs, small, names } = parseBenchArguments([
    "micro",
    "--runs",
    "1",
    "--small",
    "alu",
  ]);
  assertEquals([what, runs, small, names], ["micro", 1, true, ["alu"]]);
});

Deno.test("parseBenchArguments refuses what it does not know", () => {
  const refused = (...args: string[]) => assertThrows(() => parseBenchArguments(args)).message;
  assertEquals(refused("mirco"), `there is no benchmark "mirco" (did you mean "micro"?)`);
  assertEquals(refused("--run", "2"), `unknown option --run (did you mean "--runs"?)`);
  assertEquals(refused("--runs", "none"), "--runs needs a whole number, at least 1");
  assertEquals(refused("boot", "alu"), `boot takes no "alu"`);
  assertEquals(refused("amd64", "alu"), `amd64 takes no "alu"`);
});
