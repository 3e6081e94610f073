import { assert, assertEquals, assertThrows } from "@std/assert";
import { shellOutput, shellScript } from "./shell.ts";

/** What a shell of the host makes of a command that is sent to it as to a guest's. */
async function run(command: string): Promise<{ stdout: string; status: number }> {
  const script = shellScript(command, 1);
  const child = new Deno.Command("sh", { stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script.input));
  await writer.close();
  const sent = new TextDecoder().decode((await child.output()).stdout);
  const end = script.end.exec(sent)!;
  return {
    stdout: shellOutput(script, sent.slice(0, end.index), true),
    status: Number(end.groups!.status),
  };
}

/** The longest line that the shell is sent, in bytes. */
function longestLine(command: string): number {
  const lines = shellScript(command, 12345).input.split("\n");
  return Math.max(...lines.map((line) => new TextEncoder().encode(line).length));
}

Deno.test({
  name:
    "A command of any length is sent in lines that a shell's line editor takes, and arrives whole",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    for (const word of ["x".repeat(5000), "€".repeat(2000), `"a b"'c'`.repeat(300)]) {
      const command = `printf %s ${word}; (exit 3)`;
      assert(longestLine(command) < 1000, `${longestLine(command)} bytes on a line`);
      const expected = word.replaceAll(`"a b"'c'`, "a bc");
      assertEquals(await run(command), { stdout: expected, status: 3 });
    }
  },
});

Deno.test({
  name:
    "Control characters and letters beyond ASCII in a command reach the command, not the line editor",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const command = "cat <<EOF\nä€\ta\tb\x03\x04\x7f\r\x1b[A'\nEOF";
    assertEquals(/[^\n\x20-\x7e]/.test(shellScript(command, 1).input), false);
    assertEquals(await run(command), { stdout: "ä€\ta\tb\x03\x04\x7f\r\x1b[A'\n", status: 0 });
    const tabs = "printf %s '" + "\t".repeat(300) + "'";
    assert(longestLine(tabs) < 1000);
    assertEquals(await run(tabs), { stdout: "\t".repeat(300), status: 0 });
  },
});

Deno.test("A command with a NUL character is refused", () => {
  assertThrows(() => shellScript("a\0b", 1), RangeError, "NUL");
});
