import { assertEquals, assertThrows } from "@std/assert";
import { PciConfig, type PciFunction } from "../pci.ts";
import { Piix3 } from "../piix3.ts";
import { setUpPci } from "./pci_setup.ts";

function vga(): PciConfig {
  const config = new PciConfig({ vendor: 0x1234, device: 0x1111, classCode: 0x030000 });
  config.bar(0, { kind: "memory", size: 16 << 20, prefetchable: true });
  config.bar(2, { kind: "memory", size: 4096 });
  config.romBar(65536);
  return config;
}

function ide(): PciConfig {
  const config = new PciConfig({ vendor: 0x8086, device: 0x7010, classCode: 0x010180 });
  config.register(0x40, 4, { writable: 0xffffffff });
  config.bar(4, { kind: "io", size: 16 });
  return config;
}

function network(): PciConfig {
  const config = new PciConfig({
    vendor: 0x10ec,
    device: 0x8029,
    classCode: 0x020000,
    interruptPin: 1,
  });
  config.bar(0, { kind: "io", size: 256 });
  return config;
}

function setUp(functions: PciFunction[]): number {
  let levels = 0;
  setUpPci(functions, { pciMemoryFirst: 0x80000000, setEdgeLevel: (mask) => levels = mask });
  return levels;
}

Deno.test("base address registers get aligned addresses that do not overlap", () => {
  const configs = [vga(), ide(), network()];
  setUp(configs.map((config, i) => ({ device: i + 2, function: 0, config })));
  assertEquals(configs[0].barAddress(0), 0xfd000000);
  assertEquals(configs[0].barAddress(2), 0xfe010000);
  assertEquals(configs[0].barAddress("rom"), undefined, "an option ROM stays off");
  assertEquals(configs[0].get32(0x30), 0xfe000000);
  assertEquals(configs[2].barAddress(0), 0xc000);
  assertEquals(configs[1].barAddress(4), 0xc100);
});

Deno.test("interrupt lines follow the slot's wiring and are level triggered", () => {
  const cards = [2, 3, 4, 5].map((device) => ({ device, function: 0, config: network() }));
  assertEquals(setUp(cards), 0x0e00);
  assertEquals(cards.map(({ config }) => config.get8(0x3c)), [10, 11, 11, 10]);
});

Deno.test("the ISA bridge routes what the interrupt lines say", () => {
  const driven: number[] = [];
  const irqs = Array.from({ length: 16 }, (_, irq) => (level: boolean) => {
    if (level) driven.push(irq);
  });
  const bridge = new Piix3({ irqs });
  const wires = [0, 1, 2, 3].map((pirq) => bridge.pirq(pirq));
  setUp([{ device: 1, function: 0, config: bridge.config }]);
  for (const wire of wires) {
    wire(true);
    wire(false);
  }
  assertEquals(driven, [10, 10, 11, 11]);
});

Deno.test("IDE channels decode their ports", () => {
  const config = ide();
  setUp([{ device: 1, function: 1, config }]);
  assertEquals(config.get32(0x40), 0x80008000);
});

Deno.test("devices that need more memory space than there is are refused", () => {
  const huge = (): PciConfig => {
    const config = new PciConfig({ vendor: 1, device: 1, classCode: 0 });
    config.bar(0, { kind: "memory", size: 2 ** 31 });
    return config;
  };
  assertThrows(() => setUp([{ device: 2, function: 0, config: huge() }]), RangeError, "more than");
});
