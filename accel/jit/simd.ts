/**
 * SSE and SSE2 as text. Registers stay in `R`; what was just computed is kept under names too
 * (`vector_state.ts`).
 *
 * Floating point is the host's where that is the whole truth: rounding to nearest, exceptions masked, operands
 * zero, normal or infinite, and a result that is zero or well inside the normal range. Then nothing but
 * MXCSR.PE can change, and where that is clear `inexact.ts` tells whether it does. Everything else is the
 * interpreter's, which has `softfloat.ts`.
 */
import type { Expr } from "../x86/binder.ts";
import { XMM_WORDS } from "../x86/simd/lanes.ts";
import * as S from "../x86/state.ts";
import type { JitBinder } from "./binder.ts";
import type { Known } from "./vector_state.ts";

/** Smallest normal numbers, and the smallest whose exponent no rounding can have left. */
const LIMITS = {
  64: { normal: "2.2250738585072014e-308", safe: "4.450147717014403e-308" },
  32: { normal: "1.1754943508222875e-38", safe: "2.350988701644575e-38" },
} as const;
type Format = 32 | 64;

/** Where a vector operand is: words of `R`, or a place in host memory. */
type Place = { reg: number } | { host: Expr; known: Map<number, Known> };

const SHUFFLES: Record<string, readonly (readonly ["a" | "b", number])[]> = {
  unpcklps: [["a", 0], ["b", 0], ["a", 1], ["b", 1]],
  unpckhps: [["a", 2], ["b", 2], ["a", 3], ["b", 3]],
  punpckldq_x: [["a", 0], ["b", 0], ["a", 1], ["b", 1]],
  punpckhdq_x: [["a", 2], ["b", 2], ["a", 3], ["b", 3]],
  movsldup: [["b", 0], ["b", 0], ["b", 2], ["b", 2]],
  movshdup: [["b", 1], ["b", 1], ["b", 3], ["b", 3]],
};

/** Moves of halves: what the low and high half become; undefined where they stay. */
const HALVES: Record<string, readonly [HalfOf?, HalfOf?]> = {
  unpcklpd: [undefined, ["b", 0]],
  unpckhpd: [["a", 1], ["b", 1]],
  punpcklqdq: [undefined, ["b", 0]],
  punpckhqdq: [["a", 1], ["b", 1]],
  mov_low: [["b", 0]],
  mov_from_high: [["b", 1]],
  mov_to_high: [undefined, ["b", 0]],
  movddup: [["b", 0], ["b", 0]],
};
type HalfOf = readonly ["a" | "b", 0 | 1];

/** Integer operations that are short enough by the word. */
const SHORT =
  /^(pand|pandn|por|pxor|paddb|paddw|paddd|psubb|psubw|psubd|pcmpeqd|pcmpgtd|pmulld)_x$/;

const ARITHMETIC = /^(add|sub|mul|div|sqrt|min|max)([ps])([sd])$/;

/** Emits a vector instruction whose guard was emitted; false, and nothing, if it has no text here. */
export function emitSimd(b: JitBinder): boolean {
  const { row } = b.insn.form;
  if (row.guard !== "sse") return false;
  return new Simd(b).emit(row.semantic);
}

class Simd {
  private readonly e: JitBinder["e"];
  private readonly aligned: boolean;

  constructor(private readonly b: JitBinder) {
    this.e = b.e;
    this.aligned = b.insn.form.row.unaligned !== true;
  }

