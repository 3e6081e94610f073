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

/** busybox's line editor takes no more than this on a line. */
const MAX_LINE = 1000;

/**
 * The text that makes a POSIX shell run a command between two marks.
 *
 * The marks are put together by `printf` from parts, so that no echo of the input, however the terminal
 * breaks or repeats it, contains them. The command travels as one quoted argument of `eval`: the shell
 * reads all of it before it runs any of it, so no secondary prompt or echo can come between the
 * marks, and a syntax error in it (`command` keeps it from ending the line) has a status like any other.
 *
 * @throws {RangeError} when a line of the command is longer than a shell's line editor takes
 */
export function shellScript(command: string, number: number): ShellScript {
  if (command.includes("\0")) throw new RangeError("a command cannot contain NUL characters");
  const quoted = command.replaceAll("'", `'\\''`);
  const input =
    ` printf '\\n%s%s\\n' '<cmd' '${number}<';command eval '${quoted}\n';printf '\\n%s%s%s>\\n' '>cmd' '${number}:' "$?"\n`;
  for (const line of input.split("\n")) {
    const length = new TextEncoder().encode(line).length;
    if (length > MAX_LINE) {
      throw new RangeError(
        `a line of the command needs ${length} bytes, and a shell's line editor takes ${MAX_LINE}: ` +
          `break it into several lines`,
      );
    }
  }
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
