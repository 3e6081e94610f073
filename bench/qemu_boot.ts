/**
 * Boots a kernel in QEMU's translator (TCG) until the serial port has shown a line, and prints the seconds that took,
 * as JSON. Run by {@linkcode ./run.ts} in a process of its own.
 *
 * Usage: qemu_boot.ts KERNEL INITRD CPU APPEND MEMORY LINE
 */
const [kernel, initrd, cpu, append, memory, line] = Deno.args;

const started = performance.now();
const child = new Deno.Command("qemu-system-x86_64", {
  args: [
    ...["-accel", "tcg", "-machine", "pc", "-cpu", cpu, "-m", memory, "-smp", "1"],
    ...["-kernel", kernel, "-initrd", initrd, "-append", append],
    ...["-display", "none", "-serial", "stdio", "-monitor", "none", "-net", "none", "-no-reboot"],
  ],
  stdin: "null",
  stdout: "piped",
  stderr: "inherit",
}).spawn();
let text = "";
for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
  text += part;
  if (text.includes(line)) break;
}
const seconds = (performance.now() - started) / 1000;
if (!text.includes(line)) {
  console.error(text.slice(-2000));
  throw new Error(`QEMU ended before "${line}"`);
}
child.kill("SIGKILL");
await child.status;
console.log(JSON.stringify({ seconds }));
