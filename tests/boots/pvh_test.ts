/** ELF kernels with a PVH entry: one of our own in both classes, and Debian's own vmlinux. */
import { assertEquals } from "@std/assert";
import { Machine } from "../../mod.ts";
import { vmlinux } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import { assemble, type Code, dword, label, rel32, rel8, word } from "./assemble.ts";

const LOAD = 0x100000, HEADERS = 0x100;

/** Prints `length` bytes at ESI. */
const print = (length: number): Code => [
  [0xb9, dword(length)], // mov ecx, length
  [0xe8, rel32("print")],
];
/** Loads ESI with the pointer at EBX + offset. */
const follow = (offset: number): Code => [0x8b, 0x73, offset];

/** What the kernel prints: the first letters of what its start information points to. */
const PROGRAM: Code = [
  [0xbc, dword(0x9000)], // mov esp, 0x9000
  [0x8b, 0x03, 0xe7, 0x80], // mov eax, [ebx]; out 0x80, eax
  follow(24), // command line
  print(7),
  follow(32), // RSDP
  print(8),
  follow(16), // list of modules
  [0x8b, 0x36], // mov esi, [esi]
  print(6),
  [0xb0, 0x0a, 0xee], // mov al, '\n'; out dx, al
  // The memory map's last entry: mov esi, [ebx+40]; mov ecx, [ebx+48]; dec ecx; imul ecx, ecx, 24
  [follow(40), 0x8b, 0x4b, 48, 0x49, 0x6b, 0xc9, 24],
  // mov eax, [esi+ecx+8]; shr eax, 20; out 0x80, eax
  [0x8b, 0x44, 0x0e, 8, 0xc1, 0xe8, 20, 0xe7, 0x80],
  0xf4, // hlt
  label("print"),
  [0x66, 0xba, word(0x3f8)], // mov dx, 0x3f8
  [0xfc, label("next"), 0xac, 0xee, 0xe2, rel8("next")], // cld; lodsb; out dx, al; loop
  0xc3, // ret
];

/** An ELF executable whose only segment holds the program, and whose note names its first byte. */
function kernel(is64: boolean): Uint8Array<ArrayBuffer> {
  const address = (value: number): Code => is64 ? [dword(value), dword(0)] : dword(value);
  const note: Code = [dword(4), dword(is64 ? 8 : 4), dword(18), "Xen\0", address(LOAD + HEADERS)];
  const noteAt = is64 ? 64 + 2 * 56 : 52 + 2 * 32, noteSize = 12 + 4 + (is64 ? 8 : 4);
  const program = (type: number, from: number, to: number, size: number): Code =>
    is64
      ? [dword(type), dword(7), [from, to, to, size, size, 4].map(address)]
      : [type, from, to, to, size, size, 7, 4].map(dword);
  return assemble(LOAD, [
    [0x7f, "ELF", is64 ? 2 : 1, 1, 1, { fill: 16 }],
    [word(2), word(is64 ? 62 : 3), dword(1)],
    [address(0), address(is64 ? 64 : 52), address(0), dword(0)],
    [word(is64 ? 64 : 52), word(is64 ? 56 : 32), word(2), word(0), word(0), word(0)],
    program(1, 0, LOAD, 0x200),
    program(4, noteAt, LOAD + noteAt, noteSize),
    note,
    { fill: HEADERS },
    PROGRAM,
    { fill: 0x200 },
  ]);
}

for (const is64 of [false, true]) {
  Deno.test(`a ${is64 ? 64 : 32}-bit ELF kernel finds all it was given by its PVH entry`, async () => {
    await using vm = await Machine.create({
      memory: "16M",
      kernel: kernel(is64),
      initrd: new TextEncoder().encode("module"),
      append: "command line",
    });
    const magic = await vm.port(0x80).nextWrite({ within: "1s" });
    assertEquals(magic.value, 0x336ec578);
    await vm.serial.expect("commandRSD PTR module\n", { within: "1s" });
    const megabytes = await vm.port(0x80).nextWrite({ within: "1s" });
    assertEquals(megabytes.value, 15);
  });
}

guestTest("Debian's 64-bit vmlinux starts by its PVH entry", async () => {
  await using vm = await Machine.create({
    memory: "256M",
    cpu: "qemu64",
    kernel: await vmlinux("amd64"),
    append: "earlyprintk=serial",
  });
  await vm.serial.expect("Command line: earlyprintk=serial\r\n");
  await vm.serial.expect(/BIOS-e820: \[mem 0x0000000000100000-0x000000000fffffff\] usable/);
  await vm.serial.expect("ACPI: RSDP 0x00000000000E0000");
});
