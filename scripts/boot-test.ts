/**
 * `deno task boot`: boots Linux to a shell, holds a conversation with it, and checks that the guest did real work.
 * It is also the longest example of a script.
 */
import { join } from "@std/path";
import { describeExit, formatNanoseconds, Machine, type SerialStream } from "../mod.ts";
import { BOOT_HELP, type BootOptions, parseBootOptions } from "./boot_options.ts";
import { GuestError } from "./guests/debian.ts";
import { linuxKernel } from "./guests/guests.ts";
import { linuxGuest, READY } from "./guests/initramfs.ts";
import { linuxFlags } from "./guests/linux_flags.ts";

const MIB = 1024 * 1024;

/** The disk is larger than what the guest writes, so that writes outside of it would be seen. */
const DISK_SIZE = 4 * MIB;

/** A check that did not hold. */
class CheckError extends Error {
  override name = "CheckError";
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new CheckError(`check failed: ${what}`);
  console.log(`[boot] ok: ${what}`);
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Runs a command that must succeed. */
async function run(serial: SerialStream, command: string): Promise<string> {
  const { stdout, status } = await serial.run(command, { within: "120s" });
  if (status !== 0) throw new CheckError(`"${command}" ended with status ${status}: ${stdout}`);
  return stdout;
}

/** What is fetched, built or given. `release` is known for Debian's kernel only. */
async function guest(
  options: BootOptions,
): Promise<{ kernel: string; initrd: string; release?: string; ready: string | RegExp }> {
  const { arch, flavour, kernel, initrd } = options;
  const prompt = /[#$] /;
  if (kernel !== undefined && initrd !== undefined) return { kernel, initrd, ready: prompt };
  if (kernel !== undefined) {
    throw new Error("--kernel needs --initrd: the modules in ours are for Debian's kernel");
  }
  if (initrd !== undefined) {
    const debian = await linuxKernel(arch, flavour);
    return { kernel: debian.kernel, release: debian.release, initrd, ready: prompt };
  }
  return { ...await linuxGuest({ arch, flavour }), ready: READY };
}

/** `uname`, the processor and the interrupts look like those of a working PC. */
async function checkSystem(
  serial: SerialStream,
  { arch, smp, cpu }: BootOptions,
  release: string | undefined,
): Promise<void> {
  const uname = await run(serial, "uname -a");
  if (arch === "amd64") check(/^Linux .* x86_64 /.test(uname), "uname names Linux on a 64-bit PC");
  else check(/^Linux .* i\d86 /.test(uname), "uname names Linux on a 32-bit PC");
  if (release !== undefined) check(uname.includes(release), `the kernel is ${release}`);

  const cpuinfo = await run(serial, "cat /proc/cpuinfo");
  const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(cpuinfo)?.[1] ?? "";
  check(field("processor") === "0", "there is a processor 0");
  const count = cpuinfo.match(/^processor\s*:/mg)?.length;
  check(count === smp, smp === 1 ? "and no other" : `and ${smp - 1} more`);
  check(Number(field("cpu family")) >= 4, `its family is ${field("cpu family")}`);
  const flags = field("flags").split(" ");
  check(["fpu", "tsc", "cx8"].every((flag) => flags.includes(flag)), "it has fpu, tsc and cx8");
  if (release !== undefined) {
    const found = new Set(flags), expected = new Set(linuxFlags(cpu, { arch, smp }));
    const differ = [...found.symmetricDifference(expected)].map((flag) =>
      `${found.has(flag) ? "unexpected" : "missing"} ${flag}`
    );
    check(
      differ.length === 0,
      differ.join(", ") || `its ${found.size} flags are what CPUID claims`,
    );
  }
  if (arch !== "amd64") return;
  check(["lm", "syscall", "nx"].every((flag) => flags.includes(flag)), "and lm, syscall and nx");
  // The shell wraps around at the width of its machine word.
  const sum = (await run(serial, "echo $((0x7fffffff * 0x7fffffff))")).trim();
  check(sum === "4611686014132420609", "the guest multiplies in 64 bits");
  const mapped = await run(serial, "cat /proc/self/maps");
  check(/^7f[0-9a-f]{10}-/m.test(mapped), "its processes live above 4 GiB");
}

/** The lines of /proc/interrupts: name, counts by processor, and what follows. */
async function interruptLines(
  serial: SerialStream,
): Promise<{ name: string; counts: number[]; about: string }[]> {
  const [head, ...lines] = (await run(serial, "cat /proc/interrupts")).trimEnd().split("\n");
  const processors = head.match(/CPU\d+/g)?.length ?? 0;
  return lines.map((line) => {
    const [name, ...fields] = line.trim().split(/\s+/);
    return {
      name: name.replace(/:$/, ""),
      counts: fields.slice(0, processors).map(Number),
      about: fields.slice(processors).join(" "),
    };
  });
}

/** How often an interrupt came, by the name of its last handler. */
async function interrupts(serial: SerialStream): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (const { name, counts, about } of await interruptLines(serial)) {
    if (!/^\d+$/.test(name)) continue;
    const handler = about.split(" ").at(-1)!;
    // Several lines may have one handler.
    sums.set(handler, counts.reduce((sum, count) => sum + count, sums.get(handler) ?? 0));
  }
  return sums;
}

/** Interrupts go by the APICs, time by the time-stamp counter, and the kernel has nothing to complain of in the tables. */
async function checkPlatform(serial: SerialStream): Promise<void> {
  if (!/^flags\s*:.* apic /m.test(await run(serial, "cat /proc/cpuinfo"))) return;
  const lines = await interruptLines(serial);
  const devices = lines.filter(({ name }) => /^\d+$/.test(name));
  const others = devices.filter(({ about }) => !about.startsWith("IO-APIC"));
  check(devices.length > 0 && others.length === 0, "devices interrupt through the I/O APIC");
  const local = lines.find(({ name }) => name === "LOC");
  check(local?.counts.every((count) => count > 0) ?? false, "the local APIC's timer ticks");
  const source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
  check((await run(serial, `cat ${source}`)).trim() === "tsc", "the clock is the TSC");
  const complaints = "ACPI.*(Error|Warning|Exception)|Firmware Bug|MP-BIOS|APIC error|unstable";
  const found = await run(serial, `dmesg | grep -E '${complaints}' || true`);
  check(found.trim() === "", `the kernel has nothing to complain of${found}`);
}

/** All processors work, have timers of their own, and interrupt each other. */
async function checkProcessors(serial: SerialStream, smp: number): Promise<void> {
  if (smp === 1) return;
  const nproc = (await run(serial, "nproc")).trim();
  check(nproc === `${smp}`, `nproc says ${nproc}`);
  const all = [...Array(smp).keys()];
  // Work for each while the others wait, so that all are woken.
  for (const i of all) {
    const sum = await run(serial, `taskset ${(1 << i).toString(16)} seq 2000 | sha256sum`);
    check(
      sum.startsWith("6251e574"),
      `processor ${i} computes`,
    );
  }
  let lines = await interruptLines(serial);
  const counts = (...names: string[]) =>
    all.map((i) =>
      lines.filter(({ name }) => names.includes(name)).reduce((sum, l) => sum + l.counts[i], 0)
    );
  // A process that another one chases through all processors leaves translations behind on those that
  // have nothing else to do. When it ends they are told to forget them.
  const mask = (i: number) => (1 << i).toString(16);
  for (let round = 0; round < 3 && counts("TLB").some((count) => count === 0); round++) {
    for (const last of all) {
      const way = [...all.filter((i) => i !== last), last];
      await run(
        serial,
        [
          `taskset -p ${mask(last)} $$ >/dev/null`,
          "sh -c 'while :; do :; done' & p=$!",
          ...way.map((i) => `taskset -p ${mask(i)} $p >/dev/null; sleep 0.05`),
          "kill $p; wait $p; true",
        ].join("\n"),
      );
    }
    await run(serial, `taskset -p ${((1 << smp) - 1).toString(16)} $$ >/dev/null`);
    lines = await interruptLines(serial);
  }
  const everywhere = (what: string, ...names: string[]) => {
    const found = counts(...names);
    check(found.every((count) => count > 0), `${what} on every processor: ${found.join(", ")}`);
  };
  everywhere("timer interrupts", "LOC");
  everywhere("rescheduling and function call interrupts", "RES", "CAL");
  everywhere("TLB shootdowns", "TLB");
}

/** Where RAM goes on that has no room below the PCI devices, and what it must be for that. */
const ABOVE_4G = 4096 * MIB, FILLS_THE_HOLE = 3584 * MIB;

/** The guest counts the memory that the machine has; with much of it, it also uses what lies above 4 GiB. */
async function checkMemory(vm: Machine, { memory, flavour }: BootOptions): Promise<void> {
  const unit = { k: 1024, m: MIB, g: 1024 * MIB }[memory.at(-1)!.toLowerCase()]!;
  const size = Number(memory.slice(0, -1)) * unit, mib = size / MIB;
  const free = await run(vm.serial, "free -m");
  const total = Number(/^Mem:\s+(\d+)/m.exec(free)?.[1]);
  // A kernel without PAE leaves what lies above 4 GiB.
  if (size < FILLS_THE_HOLE || flavour === "686") {
    check(total <= mib && total > 0.6 * mib - 16, `free -m counts ${total} MiB of ${memory}`);
    return;
  }
  check(total <= mib && total > 0.95 * mib, `free -m counts ${total} MiB of ${memory}`);
  const ranges = await run(vm.serial, "grep 'System RAM' /proc/iomem");
  check(/^1[0-9a-f]{8}-1[0-9a-f]{8} : System RAM/m.test(ranges), "RAM goes on above 4 GiB");
  // Lines of 32 bytes, so that each page begins with one.
  const line = "written above the hole by Linux\n", PAGE = 4096, FILE = 16 * MIB;
  await run(vm.serial, `yes '${line.trim()}' | head -c ${FILE} >/tmp/high`);
  const [inGuest] = (await run(vm.serial, "sha256sum /tmp/high")).split(" ");
  const expected = new TextEncoder().encode(line.repeat(FILE / line.length));
  check(inGuest === await sha256(expected), `the guest reads the ${FILE / MIB} MiB it wrote`);
  let pages = 0;
  for (let at = ABOVE_4G; at < size + ABOVE_4G / 4; at += MIB) {
    const bytes = vm.readMemory(at, MIB);
    for (let page = 0; page < MIB; page += PAGE) {
      const equal = (_: unknown, i: number) => bytes[page + i] === expected[i];
      if (expected.subarray(0, PAGE).every(equal)) pages++;
    }
  }
  check(pages > 0, `${pages} pages with the text of it lie above 4 GiB`);
  await run(vm.serial, "rm /tmp/high");
}

/** A mebibyte of the guest's making reaches the image file unchanged, and nothing else does. */
async function checkDisk(serial: SerialStream, image: string): Promise<void> {
  await run(
    serial,
    "n=0\nuntil [ -b /dev/sda ]; do n=$((n+1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done",
  );
  const before = await interrupts(serial);
  await run(serial, "dd if=/dev/urandom of=/tmp/data bs=65536 count=16 2>/dev/null");
  const [inGuest] = (await run(serial, "sha256sum /tmp/data")).split(" ");
  check(/^[0-9a-f]{64}$/.test(inGuest), `the guest made 1 MiB of data: ${inGuest}`);
  await run(serial, "dd if=/tmp/data of=/dev/sda bs=65536 seek=16 conv=fsync 2>/dev/null");
  await run(serial, "echo 3 > /proc/sys/vm/drop_caches");
  const [again] =
    (await run(serial, "dd if=/dev/sda bs=65536 skip=16 count=16 2>/dev/null | sha256sum"))
      .split(" ");
  check(again === inGuest, "the guest reads the same back from its disk");
  // The machine stands still here: what the guest was told is written is in the file by now.
  const bytes = await Deno.readFile(image);
  check(bytes.length === DISK_SIZE, "the image file has kept its size");
  const onHost = await sha256(bytes.slice(MIB, 2 * MIB));
  check(onHost === inGuest, `the host reads the same from the image file: ${onHost}`);
  const untouched = (part: Uint8Array) => part.every((byte) => byte === 0);
  check(
    untouched(bytes.subarray(0, MIB)) && untouched(bytes.subarray(2 * MIB)),
    "nothing else was written",
  );
  const after = await interrupts(serial);
  const lines = await interruptLines(serial);
  const ticks = lines.find(({ name }) => name === "LOC")?.counts[0] ?? 0;
  check((after.get("timer") ?? 0) + ticks > 0, "the timer interrupts");
  check((after.get("ttyS0") ?? 0) > 0, "the serial port interrupts");
  check(
    (after.get("ata_piix") ?? 0) > (before.get("ata_piix") ?? 0),
    "the disk interrupted while it was used",
  );
}

async function main(options: BootOptions): Promise<void> {
  const { kernel, initrd, release, ready } = await guest(options);
  const dir = await Deno.makeTempDir({ prefix: "compy-boot-" });
  try {
    const image = join(dir, "disk.img");
    await Deno.writeFile(image, new Uint8Array(DISK_SIZE));
    console.log(`[boot] kernel ${kernel}`);
    console.log(`[boot] initrd ${initrd}`);
    const started = performance.now();
    await using vm = await Machine.create({
      memory: options.memory,
      processors: options.smp,
      kernel,
      initrd,
      append: options.append,
      cpu: options.cpu,
      drives: [{ file: image }],
      noReboot: true,
      failOn: [/Kernel panic/],
    });
    const output = new TextEncoder();
    vm.serial.tap((text) => Deno.stdout.writeSync(output.encode(text)));
    await vm.serial.expect(ready, { within: "300s" });
    const booted = (performance.now() - started) / 1000;

    await checkSystem(vm.serial, options, release);
    // A command line of the user's may want all this otherwise.
    if (release !== undefined && !/apic|acpi|tsc|clock/.test(options.append)) {
      await checkPlatform(vm.serial);
    }
    await checkProcessors(vm.serial, options.smp);
    await checkMemory(vm, options);
    await checkDisk(vm.serial, image);
    await vm.serial.writeLine("poweroff -f");
    const exit = await vm.exited;
    console.log(`\n[boot] ${describeExit(exit)}`);
    check(exit.kind === "power-off", "poweroff ends the machine");
    const seconds = (performance.now() - started) / 1000;
    console.log(
      `[boot] ${(exit.instructions / 1e6).toFixed(1)} million instructions, ` +
        `${formatNanoseconds(exit.virtualTime)} of virtual time, ${
          seconds.toFixed(1)
        } s of host time ` +
        `(${booted.toFixed(1)} s to the shell)`,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  let options: BootOptions;
  try {
    options = parseBootOptions(Deno.args);
  } catch (error) {
    console.error(`boot: ${(error as Error).message}`);
    Deno.exit(2);
  }
  if (options.help) {
    console.log(BOOT_HELP);
    Deno.exit(0);
  }
  try {
    await main(options);
  } catch (error) {
    const { name, message } = error as Error;
    console.error(`\nboot: ${error instanceof GuestError ? message : `${name}: ${message}`}`);
    Deno.exit(1);
  }
}
