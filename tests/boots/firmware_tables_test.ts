/** SeaBIOS installs the board's tables where operating systems look for them, and counts its processors. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Machine } from "../../mod.ts";
import { seabios } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import { disk, namesItself } from "./programs.ts";

const BIOS_AREA = 0xe0000, BIOS_AREA_SIZE = 0x20000;

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const sum = (bytes: Uint8Array): number => bytes.reduce((a, b) => a + b, 0) & 0xff;

/** The guest's tables, read as an operating system reads them. */
class Reader {
  constructor(private readonly vm: Machine) {}

  bytes(address: number, length: number): Uint8Array<ArrayBuffer> {
    return this.vm.readMemory(address, length).slice();
  }
  view(address: number, length: number): DataView<ArrayBuffer> {
    return new DataView(this.bytes(address, length).buffer);
  }

  /** Address of what begins with `anchor` on a 16-byte boundary of the BIOS area and adds up to 0. */
  find(anchor: string, length: number): number {
    const area = this.bytes(BIOS_AREA, BIOS_AREA_SIZE);
    for (let at = 0; at < area.length; at += 16) {
      if (text(area.subarray(at, at + anchor.length)) !== anchor) continue;
      if (sum(area.subarray(at, at + length)) === 0) return BIOS_AREA + at;
    }
    throw new Error(`${anchor} is not in the BIOS area`);
  }

  /** An ACPI table, whose checksum is right. */
  table(address: number): { signature: string; address: number; length: number } {
    const length = this.view(address, 36).getUint32(4, true);
    const bytes = this.bytes(address, length);
    assertEquals(sum(bytes), 0);
    return { signature: text(bytes.subarray(0, 4)), address, length };
  }
}

guestTest(
  "SeaBIOS installs ACPI, SMBIOS and MP tables of a board with two processors",
  async () => {
    const { bios256k, vgaBios } = await seabios();
    const bytes = disk(namesItself("tables"));
    let log = "";
    await using vm = await Machine.create({
      memory: "32M",
      processors: 2,
      firmware: bios256k,
      optionRoms: [vgaBios],
      drives: [{ bytes }],
      devices: ["isa-debugcon,iobase=0x402"],
      debugcon: (byte) => log += String.fromCharCode(byte),
      limits: { within: "10s" },
    });
    await vm.serial.expect("tables");
    const reader = new Reader(vm);

    const rsdp = reader.find("RSD PTR ", 36);
    const xsdt = reader.table(Number(reader.view(rsdp, 36).getBigUint64(24, true)));
    const count = (xsdt.length - 36) / 8;
    const listed = Array.from({ length: count }, (_, i) => {
      const entry = reader.view(xsdt.address + 36 + 8 * i, 8);
      return reader.table(Number(entry.getBigUint64(0, true)));
    });
    assertEquals(listed.map(({ signature }) => signature), ["FACP", "APIC", "HPET", "WAET"]);
    const dsdt = reader.table(reader.view(listed[0].address, 244).getUint32(40, true));
    assertEquals(dsdt.signature, "DSDT");

    const smbios = reader.view(reader.find("_SM_", 0x1f), 0x1f);
    const structures = reader.bytes(
      smbios.getUint32(0x18, true),
      smbios.getUint16(0x16, true),
    );
    assert(text(structures).includes("i440FX"));

    // SeaBIOS writes the MP table itself, with the first processor of each package.
    const mp = reader.view(reader.find("_MP_", 16), 16).getUint32(4, true);
    const table = reader.bytes(mp, reader.view(mp, 8).getUint16(4, true));
    assertEquals([text(table.subarray(0, 4)), sum(table)], ["PCMP", 0]);
    // The second has answered its start-up message.
    assertStringIncludes(log, "Found 2 cpu(s)");
  },
);
