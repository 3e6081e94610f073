import { assertEquals, assertThrows } from "@std/assert";
import { parseBootOptions } from "./boot_options.ts";

Deno.test("parseBootOptions takes files and a command line, with one dash or two", () => {
  assertEquals(parseBootOptions([]), {
    arch: "i386",
    flavour: "686",
    append: "console=ttyS0",
    cpu: "max",
    smp: 1,
    memory: "128M",
    help: false,
  });
  assertEquals(
    parseBootOptions(["--kernel", "k", "-initrd", "i", "--append=a b=c", "--cpu", "486"]),
    {
      arch: "i386",
      flavour: "686",
      kernel: "k",
      initrd: "i",
      append: "a b=c",
      cpu: "486",
      smp: 1,
      memory: "128M",
      help: false,
    },
  );
  assertEquals(parseBootOptions(["--help"]).help, true);
});

Deno.test("parseBootOptions gives a 64-bit guest a 64-bit processor unless told otherwise", () => {
  const chosen = (...args: string[]) => {
    const { arch, cpu } = parseBootOptions(args);
    return [arch, cpu];
  };
  assertEquals(chosen("--arch", "amd64"), ["amd64", "max"]);
  assertEquals(chosen("--arch=amd64", "--cpu", "qemu64,-nx"), ["amd64", "qemu64,-nx"]);
  assertEquals(chosen("--cpu", "qemu64", "--arch", "i386"), ["i386", "qemu64"]);
});

Deno.test("parseBootOptions takes a number of processors and a size of memory", () => {
  const { smp, memory } = parseBootOptions(["--smp", "4", "--memory=1G"]);
  assertEquals([smp, memory], [4, "1G"]);
  const refused = (...args: string[]) => assertThrows(() => parseBootOptions(args)).message;
  for (const smp of ["0", "17", "two", "1.5"]) {
    assertEquals(
      refused("--smp", smp),
      `--smp takes a whole number from 1 to 16, not ${smp}`,
    );
  }
  assertEquals(
    refused("--memory", "128"),
    "--memory takes a size with its unit, such as 512M or 1G, not 128",
  );
});

Deno.test("parseBootOptions takes a kernel's flavour that the architecture has", () => {
  const chosen = (...args: string[]) => parseBootOptions(args).flavour;
  assertEquals(chosen("--arch", "amd64"), "amd64");
  assertEquals(chosen("--flavour", "686-pae"), "686-pae");
  assertEquals(
    assertThrows(() => chosen("--flavour", "686-pae", "--arch", "amd64")).message,
    "no kernel 686-pae for amd64; there is amd64",
  );
});

Deno.test("parseBootOptions names the nearest right option", () => {
  const refused = (...args: string[]) => assertThrows(() => parseBootOptions(args)).message;
  assertEquals(refused("--kernal", "k"), `unknown option --kernal (did you mean "--kernel"?)`);
  assertEquals(refused("vmlinuz"), "unknown option vmlinuz; --help lists what there is");
  assertEquals(refused("--append"), "--append needs an argument");
  assertEquals(
    refused("--arch", "amd46"),
    `no guest for the architecture amd46 (did you mean "amd64"?)`,
  );
  assertEquals(
    refused("--arch", "sparc"),
    "no guest for the architecture sparc; there are i386 and amd64",
  );
});
