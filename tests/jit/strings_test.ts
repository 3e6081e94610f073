import { assert, assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import type { Bed } from "../modes/bed.ts";
import { OPERAND_BYTES, OPERANDS, Pair, Random } from "./sequences.ts";

const OPCODES = [0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xa6, 0xa7];
/** The last bytes of a page and the first of the next, which is mapped or not. */
const EDGE = (OPERANDS + 0x1000) >>> 0;

/** A few string instructions with other work between them, sometimes backwards. */
function sequence(random: Random, long: boolean): number[] {
  const bytes: number[] = [];
  if (random.below(8) === 0) bytes.push(0xfd); // std
  for (let i = 0; i < 4; i++) {
    const repeat = random.pick([0, 0, 0xf3, 0xf3, 0xf2]), opcode = random.pick(OPCODES);
    if (random.below(3) === 0) bytes.push(0xeb, 0x00); // jmp to the next
    if (repeat !== 0) {
      // mov ecx,n, or a length until a byte is found
      const most = random.pick([3, 9, 40, 300]);
      bytes.push(0xb9, random.below(most) & 255, most > 255 ? random.below(3) : 0, 0, 0);
      bytes.push(repeat);
    }
    const size = random.below(5);
    if (size === 0) bytes.push(0x66);
    if (size === 1 && long) bytes.push(0x48);
    bytes.push(opcode);
    bytes.push(
      ...random.pick([[0x40 + 2, 0x43], [0x0f, 0x92, 0xc2], [0x83, 0xd2, 0x01]]).slice(
        long ? 3 : 0,
      ),
    );
    bytes.push(...random.pick([[0x0f, 0x94, 0xc2], [0x0f, 0x9f, 0xc2], [0x83, 0xd2, 0x01]]));
  }
  bytes.push(0xfc, 0xf4);
  return bytes;
}

function prepare(random: Random): (bed: Bed) => void {
  const near = random.below(3) === 0;
  const base = near ? EDGE - random.below(200) : OPERANDS;
  const si = base + random.below(OPERAND_BYTES);
  // Often close behind or before the source.
  const di = random.below(3) === 0
    ? si + random.below(17) - 8
    : base + random.below(OPERAND_BYTES * 2);
  const plain = random.below(2) === 0, eax = random.below(4) * 0x01010101;
  const data = Array.from({ length: 0x1000 }, () => plain ? random.below(2) : random.below(256));
  return (bed) => {
    const { R } = bed;
    bed.put(OPERANDS, data);
    bed.put(EDGE, data);
    R[S.RSI] = si;
    R[S.RDI] = di;
    R[S.RAX] = eax;
  };
}

for (const long of [false, true]) {
  for (const slice of [100_000, 7]) {
    const how = slice === 7 ? "in slices of seven instructions" : "at once";
    Deno.test(`string instructions of ${long ? 64 : 32}-bit code do the same ${how} on both engines`, () => {
      const pair = new Pair(long);
      for (let seed = 1; seed <= 60; seed++) {
        const random = new Random(seed * 7919 + slice);
        const code = sequence(random, long), start = prepare(random);
        assertEquals(pair.compare({ code, prepare: start }, slice), "", `seed ${seed}`);
      }
      assert(pair.executed > (slice === 7 ? 100 : 500), `${pair.executed}`);
    });
  }
}
