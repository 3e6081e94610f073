/**
 * `deno task boot-debian`: boots a whole Debian with systemd from a drive to its login, looks around in it,
 * switches it off, and checks the file system that it leaves. Takes some minutes.
 */
import { join } from "@std/path";
import { describeExit, formatNanoseconds, Machine, type SerialStream } from "../mod.ts";
import { GuestError } from "./guests/debian.ts";
import { checkImage, debianImage, diskBoot } from "./guests/debian_root.ts";

const HELP = `Usage: deno task boot-debian [--image FILE] [--quiet]

Boots a minimal Debian with systemd from a drive, logs in on the serial console, asks systemd and
apt how they are, switches it off, and checks its file system.

  --image FILE  this ext4 image instead of one that is built; it is copied, not changed
  --quiet       without what the guest sends
`;

function check(holds: boolean, what: string, detail = ""): void {
  if (!holds) throw new Error(`check failed: ${what}${detail === "" ? "" : `: ${detail}`}`);
  console.log(`[debian] ok: ${what}`);
}

async function run(
  serial: SerialStream,
  command: string,
): Promise<{ text: string; status: number }> {
  const { stdout, status } = await serial.run(command, { within: "600s" });
  return { text: stdout.trim(), status };
}

async function boot(file: string, quiet: boolean): Promise<void> {
  const { kernel, initrd, release } = await diskBoot();
  const started = performance.now();
  await using vm = await Machine.create({
    memory: "256M",
    kernel,
    initrd,
    append: "console=ttyS0 panic=-1",
    drives: [{ file }],
    noReboot: true,
    failOn: [/Kernel panic/, /You are in emergency mode/],
    limits: { within: "600s" },
  });
  const { serial } = vm;
  const step = (what: string): void => {
    const host = ((performance.now() - started) / 1000).toFixed(0);
    const millions = (vm.instructions / 1e6).toFixed(0);
    console.log(
      `[debian] ${what} after ${host} s (${millions} million instructions, ` +
        `${formatNanoseconds(vm.virtualTime)} in the guest)`,
    );
  };
  let shown = 0;
  const timer = setInterval(() => {
    const text = serial.transcript();
    if (!quiet) Deno.stdout.writeSync(new TextEncoder().encode(text.slice(shown)));
    shown = text.length;
  }, 500);
  try {
    await serial.expect("Run /init as init process");
    step("the kernel starts the first process");
    await serial.expect(/systemd\[1\]: /);
    step("systemd starts");
    await serial.expect("debian login: ");
    step("the login prompt");
    await serial.writeLine("root");
    await serial.expect("root@debian:~# ");
    step("logged in");

    const state = await run(serial, "systemctl is-system-running --wait");
    check(
      state.text === "running" && state.status === 0,
      "systemd says that it is running",
      state.text,
    );
    const failed = await run(serial, "systemctl list-units --failed --plain --no-legend");
    check(failed.text === "", "no unit failed", failed.text);
    const uname = await run(serial, "uname -r");
    check(uname.text === release, `the kernel is ${release}`, uname.text);
    const mounted = await run(serial, "findmnt --noheadings --output SOURCE,FSTYPE /");
    check(
      /^\/dev\/sda\s+ext4$/.test(mounted.text),
      "the root file system is the drive's ext4",
      mounted.text,
    );
    const policy = await run(serial, "apt-cache policy apt");
    check(
      policy.status === 0 && /Installed: \d/.test(policy.text) && /500 http/.test(policy.text),
      "apt-cache knows what is installed and where it comes from",
      policy.text,
    );
    const written = await run(
      serial,
      "head -c 1000000 /dev/urandom > /root/noise && sha256sum /root/noise",
    );
    check(written.status === 0, "a file is written");
    await run(serial, "sync; echo 3 > /proc/sys/vm/drop_caches");
    const again = await run(serial, "sha256sum /root/noise");
    check(again.text === written.text, "and reads the same from the drive");

    await serial.writeLine("systemctl poweroff");
    const exit = await vm.exited;
    check(exit.kind === "power-off", "the machine is switched off", describeExit(exit));
    step("off");
  } finally {
    clearInterval(timer);
  }
}

interface Options {
  image?: string;
  quiet: boolean;
}

/** Reads the command line; undefined for one that cannot be understood. */
function parse(args: readonly string[]): Options | undefined {
  const options: Options = { quiet: false };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--quiet") options.quiet = true;
    else if (args[i] === "--image" && i + 1 < args.length) options.image = args[++i];
    else return undefined;
  }
  return options;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options === undefined) {
    const asked = args.includes("--help");
    (asked ? console.log : console.error)(HELP);
    return asked ? 0 : 2;
  }
  const dir = await Deno.makeTempDir({ prefix: "compy-debian-" });
  try {
    const file = join(dir, "root.img");
    await Deno.copyFile(options.image ?? await debianImage(), file);
    await boot(file, options.quiet);
    const summary = await checkImage(file);
    console.log(`[debian] ok: e2fsck finds no error: ${summary.trim().split("\n").at(-1)}`);
    return 0;
  } catch (error) {
    console.error(`[debian] ${error instanceof GuestError ? error.message : error}`);
    return 1;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
