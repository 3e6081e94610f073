import { assert, assertEquals, assertThrows } from "@std/assert";
import { Ps2Keyboard } from "./ps2_keyboard.ts";
import { KEY_NAMES, SCAN_CODES } from "./scan_codes.ts";

function keyboard() {
  const chip = new Ps2Keyboard();
  const drain = () => {
    const bytes: number[] = [];
    while (chip.hasByte) {
      bytes.push(chip.take());
      chip.delivered();
    }
    return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  };
  const send = (...bytes: number[]) => {
    for (const byte of bytes) chip.send(byte);
    return drain();
  };
  const press = (key: string) => (chip.keyDown(key), drain());
  const release = (key: string) => (chip.keyUp(key), drain());
  const tap = (key: string) => `${press(key)} | ${release(key)}`;
  return { chip, drain, send, press, release, tap };
}

Deno.test("Ps2Keyboard sends set 2 after power-on", () => {
  const { tap } = keyboard();
  assertEquals(tap("a"), "1c | f0 1c");
  assertEquals(tap("f7"), "83 | f0 83");
  assertEquals(tap("delete"), "e0 71 | e0 f0 71");
  assertEquals(tap("meta_l"), "e0 1f | e0 f0 1f");
});

Deno.test("Ps2Keyboard sends set 1 when told to", () => {
  const { tap, send } = keyboard();
  assertEquals(send(0xf0, 1), "fa fa");
  assertEquals(tap("a"), "1e | 9e");
  assertEquals(tap("kp_enter"), "e0 1c | e0 9c");
  assertEquals(tap("f12"), "58 | d8");
  assertEquals(send(0xf0, 0), "fa fa 01");
});

Deno.test("Ps2Keyboard sends set 3, where few keys send breaks until told to", () => {
  const { tap, send } = keyboard();
  send(0xf0, 3);
  assertEquals(tap("a"), "1c | ");
  assertEquals(tap("shift"), "12 | f0 12");
  assertEquals(tap("up"), "63 | ");
  assertEquals(tap("print"), "57 | ");
  assertEquals(send(0xfc, 0x1c, 0x63), "fa fa fa");
  assertEquals([tap("a"), tap("up")], ["1c | f0 1c", "63 | f0 63"]);
  assertEquals(send(0xfd, 0x1c), "fa fa");
  assertEquals(tap("a"), "1c | ");
  assertEquals(send(0xf8), "fa");
  assertEquals(tap("pause"), "62 | f0 62");
});

Deno.test("Ps2Keyboard sends Print Screen and Pause as their sequences", () => {
  const { chip, tap, press, release, drain, send } = keyboard();
  assertEquals(tap("print"), "e0 12 e0 7c | e0 f0 7c e0 f0 12");
  assertEquals(tap("pause"), "e1 14 77 e1 f0 14 f0 77 | ");
  chip.keyDown("ctrl");
  drain();
  assertEquals(tap("pause"), "e0 7e e0 f0 7e | ");
  assertEquals(tap("print"), "e0 7c | e0 f0 7c");
  chip.keyUp("ctrl");
  chip.keyDown("alt");
  drain();
  assertEquals(press("print"), "84");
  // It breaks as it was made, whatever was let go meanwhile.
  chip.keyUp("alt");
  drain();
  assertEquals(release("print"), "f0 84");
  send(0xf0, 1);
  assertEquals(tap("print"), "e0 2a e0 37 | e0 b7 e0 aa");
  assertEquals(tap("pause"), "e1 1d 45 e1 9d c5 | ");
});

Deno.test("Ps2Keyboard answers reset, identity, echo and unknown commands", () => {
  const { send } = keyboard();
  assertEquals(send(0xff), "fa aa");
  assertEquals(send(0xf2), "fa ab 83");
  assertEquals(send(0xee), "ee");
  assertEquals(send(0x12), "fe");
  assertEquals(send(0xf0, 9), "fa fe");
});

