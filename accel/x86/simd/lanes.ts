/**
 * Packed integer operations shared by MMX (two words) and SSE2 (four words), generated from expressions
 * on one 32-bit word of each operand, or on the lanes in it.
 *
 * Each becomes a function of its own, unrolled and without calls, because a loop over a shared closure
 * would cost several times the operation.
 */
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";

/** An expression on operands named by two pieces of text. */
export type Expression = (x: string, y: string) => string;

/** Two signed or unsigned halves of a word. */
const halves = (signed: boolean, e: Expression): Expression => (x, y) => {
  const low = (v: string) => signed ? `(${v}<<16>>16)` : `(${v}&65535)`;
  const high = (v: string) => signed ? `(${v}>>16)` : `(${v}>>>16)`;
  return `((${e(low(x), low(y))})&65535)|((${e(high(x), high(y))})<<16)`;
};

/** Four signed or unsigned bytes of a word. */
const bytes = (signed: boolean, e: Expression): Expression => (x, y) => {
  const lane = (v: string, n: number) =>
    signed ? `(${v}<<${24 - 8 * n}>>24)` : `((${v}>>>${8 * n})&255)`;
  return [0, 1, 2, 3].map((n) => `(((${e(lane(x, n), lane(y, n))})&255)<<${8 * n})`).join("|");
};

const saturate = (op: string, low: number, high: number): Expression => (x, y) =>
  `clamp(${x}${op}${y},${low},${high})`;

/** Adds or subtracts all bytes or halves of a word at once: `top` masks the top bit of each lane. */
const swarAdd = (top: number): Expression => (x, y) =>
  `((${x}&${~top})+(${y}&${~top}))^((${x}^${y})&${top})`;
const swarSub = (top: number): Expression => (x, y) =>
  `((${x}|${top})-(${y}&${~top}))^((${x}^~${y})&${top})`;

const TOP8 = 0x80808080 | 0, TOP16 = 0x80008000 | 0;

/** A word made of its halves, each from all of the word. */
const pairs = (half: (x: string, y: string, shift: number) => string): Expression => (x, y) =>
  `((${half(x, y, 0)})&65535)|((${half(x, y, 16)})<<16)`;

const min: Expression = (x, y) => `${x}<${y}?${x}:${y}`;
const max: Expression = (x, y) => `${x}>${y}?${x}:${y}`;

