/** QEMU, with which compy is compared. */
import { exists } from "@std/fs";
import { join } from "@std/path";
import { fetchDebianTree } from "./debian.ts";

/** A program of QEMU's by the architecture that it emulates, as a command with its first arguments. */
export type QemuPrograms = Record<"i386" | "amd64", readonly string[]>;

/** QEMU's programs, and what they say their version is. */
export interface Qemu {
  programs: QemuPrograms;
  version: string;
}

const NAMES = { i386: "qemu-system-i386", amd64: "qemu-system-x86_64" } as const;

/** Where Debian has libraries, and the loader among them, by the host's architecture. */
const HOSTS = {
  x86_64: { arch: "amd64", libraries: "x86_64-linux-gnu", loader: "ld-linux-x86-64.so.2" },
  aarch64: { arch: "arm64", libraries: "aarch64-linux-gnu", loader: "ld-linux-aarch64.so.1" },
} as const;

async function versionOf(command: readonly string[]): Promise<string> {
  const [program, ...first] = command;
  const output = await new Deno.Command(program, { args: [...first, "--version"] }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const version = /version (\S+)/.exec(text(output.stdout))?.[1];
  if (output.success && version !== undefined) return `QEMU ${version}`;
  throw new Error(`${command.join(" ")} does not run: ${text(output.stderr).trim()}`);
}

/** The programs that the host has; undefined where one is missing. */
async function installed(): Promise<Qemu | undefined> {
  const programs = { i386: [NAMES.i386], amd64: [NAMES.amd64] };
  try {
    await versionOf(programs.amd64);
    return { programs, version: await versionOf(programs.i386) };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return undefined;
  }
}

/**
 * Debian's package of QEMU with the libraries that it needs, run from the cache without being installed.
 *
 * @throws {GuestError} on a host without apt
 */
export async function fetchQemu(): Promise<Qemu> {
  const { arch, libraries, loader } = HOSTS[Deno.build.arch];
  const dirs = [`lib/${libraries}`, `usr/lib/${libraries}`];
  const start = join(dirs[0], loader), binaries = Object.values(NAMES).map((n) => `usr/bin/${n}`);
  const root = await fetchDebianTree("qemu-system-x86", {
    arch,
    needs: [start, ...binaries],
    instead: "Install QEMU, so that qemu-system-i386 and qemu-system-x86_64 are found, or go " +
      "without it: --peers v86.",
  });
  // Debian 12 has a script in the place of one of them, which leads there.
  const program = async (name: string) => {
    const behind = join(root, "usr/libexec", name);
    return await exists(behind) ? behind : join(root, "usr/bin", name);
  };
  const command = async (name: string) => [
    ...["env", `QEMU_MODULE_DIR=${join(root, dirs[1], "qemu")}`],
    join(root, start),
    ...["--library-path", dirs.map((dir) => join(root, dir)).join(":")],
    await program(name),
    ...["qemu", "seabios"].flatMap((dir) => ["-L", join(root, "usr/share", dir)]),
  ];
  const programs = { i386: await command(NAMES.i386), amd64: await command(NAMES.amd64) };
  return { programs, version: await versionOf(programs.i386) };
}

/**
 * QEMU's programs: those that the host has, or Debian's.
 *
 * @throws {GuestError} when it has none and Debian's cannot be fetched
 */
export async function qemu(): Promise<Qemu> {
  return await installed() ?? await fetchQemu();
}
