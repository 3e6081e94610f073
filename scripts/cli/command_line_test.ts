import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type Configuration, parseCommandLine, usage } from "./command_line.ts";
import { Suboptions, UsageError } from "./suboptions.ts";

function parse(...args: string[]): Configuration {
  const command = parseCommandLine(args);
  if ("print" in command) throw new Error(`printed ${command.print}`);
  return command.run;
}

function printed(...args: string[]): string {
  const command = parseCommandLine(args);
  if ("run" in command) throw new Error("printed nothing");
  return command.print;
}

function refused(args: string[], message: string): void {
  const error = assertThrows(() => parseCommandLine(args), UsageError);
  assertEquals(error.message, message);
}

Deno.test("a command line without options asks for the default machine", () => {
  assertEquals(parse(), {
    memory: 128 * 2 ** 20,
    cpu: "max",
    accel: "jit",
    drives: [],
    flash: [],
    serial: [],
    nographic: false,
    devices: [],
    noReboot: false,
    log: [],
  });
});

Deno.test("options are taken with one dash or two", () => {
  const config = parse("-kernel", "a", "--initrd", "b", "--append", "c d", "-nographic");
  assertEquals([config.kernel, config.initrd, config.append], ["a", "b", "c d"]);
  assertEquals(config.nographic, true);
  assertEquals(config.serial, [{ kind: "stdio" }]);
});

Deno.test("memory sizes have QEMU's suffixes and are MiB without", () => {
  assertEquals(parse("-m", "64").memory, 64 * 2 ** 20);
  assertEquals(parse("-m", "1G").memory, 2 ** 30);
  assertEquals(parse("-m", "size=512M").memory, 512 * 2 ** 20);
  refused(["-m", "lots"], `-m: "lots" is no size (like 128, 512M or 1G)`);
});

Deno.test("processor models are checked with their features", () => {
  assertEquals(parse("-cpu", "pentium3,+sse2,-mtrr").cpu, "pentium3,+sse2,-mtrr");
  const refusal = (model: string) =>
    assertThrows(() => parseCommandLine(["-cpu", model]), UsageError).message;
  assertStringIncludes(
    refusal("pentum"),
    `-cpu: unknown CPU model "pentum" (did you mean "pentium"?)`,
  );
  assertStringIncludes(
    refusal("486,+ss3"),
    `-cpu: unknown CPU feature "ss3" (did you mean "sse"?)`,
  );
});

Deno.test("processors are counted, or factored as QEMU's users do", () => {
  const count = (value: string) => parse("-smp", value).processors;
  assertEquals([count("1"), count("4"), count("cpus=16")], [1, 4, 16]);
  assertEquals([count("sockets=2,cores=2"), count("8,sockets=2,cores=2,threads=2")], [4, 8]);
  assertEquals([count("4,cores=2"), count("4,maxcpus=4"), count("maxcpus=2")], [4, 4, 2]);
});

Deno.test("drives keep their index, or leave the choice to the board", () => {
  const { drives } = parse(
    "-drive",
    "file=x.img,format=raw,if=ide",
    "-cdrom",
    "y.iso",
    "-hda",
    "z.img",
    "-drive",
    "file=w,,1.img,snapshot=on,index=3",
  );
  assertEquals(drives.map((d) => [d.index, d.file, d.media, d.readOnly, d.snapshot]), [
    [-1, "x.img", "disk", false, false],
    [2, "y.iso", "cdrom", true, false],
    [0, "z.img", "disk", false, false],
    [3, "w,1.img", "disk", false, true],
  ]);
  assertEquals(parse("disk.img", "-snapshot").drives[0].snapshot, true);
  assertEquals(parse("-drive", "file=a,bus=1,unit=1").drives[0].index, 3);
});

Deno.test("drive suboptions are checked", () => {
  refused(
    ["-drive", "fiel=a"],
    `-drive: unknown suboption "fiel" (did you mean "file"?)`,
  );
  refused(["-drive", "index=1"], `-drive: file=FILE is missing`);
  refused(
    ["-drive", "file=a,redonly=on"],
    `-drive: unknown suboption "redonly" (did you mean "readonly"?)`,
  );
  refused(
    ["-drive", "file=a,format=qcow3"],
    `-drive: unknown format "qcow3"; there is raw`,
  );
  refused(["-drive", "file=a,readonly=maybe"], `-drive: readonly is on or off, not "maybe"`);
  refused(
    ["-drive", "file=a,index=4"],
    `-drive: index is a whole number from 0 to 3, not "4"`,
  );
  refused(["-hda", "a", "-hda", "b"], "-hda: there is a drive at index 0 already");
  assertEquals(
    parse("-drive", "file=a,if=none,id=x", "-device", "ide-hd,drive=x").drives[0].id,
    "x",
  );
  refused(
    ["-drive", "file=a,if=none,id=y", "-device", "ide-hd,drive=x"],
    "-drive: a has if=none, and no -device has drive=y",
  );
  refused(["-hda", ""], "-hda: the file's name is empty");
});

