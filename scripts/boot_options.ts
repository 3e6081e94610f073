/** The command line of `deno task boot`. */
import { didYouMean } from "../core/text.ts";
import { MOST_PROCESSORS } from "../hw/boards/processors.ts";
import { type GuestArch, LINUX_FLAVOURS, type LinuxFlavour } from "./guests/guests.ts";

const ARCHES = ["i386", "amd64"] as const;

/** What to boot. */
export interface BootOptions {
  /** Debian's name of the architecture that the guest is built for. */
  arch: GuestArch;
  /** Which of Debian's kernels. */
  flavour: LinuxFlavour;
  kernel?: string;
  initrd?: string;
  append: string;
  cpu: string;
  /** Processors. */
  smp: number;
  /** With its unit. */
  memory: string;
  help: boolean;
}

/** Text of `--help`. */
export const BOOT_HELP =
  `Usage: deno task boot [--arch i386|amd64] [--flavour NAME] [--kernel FILE] [--initrd FILE]
                       [--append TEXT] [--cpu MODEL] [--smp N] [--memory SIZE]

Boots Linux to a shell, talks to it, and checks what it did. Without options it boots Debian's stock
kernel for 32-bit PCs with an initial RAM disk of its own, fetched with apt and built where the cache
(.cache, or $COMPY_CACHE) does not have them.

  --arch ARCH    i386 (default), or amd64 for Debian's 64-bit kernel and a 64-bit busybox
  --flavour NAME which of Debian's kernels, as in linux-image-NAME: 686 (default for i386), 686-pae, amd64
  --kernel FILE  a bzImage of your own
  --initrd FILE  an initial RAM disk of your own: it must start a root shell on ttyS0, have uname, cat,
                 dd, sha256sum and poweroff, and see the disk as /dev/sda
  --append TEXT  the kernel's command line; default "console=ttyS0"
  --cpu MODEL    processor model with features, such as pentium3,-mtrr; default max
  --smp N        processors, 1 (default) to 16; the guest is asked for them and for their interrupts
  --memory SIZE  memory with its unit, such as 1G; default 128M; with 3584M to 4G the guest is to use what
                 lies above 4 GiB too
  --help         this text
`;

const NAMES = ["arch", "flavour", "kernel", "initrd", "append", "cpu", "smp", "memory"] as const;

/**
 * Reads the command line; one dash or two.
 *
 * @throws {Error} naming what is wrong and the nearest right option
 */
export function parseBootOptions(args: readonly string[]): BootOptions {
  const options: BootOptions = {
    arch: "i386",
    flavour: "686",
    append: "console=ttyS0",
    cpu: "max",
    smp: 1,
    memory: "128M",
    help: false,
  };
  let flavour: string | undefined;
  for (let i = 0; i < args.length; i++) {
    const match = /^--?([a-z]+)(?:=(.*))?$/s.exec(args[i]);
    const name = match?.[1] ?? args[i];
    if (name === "help" || name === "h") {
      options.help = true;
      continue;
    }
    const known = NAMES.find((n) => n === name);
    if (match === null || known === undefined) {
      const near = didYouMean(name, [...NAMES, "help"]).replace(`"`, `"--`);
      throw new Error(`unknown option ${args[i]}${near || "; --help lists what there is"}`);
    }
    const value = match[2] ?? args[++i];
    if (value === undefined) throw new Error(`--${known} needs an argument`);
    if (known === "arch") {
      const arch = ARCHES.find((a) => a === value);
      if (arch === undefined) {
        const near = didYouMean(value, ARCHES);
        throw new Error(
          `no guest for the architecture ${value}${near || "; there are i386 and amd64"}`,
        );
      }
      options.arch = arch;
    } else if (known === "flavour") flavour = value;
    else if (known === "smp") {
      options.smp = /^\d+$/.test(value) ? Number(value) : NaN;
      if (!(options.smp >= 1 && options.smp <= MOST_PROCESSORS)) {
        throw new Error(`--smp takes a whole number from 1 to ${MOST_PROCESSORS}, not ${value}`);
      }
    } else if (known === "memory") {
      if (!/^\d+[kmg]$/i.test(value)) {
        throw new Error(`--memory takes a size with its unit, such as 512M or 1G, not ${value}`);
      }
      options.memory = value;
    } else options[known] = value;
  }
  const flavours: readonly LinuxFlavour[] = LINUX_FLAVOURS[options.arch];
  const found = flavours.find((one) => one === (flavour ?? flavours[0]));
  if (found === undefined) {
    throw new Error(`no kernel ${flavour} for ${options.arch}; there is ${flavours.join(" and ")}`);
  }
  options.flavour = found;
  return options;
}
