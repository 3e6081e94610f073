import { assertEquals } from "@std/assert";
import { HostMemory } from "../../core/bus/host_memory.ts";
import { MemoryMap } from "../../core/bus/memory_map.ts";
import { PortMap } from "../../core/bus/port_map.ts";
import { FW_CFG_FILE_DIR, FwCfg } from "../fw_cfg.ts";
import { addFirmwareItems } from "./firmware_items.ts";

const ENTRY = 64;

/** The files that firmware finds, by name. */
function filesOf(fwCfg: FwCfg): Map<string, Uint8Array> {
  const ports = new PortMap();
  ports.claim("fw_cfg", 0x510, 2, fwCfg.ports, { sizes: [1, 2] });
  const read = (key: number, length: number) => {
    ports.write(0x510, 2, key);
    return Uint8Array.from({ length }, () => ports.read(0x511, 1));
  };
  const count = new DataView(read(FW_CFG_FILE_DIR, 4).buffer).getUint32(0);
  const directory = read(FW_CFG_FILE_DIR, 4 + count * ENTRY);
  const view = new DataView(directory.buffer);
  return new Map(Array.from({ length: count }, (_, i) => {
    const at = 4 + i * ENTRY;
    const name = new TextDecoder().decode(directory.subarray(at + 8, at + ENTRY)).split("\0")[0];
    return [name, read(view.getUint16(at + 4), view.getUint32(at))];
  }));
}

Deno.test("firmware is told to wait for ever when nothing boots", () => {
  const memory = new MemoryMap(new HostMemory(4096));
  const fwCfg = new FwCfg({ memory });
  const empty = new Uint8Array();
  addFirmwareItems(fwCfg, {
    ramSize: 2 ** 20,
    acpi: { tables: empty, rsdp: empty, pointers: [], checksums: [] },
    optionRoms: [],
    bootMenu: false,
    smbios: { anchor: empty, tables: empty },
    processors: 1,
  });
  assertEquals(filesOf(fwCfg).get("etc/boot-fail-wait"), Uint8Array.of(0xff, 0xff, 0xff, 0xff));
});
