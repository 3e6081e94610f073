import { assert, assertEquals, assertThrows } from "@std/assert";
import { deviceHelp, DEVICES, parseDevice, Properties, propertyHelp } from "./devices.ts";
import { DeviceError } from "./errors.ts";

Deno.test("the list of devices names each of them once", () => {
  const lines = deviceHelp().split("\n");
  for (const { driver } of DEVICES) {
    assertEquals(lines.filter((line) => line.trim().split(" ")[0] === driver).length, 1, driver);
  }
});

Deno.test("the list of properties tells the defaults", () => {
  assert(propertyHelp("isa-debug-exit").includes("iobase  first port (default: 0x501)"));
  assertEquals(propertyHelp("pc-testdev"), "pc-testdev has no properties.");
});

Deno.test("a device is parsed as QEMU writes it", () => {
  assertEquals(parseDevice("isa-debug-exit,iobase=0xf4,iosize=4"), {
    driver: "isa-debug-exit",
    properties: [["iobase", "0xf4"], ["iosize", "4"]],
  });
  assertEquals(parseDevice("ide-hd,drive=a,,b,,,unit=0").properties, [
    ["drive", "a,b,"],
    ["unit", "0"],
  ]);
  assertThrows(() => parseDevice("VGA,oops"), DeviceError, '"oops" is not property=value');
});

Deno.test("integers are decimal, hexadecimal or octal", () => {
  const properties = (value: string) =>
    new Properties({ driver: "isa-debug-exit", properties: [["iobase", value]] });
  assertEquals(properties("244").integer("iobase", 0, 0xffff), 244);
  assertEquals(properties("0xf4").integer("iobase", 0, 0xffff), 244);
  assertEquals(properties("0364").integer("iobase", 0, 0xffff), 244);
  assertEquals(properties("1").integer("iosize", 1, 4), undefined);
  for (const bad of ["", "f4", "-1", "65536", "1.5", "1e3"]) {
    assertThrows(
      () => properties(bad).integer("iobase", 0, 0xffff),
      DeviceError,
      `isa-debug-exit: iobase "${bad}" is not an integer from 0 to 65535`,
    );
  }
});

const REFUSED: [string, [string, string][], string][] = [
  ["isa-debugexit", [], '(did you mean "isa-debug-exit"?)'],
  ["isa-debug-exit", [["iobas", "1"]], 'no property "iobas" (did you mean "iobase"?)'],
  ["pc-testdev", [["x", "1"]], 'no property "x"; it has none'],
  ["isa-debug-exit", [["iobase", "1"], ["iobase", "2"]], "iobase is given twice"],
  ["i8042", [], "is on every board"],
];
for (const [driver, properties, message] of REFUSED) {
  Deno.test(`device ${driver} with ${JSON.stringify(properties)} is refused`, () => {
    const error = assertThrows(() => new Properties({ driver, properties }), DeviceError, message);
    assertEquals([error.device, error.option], [driver, "devices"]);
  });
}
