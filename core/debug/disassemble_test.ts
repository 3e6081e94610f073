import { assertEquals } from "@std/assert";
import { disassemble } from "./disassemble.ts";

Deno.test("Instructions are shown in Intel syntax for the size of their code segment", () => {
  const show = (bits: 16 | 32 | 64, ip: number, ...bytes: number[]) =>
    disassemble({ bits, ip, bytes: new Uint8Array(bytes) });
  assertEquals(show(16, 0xfff0, 0xea, 0x5b, 0xe0, 0x00, 0xf0), "jmp 0xf000:0xe05b");
  assertEquals(show(32, 0x100, 0xeb, 0xfe), "jmp short 0x100");
  assertEquals(show(32, 0, 0xb8, 1, 0, 0, 0), "mov eax, 1");
  assertEquals(show(16, 0, 0xb8, 1, 0), "mov ax, 1");
  assertEquals(show(32, 0, 0xf4), "hlt");
});

Deno.test("What is no instruction does not disturb the disassembly", () => {
  const show = (...bytes: number[]) =>
    disassemble({ bits: 32, ip: 0, bytes: new Uint8Array(bytes) });
  assertEquals(show(), "(not readable)");
  assertEquals(show(0x0f, 0xff), "(bad)");
  assertEquals(show(0xb8), "(bad)");
});
