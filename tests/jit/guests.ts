/** The guests on which the engines are compared. */
import { fromFileUrl, join } from "@std/path";
import { MemoryDevice } from "../../core/block/memory_device.ts";
import {
  grubRescueCd,
  type LinuxFlavour,
  memtest86,
  ovmf,
  seabios,
} from "../../scripts/guests/guests.ts";
import { linuxGuest } from "../../scripts/guests/initramfs.ts";
import { efiDisk, efiProgram } from "../boots/efi.ts";
import type { BoardOptions } from "./half.ts";

const MIB = 2 ** 20;

/** Makes the options of one guest's board, anew at each call. */
export type MakeOptions = () => BoardOptions;

/** Debian's kernels as `deno task boot` starts them, by the names that `boots.ts` takes. */
const LINUX = {
  i386: { arch: "i386", flavour: "686", processors: 1 },
  amd64: { arch: "amd64", flavour: "amd64", processors: 1 },
  smp4: { arch: "i386", flavour: "686", processors: 4 },
  "amd64-smp4": { arch: "amd64", flavour: "amd64", processors: 4 },
  pae: { arch: "i386", flavour: "686-pae", processors: 1 },
} as const satisfies Record<
  string,
  { arch: "i386" | "amd64"; flavour: LinuxFlavour; processors: number }
>;

/** The name of a boot. */
export type LinuxName = keyof typeof LINUX;
/** The names of all boots. */
export const LINUX_NAMES = Object.keys(LINUX) as LinuxName[];

/** A boot of Linux. */
export async function linuxBoot(name: LinuxName): Promise<MakeOptions> {
  const { arch, flavour, processors } = LINUX[name];
  const { kernel, initrd } = await linuxGuest({ arch, flavour });
  const [image, disk] = await Promise.all([kernel, initrd].map((file) => Deno.readFile(file)));
  return () => ({
    memory: 128 * MIB,
    processors,
    kernel: {
      kernel: { file: kernel, bytes: image },
      initrd: { file: initrd, bytes: disk },
      commandLine: "console=ttyS0",
    },
  });
}

const image = async (file: string) => ({ file, bytes: await Deno.readFile(file) });

/** What the first process does: programs of all kinds, made anew and run again, over files of some size. */
const WORK = `#!/bin/busybox sh
export PATH=/sbin:/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox --install -s
while :; do
  seq 1 30000 > /tmp/a
  for file in /proc/kallsyms /tmp/a /bin/busybox; do head -c 300000 $file; done > /tmp/b
  sha256sum /tmp/b; md5sum /tmp/b; sha1sum /tmp/b
  gzip -c /tmp/b | gunzip -c | cmp - /tmp/b && echo gzip
  bzip2 -c /tmp/a | bunzip2 -c | cmp - /tmp/a && echo bzip2
  sort -r /tmp/a | awk '{ s += $1 * 1.25 } END { print s / 3 }'
  i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done; echo $i
  for i in 1 2 3 4 5 6 7 8; do /bin/busybox true; cat /proc/uptime; done
  find /sys | wc -l
  cp /bin/busybox /tmp/busybox; /tmp/busybox echo copied; rm /tmp/busybox
  dmesg | grep -c . ; tr a-z A-Z < /tmp/b | sed s/A/B/g | sha1sum
done
`;

/** Linux that comes to its first process soon, which then works for ever. */
async function shellWork(arch: "i386" | "amd64", processors = 1): Promise<MakeOptions> {
  const guest = await linuxGuest({ arch, files: { "/work": WORK } });
  const [kernel, initrd] = await Promise.all([guest.kernel, guest.initrd].map(image));
  const commandLine = "console=ttyS0 cryptomgr.notests quiet rdinit=/work";
  return () => ({ memory: 128 * MIB, processors, kernel: { kernel, initrd, commandLine } });
}

/** Other guests by name. */
export const OTHERS: Readonly<Record<string, () => Promise<MakeOptions>>> = {
  work: () => shellWork("i386"),
  "work-amd64": () => shellWork("amd64"),
  "work-smp4": () => shellWork("i386", 4),
  /** SeaBIOS starts GRUB from a CD, whose menu goes to and fro between real and protected mode. */
  grub: async () => {
    const { bios256k, vgaBios } = await seabios();
    const [firmware, rom, cd] = await Promise.all(
      [bios256k, vgaBios, await grubRescueCd()].map(image),
    );
    return () => ({
      memory: 32 * MIB,
      firmware,
      optionRoms: [rom],
      bootOrder: "d",
      drives: [{ media: "cdrom", block: new MemoryDevice(cd.bytes, { readOnly: true }) }],
    });
  },
  /** UEFI firmware in 64-bit code, with a drive that has a program. */
  ovmf: async () => {
    const { code, vars } = await ovmf();
    const flash = await Promise.all([code, vars].map((file) => Deno.readFile(file)));
    return () => ({
      memory: 64 * MIB,
      flash: flash.map((bytes) => ({ block: new MemoryDevice(bytes.slice()) })),
      drives: [{ media: "disk", block: new MemoryDevice(efiDisk(efiProgram("program"))) }],
    });
  },
  /** Moves itself, and asks for two processors. */
  memtest86: async () => {
    const kernel = await image((await memtest86()).kernel);
    return () => ({
      memory: 16 * MIB,
      processors: 2,
      kernel: { kernel, commandLine: "console=ttyS0" },
    });
  },
};

const KERNELS = fromFileUrl(new URL("../../bench/microbench", import.meta.url));

/** Names of the bare-metal kernels, such as `alu.32`. */
export function kernelNames(): string[] {
  return [...Deno.readDirSync(join(KERNELS, "out10"))].map(({ name }) => name)
    .filter((name) => name.endsWith(".elf")).map((name) => name.slice(0, -4)).sort();
}

/** A bare-metal kernel of `bench/microbench`, at a tenth of its size unless it is to be the whole. */
export async function kernel(name: string, full = false): Promise<MakeOptions> {
  const file = join(KERNELS, full ? "out100" : "out10", `${name}.elf`),
    bytes = await Deno.readFile(file);
  return () => ({
    memory: 64 * MIB,
    kernel: { kernel: { file, bytes } },
    devices: ["isa-debug-exit,iobase=0xf4,iosize=4"],
  });
}
