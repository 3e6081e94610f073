/** What `-d` can log. */

/** Items of the log. */
export const LOG_ITEMS = [
  { name: "cpu", about: "registers after each instruction (slow)" },
  { name: "exec", about: "each instruction: address, bytes, assembly (slow)" },
] as const;

/** Name of an item. */
export type LogItem = (typeof LOG_ITEMS)[number]["name"];