Deno.test("serial ports go where QEMU's syntax says", () => {
  const { serial } = parse(
    "-serial",
    "file:/tmp/a b",
    "-serial",
    "null",
    "-serial",
    "tcp:localhost:4444,server,nowait",
    "-serial",
    "unix:/tmp/s,server=on,wait=off",
  );
  assertEquals(serial, [
    { kind: "file", path: "/tmp/a b", append: false },
    { kind: "null" },
    { kind: "tcp", host: "localhost", port: 4444, server: true, wait: false },
    { kind: "unix", path: "/tmp/s", server: true, wait: false },
  ]);
  refused(
    ["-serial", "stdoi"],
    `-serial: unknown kind of character device "stdoi" (did you mean "stdio"?); there is stdio, file, null, none, tcp, unix`,
  );
  refused(["-serial", "tcp:nowhere"], `-serial: "nowhere" is no HOST:PORT`);
  refused(["-serial", "file:"], `-serial: file needs an argument: file:PATH`);
  refused(
    ["-serial", "stdio", "-debugcon", "stdio"],
    "stdio can be given to one port only",
  );
});

Deno.test("devices and their properties are checked", () => {
  const { devices } = parse("-device", "isa-debug-exit,iobase=0xf4,iosize=4");
  assertEquals(devices, [{
    driver: "isa-debug-exit",
    properties: [["iobase", "0xf4"], ["iosize", "4"]],
  }]);
  refused(
    ["-device", "isa-debugexit"],
    `-device: there is no device "isa-debugexit" (did you mean "isa-debug-exit"?); -device help lists them`,
  );
  refused(
    ["-device", "isa-debug-exit,iobas=1"],
    `-device: isa-debug-exit has no property "iobas" (did you mean "iobase"?); it has iobase, iosize`,
  );
});

Deno.test("help as a value lists what there is", () => {
  assertStringIncludes(printed("-cpu", "help"), "pentium3");
  assertStringIncludes(printed("-device", "help"), "isa-debug-exit");
  assertStringIncludes(printed("-device", "isa-debug-exit,help"), "iosize");
  assertStringIncludes(printed("-machine", "help"), "pc");
  assertStringIncludes(printed("-M", "help"), "pc");
  assertStringIncludes(printed("-accel", "help"), "interp");
  assertStringIncludes(printed("-d", "help"), "exec");
  assertEquals(printed("--version"), "version");
});

Deno.test("-d takes the items that there are, those of translated code with its engine only", () => {
  assertEquals(parse("-d", "exec,cpu").log, ["exec", "cpu"]);
  assertEquals(parse("-accel", "jit", "-d", "in_asm,out_js,stats").log, [
    "in_asm",
    "out_js",
    "stats",
  ]);
  const all = "there is cpu, exec, in_asm, op, out_js, stats";
  refused(["-d", "int"], `-d: unknown log item "int"; ${all}`);
  refused(["-d", "in_asmm"], `-d: unknown log item "in_asmm" (did you mean "in_asm"?); ${all}`);
  const wrong = "the engine interp translates nothing: add -accel jit";
  refused(["-accel", "interp", "-d", "exec,op"], `-d op: ${wrong}`);
  refused(["-accel", "interp", "-d", "stats"], `-d stats: ${wrong}`);
});

Deno.test("the help names every option of QEMU's that is taken", () => {
  const text = printed("--help");
  assertEquals(text, usage());
  const names =
    "m cpu accel kernel initrd append bios hda hdb cdrom drive boot serial nographic display device no-reboot snapshot icount d D version help";
  for (const name of names.split(" ")) {
    assertEquals(new RegExp(`^  (-\\w+, )?-${name}\\b`, "m").test(text), true, name);
  }
});

Deno.test("unknown options name the nearest right one", () => {
  refused(["-kernal", "x"], `unknown option -kernal (did you mean "-kernel"?)`);
  refused(["--no-rebot"], `unknown option --no-rebot (did you mean "--no-reboot"?)`);
  refused(["-xyzzy"], `unknown option -xyzzy; -help lists what there is`);
  refused(["-kernel"], `-kernel needs an argument: FILE`);
});

