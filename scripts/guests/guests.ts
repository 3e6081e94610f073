/** The guests and firmware that the project boots, each one call away. */
import { join } from "@std/path";
import { cachedDirectory } from "./cache.ts";
import { fetchDebian, GuestError } from "./debian.ts";

/** A kernel with what belongs to it. */
export interface KernelFiles {
  /** The bzImage. */
  kernel: string;
  /** `uname -r`. */
  release: string;
  /** The directory with the kernel's modules. */
  modules: string;
}

async function single(dir: string, pattern: RegExp): Promise<string> {
  for await (const entry of Deno.readDir(dir)) if (pattern.test(entry.name)) return entry.name;
  throw new GuestError(`${dir} has no file that matches ${pattern}`);
}

/** Debian's architectures that have a guest. */
export type GuestArch = "i386" | "amd64";

/** Debian's kernels that have a guest: the part of the package's name behind `linux-image-`. */
export const LINUX_FLAVOURS = { i386: ["686", "686-pae"], amd64: ["amd64"] } as const;

/** One of {@linkcode LINUX_FLAVOURS}. */
export type LinuxFlavour = (typeof LINUX_FLAVOURS)[GuestArch][number];

/** Debian's stock kernel of an architecture: `linux-image-686` or `linux-image-amd64`, or another flavour. */
export async function linuxKernel(
  arch: GuestArch,
  flavour: LinuxFlavour = LINUX_FLAVOURS[arch][0],
): Promise<KernelFiles> {
  const { root } = await fetchDebian(`linux-image-${flavour}`, {
    arch,
    depends: new RegExp(`^linux-image-\\d.*-${flavour}$`),
    needs: ["boot", "lib/modules"],
    instead: "Pass a kernel of your own with --kernel FILE (a bzImage with a console on ttyS0) " +
      "and an initial RAM disk with --initrd FILE.",
  });
  const image = await single(join(root, "boot"), /^vmlinuz-/);
  const release = image.slice("vmlinuz-".length);
  return {
    kernel: join(root, "boot", image),
    release,
    modules: join(root, "lib", "modules", release),
  };
}

/** Setup header of a bzImage (Linux, Documentation/arch/x86/boot.rst): size of the setup code, and where the payload lies behind it. */
const SETUP_SECTS = 0x1f1, PAYLOAD_OFFSET = 0x248, PAYLOAD_LENGTH = 0x24c;

/** What unpacks the payload of Debian's kernels. */
async function xz(): Promise<string> {
  try {
    await new Deno.Command("xz", { args: ["--version"], stdout: "null" }).output();
    return "xz";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  const { root } = await fetchDebian("xz-utils", { arch, needs: ["usr/bin/xz"] });
  return join(root, "usr", "bin", "xz");
}

/** The uncompressed ELF file that is in Debian's stock kernel; its path. */
export async function vmlinux(
  arch: GuestArch,
  flavour: LinuxFlavour = LINUX_FLAVOURS[arch][0],
): Promise<string> {
  const { kernel, release } = await linuxKernel(arch, flavour);
  const name = `vmlinux-${release}`;
  const dir = await cachedDirectory(`vmlinux/${release}`, [name], async (fresh) => {
    const image = await Deno.readFile(kernel);
    const view = new DataView(image.buffer);
    const start = (image[SETUP_SECTS] + 1) * 512 + view.getUint32(PAYLOAD_OFFSET, true);
    const packed = join(fresh, "payload.xz");
    // The last four bytes are the length of what is packed.
    const length = view.getUint32(PAYLOAD_LENGTH, true) - 4;
    await Deno.writeFile(packed, image.subarray(start, start + length));
    const { success, stdout, stderr } = await new Deno.Command(await xz(), {
      args: ["--decompress", "--stdout", packed],
      stdin: "null",
    }).output();
    if (!success) throw new GuestError(`${kernel}: ${new TextDecoder().decode(stderr).trim()}`);
    await Deno.writeFile(join(fresh, name), stdout);
    await Deno.remove(packed);
  });
  return join(dir, name);
}

/** Debian's statically linked busybox of an architecture; the path of the executable. */
export async function busybox(arch: GuestArch): Promise<string> {
  const { root } = await fetchDebian("busybox-static", {
    arch,
    needs: ["bin/busybox"],
    instead: "Pass an initial RAM disk of your own with --initrd FILE.",
  });
  return join(root, "bin", "busybox");
}

/** Paths of SeaBIOS images. */
export interface SeaBios {
  /** 256 KiB, what QEMU's `pc` uses. */
  bios256k: string;
  /** 128 KiB. */
  bios: string;
  /** Option ROM for the standard VGA with Bochs extensions. */
  vgaBios: string;
}

/** SeaBIOS and its VGA BIOS, unmodified. */
export async function seabios(): Promise<SeaBios> {
  const dir = "usr/share/seabios";
  const names = ["bios-256k.bin", "bios.bin", "vgabios-stdvga.bin"];
  const { root } = await fetchDebian("seabios", {
    needs: names.map((name) => join(dir, name)),
    instead: "Pass a firmware image of your own with --bios FILE.",
  });
  const [bios256k, bios, vgaBios] = names.map((name) => join(root, dir, name));
  return { bios256k, bios, vgaBios };
}

/** Paths of OVMF images. */
export interface Ovmf {
  /** Code of the 2 MiB layout, for flash unit 0. */
  code: string;
  /** Its empty variable store, for flash unit 1; copy it before a guest writes it. */
  vars: string;
  /** Both in one image, for use as a ROM: variables do not last. */
  combined: string;
  /** The same in the 4 MiB layout. */
  code4m: string;
  vars4m: string;
}

/** OVMF, the UEFI firmware for 64-bit PCs, unmodified. */
export async function ovmf(): Promise<Ovmf> {
  const dir = "usr/share/OVMF";
  const names = ["OVMF_CODE.fd", "OVMF_VARS.fd", "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"]
    .map((name) => join(dir, name));
  const { root } = await fetchDebian("ovmf", {
    needs: [...names, "usr/share/ovmf/OVMF.fd"],
    instead: "Pass firmware images of your own with -drive if=pflash,file=FILE.",
  });
  const [code, vars, code4m, vars4m] = names.map((name) => join(root, name));
  return { code, vars, code4m, vars4m, combined: join(root, "usr/share/ovmf/OVMF.fd") };
}

/** GRUB's rescue CD; the path of the ISO image. */
export async function grubRescueCd(): Promise<string> {
  const path = "usr/lib/grub-rescue/grub-rescue-cdrom.iso";
  const { root } = await fetchDebian("grub-rescue-pc", {
    needs: [path],
    instead: "Pass a CD image of your own with --cdrom FILE.",
  });
  return join(root, path);
}

/** Memtest86+ for 32-bit processors: a kernel image, and a CD image. */
export async function memtest86(): Promise<{ kernel: string; cdrom: string }> {
  const kernel = "boot/memtest86+ia32.bin", cdrom = "usr/lib/memtest86+/memtest86+ia32.iso";
  const { root } = await fetchDebian("memtest86+", { needs: [kernel, cdrom] });
  return { kernel: join(root, kernel), cdrom: join(root, cdrom) };
}
