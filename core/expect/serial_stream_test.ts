import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { GuestFailureError, MachineEndedError, WaitTimeoutError } from "../machine/exit.ts";
import { BoardMachine, type MachineSettings } from "../machine/machine.ts";
import { ControlLatch } from "../machine/run_loop.ts";
import { scriptedBoard, sends, type Step } from "../machine/testing.ts";
import { shellOutput, shellScript, stripAnsi } from "./shell.ts";
import { Utf8Decoder } from "./utf8.ts";

function make(program: Step[], settings: MachineSettings = {}) {
  const board = scriptedBoard(program);
  const latch = new ControlLatch();
  board.ports.watch(0xf4, 1, { write: true }, ({ value }) => latch.debugExit(value));
  return { board, vm: new BoardMachine(board, latch, settings) };
}

const EXIT: Step[] = [{ op: "out", port: 0xf4, value: 0 }];

Deno.test("A match stops the guest on the byte that completes it and moves the cursor behind it", async () => {
  const { board, vm } = make([...sends("abc login: more"), ...EXIT]);
  const match = await vm.serial.expect(/(?<name>\w)(c) login: $/);
  assertEquals(match, {
    text: "bc login: ",
    before: "a",
    groups: ["b", "c"],
    named: { name: "b" },
  });
  assertEquals(board.cpu.instructions, 11);
  assertEquals(vm.serial.unread, "");
  assertEquals((await vm.serial.expect("re")).before, "mo");
  assertEquals(vm.serial.cursor, 15);
  assertEquals(vm.serial.transcript(), "abc login: more");
});

Deno.test("Text that is there already is matched as if it came byte by byte", async () => {
  const { board, vm } = make([...sends("v1 v22 v333\n"), ...EXIT]);
  await vm.exited;
  const before = board.cpu.instructions;
  assertEquals((await vm.serial.expect(/v\d{1,3}/)).text, "v1");
  assertEquals((await vm.serial.expect(/v(\d+) /)).groups, ["22"]);
  assertEquals(vm.serial.skip(), "v333\n");
  assertEquals(board.cpu.instructions, before);
});

Deno.test("The first of several patterns is the one that is complete first", async () => {
  const { vm } = make([...sends("aa prompt# error: x\nboth!"), ...EXIT]);
  const patterns = { bad: /error: .*\n/, good: "prompt# " };
  const one = await vm.serial.first(patterns);
  assertEquals([one.tag, one.before], ["good", "aa "]);
  assertEquals((await vm.serial.first(patterns)).tag, "bad");
  assertEquals((await vm.serial.first({ x: /b.*!/, y: "th!" })).tag, "x");
  assertThrows(() => vm.serial.first({}), TypeError, "at least one");
  const late = make([...sends("bbb aaa"), ...EXIT]).vm;
  await late.exited;
  assertEquals((await late.serial.first({ a: "aaa", b: "bbb" })).tag, "b");
});

Deno.test("What must not come is watched for, at no cost to the cursor", async () => {
  const { vm } = make([...sends("fine panic fine"), { op: "jump", to: 15 }]);
  const error = await assertRejects(
    () => vm.serial.expectNot(/panic/, { within: "1ms" }),
    GuestFailureError,
    `serial0 sent "panic"`,
  );
  assert(error.message.includes("/panic/"));
  assertEquals(vm.instructions, 10);
  assertEquals(vm.serial.unread, "fine panic");
  vm.serial.skip();
  await vm.serial.expectNot(/panic/, { within: "1ms" });
  assertEquals(vm.serial.unread, " fine");
  const { vm: ends } = make([...sends("ok"), ...EXIT]);
  await ends.serial.expectNot("panic", { within: "1s" });
  const { vm: dead } = make([...sends("ok"), { op: "hlt" }]);
  await assertRejects(() => dead.serial.expectNot("panic", { within: "1s" }), MachineEndedError);
});

Deno.test("Lines are read one by one without their endings", async () => {
  const { vm } = make([...sends("one\r\ntwo\n\r\nfour"), ...EXIT]);
  assertEquals(
    [await vm.serial.readLine(), await vm.serial.readLine(), await vm.serial.readLine()],
    ["one", "two", ""],
  );
  await assertRejects(() => vm.serial.readLine(), MachineEndedError, "a line");
});

Deno.test("Waits that run at the same time on one port each see all of the text", async () => {
  const { vm } = make([...sends("alpha beta"), ...EXIT]);
  const [a, b] = await Promise.all([vm.serial.expect("beta"), vm.serial.expect("alpha b")]);
  assertEquals([a.before, b.before], ["alpha ", ""]);
  assertEquals(vm.serial.unread, "");
});

Deno.test("Text can be followed as it comes, and bytes are kept as they were", async () => {
  const { vm } = make([
    ...sends("ä1"),
    { op: "out", port: 0x3f8, value: 0xff },
    ...sends("\n"),
    ...EXIT,
  ]);
  const heard: string[] = [];
  const end = vm.serial.tap((text) => heard.push(text));
  await vm.serial.expect("1");
  end();
  await vm.exited;
  assertEquals(heard.join("|"), "|ä|1");
  assertEquals(vm.serial.transcript(), "ä1\ufffd\n");
  assertEquals([...vm.serial.bytes()], [0xc3, 0xa4, 0x31, 0xff, 0x0a]);
});

