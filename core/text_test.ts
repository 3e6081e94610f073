import { assertEquals } from "@std/assert";
import { didYouMean, editDistance, nearest } from "./text.ts";

Deno.test("editDistance counts single edits and swaps", () => {
  assertEquals(editDistance("", ""), 0);
  assertEquals(editDistance("", "abc"), 3);
  assertEquals(editDistance("kernel", "kernel"), 0);
  assertEquals(editDistance("kenrel", "kernel"), 1);
  assertEquals(editDistance("kitten", "sitting"), 3);
});

Deno.test("nearest finds misspellings, whatever their case", () => {
  const names = ["kernel", "initrd", "append", "nographic", "no-reboot"];
  assertEquals(nearest("kernal", names), "kernel");
  assertEquals(nearest("INITRD", names), "initrd");
  assertEquals(nearest("noreboot", names), "no-reboot");
  assertEquals(nearest("nographics", names), "nographic");
});

Deno.test("nearest completes the start of a name", () => {
  assertEquals(nearest("pent", ["486", "pentium3"]), "pentium3");
  assertEquals(nearest("no", ["nographic", "no-reboot"]), "nographic");
});

Deno.test("nearest offers nothing when nothing is close", () => {
  assertEquals(nearest("xyzzy", ["kernel", "initrd"]), undefined);
  assertEquals(nearest("", ["a"]), undefined);
  assertEquals(nearest("x", ["a", "c"]), undefined);
  assertEquals(nearest("kernel", []), undefined);
});

Deno.test("didYouMean is a tail for messages, empty when nothing is close", () => {
  assertEquals(didYouMean("kernal", ["kernel"]), ` (did you mean "kernel"?)`);
  assertEquals(didYouMean("xyzzy", ["kernel"]), "");
});
