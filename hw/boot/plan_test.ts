import { assertEquals } from "@std/assert";
import { BOOT_CS, BOOT_DS, RESET_ROM_SIZE, resetRom, restartRom } from "./plan.ts";

function text(bytes: Uint8Array, from: number, to: number): string {
  return [...bytes.subarray(from, to)].map((b) => b.toString(16).padStart(2, "0")).join(" ");
}

Deno.test("the reset vector jumps to the start of the ROM", () => {
  const rom = resetRom({ mode: "real", cs: 0, ip: 0x7c00, ds: 0, registers: {} });
  assertEquals(rom.length, RESET_ROM_SIZE);
  const displacement = new DataView(rom.buffer).getInt16(0xff1, true);
  assertEquals(rom[0xff0], 0xe9);
  assertEquals(0xff3 + displacement, 0);
});

Deno.test("a real-mode start loads segments and registers and jumps far", () => {
  const rom = resetRom({
    mode: "real",
    cs: 0x1234,
    ip: 0x5678,
    ds: 0x20,
    registers: { edx: 0x80 },
  });
  assertEquals(text(rom, 0, 15), "fa fc b8 20 00 8e d0 8e d8 8e c0 8e e0 8e e8");
  assertEquals(text(rom, 27, 33), "66 ba 80 00 00 00");
  assertEquals(text(rom, 63, 68), "ea 78 56 34 12");
});

Deno.test("a protected-mode start loads the flat descriptors and jumps to the entry", () => {
  const rom = resetRom({ mode: "protected", eip: 0x100000, registers: { esi: 0x10000 } });
  // CLI; CLD; LGDT CS:[ffb0]; MOV EAX,CR0; OR AL,1; MOV CR0,EAX; JMP 10:fffff019
  assertEquals(
    text(rom, 0, 25),
    "fa fc 2e 66 0f 01 16 b0 ff 0f 20 c0 0c 01 0f 22 c0 66 ea 19 f0 ff ff 10 00",
  );
  assertEquals(text(rom, 0xfb0, 0xfb6), "1f 00 80 ff ff ff");
  assertEquals(text(rom, 0xf80 + BOOT_CS, 0xf80 + BOOT_CS + 8), "ff ff 00 00 00 9b cf 00");
  assertEquals(text(rom, 0xf80 + BOOT_DS, 0xf80 + BOOT_DS + 8), "ff ff 00 00 00 93 cf 00");
  assertEquals(text(rom, 25, 40), "b8 18 00 00 00 8e d0 8e d8 8e c0 8e e0 8e e8");
  assertEquals(text(rom, 80, 87), "ea 00 00 10 00 10 00");
});

Deno.test("a jump to the BIOS's restart entry asks for a reset", () => {
  // mov al, 6; mov dx, 0xcf9; out dx, al; hlt; jmp $ - 1
  assertEquals(text(restartRom(), 0xff0, 0xff9), "b0 06 ba f9 0c ee f4 eb fd");
});
