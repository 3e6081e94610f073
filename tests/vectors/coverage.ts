/** Which rows of the decode table the vectors exercise, found by decoding every recorded instruction. */
import { DECODED, Decoder, type Form } from "../../accel/x86/decoder.ts";
import type { Row } from "../../accel/x86/rows.ts";
import { ROWS } from "../../accel/x86/table.ts";
import { buildJob } from "./builder.ts";
import { codeOf } from "./compare.ts";
import { GROUPS, groupVariants } from "./forms.ts";

/** One operand form of a row, at one operand size where it has two. */
export interface OperandForm {
  row: Row;
  memory: boolean;
  size: 0 | 16 | 32;
  cases: number;
}

const MEMORY_OR_REGISTER = "EWQ";

/** The operand forms that a row has. */
function formsOf(form: Form): { memory: boolean; size: 0 | 16 | 32 }[] {
  const { row, operands } = form;
  const tokens = row.opcode.split(" ");
  const both = operands.some((o) => MEMORY_OR_REGISTER.includes(o.kind)) && form.modrm;
  const memoryOnly = tokens.includes("m") ||
    operands.some((o) => o.kind === "F" || o.kind === "O") ||
    row.operands.split(",").some((o) => /^[=+]?M./.test(o));
  const registerOnly = tokens.includes("r") || !both;
  const addressOnly = !both && operands.some((o) => o.kind === "M");
  const kinds = memoryOnly || (addressOnly && !tokens.includes("r"))
    ? [true]
    : registerOnly
    ? [false]
    : [false, true];
  const sized = operands.some((o) => o.bytes === 0 && "EGZRIJO".includes(o.kind));
  const sizes: (0 | 16 | 32)[] = sized ? [16, 32] : [0];
  return kinds.flatMap((memory) => sizes.map((size) => ({ memory, size })));
}

/** Name of an operand form in messages and in the list of exceptions. */
export function formName({ row, memory, size }: Omit<OperandForm, "cases">): string {
  return `${row.opcode} ${row.operands} ${row.semantic} ${memory ? "mem" : "reg"}${
    size === 0 ? "" : ` o${size}`
  }`;
}

/** All operand forms of the decode table outside 64-bit mode, with the number of recorded cases of each. */
export function coverage(): OperandForm[] {
  const decoder = new Decoder(ROWS, () => true);
  const counts = new Map<string, number>();
  const key = (index: number, memory: boolean, size: number) => `${index} ${memory} ${size}`;
  for (const group of Object.keys(GROUPS)) {
    for (const variant of groupVariants(group)) {
      for (let i = 0; i < variant.cases; i++) {
        const code = codeOf(buildJob(variant, i));
        const bits = variant.env === "seg16" ? 16 : 32;
        if (decoder.decode(code, 0, code.length, bits, true) !== DECODED) continue;
        const { form, memory, operandSize } = decoder.result;
        for (const size of [0, operandSize]) {
          const k = key(form.index, memory, size);
          counts.set(k, (counts.get(k) ?? 0) + 1);
        }
      }
    }
  }
  return decoder.forms.filter((form) => form.row.longOnly !== true).flatMap((form) =>
    formsOf(form).map(({ memory, size }) => ({
      row: form.row,
      memory,
      size,
      cases: counts.get(key(form.index, memory, size)) ?? 0,
    }))
  );
}