/** What each packed operation makes of one word of its destination and source. */
const WORDS: Record<string, Expression> = {
  pand: (x, y) => `${x}&${y}`,
  pandn: (x, y) => `~${x}&${y}`,
  por: (x, y) => `${x}|${y}`,
  pxor: (x, y) => `${x}^${y}`,
  paddb: swarAdd(TOP8),
  paddw: swarAdd(TOP16),
  paddd: (x, y) => `${x}+${y}`,
  psubb: swarSub(TOP8),
  psubw: swarSub(TOP16),
  psubd: (x, y) => `${x}-${y}`,
  paddsb: bytes(true, saturate("+", -128, 127)),
  paddsw: halves(true, saturate("+", -32768, 32767)),
  paddusb: bytes(false, saturate("+", 0, 255)),
  paddusw: halves(false, saturate("+", 0, 65535)),
  psubsb: bytes(true, saturate("-", -128, 127)),
  psubsw: halves(true, saturate("-", -32768, 32767)),
  psubusb: bytes(false, saturate("-", 0, 255)),
  psubusw: halves(false, saturate("-", 0, 65535)),
  pcmpeqb: bytes(false, (x, y) => `${x}===${y}?255:0`),
  pcmpeqw: halves(false, (x, y) => `${x}===${y}?65535:0`),
  pcmpeqd: (x, y) => `${x}===${y}?-1:0`,
  pcmpgtb: bytes(true, (x, y) => `${x}>${y}?255:0`),
  pcmpgtw: halves(true, (x, y) => `${x}>${y}?65535:0`),
  pcmpgtd: (x, y) => `${x}>${y}?-1:0`,
  pmullw: halves(true, (x, y) => `Math.imul(${x},${y})`),
  pmulhw: halves(true, (x, y) => `Math.imul(${x},${y})>>>16`),
  pmulhuw: halves(false, (x, y) => `Math.imul(${x},${y})>>>16`),
  pmaddwd: (x, y) => `Math.imul(${x}<<16>>16,${y}<<16>>16)+Math.imul(${x}>>16,${y}>>16)`,
  pavgb: bytes(false, (x, y) => `(${x}+${y}+1)>>1`),
  pavgw: halves(false, (x, y) => `(${x}+${y}+1)>>1`),
  pmaxub: bytes(false, max),
  pminub: bytes(false, min),
  pmaxsw: halves(true, max),
  pminsw: halves(true, min),
  // SSSE3.
  pabsb: bytes(true, (_, y) => `${y}<0?-${y}:${y}`),
  pabsw: halves(true, (_, y) => `${y}<0?-${y}:${y}`),
  pabsd: (_, y) => `${y}<0?-${y}:${y}`,
  psignb: bytes(true, (x, y) => `${y}<0?-${x}:${y}===0?0:${x}`),
  psignw: halves(true, (x, y) => `${y}<0?-${x}:${y}===0?0:${x}`),
  psignd: (x, y) => `${y}<0?-${x}:${y}===0?0:${x}`,
  pmulhrsw: halves(true, (x, y) => `((Math.imul(${x},${y})>>14)+1)>>1`),
  // Unsigned bytes of the destination times signed ones of the source, added in pairs.
  pmaddubsw: pairs((x, y, shift) =>
    `clamp(((${x}>>>${shift})&255)*(${y}<<${24 - shift}>>24)+` +
    `((${x}>>>${shift + 8})&255)*(${y}<<${16 - shift}>>24),-32768,32767)`
  ),
};

/** Those that came with SSE4.1, for XMM registers only. */
const WORDS_XMM: Record<string, Expression> = {
  pmulld: (x, y) => `Math.imul(${x},${y})`,
  pminsb: bytes(true, min),
  pmaxsb: bytes(true, max),
  pminuw: halves(false, min),
  pmaxuw: halves(false, max),
  pminsd: min,
  pmaxsd: max,
  pminud: (x, y) => `(${x}>>>0)<(${y}>>>0)?${x}:${y}`,
  pmaxud: (x, y) => `(${x}>>>0)>(${y}>>>0)?${x}:${y}`,
};

/** What the packed operations make of one word, as text: its value may lie outside int32. */
export const XMM_WORDS: Record<string, Expression> = { ...WORDS, ...WORDS_XMM };

function clampTo(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}

/** The x87 side of every MMX instruction, as text: TOP becomes 0 and all registers count as full. */
const TOUCH = `R[${S.FSW}]&=${~0x3800};R[${S.FTAG}]=255;R[a+2]=65535;`;

function generate(expression: Expression, words: number, tail: string): Helper {
  const lines = Array.from(
    { length: words },
    (_, i) => `x=R[a+${i}];y=R[b+${i}];R[a+${i}]=${expression("x", "y")};`,
  );
  const text = `return(cpu,a,b)=>{const R=cpu.R;let x=0,y=0;${lines.join("")}${tail}}`;
  return new Function("clamp", text)(clampTo) as Helper;
}

/** The operations on MMX registers, by their mnemonics. */
export const MMX_LANES: Record<string, Helper> = {};
/** The operations on XMM registers, by their mnemonics and `_x`. */
export const XMM_LANES: Record<string, Helper> = {};

for (const [name, expression] of Object.entries(WORDS)) {
  MMX_LANES[name] = generate(expression, 2, TOUCH);
  XMM_LANES[`${name}_x`] = generate(expression, 4, "");
}
for (const [name, expression] of Object.entries(WORDS_XMM)) {
  XMM_LANES[`${name}_x`] = generate(expression, 4, "");
}