Deno.test("Input that is neither text nor bytes is refused when given", () => {
  const { vm } = make(EXIT);
  assertThrows(() => vm.serial.write(5 as unknown as string), TypeError, "text or a Uint8Array");
});

Deno.test("UTF-8 is decoded byte by byte as the platform decodes it", () => {
  let seed = 7;
  for (let round = 0; round < 2000; round++) {
    const bytes = new Uint8Array(
      Array.from({ length: 6 }, () => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        return [0x41, 0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xff, 0xed, 0xa0][
          seed % 13
        ];
      }).concat([0x21]),
    );
    const decoder = new Utf8Decoder();
    const text = [...bytes].map((byte) => decoder.push(byte)).join("");
    // The count of replacement characters for one broken sequence is not fixed; their places are.
    const squeeze = (s: string) => s.replace(/\ufffd+/g, "\ufffd");
    assertEquals(squeeze(text), squeeze(new TextDecoder().decode(bytes)));
  }
});

/** What a terminal of 40 columns and a shell make of input: echo with breaks, colours and prompts. */
function conversation(input: string, stdout: string, status: number, number: number): string {
  const echo = input.replace(/\n$/, "").split("\n").map((line) =>
    line.replace(/(.{40})/g, "$1 \r").replaceAll("printf", "\x1b[32mprintf\x1b[0m")
  ).join("\r\n\x1b[1m> \x1b[0m");
  return `${echo}\r\n\r\n<cmd${number}<\r\n${
    stdout.replaceAll("\n", "\r\n")
  }\r\n>cmd${number}:${status}>\r\n\x1b[1;34m~ #\x1b[0m \x1b[6n`;
}

Deno.test("A command's output is told from its echo, prompts and colours", async () => {
  const commands: [string, string, number][] = [
    ["uname -a", "Linux compy 6.1\n", 0],
    ["printf x", "x", 0],
    ["ls --color", "\x1b[0m\x1b[01;34mbin\x1b[0m  \x1b[mfile\x1b[K\n", 0],
    ["false", "", 1],
    ["cat <<E\nit's $HOME\nE", "it's $HOME\n\n\n", 0],
    ["echo '<cmd1<'; echo '>cmd9:0>'", "<cmd1<\n>cmd9:0>\n", 0],
  ];
  let text = "login banner\r\n~ # ";
  commands.forEach(([command, stdout, status], i) => {
    text += conversation(shellScript(command, i + 1).input, stdout, status, i + 1);
  });
  const { board, vm } = make(sends(text).concat(EXIT));
  // Nobody is at the other end of this shell: its UART takes what comes.
  board.uart.canReceive = () => true;
  for (const [command, stdout, status] of commands) {
    const result = await vm.serial.run(command);
    assertEquals(result, { stdout: stripAnsi(stdout), status }, command);
  }
  assertEquals(vm.serial.unread, "");
});

Deno.test("A command that never ends times out under its own name", async () => {
  const { board, vm } = make(sends("~ # sleep").concat({ op: "jump", to: 9 }));
  board.uart.canReceive = () => true;
  await assertRejects(
    () => vm.serial.run("sleep 1000", { within: "1ms" }),
    WaitTimeoutError,
    `the end of the command "sleep 1000"`,
  );
});

Deno.test({
  name: "A real shell gives output and status of any command, syntax errors included",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const commands: [string, string | RegExp, number][] = [
      ["echo hello", "hello\n", 0],
      ["false", "", 1],
      ["printf 'no newline'", "no newline", 0],
      ["echo 'a  b' \"c'd\" # comment", "a  b c'd\n", 0],
      ["cd /; pwd", "/\n", 0],
      ["pwd", "/\n", 0],
      ["cat <<'END'\n$x 'y'\nEND\necho after", "$x 'y'\nafter\n", 0],
      ["if then", /./, 2],
      ["(exit 7)", "", 7],
      ["for i in 1 2\ndo\n  echo $i\ndone", "1\n2\n", 0],
    ];
    const input = commands.map(([command], i) => shellScript(command, i + 1).input).join("");
    const child = new Deno.Command("sh", {
      args: ["-c", "exec sh -i 2>&1"],
      stdin: "piped",
      stdout: "piped",
    })
      .spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input + "\nexit\n"));
    await writer.close();
    const text = new TextDecoder().decode((await child.output()).stdout);
    let rest = text;
    commands.forEach(([command, stdout, status], i) => {
      const script = shellScript(command, i + 1);
      const end = script.end.exec(rest);
      assert(end !== null, `no end of ${command} in ${text}`);
      const output = shellOutput(script, rest.slice(0, end.index), false);
      rest = rest.slice(end.index + end[0].length);
      if (typeof stdout === "string") assertEquals(output, stdout, command);
      else assert(stdout.test(output), output);
      assertEquals(Number(end.groups!.status), status, command);
    });
  },
});

Deno.test("Escape sequences are removed and nothing else", () => {
  assertEquals(
    stripAnsi("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b(By\x1b[?25lz\x1b7\x1b=[1m]\x1bPq\x1b\\."),
    "red xyz[1m].",
  );
});
