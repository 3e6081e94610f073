/** What `-d` can log. */
import { TRACE_ITEMS, type TraceItem } from "../../core/debug/translation.ts";

/** Name of an item. */
export type LogItem = "cpu" | "exec" | "stats" | TraceItem;

/** Items of the log. */
export const LOG_ITEMS: readonly { name: LogItem; about: string }[] = [
  { name: "cpu", about: "registers after each instruction (slow)" },
  { name: "exec", about: "each instruction: address, bytes, assembly (slow)" },
  ...TRACE_ITEMS,
  { name: "stats", about: "at the end: what was translated, and what it did (-accel jit)" },
];

/** The items of translated code among others. */
export function tracedItems(items: readonly LogItem[]): TraceItem[] {
  return TRACE_ITEMS.map(({ name }) => name).filter((name) => items.includes(name));
}