  emit(name: string): boolean {
    const { b } = this;
    const arithmetic = ARITHMETIC.exec(name);
    if (arithmetic !== null) {
      this.arithmetic(arithmetic[1], arithmetic[3] === "d" ? 64 : 32, arithmetic[2] === "p");
      return true;
    }
    if (Object.hasOwn(SHUFFLES, name)) {
      const a = this.target(), source = this.source(1, 16);
      const words = SHUFFLES[name].map(([of, i]) => this.word(of === "a" ? { reg: a } : source, i));
      words.forEach((word, i) => this.setWord(a + i, word));
      return true;
    }
    if (Object.hasOwn(HALVES, name)) return this.halves(HALVES[name]);
    if (SHORT.test(name)) return this.words(XMM_WORDS[name.slice(0, -2)]);
    switch (name) {
      case "mov16":
        return this.move(16);
      case "movss":
        return this.move(4);
      case "movsd":
        return this.move(8);
      case "movq_x":
        return this.move(8, true);
      case "movd_to_xmm":
        return this.fromGeneral();
      case "movd_from_xmm":
        return this.toGeneral();
      case "pcmpeqb_x":
        return this.words((x, y) => this.equalLanes(x, y, 0x7f7f7f7f, 7));
      case "pcmpeqw_x":
        return this.words((x, y) => this.equalLanes(x, y, 0x7fff7fff, 15));
      case "paddq_x":
      case "psubq_x":
        return this.quadwords(name === "paddq_x");
      case "pmovmskb_x":
        return this.mask([0, 1, 2, 3].map((i) => {
          const w = this.word(this.source(1, 16), i);
          // The product gathers bits 0, 8, 16 and 24 in its bits 24 to 27.
          const bits = `((Math.imul((${w}>>>7)&16843009,16909320)>>>24)&15)`;
          return i === 0 ? bits : `${bits}<<${4 * i}`;
        }));
      case "movmskps":
      case "movmskpd": {
        const tops = name === "movmskps" ? [0, 1, 2, 3] : [1, 3];
        return this.mask(
          tops.map((w, i) => `(${this.word(this.source(1, 16), w)}>>>31)<<${i}`),
        );
      }
      case "pshufd": {
        const order = b.insn.immediate, source = this.source(1, 16), a = this.target();
        const words = [0, 1, 2, 3].map((i) => this.word(source, (order >> (2 * i)) & 3));
        words.forEach((word, i) => this.setWord(a + i, word));
        return true;
      }
      case "shufps": {
        const order = b.insn.immediate, a = this.target(), source = this.source(1, 16);
        const words = [0, 1, 2, 3].map((i) =>
          this.word(i < 2 ? { reg: a } : source, (order >> (2 * i)) & 3)
        );
        words.forEach((word, i) => this.setWord(a + i, word));
        return true;
      }
      case "shufpd": {
        const order = b.insn.immediate;
        return this.halves([["a", (order & 1) as 0 | 1], ["b", ((order >> 1) & 1) as 0 | 1]]);
      }
      case "pslldq":
      case "psrldq":
        return this.shiftBytes(name === "pslldq");
      case "psllq_xi":
      case "psrlq_xi":
      case "pslld_xi":
      case "psrld_xi":
      case "psrad_xi":
        return this.shiftImmediate(name);
      case "ucomisd":
      case "comisd":
        return this.compare(64);
      case "ucomiss":
      case "comiss":
        return this.compare(32);
      case "cvtsi2sd":
        return this.integerToDouble();
      case "cvttsd2si":
      case "cvtsd2si":
        return this.toInteger(64, name === "cvttsd2si");
      case "cvttss2si":
      case "cvtss2si":
        return this.toInteger(32, name === "cvttss2si");
      case "cvtsi2ss":
        return this.integerToSingle();
      case "cvtss2sd": {
        const a = this.target(), x = this.single(this.source(1, 4), 0);
        this.check([this.plain(x, 32)]);
        this.setDouble(a, { name: x.name, plain: true });
        return true;
      }
      case "cvtsd2ss": {
        const a = this.target(), x = this.double(this.source(1, 8), 0);
        this.nearest();
        const r = b.let(`fround(${x.name})`);
        this.check([this.plain(x, 64), this.safe(r, 32, `${x.name}===0`)]);
        this.inexact([`${r}!==${x.name}`]);
        this.setSingle(a, { name: r, plain: true });
        return true;
      }
      case "cvtps2pd": {
        const a = this.target(), source = this.source(1, 8);
        const x = this.single(source, 0), y = this.single(source, 1);
        this.check([this.plain(x, 32), this.plain(y, 32)]);
        this.setDouble(a, { name: x.name, plain: true });
        this.setDouble(a + 2, { name: y.name, plain: true });
        return true;
      }
      case "cvtdq2pd": {
        const a = this.target(), source = this.source(1, 8);
        const x = this.word(source, 0), y = this.word(source, 1);
        this.setDouble(a, { name: x, plain: true });
        this.setDouble(a + 2, { name: y, plain: true });
        return true;
      }
      case "cvtdq2ps": {
        const a = this.target(), source = this.source(1, 16);
        this.nearest();
        const words = [0, 1, 2, 3].map((i) => this.word(source, i));
        const results = words.map((w) => b.let(`fround(${w})`));
        this.inexact(results.map((r, i) => `${r}!==${words[i]}`));
        results.forEach((name, i) => this.setSingle(a + i, { name, plain: true }));
        return true;
      }
    }
    return false;
  }

  // Operands.

