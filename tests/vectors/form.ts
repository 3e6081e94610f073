/**
 * What is recorded: a form is one encoding of one instruction in the SDM's notation, listed here from
 * the manual's opcode maps and not from the decode table that the vectors judge. A variant of it fixes
 * operand size, register or memory, and the kind of code segment.
 */
import type { Builder } from "./builder.ts";
import type { Env } from "./machine.ts";

/** Shapes the inputs of a form before addresses and encodings are chosen. */
export type Profile = (b: Builder) => void;

/** What a form may say beyond opcode and operands. */
export interface FormOptions {
  profile?: Profile;
  /** Has 16- and 32-bit operand sizes although no operand says so. */
  sized?: boolean;
  /** Uses the stack. */
  stack?: boolean;
  /** Reads or writes memory without a ModRM byte. */
  implicitMemory?: boolean;
  /** A repeated string instruction: iterates until it moves on. */
  repeats?: boolean;
  /** The trap after it is held off, so that the next one runs as well: MOV SS, POP SS. */
  shadow?: boolean;
  /** Uses x87, MMX or SSE state. */
  state?: "x87" | "mmx" | "sse";
  /** Memory operands want 16-byte alignment. */
  aligned?: boolean;
  /** A lock prefix is legal with a memory destination. */
  lock?: boolean;
  /** Cases of the flat register or memory variant; default 100. */
  cases?: number;
  /** Key in the table of undefined flags when the mnemonic is not it. */
  flags?: string;
  /** How far results may be off: see `tolerance.ts`. */
  tolerance?: "x87" | "reciprocal";
}

/** One encoding of one instruction. */
export interface Form {
  opcode: string;
  operands: string;
  mnemonic: string;
  options: FormOptions;
  /** Mandatory prefix, or -1. */
  prefix: number;
  /** VEX encoding: number of the opcode map, and of the mandatory prefix in VEX.pp. */
  vex: { map: number; pp: number; vvvv: boolean } | undefined;
  /** Opcode bytes, escapes included. */
  bytes: number[];
  modrm: boolean;
  /** ModRM.reg when it extends the opcode, or -1. */
  digit: number;
  /** A fixed ModRM byte, or -1. */
  fixed: number;
  /** Register in the low opcode bits. */
  plus: boolean;
  registerForm: boolean;
  memoryForm: boolean;
  /** Size letters of the ModRM.rm operand. */
  rmSize: string;
  /** Immediates in encoding order: b w z v p (far pointer) j (rel z) o (memory offset). */
  immediates: string[];
  sized: boolean;
}

/** One form at one operand size, with or without memory, in one kind of code. */
export interface Variant {
  form: Form;
  /** 0 where the form has no operand size. */
  operandSize: 0 | 16 | 32;
  memory: boolean;
  env: Env;
  cases: number;
  name: string;
}

const RM_KINDS = "EMRWUQNF";

/** Reads one line of a table: `f("0F AF /r", "Gv,Ev", "imul")`. */
export function f(
  opcode: string,
  operands: string,
  mnemonic: string,
  options: FormOptions = {},
): Form {
  const tokens = opcode.split(" ");
  let prefix = -1, vex: Form["vex"];
  if (tokens[0].startsWith("VEX.")) {
    const [, , pp, map] = tokens.shift()!.split(".");
    vex = {
      map: ["0F", "0F38", "0F3A"].indexOf(map) + 1,
      pp: ["NP", "66", "F3", "F2"].indexOf(pp),
      vvvv: /(^|,)B/.test(operands),
    };
  } else if (["NP", "66", "F2", "F3"].includes(tokens[0]) && tokens.length > 1) {
    const first = tokens.shift();
    if (first !== "NP") prefix = parseInt(first!, 16);
  }
  const bytes: number[] = [];
  const form: Form = {
    opcode,
    operands,
    mnemonic,
    options,
    prefix,
    vex,
    bytes,
    modrm: false,
    digit: -1,
    fixed: -1,
    plus: false,
    registerForm: true,
    memoryForm: true,
    rmSize: "",
    immediates: [],
    sized: options.sized ?? false,
  };
  const length = tokens[0] !== "0F" ? 1 : tokens[1] === "38" || tokens[1] === "3A" ? 3 : 2;
  tokens.forEach((token, i) => {
    if (i < length) bytes.push(parseInt(token, 16));
    else if (token === "/r") form.modrm = true;
    else if (/^\/\d$/.test(token)) {
      form.digit = Number(token[1]);
      form.modrm = true;
    } else if (token === "+r") form.plus = true;
    else if (token === "r") form.memoryForm = false;
    else if (token === "m") form.registerForm = false;
    else {
      form.fixed = parseInt(token, 16);
      form.modrm = true;
    }
  });
  for (const operand of operands === "" ? [] : operands.split(",")) {
    const letter = operand[0], size = operand.slice(1);
    if (operand === "sIb") form.immediates.push("b");
    else if (letter === "I") form.immediates.push(size);
    else if (letter === "J") form.immediates.push(size === "b" ? "b" : "j");
    else if (letter === "A") form.immediates.push("p");
    else if (letter === "O") form.immediates.push("o");
    else if (RM_KINDS.includes(letter)) {
      form.rmSize = size;
      if ("RUN".includes(letter)) form.memoryForm = false;
      if ("MF".includes(letter)) form.registerForm = false;
    }
    if (/^[EGRMZIJAO][vzpa]$/.test(operand) || operand === "rAX") form.sized = true;
  }
  if (!form.modrm || form.fixed >= 0) form.memoryForm = false;
  return form;
}

/**
 * The bytes of a VEX prefix (SDM vol. 2, 2.3.5), always the long one. `extend` holds R, X and B as in REX, uninverted.
 */
export function vexPrefix(
  vex: { map: number; pp: number },
  fields: { extend: number; vvvv: number; wide: boolean; length: number },
): number[] {
  const { extend, vvvv, wide, length } = fields;
  return [
    0xc4,
    ((~extend & 7) << 5) | vex.map,
    (wide ? 0x80 : 0) | ((~vvvv & 15) << 3) | (length << 2) | vex.pp,
  ];
}

/** Everything that is recorded of a form. */
export function variants(form: Form): Variant[] {
  const { options } = form;
  const list: Variant[] = [];
  const sizes: (0 | 16 | 32)[] = form.sized ? [32, 16] : [0];
  const kinds = [...(form.registerForm ? [false] : []), ...(form.memoryForm ? [true] : [])];
  const cases = options.cases ?? 100;
  for (const operandSize of sizes) {
    for (const memory of kinds) {
      const touches = memory || options.stack || options.implicitMemory ||
        form.immediates.includes("o");
      const add = (env: Env, count: number) => {
        const name = `${form.opcode} ${form.operands} ${form.mnemonic} ` +
          `${memory ? "mem" : "reg"} o${operandSize} ${env}`;
        list.push({ form, operandSize, memory, env, cases: count, name });
      };
      add("flat", cases);
      if (touches) add("based", 16);
      add("seg16", touches ? 30 : 12);
    }
  }
  return list;
}
