import { assertEquals, assertThrows } from "@std/assert";
import { MemoryDevice } from "../../core/block/memory_device.ts";
import { FirmwareError } from "../boot/image_error.ts";
import { BoardError } from "./errors.ts";
import { type PcFlash, placeFlash } from "./flash.ts";

const chip = (size: number, unit?: number, source = "x.fd"): PcFlash => ({
  block: Object.assign(new MemoryDevice(new Uint8Array(size)), { source }),
  unit,
});

Deno.test("flash chips take the units they ask for, and the others what is left", () => {
  const [code, vars] = [chip(0x20000), chip(0x10000)];
  assertEquals(placeFlash([code, vars]), [code.block, vars.block]);
  const second = { ...vars, unit: 0 };
  assertEquals(placeFlash([code, second]), [vars.block, code.block]);
  assertEquals(placeFlash([]), []);
});

Deno.test("units that are taken, out of range, missing or too many are refused", () => {
  const refused = (message: string, ...flash: PcFlash[]) =>
    assertThrows(() => placeFlash(flash), BoardError, message);
  refused("x.fd is unit 2: give 0 or 1", chip(4096, 2));
  refused(
    "b.fd cannot be unit 0: a.fd is there already",
    chip(4096, 0, "a.fd"),
    chip(4096, 0, "b.fd"),
  );
  refused("no place for x.fd", chip(4096), chip(4096), chip(4096));
  refused("there is no unit 0 to start from", chip(4096, 1));
});

Deno.test("flash of a size that chips cannot have is refused, naming the file", () => {
  const refused = (message: string, ...flash: PcFlash[]) =>
    assertThrows(() => placeFlash(flash), FirmwareError, message);
  refused("x.fd: it has 4608 bytes; a flash chip has whole blocks of 4096", chip(4608));
  refused("b.fd: with it the flash chips have 8392704 bytes", chip(8 << 20), chip(4096, 1, "b.fd"));
});
