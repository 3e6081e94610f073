/** Drives, memory sizes, processors and devices that there cannot be. */
import { Machine } from "../../mod.ts";
import { assertEquals } from "@std/assert";
import { compy, withDirectory } from "./command.ts";
import { multiboot } from "./images.ts";
import { type Refusal, refusalTest } from "./refusals.ts";

const KERNEL = multiboot([0xfa, 0xf4]); // cli; hlt

/** A drive that is refused as an option and as `-hda`. */
function drive(what: string, files: Record<string, Uint8Array>, path: string, message: string) {
  return {
    what,
    files: { kernel: KERNEL, ...files },
    options: { kernel: "@kernel", drives: [path] },
    args: ["-kernel", "@kernel", "-hda", path],
    message: [`${path}: ${message}`],
  };
}

refusalTest("A drive without a usable image is refused", [
  drive("an image that is not there", {}, "@disk.img", "there is no such file"),
  drive("an image in a directory that is not there", {}, "@none/disk.img", "there is no such file"),
  drive("an empty image", { "disk.img": new Uint8Array() }, "@disk.img", "has no bytes"),
  drive("a directory", {}, "@", "is a directory"),
  drive("a device that is no disk", {}, "/dev/null", "is neither a file nor a block device"),
  {
    what: "a CD image that is not there",
    files: { kernel: KERNEL },
    options: { kernel: "@kernel", drives: [{ file: "@cd.iso", media: "cdrom" }] },
    args: ["-kernel", "@kernel", "-cdrom", "@cd.iso"],
    message: ["@cd.iso: there is no such file"],
  },
  {
    what: "an empty CD image",
    files: { kernel: KERNEL, "cd.iso": new Uint8Array() },
    options: { kernel: "@kernel", drives: ["@cd.iso"] },
    args: ["-kernel", "@kernel", "-cdrom", "@cd.iso"],
    message: ["@cd.iso: has no bytes"],
  },
  {
    what: "the second of two drives, when the first is good",
    files: { kernel: KERNEL, good: new Uint8Array(512) },
    options: { kernel: "@kernel", drives: ["@good", "@bad"] },
    args: ["-kernel", "@kernel", "-hda", "@good", "-hdb", "@bad"],
    message: ["@bad: there is no such file"],
  },
  {
    what: "two drives in one place",
    files: { kernel: KERNEL, a: new Uint8Array(512), b: new Uint8Array(512) },
    options: { kernel: "@kernel", drives: [{ file: "@a", index: 1 }, { file: "@b", index: 1 }] },
    message: ["drive @b at index 1: @a is there already"],
  },
  {
    what: "an image in memory without bytes",
    options: { kernel: KERNEL, drives: [{ bytes: new Uint8Array() }] },
    message: ["has no bytes"],
  },
]);

/** An option of the machine, and of the command, that is refused. */
function option(
  what: string,
  options: Record<string, unknown> | undefined,
  args: string[] | undefined,
  ...message: string[]
): Refusal {
  return {
    what,
    files: { kernel: KERNEL },
    options: options && { kernel: "@kernel", ...options },
    args: args && ["-kernel", "@kernel", ...args],
    message,
  };
}

refusalTest("A memory size out of range is refused", [
  option("none", { memory: 0 }, ["-m", "0"], "memory of 0 MiB is out of range", "1 MiB to"),
  option("too little", { memory: "64K" }, ["-m", "64K"], "memory of 0.0625 MiB is out of range"),
  option("too much", { memory: "5G" }, ["-m", "5G"], "memory of 5120 MiB is out of range"),
  option("absurdly much", { memory: 2 ** 53 }, undefined, "is out of range"),
  option("not whole pages", { memory: 1048577 }, undefined, "not a multiple of 64 KiB"),
  option("negative", { memory: -1 }, undefined, "memory of -1 bytes is out of range"),
  option("no number", { memory: NaN }, undefined, "memory of NaN bytes is out of range"),
  option("no size", { memory: "lots" }, undefined, 'memory: "lots" is not a size'),
  option("no size, for the command", undefined, ["-m", "lots"], "-m", "lots"),
  option("an unknown unit", undefined, ["-m", "5Q"], "-m", "5Q"),
]);

refusalTest("An unknown processor, device, property, board or engine is refused with the nearest", [
  option("model", { cpu: "pentum" }, ["-cpu", "pentum"], "pentum", 'did you mean "pentium"?'),
  option("feature", { cpu: "max,-see2" }, ["-cpu", "max,-see2"], 'did you mean "sse2"?'),
  option("feature without sign", { cpu: "max,sse" }, ["-cpu", "max,sse"], '"sse"'),
  option(
    "device",
    { devices: ["isa-debug-exti"] },
    ["-device", "isa-debug-exti"],
    'did you mean "isa-debug-exit"?',
  ),
  option(
    "property",
    { devices: ["isa-debug-exit,iobas=1"] },
    ["-device", "isa-debug-exit,iobas=1"],
    "iobas",
    'did you mean "iobase"?',
  ),
  option(
    "value of a property",
    { devices: ["isa-debug-exit,iobase=high"] },
    ["-device", "isa-debug-exit,iobase=high"],
    'iobase "high" is not an integer',
  ),
  option(
    "drive of a device",
    { devices: ["ide-hd,drive=d0"] },
    ["-device", "ide-hd,drive=d0"],
    "d0",
  ),
  option("board", { board: "q35" }, ["-M", "q35"], "q35"),
  option("engine", { accel: "interpr" }, ["-accel", "interpr"], 'did you mean "interp"?'),
  option("boot device", { bootOrder: "cx" }, ["-boot", "cx"], '"x"'),
  option("option", { memry: 5 }, ["-memry", "5"], "memry"),
  option("option with two dashes", undefined, ["--kernle", "x"], 'did you mean "--kernel"?'),
  option(
    "a kind of drive",
    { drives: [{ bytes: KERNEL, media: "floppy" }] },
    [
      ...["-drive", "file=@kernel,media=floppy"],
    ],
    "floppy",
    "disk, cdrom",
  ),
  option(
    "a suboption",
    { drives: [{ bytes: KERNEL, indx: 1 }] },
    [
      ...["-drive", "file=@kernel,indx=1"],
    ],
    "indx",
    'did you mean "index"?',
  ),
  option("a format of images", undefined, ["-drive", "file=@kernel,format=qcow"], "qcow", "raw"),
  option(
    "a place for drives",
    { drives: [{ bytes: KERNEL, index: 4 }] },
    [
      ...["-drive", "file=@kernel,index=4"],
    ],
    "4",
    "3",
  ),
  option("a serial port", undefined, ["-serial", "pipe:x"], "pipe"),
]);

Deno.test("The command refuses an option whose value is missing", async () => {
  const { code, stdout, stderr } = await compy("-hda");
  assertEquals([code, stdout, stderr], [1, "", "compy: -hda needs an argument: FILE\n"]);
});

Deno.test("A machine that is refused closes the images that it had opened", () =>
  withDirectory(async (dir) => {
    const file = `${dir}/disk.img`;
    await Deno.writeFile(file, new Uint8Array(512));
    // More often than there are file descriptors.
    for (let i = 0; i < 2000; i++) {
      await Machine.create({ kernel: KERNEL, drives: [file], memory: 1 }).then(
        () => Promise.reject(new Error("it was made")),
        (error) => assertEquals(error.name, "MemorySizeError"),
      );
    }
  }));
