/** All forms that are recorded, by the file they are stored in. */
import { type Form, type Variant, variants } from "./form.ts";
import { EXTENSION_FORMS } from "./forms_extensions.ts";
import { INTEGER_FORMS } from "./forms_integer.ts";
import { SIMD_FORMS } from "./forms_simd.ts";
import { X87_FORMS } from "./forms_x87.ts";

/** Names of the data files and what they hold. */
export const GROUPS: Record<string, readonly Form[]> = {
  integer: INTEGER_FORMS,
  x87: X87_FORMS,
  simd: SIMD_FORMS,
  extensions: EXTENSION_FORMS,
};

/** The variants of one group; names are unique, since each is a seed. */
export function groupVariants(group: string): Variant[] {
  const list = GROUPS[group].flatMap(variants);
  const seen = new Set<string>();
  for (const { name } of list) {
    if (seen.has(name)) throw new Error(`two vector variants are called ${name}`);
    seen.add(name);
  }
  return list;
}
