/**
 * Boots a kernel in v86 until the serial port has shown a line, and prints the seconds that took, as JSON. Run by
 * {@linkcode ./run.ts} in a process of its own.
 *
 * Usage: v86_boot.ts KERNEL INITRD BIOS VGABIOS APPEND MEMORY LINE
 */
import { V86 } from "v86";

const [kernel, initrd, bios, vgaBios, append, memory, line] = Deno.args;

const read = async (path: string) => ({ buffer: (await Deno.readFile(path)).buffer });

const images = {
  bios: await read(bios),
  vga_bios: await read(vgaBios),
  bzimage: await read(kernel),
  initrd: await read(initrd),
};
const started = performance.now();
const emulator = new V86({
  ...images,
  wasm_path: new URL("./v86.wasm", import.meta.resolve("v86")).pathname,
  cmdline: append,
  memory_size: Number(memory) * 1024 * 1024,
  vga_memory_size: 8 * 1024 * 1024,
  autostart: true,
  disable_speaker: true,
});
let text = "";
const verbose = Deno.env.has("BENCH_VERBOSE");
emulator.add_listener("serial0-output-byte", (byte: number) => {
  text += String.fromCharCode(byte);
  if (verbose) Deno.stderr.writeSync(Uint8Array.of(byte));
  if (byte === 0x0a && text.includes(line)) {
    const seconds = (performance.now() - started) / 1000;
    console.log(JSON.stringify({ seconds }));
    Deno.exit(0);
  }
});