  /** Place in `R` of operand 0, which is a register. */
  private target(): number {
    return this.b.wordsOf(this.b.operand(0));
  }

  private readonly sources = new Map<number, Place>();

  /** Operand `i`, of which memory has `bytes`. Emits the checks of a memory operand the first time. */
  private source(i: number, bytes: number): Place {
    let place = this.sources.get(i);
    if (place !== undefined) return place;
    const { b } = this, operand = b.operand(i);
    if (operand.kind === "W" && b.insn.memory) {
      const aligned = bytes === 16 && this.aligned;
      place = { host: b.memoryPlace(i, bytes, false, { aligned }), known: new Map() };
    } else place = { reg: b.wordsOf(operand) };
    this.sources.set(i, place);
    return place;
  }

  private host(at: Expr, bytes: number): Expr {
    return bytes === 0 ? at : `(${at})+${bytes}`;
  }

  /** A name of word `i` of an operand. */
  private word(place: Place, i: number): Expr {
    const { b, e: { vectors } } = this;
    if ("host" in place) return b.let(`DV.getInt32(${this.host(place.host, 4 * i)},true)`);
    const k = place.reg + i, known = vectors.word(k);
    if (known !== undefined) return known;
    const name = b.let(`R[${k}]`);
    vectors.readWord(k, name);
    return name;
  }

  /** Double `i` of an operand. */
  private double(place: Place, i: number): Known {
    const { b, e: { vectors } } = this;
    if ("host" in place) {
      let known = place.known.get(i);
      if (known !== undefined) return known;
      known = { name: b.let(`DV.getFloat64(${this.host(place.host, 8 * i)},true)`), plain: false };
      place.known.set(i, known);
      return known;
    }
    const k = place.reg + 2 * i;
    return vectors.double(k) ?? vectors.readDouble(k, b.let(`D[${k / 2}]`));
  }

  private single(place: Place, i: number): Known {
    const { b, e: { vectors } } = this;
    if ("host" in place) {
      let known = place.known.get(i);
      if (known !== undefined) return known;
      known = { name: b.let(`DV.getFloat32(${this.host(place.host, 4 * i)},true)`), plain: false };
      place.known.set(i, known);
      return known;
    }
    const k = place.reg + i;
    return vectors.single(k) ?? vectors.readSingle(k, b.let(`F[${k}]`));
  }

  private number(place: Place, i: number, format: Format): Known {
    return format === 64 ? this.double(place, i) : this.single(place, i);
  }

  // Writing registers.

  private setWord(k: number, value: Expr): void {
    const name = /^-?\d+$/.test(value) ? value : this.b.let(value);
    this.b.emit(`R[${k}]=${name};`);
    this.e.vectors.setWord(k, name);
  }

  private setDouble(k: number, known: Known): void {
    this.b.emit(`D[${k / 2}]=${known.name};`);
    this.e.vectors.setDouble(k, known);
  }

  private setSingle(k: number, known: Known): void {
    this.b.emit(`F[${k}]=${known.name};`);
    this.e.vectors.setSingle(k, known);
  }

  private setNumber(k: number, known: Known, format: Format): void {
    if (format === 64) this.setDouble(k, known);
    else this.setSingle(k, known);
  }

  // Moves.

  /** What half `i` of an operand is, to be written later: a double if it is known to be no NaN, or two words. */
  private half(place: Place, i: number): { words?: [Expr, Expr]; double?: Known } {
    const { vectors } = this.e;
    const double = "reg" in place ? vectors.double(place.reg + 2 * i) : this.double(place, i);
    if (double?.plain === true) return { double };
    return { words: [this.word(place, 2 * i), this.word(place, 2 * i + 1)], double };
  }

  private setHalf(k: number, half: { words?: [Expr, Expr]; double?: Known }): void {
    if (half.words === undefined) {
      this.setDouble(k, half.double!);
      return;
    }
    this.setWord(k, half.words[0]);
    this.setWord(k + 1, half.words[1]);
    if (half.double !== undefined) this.e.vectors.setKnown(k, half.double);
  }

  private storeHalf(at: Expr, half: { words?: [Expr, Expr]; double?: Known }): void {
    if (half.words === undefined) this.b.emit(`DV.setFloat64(${at},${half.double!.name},true);`);
    else {
      this.b.emit(`DV.setInt32(${at},${half.words[0]},true);`);
      this.b.emit(`DV.setInt32((${at})+4,${half.words[1]},true);`);
    }
  }

