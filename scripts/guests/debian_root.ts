/** A whole Debian: a root file system with systemd in an ext4 image, and what boots it from a drive. */
import { join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import { cachedDirectory, cacheRoot } from "./cache.ts";
import { writeCpio } from "./cpio.ts";
import { debianArchive, fetchDebian, GuestError } from "./debian.ts";
import { busybox, linuxKernel } from "./guests.ts";
import { loadModules } from "./modules.ts";
import { Progress } from "./progress.ts";

/** Packages besides the minimal system. */
const PACKAGES = ["systemd", "systemd-sysv", "udev", "dbus"];
/** Left out: nobody reads them here. */
const EXCLUDED = "/usr/share/{doc,man,locale}/*";
/** What reaches the root file system. */
const MODULES = ["ata_piix", "sd_mod", "ext4", "crc32c_generic"];
/** Size of the image: what is in it, and room for a running system. */
const IMAGE_SIZE = "704M";
const IMAGE = "root.img";
/** Whoever changes what is in the image changes this. */
const VERSION = 1;

/** Programs live there that a user's path may lack. */
const PATH = `${Deno.env.get("PATH")}:/usr/sbin:/sbin`;

/** Runs a program to its end; `what` it is for is in the error. */
async function run(what: string, command: string, args: string[], path = PATH): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, {
      args,
      env: { PATH: path, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new GuestError(`cannot ${what}: this host has no ${command}`);
  }
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (output.success) return text(output.stdout);
  const last = (text(output.stdout) + text(output.stderr)).trim().split("\n").slice(-15).join("\n");
  throw new GuestError(`cannot ${what}: ${command} failed:\n${last}`);
}

/** Unpacks and configures the packages below `dir`, and makes of them a system that can be logged into. */
async function buildSystem(dir: string): Promise<void> {
  const { root } = await fetchDebian("mmdebstrap", { needs: ["usr/bin/mmdebstrap"] });
  const { uri, suite } = await debianArchive("i386");
  const progress = new Progress(`Building Debian ${suite} (i386), about a minute`);
  await run(
    "build a Debian system",
    join(root, "usr/bin/mmdebstrap"),
    [
      "--quiet",
      "--mode=root",
      // 32-bit programs run on 64-bit PCs as they are; and the lists of packages stay, for apt.
      "--skip=check/qemu,cleanup/apt/lists",
      "--variant=minbase",
      "--architectures=i386",
      `--include=${PACKAGES.join(",")}`,
      `--dpkgopt=path-exclude=${EXCLUDED}`,
      suite,
      dir,
      `deb ${uri} ${suite} main`,
    ],
    `${join(root, "usr/bin")}:${PATH}`,
  );
  const edit = async (file: string, change: (text: string) => string): Promise<void> => {
    const path = join(dir, file);
    await Deno.writeTextFile(path, change(await exists(path) ? await Deno.readTextFile(path) : ""));
  };
  await edit("etc/shadow", (text) => text.replace(/^root:[^:]*:/m, "root::"));
  await edit("etc/hostname", () => "debian\n");
  await edit("etc/hosts", () => "127.0.0.1 localhost debian\n");
  await edit("etc/fstab", () => "/dev/sda / ext4 errors=remount-ro 0 1\n");
  // The guest would take minutes to read the lists.
  await run("prepare apt's cache", "chroot", [dir, "apt-cache", "gencaches"]);
  progress.done();
}

/**
 * The ext4 image of a minimal Debian for 32-bit PCs with systemd, whose root has no password; its path. It
 * is the cache's own: copy it before a guest writes it. Building it takes a minute and needs root, for
 * owners and `chroot`.
 *
 * @throws {GuestError} on a host where it cannot be built
 */
export async function debianImage(): Promise<string> {
  const dir = await cachedDirectory(`debian-root/i386-${VERSION}`, [IMAGE], async (fresh) => {
    if (Deno.uid() !== 0) {
      throw new GuestError(
        "building a Debian system needs root: run this once as root, or pass --image FILE",
      );
    }
    const system = join(fresh, "system"), image = join(fresh, IMAGE);
    await buildSystem(system);
    await run("make an ext4 image", "mke2fs", [
      ...["-q", "-t", "ext4", "-L", "root", "-d", system],
      ...[image, IMAGE_SIZE],
    ]);
    await Deno.remove(system, { recursive: true });
  });
  return join(dir, IMAGE);
}

/** The first process: brings the root file system up and hands over to its own. */
const init = (modules: readonly string[]): string =>
  `#!/bin/busybox sh
export PATH=/bin
mount() { /bin/busybox mount "$@"; }
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in ${modules.join(" ")}; do
  /bin/busybox insmod /lib/modules/$module.ko
done
tries=100
until [ -b /dev/sda ] || [ $tries = 0 ]; do
  /bin/busybox sleep 0.1
  tries=$((tries - 1))
done
mount -t ext4 -o ro /dev/sda /root || exec /bin/busybox sh
mount --move /dev /root/dev
/bin/busybox umount /proc /sys
exec /bin/busybox switch_root /root /sbin/init
`;

/** Debian's stock kernel, and an initial RAM disk of ours that goes on from `/dev/sda`; paths of both. */
export async function diskBoot(): Promise<{ kernel: string; initrd: string; release: string }> {
  const { kernel, release, modules: directory } = await linuxKernel("i386");
  const modules = await loadModules(directory, MODULES);
  const data = writeCpio([
    ...["bin", "dev", "proc", "sys", "root", "lib", "lib/modules"]
      .map((path) => ({ kind: "directory", path } as const)),
    { kind: "char", path: "dev/console", major: 5, minor: 1 },
    {
      kind: "file",
      path: "bin/busybox",
      data: await Deno.readFile(await busybox("i386")),
      mode: 0o755,
    },
    { kind: "file", path: "init", data: init(modules.map(({ name }) => name)), mode: 0o755 },
    ...modules.map(({ name, data }) =>
      ({ kind: "file", path: `lib/modules/${name}.ko`, data }) as const
    ),
  ]);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
  const dir = join(cacheRoot(), "initramfs");
  const initrd = join(dir, `${release}-disk-${digest.slice(0, 16)}.cpio`);
  await ensureDir(dir);
  // Named by its contents: whoever writes it last writes the same.
  const fresh = await Deno.makeTempFile({ dir, prefix: ".new-" });
  await Deno.writeFile(fresh, data);
  await Deno.rename(fresh, initrd);
  return { kernel, initrd, release };
}

/**
 * Checks the ext4 file system in an image and changes nothing.
 *
 * @returns what `e2fsck` says of it
 * @throws {GuestError} when it finds an error
 */
export function checkImage(image: string): Promise<string> {
  return run(`find ${image} without errors`, "e2fsck", ["-fn", image]);
}
