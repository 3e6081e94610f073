import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SerialText } from "./serial_text.ts";

Deno.test("SerialText notes when each of several marks was complete", async () => {
  let time = 0;
  const serial = new SerialText(() => time);
  const seen = serial.seen(["@START", "@END"]);
  for (const part of ["noise @ST", "ART ", "@STA @EN", "D more"]) {
    time++;
    serial.add(part);
  }
  assertEquals(await seen, [2, 4]);
});

Deno.test("SerialText finds what was sent before the wait, but nothing before an earlier mark", async () => {
  let time = 5;
  const serial = new SerialText(() => time);
  serial.add("a b a");
  assertEquals(await serial.seen(["b"]), [5]);
  assertEquals(await serial.seen(["a"]), [5]);
  const again = serial.seen(["a"]);
  time = 6;
  serial.add("a");
  assertEquals(await again, [6]);
});

Deno.test("SerialText says what was missing when the guest ends", async () => {
  const serial = new SerialText();
  serial.fail("nothing waits, so nothing happens");
  const seen = serial.seen(["one", "two"]);
  assertThrows(() => serial.seen(["three"]), Error, "there is a wait already");
  serial.add("one, panic");
  serial.fail("the guest ended");
  await assertRejects(
    () => seen,
    Error,
    `the guest ended before "two"; its last words: one, panic`,
  );
});