  /**
   * A move of the low `bytes`; the rest of a register becomes zero when it is loaded from memory, or always
   * if `clears`.
   */
  private move(bytes: number, clears = false): boolean {
    const { b } = this, source = this.source(1, bytes);
    const toMemory = b.operand(0).kind === "W" && b.insn.memory;
    if (toMemory) {
      const from = source;
      if (bytes === 4) {
        const word = this.word(from, 0);
        const at = b.memoryPlace(0, 4, true, { aligned: false });
        b.emit(`DV.setInt32(${at},${word},true);`);
        return true;
      }
      const halves = bytes === 16 ? [this.half(from, 0), this.half(from, 1)] : [this.half(from, 0)];
      const at = b.memoryPlace(0, bytes, true, { aligned: bytes === 16 && this.aligned });
      halves.forEach((half, i) => this.storeHalf(this.host(at, 8 * i), half));
      return true;
    }
    const a = this.target();
    if (bytes === 4) {
      this.setWord(a, this.word(source, 0));
      if ("host" in source) { for (const i of [1, 2, 3]) this.setWord(a + i, "0"); }
      return true;
    }
    const halves = bytes === 16
      ? [this.half(source, 0), this.half(source, 1)]
      : [this.half(source, 0)];
    halves.forEach((half, i) => this.setHalf(a + 2 * i, half));
    if (bytes === 8 && (clears || "host" in source)) {
      this.setDouble(a + 2, { name: "0", plain: true });
    }
    return true;
  }

  private halves(make: readonly [HalfOf?, HalfOf?]): boolean {
    const { b } = this;
    const most = Math.max(...make.map((half) => half?.[0] === "b" ? half[1] : 0));
    const bytes = b.insn.memory ? this.bytesOf(1) : 16;
    if (most === 1 && bytes === 8) return false;
    if (b.operand(0).kind === "W" && b.insn.memory) {
      // MOVLPS and MOVHPS to memory.
      const half = this.half(this.source(1, 16), make[0]![1]);
      this.storeHalf(b.memoryPlace(0, 8, true, { aligned: false }), half);
      return true;
    }
    const a = this.target(), source = this.source(1, bytes);
    const values = make.map((half) =>
      half === undefined ? undefined : this.half(half[0] === "a" ? { reg: a } : source, half[1])
    );
    values.forEach((value, i) => value !== undefined && this.setHalf(a + 2 * i, value));
    return true;
  }

  /** Bytes that operand `i` has in memory. */
  private bytesOf(i: number): number {
    return this.b.operand(i).bytes;
  }

  private fromGeneral(): boolean {
    const { b } = this, a = this.target();
    if (b.width(1) === 64) {
      const { lo, hi } = b.read64(1);
      this.setWord(a, lo);
      this.setWord(a + 1, hi);
    } else {
      this.setWord(a, b.read(1));
      this.setWord(a + 1, "0");
    }
    this.setDouble(a + 2, { name: "0", plain: true });
    return true;
  }

  private toGeneral(): boolean {
    const { b } = this, source = this.source(1, 16), lo = this.word(source, 0);
    if (b.width(0) === 64) b.write64(0, lo, this.word(source, 1));
    else b.write(0, lo);
    return true;
  }

  // Integers.

  private words(make: (x: Expr, y: Expr) => Expr): boolean {
    const a = this.target(), source = this.source(1, 16);
    const name = this.b.insn.form.row.semantic;
    if ("reg" in source && source.reg === a && /^(pxor|psub.)_x$/.test(name)) {
      // How registers are set to zero.
      for (const k of [a, a + 2]) this.setDouble(k, { name: "0", plain: true });
      return true;
    }
    for (let i = 0; i < 4; i++) {
      const x = this.word({ reg: a }, i), y = this.word(source, i);
      this.setWord(a + i, `(${make(x, y)})|0`);
    }
    return true;
  }

  /** All ones in the lanes where two words are equal. */
  private equalLanes(x: Expr, y: Expr, low: number, shift: number): Expr {
    const d = this.b.let(`${x}^${y}`);
    const zero = `~(((${d}&${low})+${low})|${d}|${low})`;
    return `Math.imul((${zero})>>>${shift},${shift === 7 ? 255 : 65535})`;
  }

