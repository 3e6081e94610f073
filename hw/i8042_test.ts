import { assertEquals } from "@std/assert";
import { I8042 } from "./i8042.ts";
import { Ps2Keyboard } from "./ps2_keyboard.ts";
import { Ps2Mouse } from "./ps2_mouse.ts";

function controller() {
  const keyboard = new Ps2Keyboard();
  const mouse = new Ps2Mouse();
  const edges: string[] = [];
  const levels: Record<string, boolean> = { irq1: false, irq12: false };
  const a20: boolean[] = [];
  let resets = 0;
  const line = (name: string) => (level: boolean) => {
    if (level && !levels[name]) edges.push(name);
    levels[name] = level;
  };
  const chip = new I8042({
    irq1: line("irq1"),
    irq12: line("irq12"),
    a20: (level) => a20.push(level),
    reset: () => resets++,
    keyboard,
    mouse,
  });
  const status = () => chip.command.read(0, 1);
  const read = () => chip.data.read(0, 1);
  const data = (value: number) => chip.data.write(0, 1, value);
  const command = (value: number) => chip.command.write(0, 1, value);
  const setCtr = (value: number) => (command(0x60), data(value));
  /** Everything that is there, with an `m` after the mouse's bytes. */
  const drain = () => {
    const bytes: string[] = [];
    while ((status() & 1) !== 0) {
      const mark = (status() & 0x20) !== 0 ? "m" : "";
      bytes.push(read().toString(16).padStart(2, "0") + mark);
    }
    return bytes.join(" ");
  };
  const toMouse = (value: number) => (command(0xd4), data(value));
  return {
    chip,
    keyboard,
    mouse,
    edges,
    levels,
    a20,
    status,
    read,
    data,
    command,
    setCtr,
    drain,
    toMouse,
    resets: () => resets,
  };
}

Deno.test("I8042 passes its self-test and says so in the status", () => {
  const { command, status, read } = controller();
  assertEquals(status(), 0x18);
  command(0xaa);
  assertEquals([status(), read(), status()], [0x1d, 0x55, 0x1c]);
});

Deno.test("I8042 reads and writes its command byte and memory", () => {
  const { command, data, read, setCtr, status } = controller();
  command(0x20);
  assertEquals(read(), 0x03);
  setCtr(0x47);
  command(0x20);
  assertEquals(read(), 0x47);
  command(0x75);
  data(0x99);
  command(0x35);
  assertEquals(read(), 0x99);
  assertEquals(status() & 0x08, 0x08);
  data(0xee);
  assertEquals(status() & 0x08, 0);
});

Deno.test("I8042 answers interface tests and ports", () => {
  const { command, drain, setCtr } = controller();
  setCtr(0x30);
  const ask = (value: number) => (command(value), drain());
  assertEquals([0xa9, 0xab, 0xa4, 0xc0, 0xd0].map(ask), ["00", "00", "f1", "80", "cf"]);
  assertEquals(ask(0xe0), "00");
});

Deno.test("I8042 translates set 2 to set 1 and swallows the break prefix", () => {
  const { keyboard, setCtr, drain } = controller();
  setCtr(0x41);
  for (const key of ["a", "up"]) {
    keyboard.keyDown(key);
    keyboard.keyUp(key);
  }
  assertEquals(drain(), "1e 9e e0 48 e0 c8");
  setCtr(0x01);
  keyboard.keyDown("a");
  keyboard.keyUp("a");
  assertEquals(drain(), "1c f0 1c");
});

Deno.test("I8042 makes an edge of IRQ 1 for every byte", () => {
  const { keyboard, setCtr, edges, read, levels } = controller();
  setCtr(0x41);
  keyboard.keyDown("right");
  assertEquals([edges.length, levels.irq1], [1, true]);
  assertEquals(read(), 0xe0);
  assertEquals([edges.length, levels.irq1], [2, true]);
  assertEquals(read(), 0x4d);
  assertEquals([edges.length, levels.irq1], [2, false]);
  // Reading again gives the last byte.
  assertEquals(read(), 0x4d);
});

