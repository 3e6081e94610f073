import { assertEquals } from "@std/assert";
import { ResetControl } from "./reset_control.ts";

Deno.test("ResetControl resets the board or the processor when RCPU rises, as SRST says", () => {
  const log: string[] = [];
  const chip = new ResetControl({
    hardReset: () => log.push("hard"),
    softReset: () => log.push("soft"),
  });
  chip.register.write(0, 1, 0x02);
  assertEquals([chip.register.read(0, 1), log], [0x02, []]);
  chip.register.write(0, 1, 0x06);
  chip.register.write(0, 1, 0x06);
  assertEquals(log, ["hard"]);
  chip.register.write(0, 1, 0xf8);
  assertEquals(chip.register.read(0, 1), 0);
  chip.register.write(0, 1, 0x04);
  assertEquals(log, ["hard", "soft"]);
});
