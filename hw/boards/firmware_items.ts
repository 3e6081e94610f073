/** What a board tells its firmware over fw_cfg: the items that SeaBIOS asks for. */
import {
  ACPI_RSDP_FILE,
  ACPI_TABLES_FILE,
  acpiLoaderScript,
  type AcpiTables,
  TABLE_LOADER_FILE,
} from "../acpi/tables.ts";
import { E820_RAM, encodeE820, ramPieces } from "../boot/e820.ts";
import type { NamedImage } from "../boot/plan.ts";
import { isDisplayRom } from "../firmware.ts";
import {
  FW_CFG_BOOT_MENU,
  FW_CFG_IRQ0_OVERRIDE,
  FW_CFG_MAX_CPUS,
  FW_CFG_NB_CPUS,
  FW_CFG_NOGRAPHIC,
  FW_CFG_RAM_SIZE,
  FW_CFG_UUID,
  type FwCfg,
} from "../fw_cfg.ts";
import { type Smbios, SMBIOS_ANCHOR_FILE, SMBIOS_TABLES_FILE } from "../smbios.ts";

/** What the items follow from. */
export interface FirmwareFacts {
  ramSize: number;
  acpi: AcpiTables;
  /** Option ROMs that belong to no PCI function. */
  optionRoms: readonly NamedImage[];
  /** Whether firmware waits for the key that calls its boot menu. */
  bootMenu: boolean;
  processors: number;
  smbios: Smbios;
}

/** Puts the items into the device. */
export function addFirmwareItems(
  fwCfg: FwCfg,
  { ramSize, acpi, optionRoms, bootMenu, processors, smbios }: FirmwareFacts,
): void {
  fwCfg.addItem(FW_CFG_UUID, new Uint8Array(16));
  fwCfg.addNumber(FW_CFG_RAM_SIZE, 8, ramSize);
  fwCfg.addNumber(FW_CFG_NOGRAPHIC, 2, 0);
  fwCfg.addNumber(FW_CFG_NB_CPUS, 2, processors);
  fwCfg.addNumber(FW_CFG_MAX_CPUS, 2, processors);
  fwCfg.addNumber(FW_CFG_BOOT_MENU, 2, bootMenu ? 1 : 0);
  fwCfg.addNumber(FW_CFG_IRQ0_OVERRIDE, 4, 1);
  fwCfg.addFile(
    "etc/e820",
    encodeE820(ramPieces(ramSize).map((piece) => ({ ...piece, type: E820_RAM }))),
  );
  fwCfg.addFile(ACPI_TABLES_FILE, acpi.tables);
  fwCfg.addFile(ACPI_RSDP_FILE, acpi.rsdp);
  fwCfg.addFile(TABLE_LOADER_FILE, acpiLoaderScript(acpi));
  fwCfg.addFile(SMBIOS_ANCHOR_FILE, smbios.anchor);
  fwCfg.addFile(SMBIOS_TABLES_FILE, smbios.tables);
  // Milliseconds until SeaBIOS starts anew when nothing boots; as QEMU has it, it never does.
  fwCfg.addFile("etc/boot-fail-wait", Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  optionRoms.forEach((rom, i) => {
    // Firmware runs display adapters' ROMs before all others.
    const directory = isDisplayRom(rom) ? "vgaroms" : "genroms";
    fwCfg.addFile(`${directory}/option${i}.rom`, rom.bytes);
  });
}