Deno.test("I8042 holds back bytes of disabled interfaces", () => {
  const { keyboard, command, setCtr, status, drain } = controller();
  setCtr(0x41);
  command(0xad);
  keyboard.keyDown("b");
  assertEquals([status() & 1, keyboard.idle], [0, false]);
  command(0xae);
  assertEquals(drain(), "30");
  assertEquals(keyboard.idle, true);
});

Deno.test("I8042 enables the keyboard's interface when the guest talks to it", () => {
  const { command, data, drain, read } = controller();
  command(0xad);
  data(0xf2);
  assertEquals(drain(), "fa ab 83");
  command(0x20);
  assertEquals(read() & 0x10, 0);
});

Deno.test("I8042 translates the keyboard's identity and scan code set too", () => {
  const { data, setCtr, drain } = controller();
  setCtr(0x41);
  data(0xf2);
  assertEquals(drain(), "fa ab 41");
  data(0xf0);
  data(0x00);
  assertEquals(drain(), "fa fa 41");
});

Deno.test("I8042 marks the mouse's bytes and raises IRQ 12", () => {
  const { mouse, setCtr, toMouse, drain, edges, levels } = controller();
  setCtr(0x03);
  toMouse(0xf4);
  assertEquals(levels, { irq1: false, irq12: true });
  assertEquals(drain(), "fam");
  mouse.move(5, -3);
  assertEquals(drain(), "08m 05m 03m");
  assertEquals(edges, ["irq12", "irq12", "irq12", "irq12"]);
});

Deno.test("I8042 loops bytes back as the keyboard's and the mouse's", () => {
  const { command, data, drain, setCtr, edges } = controller();
  setCtr(0x03);
  command(0xd2);
  data(0x5a);
  assertEquals(drain(), "5a");
  command(0xd3);
  data(0xa5);
  assertEquals(drain(), "a5m");
  assertEquals(edges, ["irq1", "irq12"]);
});

Deno.test("I8042 lets a reply wait until the guest has read the key before it", () => {
  const { keyboard, command, setCtr, drain } = controller();
  setCtr(0x41);
  keyboard.keyDown("c");
  keyboard.keyDown("d");
  command(0x20);
  assertEquals(drain(), "2e 41 20");
});

Deno.test("I8042 raises no interrupt where the command byte says so", () => {
  const { keyboard, setCtr, levels } = controller();
  setCtr(0x40);
  keyboard.keyDown("c");
  assertEquals(levels.irq1, false);
  setCtr(0x41);
  assertEquals(levels.irq1, true);
});

Deno.test("I8042 switches A20 and resets the processor", () => {
  const { command, data, a20, resets, drain } = controller();
  command(0xd1);
  data(0xdd);
  command(0xd0);
  assertEquals([a20, drain()], [[false], "cd"]);
  command(0xd1);
  data(0xdf);
  command(0xdd);
  command(0xdf);
  assertEquals(a20, [false, true, false, true]);
  command(0xff);
  assertEquals(resets(), 0);
  command(0xfe);
  command(0xd1);
  data(0x02);
  assertEquals(resets(), 2);
});

Deno.test("I8042 loses the byte in its output buffer at reset", () => {
  const { chip, keyboard, setCtr, status, levels } = controller();
  setCtr(0x41);
  keyboard.keyDown("c");
  chip.reset();
  assertEquals([status(), levels.irq1, keyboard.idle], [0x18, false, true]);
});

Deno.test("I8042 goes on after the host types from within onIdle", () => {
  const { keyboard, setCtr, read, status } = controller();
  setCtr(0x41);
  const keys = ["h", "i"];
  keyboard.onIdle = () => {
    const key = keys.shift();
    if (key !== undefined) keyboard.keyDown(key);
  };
  keyboard.keyDown("g");
  assertEquals([read(), read(), read(), status() & 1], [0x22, 0x23, 0x17, 0]);
});
