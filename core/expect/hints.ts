/** What may have kept a pattern from matching, for the message of a wait that was in vain. */
import type { StreamPattern } from "./pattern.ts";
import { stripAnsi } from "./shell.ts";

/** Characters that are looked through. */
const LOOK_BACK = 20_000;

/**
 * Looks for what nearly was a match.
 *
 * @param passed the text before the cursor
 * @param unread the text after it
 * @returns words that follow the pattern's name; undefined when nothing is near
 */
export function nearMiss(
  { regExp }: StreamPattern,
  passed: string,
  unread: string,
): string | undefined {
  const matches = (text: string, flags = ""): boolean =>
    new RegExp(regExp.source, regExp.flags.replace("g", "") + flags).test(text);
  const text = unread.slice(-LOOK_BACK);
  if (matches(text.replace(/\r+\n/g, "\n"))) {
    return "would match if lines ended in \\n alone, but the guest ends them with \\r\\n: " +
      "write \\r?\\n, and [^\\n]* where .* has to reach the end of a line";
  }
  if (matches(stripAnsi(text))) {
    return "would match without the terminal's escape sequences in the text";
  }
  if (!regExp.flags.includes("i") && matches(text, "i")) {
    return "would match if upper and lower case were the same";
  }
  if (matches(passed.slice(-LOOK_BACK))) {
    return "matches text that an earlier wait has passed already";
  }
  return undefined;
}
