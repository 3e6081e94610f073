/** Where the recorded processor and SDM differ, the engines follow SDM: what is then not compared, and why. */
import type { Variant } from "./form.ts";
import type { Job } from "./job.ts";
import { ARENA_SIZE } from "./machine.ts";
import type { Expected } from "./pack.ts";

/** What is left out of a comparison. */
export interface Leave {
  everything: boolean;
  memory: boolean;
  vector: boolean;
  cr2: boolean;
}

/** Instructions that access several items of memory. */
const IMAGES = ["fldenv", "fnstenv", "frstor", "fnsave", "fxsave", "fxrstor", "iret", "ret_far"];

/**
 * - A far call to an offset beyond the code segment's limit, an ENTER whose new stack pointer cannot be written:
 *   AMD's processors have pushed by then; in SDM vol. 2, CALL and ENTER, the checks come first. What differs
 *   lies below the stack pointer.
 * - A near call whose target is beyond the limit and whose push does not fit either has two faults; SDM
 *   vol. 2, CALL, checks the target first.
 * - Images and stack frames on a page that faults: CR2 is the address of whichever item is accessed first (SDM
 *   vol. 3, 4.7); AMD's processors probe the last byte first.
 * - A misaligned 16-byte operand that also crosses the limit of SS is #GP and #SS at once, which SDM does not
 *   order.
 * - x87 operands across the end of a 64 KiB segment with 16-bit addresses: whether they wrap around or fault is
 *   up to the processor (SDM vol. 3, "Architecture Compatibility", "Segment Wraparound").
 */
export function leaveOut(variant: Variant, job: Job, expected: Expected, got: Expected): Leave {
  const { mnemonic, options } = variant.form;
  const wide = options.state === "x87" && ["t", "e", "s"].includes(variant.form.rmSize);
  return {
    everything: wide && variant.env === "seg16" && job.operandAt >= ARENA_SIZE - 108 &&
      job.operandAt < ARENA_SIZE,
    memory: expected.vector >= 0 && (mnemonic === "call_far" || mnemonic === "enter"),
    vector: (mnemonic === "call" && expected.vector === 12 && got.vector === 13) ||
      (options.aligned === true && expected.vector === 13 && got.vector === 12),
    cr2: IMAGES.includes(mnemonic),
  };
}
