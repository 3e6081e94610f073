import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { decode } from "fast-png";
import type { Display } from "../display/display.ts";
import { WaitTimeoutError } from "../machine/exit.ts";
import { BoardMachine } from "../machine/machine.ts";
import { ControlLatch } from "../machine/run_loop.ts";
import { scriptedBoard, type Step } from "../machine/testing.ts";

/** A text screen of 3 rows of 8 characters at 0x8000. */
function make(program: Step[], options: { reports: boolean; rows: boolean }) {
  let mode: "text" | "graphics" = "text";
  const line = (row: number) =>
    String.fromCharCode(...vm.readMemory(0x8000 + row * 8, 8).map((c) => c === 0 ? 32 : c));
  const lines = () => mode === "text" ? [0, 1, 2].map(line) : undefined;
  const display: Display = {
    textLines: lines,
    cursor: { row: 1, column: 2, visible: true },
    render: () => ({
      width: 2,
      height: 1,
      data: new Uint8ClampedArray([255, 0, 0, 255, 1, 2, 3, 255]),
    }),
  };
  if (options.rows) display.textLine = (row) => line(row);
  if (options.reports) {
    display.watchText = (notify) =>
      board.memory.watch(
        0x8000,
        24,
        { write: true },
        ({ address }) => notify((address - 0x8000) >> 3),
      );
  }
  const board = scriptedBoard(program, { display });
  const vm: BoardMachine = new BoardMachine(board, new ControlLatch());
  return { vm, setMode: (to: "text" | "graphics") => mode = to };
}

function prints(row: number, column: number, text: string): Step[] {
  return [...text].map((c, i) => ({
    op: "store",
    address: 0x8000 + row * 8 + column + i,
    value: c.charCodeAt(0),
  }));
}

const SPIN = (at: number): Step[] => [{ op: "jump", to: at }];

Deno.test("Text on a screen that reports changes is met on the very instruction", async () => {
  for (const rows of [false, true]) {
    const program = [...prints(0, 0, "grub"), ...prints(1, 0, "grub> "), ...prints(2, 0, "x")];
    const { vm } = make([...program, ...SPIN(program.length)], { reports: true, rows });
    const match = await vm.screen.expect(/(g\w+)>/);
    assertEquals(match, { text: "grub>", row: 1, column: 0, groups: ["grub"] });
    assertEquals(vm.instructions, 9);
    assertEquals(vm.screen.lines(), ["grub", "grub>", ""]);
    assertEquals(vm.screen.text(), "grub\ngrub>\n");
    await vm.screen.expect("grub>\nx");
    assertEquals(vm.instructions, 11);
    await vm.screen.expect("grub>\nx");
    assertEquals(vm.instructions, 11, "what is there needs no waiting");
  }
});

Deno.test("Text on a screen that reports nothing is met at the next look", async () => {
  const program = prints(1, 3, "ok");
  const { vm } = make([...program, ...SPIN(program.length)], { reports: false, rows: false });
  assertEquals(await vm.screen.expect("ok"), { text: "ok", row: 1, column: 3, groups: [] });
  assertEquals(vm.virtualTime, 10_000_000);
});

Deno.test("A time-out shows the screen", async () => {
  const program = prints(0, 0, "Booting");
  const { vm } = make([...program, ...SPIN(program.length)], { reports: true, rows: true });
  await assertRejects(
    () => vm.screen.expect(/done/, { within: "1ms" }),
    WaitTimeoutError,
    "screen:\n  | Booting\n",
  );
  assertThrows(() => vm.screen.expect(/x*/), TypeError, "empty string");
  vm.screen.expect(/Boot.*/);
});

Deno.test("A screen in a graphics mode has a picture and no text", () => {
  const { vm, setMode } = make(SPIN(0), { reports: true, rows: true });
  setMode("graphics");
  assertEquals(vm.screen.lines(), []);
  const png = decode(vm.screen.screenshot());
  assertEquals([png.width, png.height, png.channels], [2, 1, 4]);
  assertEquals([...png.data], [255, 0, 0, 255, 1, 2, 3, 255]);
});
