/** Kernel modules: what each needs, read from the modules themselves (Debian's packages carry no `modules.dep`). */
import { basename, join } from "@std/path";
import { GuestError } from "./debian.ts";

/** One module, ready for `insmod`. */
export interface KernelModule {
  name: string;
  data: Uint8Array;
}

/**
 * The `key=value` records in an ELF object's `.modinfo` section.
 *
 * @throws {GuestError} when the bytes are no little-endian ELF object with such a section
 */
export function moduleInfo(elf: Uint8Array, label: string): Map<string, string> {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const bad = (why: string) => new GuestError(`${label} is not a kernel module: ${why}`);
  // Elf32_Ehdr and Elf64_Ehdr, System V ABI.
  if (elf.length < 64 || view.getUint32(0, false) !== 0x7f454c46) throw bad("no ELF header");
  const wide = elf[4] === 2;
  const word = (at: number) =>
    wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true);
  const table = word(wide ? 0x28 : 0x20);
  const entrySize = view.getUint16(wide ? 0x3a : 0x2e, true);
  const count = view.getUint16(wide ? 0x3c : 0x30, true);
  const names = view.getUint16(wide ? 0x3e : 0x32, true);
  if (entrySize < (wide ? 64 : 40)) throw bad("odd section headers");
  if (names >= count || table + count * entrySize > elf.length) throw bad("truncated");
  const section = (index: number) => {
    const at = table + index * entrySize;
    const offset = word(at + (wide ? 0x18 : 0x10)), size = word(at + (wide ? 0x20 : 0x14));
    return { name: view.getUint32(at, true), bytes: elf.subarray(offset, offset + size) };
  };
  const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
  const strings = text(section(names).bytes);
  for (let i = 0; i < count; i++) {
    const { name, bytes } = section(i);
    if (!strings.startsWith(".modinfo\0", name)) continue;
    const records = new Map<string, string>();
    for (const record of text(bytes).split("\0")) {
      const equals = record.indexOf("=");
      if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1));
    }
    return records;
  }
  throw bad("no .modinfo section");
}

/** A module's name as the kernel has it: file name without ending, `-` as `_`. */
function moduleName(path: string): string {
  return basename(path).replace(/\.ko$/, "").replaceAll("-", "_");
}

async function listModules(dir: string, found = new Map<string, string>()) {
  for await (const entry of Deno.readDir(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory) await listModules(path, found);
    else if (entry.name.endsWith(".ko")) found.set(moduleName(path), path);
  }
  return found;
}

/**
 * Reads modules and everything they depend on, in the order in which they can be inserted. What is built into
 * the kernel is left out.
 *
 * @param dir the kernel's module directory, `/lib/modules/RELEASE`
 * @throws {GuestError} when a module is not there
 */
export async function loadModules(
  dir: string,
  wanted: readonly string[],
): Promise<KernelModule[]> {
  const paths = await listModules(join(dir, "kernel"));
  const builtin = new Set(
    (await Deno.readTextFile(join(dir, "modules.builtin"))).split("\n").map(moduleName),
  );
  const ordered: KernelModule[] = [];
  const visited = new Set<string>();
  const visit = async (name: string, neededBy: string) => {
    name = name.replaceAll("-", "_");
    if (visited.has(name) || builtin.has(name)) return;
    visited.add(name);
    const path = paths.get(name);
    if (path === undefined) {
      throw new GuestError(`${dir} has no uncompressed module ${name}, which ${neededBy} needs`);
    }
    const data = await Deno.readFile(path);
    const depends = moduleInfo(data, path).get("depends") ?? "";
    for (const other of depends.split(",")) if (other !== "") await visit(other, name);
    ordered.push({ name, data });
  };
  for (const name of wanted) await visit(name, "the initial RAM disk");
  return ordered;
}