Deno.test("other options are checked where they are read", () => {
  assertEquals(parse("-icount", "shift=3").icountShift, 3);
  const { icountShift, sleep } = parse("-icount", "5,sleep=off");
  assertEquals([icountShift, sleep], [5, false]);
  refused(["-icount", "auto"], `-icount: shift is a whole number from 0 to 10, not "auto"`);
  assertEquals(parse("-boot", "order=dc").bootOrder, "dc");
  assertEquals(parse("-boot", "d").bootOrder, "d");
  assertEquals(parse("-boot", "menu=on").bootMenu, true);
  assertEquals(parse("-boot", "d,menu=on").bootOrder, "d");
  assertThrows(() => parse("-boot", "x"), UsageError, `-boot: unknown boot device "x"; there is`);
  assertEquals(parse("-rtc", "base=utc").rtc, "utc");
  assertEquals(parse("-rtc", "base=2026-01-31T12:00:00").rtc, new Date("2026-01-31T12:00:00Z"));
  refused(
    ["-rtc", "base=tomorrow"],
    `-rtc: "tomorrow" is not utc, localtime or a date like 2026-01-31T12:00:00`,
  );
  refused(["-smp", "17"], '-smp: cpus is a whole number from 1 to 16, not "17"');
  refused(["-smp", "0"], '-smp: cpus is a whole number from 1 to 16, not "0"');
  refused(
    ["-smp", "3,cores=2"],
    "-smp: cores=2 is 2, which does not make 3 processors",
  );
  refused(
    ["-smp", "sockets=8,cores=4"],
    "-smp: sockets=8 × cores=4 is 32; the machine has at most 16 processors",
  );
  refused(
    ["-smp", "2,maxcpus=4"],
    "-smp: maxcpus=4 is not 2: processors cannot be added to a running machine",
  );
  refused(["-smp", "4,core=2"], '-smp: unknown suboption "core" (did you mean "cores"?)');
  refused(["-display", "gtk"], `-display: unknown value "gtk"; there is none`);
  refused(
    ["-accel", "interpreter"],
    `-accel: unknown engine "interpreter"; there is jit, interp`,
  );
  refused(["-append", "x"], "-append needs a kernel: add -kernel FILE");
  refused(["-initrd", "x"], "-initrd needs a kernel: add -kernel FILE");
});

Deno.test("a doubled comma is a comma in a suboption", () => {
  const suboptions = new Suboptions("-x", "file=a,,b,flag", "first");
  assertEquals(suboptions.take("file"), "a,b");
  assertEquals(suboptions.takeBoolean("flag"), true);
  suboptions.finish([]);
});

Deno.test("flash chips are drives on if=pflash, or short -pflash", () => {
  const code = "if=pflash,format=raw,unit=0,file=CODE.fd,readonly=on";
  assertEquals(parse("-drive", code, "-drive", "if=pflash,unit=1,file=vars.fd").flash, [
    { file: "CODE.fd", unit: 0, readOnly: true, snapshot: false },
    { file: "vars.fd", unit: 1, readOnly: false, snapshot: false },
  ]);
  assertEquals(parse("-pflash", "a.fd", "-drive", "if=pflash,index=1,file=b", "-snapshot").flash, [
    { file: "a.fd", readOnly: false, snapshot: true },
    { file: "b", unit: 1, readOnly: false, snapshot: true },
  ]);
  refused(["-drive", "if=pflash"], "-drive: file=FILE is missing");
  refused(
    ["-drive", "if=pflash,file=a,media=disk"],
    '-drive: unknown suboption "media"',
  );
  refused(
    ["-drive", "if=pflash,file=a,unit=2"],
    '-drive: unit is a whole number from 0 to 1, not "2"',
  );
  refused(["-pflash", "a", "-pflash", "b", "-pflash", "c"], "-pflash: the board has 2 flash chips");
  refused(
    ["-drive", "if=pflash,file=a,unit=1", "-drive", "if=pflash,file=b,unit=1"],
    "-drive: there is a flash chip as unit 1 already",
  );
  refused(
    ["-bios", "a", "-pflash", "b"],
    "-bios and flash chips make no sense together: the machine starts from one of them",
  );
});

Deno.test("the HPET can be left out, in QEMU's two ways", () => {
  assertEquals(parse().hpet, undefined);
  assertEquals(parse("-no-hpet").hpet, false);
  assertEquals(parse("-machine", "pc,hpet=off").hpet, false);
  assertEquals(parse("-M", "hpet=on").hpet, true);
  refused(["-M", "pc,hpet=maybe"], '-M: hpet is on or off, not "maybe"');
});

Deno.test("QEMU's -vga, -name and mon: are understood", () => {
  assertEquals(parse().vga, undefined);
  assertEquals(parse("-vga", "none", "-name", "guest").vga, "none");
  refused(["-vga", "cirrus"], '-vga: unknown display adapter "cirrus"; there is std, none');
  assertEquals(parse("-serial", "mon:stdio").serial, [{ kind: "stdio" }]);
});
