/** The decode table of the bit-manipulation instructions (SDM vol. 2, tables, and the instruction pages). */
import { type Row, row } from "./rows.ts";

const bmi1 = { feature: "bmi1" } as const;
const bmi2 = { feature: "bmi2" } as const;
const movbe = { feature: "movbe" } as const;
const crc32 = { feature: "sse4_2" } as const;

/** Before the integer rows: without its feature LZCNT is BSR and TZCNT is BSF. */
export const BIT_ROWS: Row[] = [
  row("F3 0F B8 /r", "=Gv,Ev", "popcnt", { feature: "popcnt" }),
  row("F3 0F BC /r", "=Gv,Ev", "tzcnt", bmi1),
  row("F3 0F BD /r", "=Gv,Ev", "lzcnt", { feature: "abm" }),

  row("NP|66 0F 38 F0 /r m", "=Gv,Ev", "movbe", movbe),
  row("NP|66 0F 38 F1 /r m", "=Ev,Gv", "movbe", movbe),
  // With F2 and 66 the source is a word.
  row("F2 0F 38 F0 /r", "+Gy,Eb", "crc32", crc32),
  row("F2 0F 38 F1 /r", "+Gy,Ev", "crc32", crc32),

  row("66 0F 38 F6 /r", "+Gy,Ey", "adcx", { feature: "adx" }),
  row("F3 0F 38 F6 /r", "+Gy,Ey", "adox", { feature: "adx" }),

  row("VEX.LZ.NP.0F38 F2 /r", "=Gy,By,Ey", "andn", bmi1),
  row("VEX.LZ.NP.0F38 F3 /1", "=By,Ey", "blsr", bmi1),
  row("VEX.LZ.NP.0F38 F3 /2", "=By,Ey", "blsmsk", bmi1),
  row("VEX.LZ.NP.0F38 F3 /3", "=By,Ey", "blsi", bmi1),
  row("VEX.LZ.NP.0F38 F7 /r", "=Gy,Ey,By", "bextr", bmi1),
  row("VEX.LZ.NP.0F38 F5 /r", "=Gy,Ey,By", "bzhi", bmi2),
  row("VEX.LZ.F2.0F38 F5 /r", "=Gy,By,Ey", "pdep", bmi2),
  row("VEX.LZ.F3.0F38 F5 /r", "=Gy,By,Ey", "pext", bmi2),
  row("VEX.LZ.F2.0F38 F6 /r", "=Gy,=By,Ey", "mulx", bmi2),
  row("VEX.LZ.66.0F38 F7 /r", "=Gy,Ey,By", "shlx", bmi2),
  row("VEX.LZ.F3.0F38 F7 /r", "=Gy,Ey,By", "sarx", bmi2),
  row("VEX.LZ.F2.0F38 F7 /r", "=Gy,Ey,By", "shrx", bmi2),
  row("VEX.LZ.F2.0F3A F0 /r", "=Gy,Ey,Ib", "rorx", bmi2),
];
