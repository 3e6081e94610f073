/** The initial RAM disk of ours: busybox, a few drivers, and a shell on the console. */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import { cacheRoot } from "./cache.ts";
import { type CpioEntry, writeCpio } from "./cpio.ts";
import { busybox, type GuestArch, type LinuxFlavour, linuxKernel } from "./guests.ts";
import { type KernelModule, loadModules } from "./modules.ts";

/** Disks, CD-ROMs, and what the PIIX's IDE controller needs. */
export const DRIVE_MODULES: readonly string[] = ["ata_piix", "sd_mod", "sr_mod"];

/** What `/init` prints, alone on a line, just before it starts the first shell. */
export const READY = "compy: shell ready";

/** The shell's prompt. */
export const PROMPT = "/ # ";

const INIT = `#!/bin/sh
# The first process: mounts the kernel's file systems, inserts the drivers, keeps a shell running.
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/ TERM=linux PS1='${PROMPT}'
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s
while read -r module; do
  insmod "/lib/modules/$module.ko"
done < /lib/modules/order
active=$(cat /sys/class/tty/console/active)
tty=/dev/\${active##* }
[ -c "$tty" ] || tty=/dev/console
cd /
echo '${READY}' > "$tty"
while :; do
  setsid -c sh < "$tty" > "$tty" 2>&1
done
`;

/** What goes into an initial RAM disk. */
export interface InitramfsOptions {
  /** A statically linked busybox. */
  busybox: Uint8Array;
  /** Inserted in this order. */
  modules?: readonly KernelModule[];
  /** Further files by absolute path; their directories are made. Executable when they begin with `#!` or ELF's magic. */
  files?: Readonly<Record<string, Uint8Array | string>>;
}

function isProgram(data: Uint8Array | string): boolean {
  const begins = (...bytes: number[]) =>
    bytes.every((b, i) => (typeof data === "string" ? data.charCodeAt(i) : data[i]) === b);
  return begins(0x23, 0x21) || begins(0x7f, 0x45, 0x4c, 0x46);
}

/** Builds the RAM disk. The same options always give the same bytes. */
export function buildInitramfs(options: InitramfsOptions): Uint8Array<ArrayBuffer> {
  const { busybox, modules = [], files = {} } = options;
  const directories = [
    "bin",
    "dev",
    "etc",
    "lib",
    "lib/modules",
    "mnt",
    "proc",
    "root",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/sbin",
  ];
  const entries: CpioEntry[] = directories.map((path) => ({ kind: "directory", path }));
  entries.push(
    // The kernel opens it for the first process before anything is mounted.
    { kind: "char", path: "dev/console", major: 5, minor: 1 },
    { kind: "file", path: "bin/busybox", data: busybox, mode: 0o755 },
    { kind: "symlink", path: "bin/sh", target: "busybox" },
    { kind: "file", path: "init", data: INIT, mode: 0o755 },
    {
      kind: "file",
      path: "lib/modules/order",
      data: modules.map(({ name }) => name + "\n").join(""),
    },
  );
  for (const { name, data } of modules) {
    entries.push({ kind: "file", path: `lib/modules/${name}.ko`, data });
  }
  const made = new Set(directories);
  for (const file of Object.keys(files).sort()) {
    const path = file.replace(/^\/+/, "");
    const above = path.split("/").slice(0, -1);
    for (let depth = 1; depth <= above.length; depth++) {
      const directory = above.slice(0, depth).join("/");
      if (made.has(directory)) continue;
      made.add(directory);
      entries.push({ kind: "directory", path: directory });
    }
    const data = files[file];
    entries.push({ kind: "file", path, data, mode: isProgram(data) ? 0o755 : 0o644 });
  }
  return writeCpio(entries);
}

/** A kernel with the initial RAM disk that was built for it; paths of both. */
export interface LinuxGuest {
  kernel: string;
  initrd: string;
  /** `uname -r`. */
  release: string;
}

/**
 * Debian's stock kernel with our RAM disk, fetched and built where the cache does not have them.
 *
 * @throws {GuestError} on a host without apt
 */
export async function linuxGuest(
  options: {
    /** Default `i386`. */
    arch?: GuestArch;
    /** Default `686` or `amd64`. */
    flavour?: LinuxFlavour;
    modules?: readonly string[];
    files?: InitramfsOptions["files"];
  } = {},
): Promise<LinuxGuest> {
  const { arch = "i386" } = options;
  const { kernel, release, modules } = await linuxKernel(arch, options.flavour);
  const data = buildInitramfs({
    busybox: await Deno.readFile(await busybox(arch)),
    modules: await loadModules(modules, options.modules ?? DRIVE_MODULES),
    files: options.files,
  });
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
  const dir = join(cacheRoot(), "initramfs");
  const initrd = join(dir, `${release}-${digest.slice(0, 16)}.cpio`);
  await ensureDir(dir);
  // Named by its contents: whoever writes it last writes the same.
  const fresh = await Deno.makeTempFile({ dir, prefix: ".new-" });
  await Deno.writeFile(fresh, data);
  await Deno.rename(fresh, initrd);
  return { kernel, initrd, release };
}
