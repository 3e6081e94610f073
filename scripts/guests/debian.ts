/**
 * Debian packages, fetched with the host's own apt and unpacked without being installed. The host's
 * configuration is not touched: lists, state and cache are private, and no root is needed.
 */
import { join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import { cachedDirectory, cacheRoot, withLock } from "./cache.ts";
import { Progress } from "./progress.ts";

/** A guest's file could not be had; the message says what else to do. */
export class GuestError extends Error {
  override name = "GuestError";
}

/** Options of {@linkcode fetchDebian}. */
export interface FetchOptions {
  /** Debian's name of the architecture; default `i386`. */
  arch?: string;
  /** Paths inside the package that must be there. */
  needs?: string[];
  /** For a metapackage: fetch the package whose name matches among those it depends on. */
  depends?: RegExp;
  /** What to pass instead on a host where this cannot work; ends the error message. */
  instead?: string;
}

interface Outcome {
  ok: boolean;
  stdout: string;
  stderr: string;
}

async function run(
  command: string,
  args: string[],
  options: { cwd?: string; config?: string } = {},
): Promise<Outcome> {
  const env: Record<string, string> = { LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
  if (options.config !== undefined) env.APT_CONFIG = options.config;
  const output = await new Deno.Command(command, {
    args,
    env,
    cwd: options.cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { ok: output.success, stdout: text(output.stdout), stderr: text(output.stderr) };
}

async function available(command: string): Promise<boolean> {
  try {
    return (await run(command, ["--version"])).ok;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What the host must have. */
const COMMANDS = ["apt-get", "apt-cache", "apt-config", "dpkg-deb"];

/** Whether this host has the commands that {@linkcode fetchDebian} uses. */
export async function canFetchDebian(): Promise<boolean> {
  for (const command of COMMANDS) if (!await available(command)) return false;
  return true;
}

/** Throws when the host cannot fetch the package `name`. */
async function requireCommands(name: string, instead: string | undefined): Promise<void> {
  for (const command of COMMANDS) {
    if (await available(command)) continue;
    const problem = `cannot fetch the Debian package ${name}: this host has no ${command}`;
    throw withInstead(problem, instead);
  }
}

function withInstead(problem: string, instead: string | undefined): GuestError {
  return new GuestError(instead === undefined ? problem : `${problem}\n${instead}`);
}

/** The bytes in all files below a directory that may be changing meanwhile. */
async function sizeOf(dir: string): Promise<number> {
  let size = 0;
  try {
    for await (const entry of Deno.readDir(dir)) {
      const path = join(dir, entry.name);
      if (entry.isDirectory) size += await sizeOf(path);
      else if (entry.isFile) size += (await Deno.stat(path)).size;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return size;
}

/** Shows `progress` grow with the bytes in `dirs` until `work` is done. */
async function watching<T>(progress: Progress, dirs: string[], work: Promise<T>): Promise<T> {
  const before = (await Promise.all(dirs.map(sizeOf))).reduce((a, b) => a + b, 0);
  let busy = false;
  const timer = setInterval(async () => {
    if (busy) return;
    busy = true;
    const sizes = await Promise.all(dirs.map(sizeOf));
    if (busy) progress.update(Math.max(0, sizes.reduce((a, b) => a + b, 0) - before));
    busy = false;
  }, 200);
  try {
    return await work;
  } finally {
    busy = true;
    clearInterval(timer);
  }
}

/** apt with directories and an architecture of its own. */
class Apt {
  private constructor(
    private readonly root: string,
    private readonly config: string,
    private readonly arch: string,
  ) {}

  static async open(arch: string): Promise<Apt> {
    const root = join(cacheRoot(), "apt", arch);
    await ensureDir(join(root, "state", "lists", "partial"));
    await ensureDir(join(root, "cache", "archives", "partial"));
    const status = join(root, "state", "status");
    if (!await exists(status)) await Deno.writeTextFile(status, "");
    // The system's hooks must not run for us, but its proxies and certificates hold for us too.
    const dump = await run("apt-config", ["dump"]);
    const acquire = dump.stdout.split("\n").filter((line) => /^Acquire::/.test(line));
    const config = join(root, "apt.conf");
    const quoted = (path: string) => JSON.stringify(path);
    await Deno.writeTextFile(
      config,
      [
        ...acquire,
        `Dir::Etc::Main "/dev/null";`,
        `Dir::Etc::Parts "/dev/null";`,
        `Dir::State ${quoted(join(root, "state"))};`,
        `Dir::State::lists ${quoted(join(root, "state", "lists"))};`,
        `Dir::State::status ${quoted(status)};`,
        `Dir::Cache ${quoted(join(root, "cache"))};`,
        `APT::Architecture ${quoted(arch)};`,
        `APT::Architectures { ${quoted(arch)}; };`,
        `APT::Sandbox::User "root";`,
        `Acquire::Languages "none";`,
        "",
      ].join("\n"),
    );
    return new Apt(root, config, arch);
  }

  private apt(command: string, args: string[], cwd?: string): Promise<Outcome> {
    return run(command, args, { config: this.config, cwd });
  }

  async update(): Promise<Outcome> {
    const progress = new Progress(`Fetching Debian's package lists for ${this.arch}`);
    const lists = join(this.root, "state", "lists");
    const outcome = await watching(progress, [lists], this.apt("apt-get", ["-q", "update"]));
    progress.done(outcome.ok ? "done" : "not all could be had; done");
    return outcome;
  }

  /** The record of the version that apt would install, or undefined. */
  async show(name: string): Promise<Map<string, string> | undefined> {
    const outcome = await this.apt("apt-cache", ["show", "--no-all-versions", name]);
    if (!outcome.ok || outcome.stdout.trim() === "") return undefined;
    const fields = new Map<string, string>();
    for (const line of outcome.stdout.split("\n\n")[0].split("\n")) {
      const match = /^([A-Za-z0-9-]+): (.*)$/.exec(line);
      if (match !== null) fields.set(match[1], match[2]);
    }
    return fields;
  }

  /** Downloads a package and all that it depends on into `dir`. */
  async downloadAll(name: string, dir: string): Promise<Outcome> {
    await ensureDir(join(dir, "partial"));
    const progress = new Progress(`Fetching ${name} (${this.arch}) and what it needs from Debian`);
    const outcome = await watching(
      progress,
      [dir],
      this.apt("apt-get", [
        ...["-q", "-y", "--no-install-recommends", "--download-only"],
        ...["-o", `Dir::Cache::archives=${dir}`, "install", name],
      ]),
    );
    progress.done(outcome.ok ? "done" : "failed");
    return outcome;
  }

  /** The archives' addresses and releases, each as `URI CODENAME COMPONENT ORIGIN`. */
  async targets(): Promise<string[]> {
    const format = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)";
    const { stdout } = await this.apt("apt-get", [
      "indextargets",
      "Created-By: Packages",
      "--format",
      format,
    ]);
    return stdout.trim().split("\n");
  }

  /** Downloads into `dir` and returns the file's path. */
  async download(record: Map<string, string>, dir: string): Promise<Outcome & { path?: string }> {
    const name = record.get("Package")!;
    const progress = new Progress(
      `Fetching ${name} ${record.get("Version")} (${this.arch}) from Debian`,
      { total: Number(record.get("Size")) },
    );
    const outcome = await watching(
      progress,
      [dir, join(this.root, "cache", "archives")],
      this.apt("apt-get", ["-q", "download", name], dir),
    );
    progress.done(outcome.ok ? "done" : "failed");
    if (!outcome.ok) return outcome;
    for await (const entry of Deno.readDir(dir)) {
      if (entry.name.endsWith(".deb")) return { ...outcome, path: join(dir, entry.name) };
    }
    return { ...outcome, ok: false, stderr: `apt-get download left no package in ${dir}` };
  }
}

/** Unpacks a package file into `root`. */
async function unpack(file: string, root: string): Promise<void> {
  const unpacked = await run("dpkg-deb", ["-x", file, root]);
  if (!unpacked.ok) {
    throw new GuestError(`dpkg-deb cannot unpack ${file}: ${unpacked.stderr.trim()}`);
  }
}

/** What {@linkcode fetchDebian} found. */
export interface DebianPackage {
  /** The package that was unpacked: for a metapackage, the one it led to. */
  name: string;
  version: string;
  /** The directory that stands for `/`. */
  root: string;
}

async function find(
  apt: Apt,
  name: string,
  depends: RegExp | undefined,
): Promise<Map<string, string> | undefined> {
  const record = await apt.show(name);
  if (record === undefined || depends === undefined) return record;
  const wanted = (record.get("Depends") ?? "").split(/[,|]/).map((d) => d.trim().split(" ")[0])
    .find((d) => depends.test(d));
  return wanted === undefined ? undefined : await apt.show(wanted);
}

/** Downloads and unpacks a package into `dir`; returns its record. One at a time for an architecture. */
async function download(
  name: string,
  dir: string,
  options: { arch: string; depends: RegExp | undefined; instead: string | undefined },
): Promise<Map<string, string>> {
  const { arch, depends, instead } = options;
  const apt = await Apt.open(arch);
  let record = await find(apt, name, depends);
  let update: Outcome | undefined;
  if (record === undefined) {
    update = await apt.update();
    record = await find(apt, name, depends);
  }
  if (record === undefined) {
    const complaint = update!.ok ? "" : `; apt-get update said:\n${update!.stderr.trim()}`;
    throw withInstead(
      `the archives in this host's apt sources have no ${name} for ${arch}${complaint}`,
      instead,
    );
  }
  let outcome = await apt.download(record, dir);
  if (!outcome.ok && update === undefined) {
    // Lists from another day may name versions that the archive has replaced since.
    await apt.update();
    record = await find(apt, name, depends) ?? record;
    outcome = await apt.download(record, dir);
  }
  if (outcome.path === undefined) {
    throw withInstead(
      `apt-get download ${record.get("Package")} failed:\n${outcome.stderr.trim()}`,
      instead,
    );
  }
  await unpack(outcome.path, join(dir, "root"));
  await Deno.remove(outcome.path);
  return record;
}

/**
 * Fetches a Debian package into the cache and unpacks it there; later calls find it there and need no
 * network. Says on standard error what it fetches.
 *
 * @throws {GuestError} when the host has no apt, or its Debian archives do not have the package
 */
export async function fetchDebian(
  name: string,
  options: FetchOptions = {},
): Promise<DebianPackage> {
  const { arch = "i386", needs = [], depends, instead } = options;
  const key = `debian/${arch}/${name}`;
  const dir = await cachedDirectory(
    key,
    ["package.json", ...needs.map((path) => join("root", path))],
    async (fresh) => {
      await requireCommands(name, instead);
      const record = await withLock(
        `apt/${arch}`,
        () => download(name, fresh, { arch, depends, instead }),
      );
      await Deno.writeTextFile(
        join(fresh, "package.json"),
        JSON.stringify({ name: record.get("Package"), version: record.get("Version") }) + "\n",
      );
    },
  );
  const info = JSON.parse(await Deno.readTextFile(join(dir, "package.json")));
  return { name: info.name, version: info.version, root: join(dir, "root") };
}

/**
 * Fetches a Debian package with all packages that it depends on into the cache, unpacked into one directory
 * that stands for `/`; returns that. Programs in it run by the dynamic loader that is among them.
 *
 * @throws {GuestError} when the host has no apt, or its Debian archives do not have the packages
 */
export async function fetchDebianTree(
  name: string,
  options: Omit<FetchOptions, "depends"> = {},
): Promise<string> {
  const { arch = "i386", needs = [], instead } = options;
  return await cachedDirectory(`debian-tree/${arch}/${name}`, needs, async (fresh) => {
    await requireCommands(name, instead);
    await withLock(`apt/${arch}`, async () => {
      const apt = await Apt.open(arch), archives = join(fresh, ".archives");
      let outcome = await apt.downloadAll(name, archives);
      if (!outcome.ok) {
        // There are no lists yet, or they are from another day.
        await apt.update();
        outcome = await apt.downloadAll(name, archives);
      }
      if (!outcome.ok) {
        throw withInstead(`apt-get cannot fetch ${name}:\n${outcome.stderr.trim()}`, instead);
      }
      for await (const { name: file } of Deno.readDir(archives)) {
        if (file.endsWith(".deb")) await unpack(join(archives, file), fresh);
      }
      await Deno.remove(archives, { recursive: true });
    });
  });
}

/**
 * The archive that the host's own apt fetches Debian's stable packages from, without updates.
 *
 * @throws {GuestError} on a host without apt, or whose apt knows no Debian
 */
export async function debianArchive(arch: string): Promise<{ uri: string; suite: string }> {
  // Whatever has been fetched, the lists are there.
  await fetchDebian("busybox-static", { arch });
  const apt = await Apt.open(arch);
  for (const target of await apt.targets()) {
    const [uri, suite, component, origin] = target.split(" ");
    if (origin === "Debian" && component === "main" && /^[a-z]+$/.test(suite)) {
      return { uri, suite };
    }
  }
  throw new GuestError(`this host's apt sources name no Debian archive with packages for ${arch}`);
}
