import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { GuestError } from "./debian.ts";
import { linuxKernel } from "./guests.ts";
import { buildInitramfs } from "./initramfs.ts";
import { loadModules, moduleInfo } from "./modules.ts";
import { guestTest } from "./testing.ts";

Deno.test("buildInitramfs gives the same bytes whatever the order of its files", () => {
  const busybox = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);
  const one = buildInitramfs({ busybox, files: { "/a/b/c": "1", "/a/d": "2" } });
  const two = buildInitramfs({ busybox, files: { "/a/d": "2", "/a/b/c": "1" } });
  assertEquals(one, two);
  assertStringIncludes(new TextDecoder().decode(one), "a/b/c\0");
});

Deno.test("moduleInfo refuses what is no module", () => {
  assertThrows(() => moduleInfo(new Uint8Array(10), "x.ko"), GuestError, "no ELF header");
  const truncated = new Uint8Array(64);
  truncated.set([0x7f, 0x45, 0x4c, 0x46, 1]);
  truncated[0x2e] = 40;
  truncated[0x30] = 200;
  assertThrows(() => moduleInfo(truncated, "x.ko"), GuestError, "truncated");
});

guestTest("loadModules puts what a module needs before it", async () => {
  const { modules } = await linuxKernel("i386");
  const names = (await loadModules(modules, ["ata_piix", "sd_mod"])).map(({ name }) => name);
  assertEquals(names.length, new Set(names).size);
  for (
    const [first, then] of [["scsi_mod", "libata"], ["libata", "ata_piix"], ["scsi_mod", "sd_mod"]]
  ) {
    assertEquals(names.includes(first) && names.indexOf(first) < names.indexOf(then), true);
  }
});
