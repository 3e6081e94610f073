/** The whole decode table with the helpers and guards that its rows name. */
import { BIT_ROWS } from "./bit_rows.ts";
import { FPU_GUARDS, FPU_HELPERS, FPU_ROWS } from "./fpu/rows.ts";
import { INTEGER_HELPERS } from "./integer.ts";
import { INTEGER_ROWS } from "./integer_rows.ts";
import type { Guard, Helper, Row } from "./rows.ts";
import { RANDOM_HELPERS } from "./random.ts";
import { EXTENSION_HELPERS, EXTENSION_ROWS } from "./simd/extension_rows.ts";
import { SIMD_GUARDS, SIMD_HELPERS, SIMD_ROWS } from "./simd/rows.ts";
import { STRING_HELPERS } from "./strings.ts";
import { SYSTEM_GUARDS, SYSTEM_HELPERS, SYSTEM_ROWS } from "./system/rows.ts";

/** Every instruction form; where two claim one encoding the first wins. */
export const ROWS: readonly Row[] = [
  ...BIT_ROWS,
  ...INTEGER_ROWS,
  ...SYSTEM_ROWS,
  ...FPU_ROWS,
  ...SIMD_ROWS,
  ...EXTENSION_ROWS,
];
/** Helpers by name. */
export const HELPERS: Record<string, Helper> = {
  ...INTEGER_HELPERS,
  ...STRING_HELPERS,
  ...SYSTEM_HELPERS,
  ...FPU_HELPERS,
  ...SIMD_HELPERS,
  ...EXTENSION_HELPERS,
  ...RANDOM_HELPERS,
};
/** Guards by name. */
export const GUARDS: Record<string, Guard> = { ...SYSTEM_GUARDS, ...FPU_GUARDS, ...SIMD_GUARDS };
