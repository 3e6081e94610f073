/** Commands in the guest's shell: how they are sent so that their output can be told from everything around it. */

/** What a command in the guest did. */
export interface ShellResult {
  /** What it wrote to its standard output and, as a terminal shows both, its standard error. Lines end in `\n`. */
  stdout: string;
  /** Its exit status, 0 to 255. */
  status: number;
}

/** What is sent for a command and what its end looks like. */
export interface ShellScript {
  input: string;
  /** The mark after the output, with the exit status as group `status`. */
  end: RegExp;
  /** The mark before the output. */
  begin: RegExp;
}

/** Lines are kept this short: busybox's line editor takes 1023 bytes, and the mark and the quotes are to fit too. */
const LINE = 800;
/** Most characters of one `printf`'s argument. */
const OCTAL = 120;
const LINE_FEED = 0x0a, APOSTROPHE = 0x27;

/**
 * A command as one quoted word for a POSIX shell. Other bytes than printable ASCII are written by `printf`: a
 * shell's line editor or the terminal would act on them. Long lines are continued.
 */
function quote(command: string): string {
  let quoted = "'", length = 0, octal = "";
  const add = (text: string): void => {
    quoted += text;
    length += text.length;
    if (length <= LINE) return;
    quoted += "'\\\n'";
    length = 0;
  };
  const addOctal = (): void => {
    if (octal !== "") add(`'"$(printf '${octal}')"'`);
    octal = "";
  };
  for (const byte of new TextEncoder().encode(command)) {
    const plain = byte === LINE_FEED || (byte >= 0x20 && byte < 0x7f);
    if (!plain) octal += `\\${byte.toString(8).padStart(3, "0")}`;
    if (plain || octal.length >= OCTAL) addOctal();
    if (byte === LINE_FEED) {
      quoted += "\n";
      length = 0;
    } else if (plain) add(byte === APOSTROPHE ? `'\\''` : String.fromCharCode(byte));
  }
  addOctal();
  return `${quoted}\n'`;
}

/**
 * The text that makes a POSIX shell run a command between two marks.
 *
 * The marks are put together by `printf` from parts, so that no echo of the input, however the terminal
 * breaks or repeats it, contains them. The command travels as one quoted argument of `eval`: the shell
 * reads all of it before it runs any of it, so no secondary prompt or echo can come between the
 * marks, and a syntax error in it (`command` keeps it from ending the line) has a status like any other.
 *
 * @throws {RangeError} when the command contains a NUL character
 */
export function shellScript(command: string, number: number): ShellScript {
  if (command.includes("\0")) throw new RangeError("a command cannot contain NUL characters");
  const input = ` printf '\\n%s%s\\n' '<cmd' '${number}<';command eval ${
    quote(command)
  };printf '\\n%s%s%s>\\n' '>cmd' '${number}:' "$?"\n`;
  return {
    input,
    begin: new RegExp(`<cmd${number}<\\r*\\n`),
    end: new RegExp(`\\r*\\n>cmd${number}:(?<status>\\d+)>\\r*\\n`),
  };
}

const ESC = "\x1b", BEL = "\x07";
/** Terminal control: CSI, OSC and other strings, two-character and intermediate escapes (ECMA-48). */
const ESCAPES = new RegExp(
  `${ESC}(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\)?|[ -/]+[0-~]|[0-~])`,
  "g",
);

/** Removes terminal escape sequences. */
export function stripAnsi(text: string): string {
  return text.replace(ESCAPES, "");
}

/** A command's output in the text before its end mark, without what the terminal did to it: line endings, and escape sequences unless `ansi`. */
export function shellOutput(script: ShellScript, before: string, ansi: boolean): string {
  const mark = script.begin.exec(before);
  const text = mark === null ? before : before.slice(mark.index + mark[0].length);
  return (ansi ? text : stripAnsi(text)).replace(/\r+\n/g, "\n");
}