  private quadwords(adds: boolean): boolean {
    const { b } = this, a = this.target(), source = this.source(1, 16);
    for (const i of [0, 2]) {
      const xl = this.word({ reg: a }, i), xh = this.word({ reg: a }, i + 1);
      const yl = this.word(source, i), yh = this.word(source, i + 1);
      const lo = b.let(`(${xl}${adds ? "+" : "-"}${yl})|0`);
      const carry = adds ? `((${lo}>>>0)<(${yl}>>>0)?1:0)` : `((${xl}>>>0)<(${yl}>>>0)?1:0)`;
      const hi = b.let(adds ? `(${xh}+${yh}+${carry})|0` : `(${xh}-${yh}-${carry})|0`);
      this.setWord(a + i, lo);
      this.setWord(a + i + 1, hi);
    }
    return true;
  }

  /** A general register from bits that are joined. */
  private mask(bits: Expr[]): boolean {
    this.b.write(0, bits.join("|"));
    return true;
  }

  private shiftBytes(left: boolean): boolean {
    const { b } = this, count = Math.min(b.insn.immediate & 255, 16), a = this.target();
    const whole = count >> 2, bits = (count & 3) * 8;
    const at = (i: number) => i < 0 || i > 3 ? "0" : this.word({ reg: a }, i);
    const results = [0, 1, 2, 3].map((i) => {
      if (left) {
        const high = at(i - whole);
        return bits === 0
          ? high
          : b.let(`(${high}<<${bits})|(${at(i - whole - 1)}>>>${32 - bits})`);
      }
      const low = at(i + whole);
      return bits === 0 ? low : b.let(`(${low}>>>${bits})|(${at(i + whole + 1)}<<${32 - bits})`);
    });
    results.forEach((word, i) => this.setWord(a + i, word));
    return true;
  }

  private shiftImmediate(name: string): boolean {
    const { b } = this, n = b.insn.immediate & 255, a = this.target();
    const words = [0, 1, 2, 3].map((i) => this.word({ reg: a }, i));
    let results: Expr[];
    if (name.endsWith("d_xi")) {
      results = words.map((w) =>
        name === "psrad_xi"
          ? `${w}>>${Math.min(n, 31)}`
          : n > 31
          ? "0"
          : `${w}${name === "pslld_xi" ? "<<" : ">>>"}${n}|0`
      );
    } else {
      results = [0, 2].flatMap((i) => {
        const lo = words[i], hi = words[i + 1];
        if (n === 0) return [lo, hi];
        if (n > 63) return ["0", "0"];
        if (name === "psllq_xi") {
          return n > 31
            ? ["0", `${lo}<<${n - 32}`]
            : [`${lo}<<${n}`, `(${hi}<<${n})|(${lo}>>>${32 - n})`];
        }
        return n > 31
          ? [`${hi}>>>${n - 32}|0`, "0"]
          : [`(${lo}>>>${n})|(${hi}<<${32 - n})`, `${hi}>>>${n}|0`];
      });
    }
    results.forEach((word, i) => this.setWord(a + i, word));
    return true;
  }

  // Floating point.

  /** Emits that the interpreter does the instruction unless rounding is to nearest and no exception unmasked. */
  private nearest(): void {
    const { vectors } = this.e;
    if (vectors.nearest) return;
    vectors.nearest = true;
    this.b.unless(`(R[${S.MXCSR}]&32640)===8064`);
  }

  /** The condition that a number is zero, normal or infinite; "" if that is known. */
  private plain(x: Known, format: Format): Expr {
    if (x.plain) return "";
    x.plain = true;
    return `(abs(${x.name})>=${LIMITS[format].normal}||${x.name}===0)`;
  }

  /** The condition that a result is finite and well inside the normal range, or a zero that is exact. */
  private safe(r: Expr, format: Format, exactZero: Expr): Expr {
    const zero = exactZero === "" ? `${r}===0` : `${r}===0&&${exactZero}`;
    return `(abs(${r})>=${LIMITS[format].safe}&&abs(${r})<Infinity||${zero})`;
  }

  private check(conditions: Expr[]): void {
    const asked = conditions.filter((c) => c !== "");
    if (asked.length > 0) this.b.unless(asked.join("&&"));
  }

  /** Emits setting PE if any of the conditions holds. */
  private inexact(conditions: Expr[]): void {
    this.b.emit(
      `if((R[${S.MXCSR}]&32)===0&&(${conditions.join("||")}))R[${S.MXCSR}]|=32;`,
    );
  }