Deno.test("Ps2Keyboard sets its lights and typematic rate", () => {
  const { chip, send } = keyboard();
  assertEquals(send(0xed, 0x05), "fa fa");
  assertEquals(chip.leds, 5);
  assertEquals(send(0xf3, 0x20), "fa fa");
  // A command in place of the parameter is executed.
  assertEquals(send(0xed, 0xee), "ee");
  assertEquals(chip.leds, 5);
});

Deno.test("Ps2Keyboard sends the last byte again", () => {
  const { chip, drain, send } = keyboard();
  chip.keyDown("x");
  drain();
  assertEquals(send(0xfe), "22");
  send(0xf2);
  assertEquals(send(0xfe), "83");
});

Deno.test("Ps2Keyboard stays silent while disabled", () => {
  const { chip, send, tap } = keyboard();
  assertEquals(send(0xf5), "fa");
  assertEquals([tap("a"), chip.idle], [" | ", false]);
  let idle = 0;
  chip.onIdle = () => idle++;
  send(0xf4);
  assertEquals([idle, chip.idle], [1, true]);
  assertEquals(tap("a"), "1c | f0 1c");
});

Deno.test("Ps2Keyboard is idle when the guest has read everything", () => {
  const { chip } = keyboard();
  let idle = 0;
  chip.onIdle = () => idle++;
  assertEquals([chip.idle, chip.queueFree()], [true, 16]);
  chip.keyDown("up");
  assertEquals([chip.idle, chip.queueFree()], [false, 14]);
  chip.take();
  chip.delivered();
  chip.take();
  assertEquals([chip.idle, idle], [false, 0]);
  chip.delivered();
  assertEquals([chip.idle, idle], [true, 1]);
});

Deno.test("Ps2Keyboard tells of lost keys with one overrun code", () => {
  const { chip, drain } = keyboard();
  for (let i = 0; i < 20; i++) chip.keyDown("a");
  assertEquals(chip.queueFree(), 0);
  assertEquals(drain(), `${"1c ".repeat(16)}00`);
});

Deno.test("Ps2Keyboard sends replies before keys, and drops keys at reset", () => {
  const { chip, send } = keyboard();
  chip.keyDown("a");
  assertEquals(send(0xed), "fa 1c");
  chip.keyDown("a");
  assertEquals(send(0x00), "fa 1c");
  chip.keyDown("a");
  assertEquals(send(0xff), "fa aa");
});

Deno.test("Ps2Keyboard refuses keys that do not exist and names the nearest", () => {
  const { chip } = keyboard();
  assertThrows(() => chip.keyDown("rett"), RangeError, '"ret"');
  assertThrows(() => chip.keyUp("A-key"), RangeError);
});

Deno.test("Ps2Keyboard has no two keys with the same code in sets 1 and 2", () => {
  assert(KEY_NAMES.length >= 104);
  for (const set of ["set1", "set2"] as const) {
    const seen = new Map<string, string>();
    for (const [name, code] of SCAN_CODES) {
      const id = `${code.extended} ${code[set]}`;
      assertEquals(seen.get(id), undefined, `${name} ${set}`);
      seen.set(id, name);
    }
  }
});

Deno.test("Ps2Keyboard's set 1 codes are those of the XT's layout", () => {
  const row = (names: string) => names.split(" ").map((name) => SCAN_CODES.get(name)!.set1);
  const from = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);
  assertEquals(row("esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab"), from(0x01, 15));
  assertEquals(
    row("q w e r t y u i o p bracket_left bracket_right ret ctrl a s d f g h j k l semicolon"),
    from(0x10, 24),
  );
  assertEquals(
    row("apostrophe grave_accent shift backslash z x c v b n m comma dot slash shift_r"),
    from(0x28, 15),
  );
  assertEquals(
    row("kp_multiply alt spc caps_lock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock"),
    from(0x37, 16),
  );
  assertEquals(
    row("kp_7 kp_8 kp_9 kp_subtract kp_4 kp_5 kp_6 kp_add kp_1 kp_2 kp_3 kp_0 kp_decimal sysrq"),
    from(0x47, 14),
  );
  assertEquals(row("less f11 f12"), from(0x56, 3));
  assertEquals(row("home up pgup"), from(0x47, 3));
  assertEquals(row("meta_l meta_r compose"), from(0x5b, 3));
});
