import { assert, assertEquals } from "@std/assert";
import { marked, printed } from "./shell.ts";

Deno.test("the echo of a marked command contains no mark", () => {
  const { input, marks } = marked("echo 1");
  for (const mark of marks) assert(!input.includes(mark));
});

Deno.test("printed takes what the last command printed", () => {
  const { input } = marked("echo 1");
  const text = `@START\n0\n@END\n/ # ${input}@START\r\n1\r\n2\r\n@END\r\n/ # `;
  assertEquals(printed(text), "1\r\n2");
});
