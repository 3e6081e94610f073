import { assertEquals, assertThrows } from "@std/assert";
import { Ps2Mouse } from "./ps2_mouse.ts";

function mouse() {
  const chip = new Ps2Mouse();
  const drain = () => {
    const bytes: number[] = [];
    while (chip.hasByte) {
      bytes.push(chip.take());
      chip.delivered();
    }
    return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  };
  /** Sends bytes, reading every reply before the next. */
  const send = (...bytes: number[]) =>
    bytes.map((byte) => (chip.send(byte), drain())).filter((s) => s !== "").join(" ");
  return { chip, drain, send };
}

Deno.test("Ps2Mouse answers reset and identity", () => {
  const { send } = mouse();
  assertEquals(send(0xff), "fa aa 00");
  assertEquals(send(0xf2), "fa 00");
  assertEquals(send(0x55), "fe");
});

Deno.test("Ps2Mouse reports movement and buttons once enabled", () => {
  const { chip, drain, send } = mouse();
  chip.move(1, 1);
  assertEquals(drain(), "");
  assertEquals(send(0xf4), "fa");
  chip.move(3, 4);
  assertEquals(drain(), "28 03 fc");
  chip.move(-2, -1);
  assertEquals(drain(), "18 fe 01");
  chip.button(0, true);
  chip.button(1, true);
  chip.button(2, true);
  chip.button(0, false);
  assertEquals(drain(), "09 00 00 0b 00 00 0f 00 00 0e 00 00");
  assertThrows(() => chip.button(5, true), RangeError);
  assertThrows(() => chip.move(0.5, 0), RangeError);
});

Deno.test("Ps2Mouse splits far movements into several reports", () => {
  const { chip, drain, send } = mouse();
  send(0xf4);
  chip.move(300, 0);
  assertEquals(drain(), "08 7f 00 08 7f 00 08 2e 00");
});

Deno.test("Ps2Mouse gathers movement while its buffer is full and reports it later", () => {
  const { chip, send, drain } = mouse();
  send(0xf4);
  for (let i = 0; i < 20; i++) chip.move(1, 0);
  assertEquals(drain(), `${"08 01 00 ".repeat(5)}08 0f 00`);
});

Deno.test("Ps2Mouse turns into a wheel mouse and into one of five buttons", () => {
  const { chip, send, drain } = mouse();
  send(0xf3, 200, 0xf3, 100, 0xf3, 80);
  assertEquals(send(0xf2), "fa 03");
  send(0xf4);
  chip.move(0, 0, -1);
  assertEquals(drain(), "08 00 00 ff");
  send(0xf3, 200, 0xf3, 200, 0xf3, 80);
  assertEquals(send(0xf2), "fa 04");
  chip.button(3, true);
  chip.button(4, true);
  chip.move(0, 0, 2);
  assertEquals(drain(), "08 00 00 10 08 00 00 30 08 00 00 32");
  send(0xff);
  assertEquals(send(0xf2), "fa 00");
});

Deno.test("Ps2Mouse reports only when asked in remote mode", () => {
  const { chip, send, drain } = mouse();
  send(0xf4, 0xf0);
  chip.move(5, 0);
  assertEquals(drain(), "");
  assertEquals(send(0xeb), "fa 08 05 00");
  assertEquals(send(0xeb), "fa 08 00 00");
  send(0xea);
  chip.move(5, 0);
  assertEquals(drain(), "08 05 00");
});

Deno.test("Ps2Mouse echoes everything in wrap mode but its end and reset", () => {
  const { send } = mouse();
  send(0xee);
  assertEquals(send(0x12, 0xf4, 0xfe), "12 f4 fe");
  assertEquals(send(0xec), "fa");
  assertEquals(send(0xf2), "fa 00");
});

Deno.test("Ps2Mouse shows its settings in the status", () => {
  const { chip, send, drain } = mouse();
  assertEquals(send(0xe9), "fa 00 02 64");
  send(0xf4, 0xe7, 0xe8, 3, 0xf3, 40);
  chip.button(0, true);
  chip.button(1, true);
  drain();
  assertEquals(send(0xe9), "fa 35 03 28");
  assertEquals(send(0xe8, 4), "fa fe");
  assertEquals(send(0xf6), "fa");
  assertEquals(send(0xe9), "fa 05 02 64");
});

Deno.test("Ps2Mouse doubles large movements with 2:1 scaling", () => {
  const { chip, send, drain } = mouse();
  send(0xf4, 0xe7);
  for (const dx of [1, 2, 3, 4, 5, 6, 20]) chip.move(dx, 0);
  // Five reports fit; what came later was added up.
  assertEquals(drain(), "08 01 00 08 01 00 08 03 00 08 06 00 08 09 00 08 34 00");
  // Read data reports are not scaled.
  send(0xf0);
  chip.move(20, 0);
  assertEquals(send(0xeb), "fa 08 14 00");
});

Deno.test("Ps2Mouse ends a report when a command comes", () => {
  const { chip, send, drain } = mouse();
  send(0xf4);
  chip.move(1, 1);
  chip.take();
  chip.delivered();
  assertEquals(send(0xf5), "fa");
  chip.move(1, 1);
  assertEquals(drain(), "");
});

Deno.test("Ps2Mouse sends the last byte again", () => {
  const { send } = mouse();
  send(0xf2);
  assertEquals(send(0xfe), "00");
});
