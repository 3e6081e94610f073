import { assert, assertEquals } from "@std/assert";
import { acpiLoaderScript, type AcpiOptions, buildAcpiTables, linkAcpiTables } from "./tables.ts";

const OPTIONS: AcpiOptions = {
  isaBridge: 0x10000,
  southBridgeSlot: 1,
  serial: [{ base: 0x3f8, irq: 4 }, { base: 0x2f8, irq: 3 }],
  pciMemory: { first: 0x80000000, last: 0xfebfffff },
  pmBase: 0x600,
  smbusBase: 0x700,
  pmPorts: [[0xafe0, 4]],
  smiCommand: 0xb2,
  acpiEnable: 0xf1,
  acpiDisable: 0xf0,
  sciInterrupt: 9,
  pciInterrupts: [5, 10, 11],
  resetPort: 0xcf9,
  resetValue: 6,
  gpeBase: 0xafe0,
  gpeLength: 4,
  timerInput: 2,
  processors: 2,
  localApics: true,
  hpet: true,
};
const BASE = 0xe0000;

function sum(bytes: Uint8Array): number {
  return bytes.reduce((a, b) => a + b, 0) & 0xff;
}

/** The linked tables as an operating system walks them. */
function walk(options: Partial<AcpiOptions> = {}) {
  const { tables, rsdp } = linkAcpiTables(buildAcpiTables({ ...OPTIONS, ...options }), BASE);
  const root = new DataView(rsdp.buffer);
  const view = new DataView(tables.buffer);
  const table = (address: number) => {
    const at = address - BASE;
    const length = view.getUint32(at + 4, true);
    return {
      signature: new TextDecoder().decode(tables.subarray(at, at + 4)),
      bytes: tables.subarray(at, at + length),
      u32: (offset: number): number => view.getUint32(at + offset, true),
      u64: (offset: number): number => Number(view.getBigUint64(at + offset, true)),
    };
  };
  const listed = (): { [signature: string]: ReturnType<typeof table> } => {
    const xsdt = table(Number(root.getBigUint64(24, true)));
    return Object.fromEntries(
      Array.from({ length: (xsdt.bytes.length - 36) / 8 }, (_, i) => {
        const found = table(xsdt.u64(36 + 8 * i));
        return [found.signature, found];
      }),
    );
  };
  return { rsdp, root, table, listed };
}

Deno.test("the root pointer leads to RSDT and XSDT, and both to the FADT, with right checksums", () => {
  const { rsdp, root, table } = walk();
  assertEquals(new TextDecoder().decode(rsdp.subarray(0, 8)), "RSD PTR ");
  assertEquals([sum(rsdp.subarray(0, 20)), sum(rsdp)], [0, 0]);
  const rsdt = table(root.getUint32(16, true));
  const xsdt = table(Number(root.getBigUint64(24, true)));
  assertEquals([rsdt.signature, xsdt.signature], ["RSDT", "XSDT"]);
  assertEquals(rsdt.u32(36), xsdt.u64(36));
  const fadt = table(rsdt.u32(36));
  assertEquals(fadt.signature, "FACP");
  for (const { bytes } of [rsdt, xsdt, fadt]) assertEquals(sum(bytes), 0);
});

Deno.test("the FADT names the PIIX4's registers, the reset register, FACS and DSDT", () => {
  const { root, table } = walk();
  const fadt = table(table(root.getUint32(16, true)).u32(36));
  assertEquals(fadt.bytes.length, 244);
  const dsdt = table(fadt.u32(40)), facs = table(fadt.u32(36));
  assertEquals([dsdt.signature, facs.signature], ["DSDT", "FACS"]);
  assertEquals([fadt.u64(140), fadt.u64(132)], [fadt.u32(40), 0]);
  assertEquals(sum(dsdt.bytes), 0);
  assertEquals(fadt.u32(36) % 64, 0);
  assertEquals([fadt.u32(56), fadt.u32(64), fadt.u32(76), fadt.u32(80)], [
    0x600,
    0x604,
    0x608,
    0xafe0,
  ]);
  assertEquals([...fadt.bytes.subarray(88, 93)], [4, 2, 0, 4, 4]);
  assertEquals([fadt.u32(48), fadt.u32(46) & 0xffff], [0xb2, 9]);
  assertEquals([fadt.u64(120), fadt.bytes[128]], [0xcf9, 6]);
  assertEquals([fadt.u64(152), fadt.u64(176), fadt.u64(212)], [0x600, 0x604, 0x608]);
});

Deno.test("RSDT and XSDT list the same tables, all with right checksums", () => {
  const { root, table, listed } = walk();
  const rsdt = table(root.getUint32(16, true));
  const signatures = Array.from(
    { length: (rsdt.bytes.length - 36) / 4 },
    (_, i) => table(rsdt.u32(36 + 4 * i)).signature,
  );
  assertEquals(signatures, ["FACP", "APIC", "HPET", "WAET"]);
  assertEquals(Object.keys(listed()), signatures);
  for (const { bytes } of Object.values(listed())) assertEquals(sum(bytes), 0);
});

