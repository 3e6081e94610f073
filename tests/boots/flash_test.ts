/** Programs of our own in flash chips: started from, executed in place, and programmed by themselves. */
import { assertEquals, assertRejects } from "@std/assert";
import { Machine, type MachineOptions, OptionError } from "../../mod.ts";
import { abs16, assemble, type Code, dword, label, rel16, rel8, word } from "./assemble.ts";

const SIZE = 0x10000;
/** Where code lies in the chip, and where the chips lie: unit 0 ends at 4 GiB, unit 1 of one block lies below. */
const ROUTINE = 0x400, CODE = 2 ** 32 - SIZE, VARIABLES = CODE - 0x1000;

/** mov byte [address], value, through DS of 4 GiB. */
const store = (address: number, value: number): Code => [0x67, 0xc6, 0x05, dword(address), value];
/** mov al, [address]; out 0x80, al */
const show = (address: number): Code => [0x67, 0xa0, dword(address), 0xe6, 0x80];

/** Starts at the reset vector, gives DS a limit of 4 GiB, and goes on with `program`; 16-bit code. */
function image(program: Code): Uint8Array<ArrayBuffer> {
  const GDT = 0xff00;
  const bytes = assemble(0, [
    [0x2e, 0x66, 0x0f, 0x01, 0x16, word(GDT)], // lgdt cs:[GDT], 32-bit base
    [0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // mov eax, cr0; or al, 1; mov cr0, eax
    [0xb8, word(8), 0x8e, 0xd8], // mov ax, 8; mov ds, ax
    program,
    0xf4, // hlt
    { fill: GDT },
    [word(23), dword(CODE + GDT), word(0)], // the null descriptor holds the pseudo-descriptor
    [0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0], // data, 4 GiB
    [0xff, 0xff, 0, 0, 0xff, 0x93, 0, 0xff], // data, 64 KiB from ffff0000h on
    { fill: 0xfff0 },
    [0xe9, word(0x10000 - 0xfff3)], // jmp to the first byte
    { fill: SIZE },
  ]);
  return bytes;
}

async function shown(options: MachineOptions, count: number): Promise<number[]> {
  await using vm = await Machine.create({ memory: "2M", ...options });
  const values: number[] = [];
  for (let i = 0; i < count; i++) {
    values.push((await vm.port(0x80).nextWrite({ within: "10ms" })).value);
  }
  return values;
}

Deno.test("what a guest programs into a flash chip is in its file, and there at the next start", async () => {
  const file = await Deno.makeTempFile({ suffix: ".fd" });
  try {
    await Deno.writeFile(file, new Uint8Array(0x1000).fill(0xff));
    // Counts starts in the bits of a byte: x &= x << 1, as a flash chip does.
    const count = image([
      [0x67, 0xa0, dword(VARIABLES), 0x00, 0xc0, 0x88, 0xc3], // mov al, [x]; add al, al; mov bl, al
      store(VARIABLES, 0x40),
      [0x67, 0x88, 0x1d, dword(VARIABLES)], // mov [x], bl
      show(VARIABLES), // status
      store(VARIABLES, 0xff),
      show(VARIABLES),
    ]);
    const flash = [{ bytes: count, readOnly: true }, { file }];
    assertEquals(await shown({ flash }, 2), [0x80, 0xfe]);
    assertEquals(await shown({ flash }, 2), [0x80, 0xfc]);
    assertEquals((await Deno.readFile(file))[0], 0xfc);
    assertEquals(await shown({ flash: [flash[0], { file, snapshot: true }] }, 2), [0x80, 0xf8]);
    assertEquals(await shown({ flash: [flash[0], { file, readOnly: true }] }, 2), [0x92, 0xfc]);
    assertEquals((await Deno.readFile(file))[0], 0xfc);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("code in a chip that leaves its array is the status, and again itself when the array is back", async () => {
  // The status 80h, five times, is add byte [bx+si+8080h], 80h: it reads 80h there, and writes 0, which
  // brings the array back. So what follows the command is skipped, though it was executed before.
  const flash = [{
    bytes: image([
      [0xb8, word(16), 0x8e, 0xd8], // mov ax, 16; mov ds, ax
      [0xb9, word(3), 0xeb, rel8("array")], // mov cx, 3; jmp array
      [label("again"), 0xc6, 0x80, word(0x8080), 0x70], // mov byte [bx+si+8080h], 70h
      [label("array"), 0xb0, 1, 0xe6, 0x80, 0x90], // mov al, 1; out 80h, al; nop
      [0xb0, 2, 0xe6, 0x80], // mov al, 2; out 80h, al
      [0xe2, rel8("again")], // loop
    ]),
  }];
  assertEquals(await shown({ flash }, 4), [1, 2, 2, 2]);
});

Deno.test("code in flash that was executed and then programmed is executed anew", async () => {
  const flash = [{
    bytes: image([
      // Back to real mode, and on below 1 MiB, where the chip's end is visible whatever its mode.
      [0x0f, 0x20, 0xc0, 0x24, 0xfe, 0x0f, 0x22, 0xc0], // mov eax, cr0; and al, ~1; mov cr0, eax
      [0xea, abs16("low"), word(0xf000)], // jmp f000:low
      [label("low"), 0xb8, word(0), 0x8e, 0xd0, 0xbc, word(0x7000)], // mov ax, 0; mov ss, ax; mov sp, 7000h
      [0xe8, rel16("routine")],
      store(CODE + ROUTINE + 1, 0x40),
      store(CODE + ROUTINE + 1, 0x31),
      [0xe8, rel16("routine")],
      0xf4, // hlt
      { fill: ROUTINE },
      [label("routine"), 0xb0, 0x13, 0xe6, 0x80, 0xc3], // mov al, 13h; out 80h, al; ret
    ]),
  }];
  assertEquals(await shown({ flash }, 2), [0x13, 0x11]);
});

Deno.test("flash goes neither with firmware nor with a kernel", async () => {
  const flash = [{ bytes: image([]) }];
  for (const other of [{ firmware: image([]) }, { kernel: image([]), flat: {} }]) {
    await assertRejects(() => Machine.create({ flash, ...other }), OptionError, "give one of them");
  }
  await assertRejects(() => Machine.create({ flash: [{}] }), OptionError, "needs one of file");
});