  private arithmetic(op: string, format: Format, packed: boolean): void {
    const { b } = this, a = this.target(), step = format >> 5;
    const lanes = packed ? 128 / format : 1, source = this.source(1, packed ? 16 : format / 8);
    if (op === "min" || op === "max") {
      this.extreme(op, format, lanes, source);
      return;
    }
    this.nearest();
    const conditions: Expr[] = [], results: Expr[] = [], inexact: Expr[] = [];
    const round = (e: Expr) => format === 64 ? e : `fround(${e})`;
    for (let i = 0; i < lanes; i++) {
      const y = this.number(source, i, format);
      if (op === "sqrt") {
        const r = b.let(round(`sqrt(${y.name})`));
        conditions.push(this.plain(y, format), this.safe(r, format, ""));
        inexact.push(`INEXACT.sqrt${format}(${y.name},${r})`);
        results.push(r);
        continue;
      }
      const x = this.number({ reg: a }, i, format);
      const sign = { add: "+", sub: "-", mul: "*", div: "/" }[op]!;
      const r = b.let(round(`${x.name}${sign}${y.name}`));
      const exactZero = op === "mul"
        ? `(${x.name}===0||${y.name}===0)`
        : op === "div"
        ? `${x.name}===0`
        : "";
      conditions.push(
        this.plain(x, format),
        this.plain(y, format),
        this.safe(r, format, exactZero),
      );
      inexact.push(`INEXACT.${op}${format}(${x.name},${y.name},${r})`);
      results.push(r);
    }
    this.check(conditions);
    this.inexact(inexact);
    results.forEach((name, i) => this.setNumber(a + i * step, { name, plain: true }, format));
  }

  private extreme(op: string, format: Format, lanes: number, source: Place): void {
    const { b } = this, a = this.target(), results: Expr[] = [], conditions: Expr[] = [];
    for (let i = 0; i < lanes; i++) {
      const x = this.number({ reg: a }, i, format), y = this.number(source, i, format);
      conditions.push(this.plain(x, format), this.plain(y, format));
      // Of two zeros, and of equal operands, the second.
      results.push(
        b.let(`${x.name}${op === "min" ? "<" : ">"}${y.name}?${x.name}:${y.name}`),
      );
    }
    this.check(conditions);
    results.forEach((name, i) =>
      this.setNumber(a + i * (format >> 5), { name, plain: true }, format)
    );
  }

  private compare(format: Format): boolean {
    const { b } = this;
    const x = this.number({ reg: this.target() }, 0, format);
    const y = this.number(this.source(1, format / 8), 0, format);
    this.check([this.plain(x, format), this.plain(y, format)]);
    b.flagsCompare(x.name, y.name);
    return true;
  }

  private integerToDouble(): boolean {
    const { b } = this, a = this.target();
    if (b.width(1) === 64) {
      const { lo, hi } = b.read64(1);
      this.nearest();
      const high = b.let(`${hi}*4294967296`), low = b.let(`(${lo}>>>0)`);
      const r = b.let(`${high}+${low}`);
      this.inexact([`INEXACT.add64(${high},${low},${r})`]);
      this.setDouble(a, { name: r, plain: true });
    } else this.setDouble(a, { name: b.read(1), plain: true });
    return true;
  }

  private integerToSingle(): boolean {
    const { b } = this, a = this.target();
    // A quadword would be rounded twice.
    if (b.width(1) === 64) return false;
    const x = b.read(1);
    this.nearest();
    const r = b.let(`fround(${x})`);
    this.inexact([`${r}!==${x}`]);
    this.setSingle(a, { name: r, plain: true });
    return true;
  }

  private toInteger(format: Format, truncates: boolean): boolean {
    const { b } = this, wide = b.width(0) === 64;
    const x = this.number(this.source(1, format / 8), 0, format);
    this.nearest();
    this.check([this.plain(x, format)]);
    // To nearest: adding and subtracting 1.5 * 2^52 leaves no fraction, and above 2^51 doubles have halves at most.
    const t = truncates
      ? b.let(`Math.trunc(${x.name})`)
      : b.let(`abs(${x.name})<2251799813685248?${x.name}+6755399441055744-6755399441055744:NaN`);
    b.unless(
      wide
        ? `${t}>=-9223372036854775808&&${t}<9223372036854775808`
        : `${t}>=-2147483648&&${t}<=2147483647`,
    );
    this.inexact([`${t}!==${x.name}`]);
    if (!wide) {
      b.write(0, `${t}|0`);
      return true;
    }
    const hi = b.let(`Math.floor(${t}/4294967296)`);
    b.write64(0, `(${t}-${hi}*4294967296)|0`, `${hi}|0`);
    return true;
  }
}
