import { assertStringIncludes } from "@std/assert";
import { formatReport, type ReportedInstruction } from "./exit.ts";

Deno.test("A report shows addresses of the upper half as the processor has them", () => {
  const at = (ip: number, bits: 32 | 64): ReportedInstruction => ({
    cs: 0x10,
    ip,
    linear: ip,
    bytes: new Uint8Array([0xf4]),
    bits,
    text: "hlt",
  });
  const text = formatReport({
    cs: 0x10,
    ip: -0x7effff9c,
    registers: { rip: 0xffffffff81000064n },
    recent: [at(-0x7effff9c, 64), at(0xc0100000, 32)],
    instructions: 2,
    virtualTime: 16,
    hostTime: 0,
    serial: {},
  });
  assertStringIncludes(text, "0010:ffffffff81000064  f4");
  assertStringIncludes(text, "0010:c0100000  f4");
  assertStringIncludes(text, "rip=ffffffff81000064");
});
