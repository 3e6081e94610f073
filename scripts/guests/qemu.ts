/** QEMU, with which compy is compared. */
import { GuestError } from "./debian.ts";

/** A program of QEMU's by the architecture that it emulates, as a command with its first arguments. */
export type QemuPrograms = Record<"i386" | "amd64", readonly string[]>;

const NAMES = { i386: "qemu-system-i386", amd64: "qemu-system-x86_64" } as const;

/** What a program says its version is; undefined when there is no such program. */
async function versionOf(command: readonly string[]): Promise<string | undefined> {
  const [program, ...first] = command;
  try {
    const output = await new Deno.Command(program, { args: [...first, "--version"] }).output();
    return new TextDecoder().decode(output.stdout).split("\n")[0].trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return undefined;
  }
}

/**
 * QEMU's programs: those that the host has.
 *
 * @throws {GuestError} when it has none
 */
export async function qemu(): Promise<{ programs: QemuPrograms; version: string }> {
  const programs = { i386: [NAMES.i386], amd64: [NAMES.amd64] };
  const versions = [await versionOf(programs.i386), await versionOf(programs.amd64)];
  const [version] = versions;
  if (version !== undefined && versions[1] !== undefined) return { programs, version };
  throw new GuestError(
    "there is no qemu-system-i386 and qemu-system-x86_64: install Debian's package qemu-system-x86",
  );
}
