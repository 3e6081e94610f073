import { assertEquals, assertStringIncludes } from "@std/assert";
import { nearMiss } from "./hints.ts";
import { streamPattern } from "./pattern.ts";

Deno.test("A near miss is told from no match at all", () => {
  const cases: [string | RegExp, string, string, string][] = [
    [/panic.*\n/, "", "Kernel panic - not syncing\r\n", "ends them with \\r\\n"],
    ["a\nb", "", "a\r\nb", "ends them with \\r\\n"],
    ["$ ls", "", "\x1b[1m$\x1b[0m ls", "escape sequences"],
    [/LOGIN:/, "", "host login: ", "upper and lower case"],
    ["login:", "host login: root\r\n", "Password:", "an earlier wait has passed"],
  ];
  for (const [pattern, passed, unread, hint] of cases) {
    assertStringIncludes(nearMiss(streamPattern(pattern), passed, unread) ?? "", hint);
  }
  assertEquals(nearMiss(streamPattern("never"), "some text", "other text\r\n"), undefined);
});
