/** Instructions as text. */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import type { ExecutedInstruction } from "../machine/cpu.ts";

let formatter: Formatter | undefined;

/** One instruction in Intel syntax, or `(bad)` for bytes that are none. */
export function disassemble(
  { bytes, bits, ip }: Omit<ExecutedInstruction, "cs" | "linear">,
): string {
  if (bytes.length === 0) return "(not readable)";
  if (formatter === undefined) {
    formatter = new Formatter(FormatterSyntax.Nasm);
    formatter.hexPrefix = "0x";
    formatter.hexSuffix = "";
    formatter.uppercaseHex = false;
    formatter.branchLeadingZeros = false;
    formatter.spaceAfterOperandSeparator = true;
  }
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  try {
    decoder.ip = BigInt(ip);
    const instruction = decoder.decode();
    const text = formatter.format(instruction);
    instruction.free();
    return text;
  } finally {
    decoder.free();
  }
}
