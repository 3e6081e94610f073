import { assertEquals } from "@std/assert";
import { compareLengths, REASONS } from "./compare_lengths.ts";

for (const bits of [16, 32, 64] as const) {
  Deno.test(`decoder and iced-x86 agree on the lengths of a million random ${bits}-bit instructions`, () => {
    const { disagreements, reasons, decoded } = compareLengths(bits, 1_000_000);
    assertEquals(disagreements, []);
    // Random bytes that mostly end in a reason would prove little.
    assertEquals(decoded > 650_000, true, `only ${decoded} strings are instructions to both`);
    const unknown = Object.keys(reasons).filter((reason) => !Object.hasOwn(REASONS, reason));
    assertEquals(unknown, []);
  });
}
