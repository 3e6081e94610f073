/**
 * Boots a kernel in compy until the serial port has shown a line, and prints the seconds that took, as JSON. Run by
 * {@linkcode ./run.ts} in a process of its own.
 *
 * Usage: compy_boot.ts KERNEL INITRD BIOS VGABIOS APPEND MEMORY LINE [CPU [ENGINE]]
 */
import { type Engine, Machine } from "../mod.ts";

const [kernel, initrd, _bios, _vgaBios, append, memory, line, cpu, accel] = Deno.args;

const started = performance.now();
await using vm = await Machine.create({
  kernel,
  initrd,
  append,
  memory: `${memory}M`,
  cpu,
  accel: accel as Engine,
});
if (Deno.env.has("BENCH_VERBOSE")) {
  const encoder = new TextEncoder();
  vm.serial.tap((text) => Deno.stderr.writeSync(encoder.encode(text)));
}
await vm.serial.expect(line, { within: "10min" });
const seconds = (performance.now() - started) / 1000;
const { instructions, virtualTime } = vm;
console.log(JSON.stringify({ seconds, instructions, virtualSeconds: virtualTime / 1e9 }));
