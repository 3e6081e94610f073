/** The log of `-d`. */
import { type Exit, type Machine, MachineEndedError } from "../../mod.ts";
import { formatTranslation } from "../../core/debug/translation.ts";
import type { LogItem } from "./log_items.ts";

/** Canonical addresses of the upper half are below zero as numbers. */
const hex = (value: number, digits: number) =>
  (value < 0 ? BigInt.asUintN(64, BigInt(value)) : value).toString(16).padStart(digits, "0");

/**
 * Runs the machine to its end. With `exec` or `cpu` in the log it does so instruction by instruction, and writes a
 * line for each of the two after each instruction.
 */
export async function traceRun(
  vm: Machine,
  items: readonly LogItem[],
  write: (line: string) => void,
): Promise<Exit> {
  const stepped = items.includes("exec") || items.includes("cpu");
  while (stepped && vm.exit === undefined) {
    try {
      await vm.run({ instructions: 1 });
    } catch (error) {
      if (!(error instanceof MachineEndedError)) throw error;
    }
    const { recent, registers, processor } = await vm.report();
    const last = recent.at(-1);
    // Which of several processors it was.
    const by = processor === undefined ? "" : `#${processor} `;
    if (items.includes("exec") && last !== undefined) {
      const { cs, ip, bytes, text } = last;
      const code = [...bytes].map((byte) => hex(byte, 2)).join(" ");
      write(`${by}${hex(cs, 4)}:${hex(ip, 8)}  ${code.padEnd(24)} ${text}`);
    }
    if (items.includes("cpu")) {
      const values = Object.entries(registers);
      write(by + values.map(([name, value]) => `${name}=${value.toString(16)}`).join(" "));
    }
  }
  const exit = await vm.exited;
  const { translation } = vm;
  if (items.includes("stats") && translation !== undefined) {
    write(formatTranslation(translation, vm.instructions));
  }
  return exit;
}