/** The structures in a MADT: type and the bytes behind the length. */
function structures(bytes: Uint8Array): number[][] {
  const list: number[][] = [];
  for (let at = 44; at < bytes.length; at += bytes[at + 1]) {
    list.push([bytes[at], ...bytes.subarray(at + 2, at + bytes[at + 1])]);
  }
  return list;
}

Deno.test("the MADT lists processors, the I/O APIC, what ISA interrupts became, and the NMI pin", () => {
  const { APIC } = walk().listed();
  assertEquals([APIC.u32(36), APIC.u32(40)], [0xfee00000, 1]);
  assertEquals(structures(APIC.bytes), [
    [0, 0, 0, 1, 0, 0, 0],
    [0, 1, 1, 1, 0, 0, 0],
    [1, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0],
    [2, 0, 0, 2, 0, 0, 0, 0, 0],
    [2, 0, 5, 5, 0, 0, 0, 0x0d, 0],
    [2, 0, 9, 9, 0, 0, 0, 0x0d, 0],
    [2, 0, 10, 10, 0, 0, 0, 0x0d, 0],
    [2, 0, 11, 11, 0, 0, 0, 0x0d, 0],
    [4, 0xff, 0, 0, 1],
  ]);
});

Deno.test("the HPET is described where there is one", () => {
  const { HPET } = walk().listed();
  assertEquals(HPET.bytes.length, 56);
  assertEquals([HPET.u32(36), HPET.u64(44)], [0x8086a201, 0xfed00000]);
  const without = walk({ hpet: false }).listed();
  assertEquals(without.HPET, undefined);
  const { root, table } = walk({ hpet: false });
  const dsdt = table(table(table(root.getUint32(16, true)).u32(36)).u32(40));
  assert(!String.fromCharCode(...dsdt.bytes).includes("HPET"));
});

Deno.test("there is no MADT for processors without local APICs", () => {
  assertEquals(Object.keys(walk({ localApics: false }).listed()), ["FACP", "HPET", "WAET"]);
});

Deno.test("more processors than flat destinations have bits force clusters", () => {
  const CLUSTER = 1 << 18;
  assertEquals(walk({ processors: 8 }).listed().FACP.u32(112) & CLUSTER, 0);
  assertEquals(walk({ processors: 9 }).listed().FACP.u32(112) & CLUSTER, CLUSTER);
});

Deno.test("the DSDT is one well-formed sequence of terms that declares \\_S5 and the PCI bus", () => {
  const { root, table } = walk();
  const { bytes } = table(table(table(root.getUint32(16, true)).u32(36)).u32(40));
  const text = String.fromCharCode(...bytes);
  assert(text.includes("\x08\\_S5_\x12\x06\x04\0\0\0\0"));
  for (
    const label of [
      "PCI0",
      "_PRT",
      "LNKA",
      "LNKD",
      "COM1",
      "COM2",
      "KBD_",
      "MOU_",
      "RTC_",
      "LNKS",
      "HPET",
      "CP00",
      "CP01",
    ]
  ) {
    assert(text.includes(label), label);
  }
  assert(!text.includes("COM3"));
  // The two terms at the top are Name (\_S5, …) of 13 bytes and Scope (\_SB) up to the end.
  const scope = 36 + 13;
  assertEquals(bytes[scope], 0x10);
  const length = (bytes[scope + 1] & 0xf) | (bytes[scope + 2] << 4);
  assertEquals(scope + 1 + length, bytes.length);
});

/** What firmware does with the loader's script. */
function runLoader(address: { [file: string]: number }) {
  const acpi = buildAcpiTables(OPTIONS);
  const files: { [file: string]: Uint8Array<ArrayBuffer> } = {
    "etc/acpi/tables": acpi.tables.slice(),
    "etc/acpi/rsdp": acpi.rsdp.slice(),
  };
  const script = acpiLoaderScript(acpi);
  const view = new DataView(script.buffer);
  const file = (at: number): string =>
    new TextDecoder().decode(script.subarray(at, script.indexOf(0, at)));
  const allocated: string[] = [];
  for (let at = 0; at < script.length; at += 128) {
    const command = view.getUint32(at, true);
    const target = files[file(at + 4)];
    if (command === 1) {
      allocated.push(file(at + 4));
      assert(address[file(at + 4)] % view.getUint32(at + 60, true) === 0);
    } else if (command === 2) {
      const offset = view.getUint32(at + 116, true);
      const data = new DataView(target.buffer);
      data.setUint32(offset, data.getUint32(offset, true) + address[file(at + 60)], true);
    } else {
      assertEquals(command, 3);
      const [offset, start, length] = [60, 64, 68].map((n) => view.getUint32(at + n, true));
      target[offset] -= sum(target.subarray(start, start + length));
    }
  }
  assertEquals(allocated.sort(), ["etc/acpi/rsdp", "etc/acpi/tables"]);
  return files;
}

Deno.test("firmware that runs the loader's script gets what linking gives", () => {
  const files = runLoader({ "etc/acpi/tables": 0xe0000, "etc/acpi/rsdp": 0xf5000 });
  const linked = linkAcpiTables(buildAcpiTables(OPTIONS), 0xe0000);
  assertEquals(files["etc/acpi/tables"], linked.tables);
  assertEquals(files["etc/acpi/rsdp"], linked.rsdp);
});
