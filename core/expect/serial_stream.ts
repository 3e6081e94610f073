/** A serial port as a script sees it: text to wait for, with a cursor, and text to send. */
import type { SerialLine } from "../char/serial_line.ts";
import { type Duration, nanoseconds } from "../machine/duration.ts";
import { GuestFailureError } from "../machine/exit.ts";
import type { RunLoop, Wait } from "../machine/run_loop.ts";
import { nearMiss } from "./hints.ts";
import { type Found, Search } from "./matcher.ts";
import { type StreamPattern, streamPattern } from "./pattern.ts";
import { shellOutput, type ShellResult, shellScript } from "./shell.ts";
import { TextBuffer } from "./text_buffer.ts";
import { Utf8Decoder } from "./utf8.ts";

/** How long to wait. */
export interface WithinOptions {
  /** Virtual time after which the wait fails; milliseconds or text such as `"5s"`. Default: the machine's `limits.within`. */
  within?: Duration;
}

/** What a pattern matched. */
export interface SerialMatch {
  /** The matched text. */
  text: string;
  /** The text between the cursor and the match. */
  before: string;
  /** The captured groups, the first group at index 0. */
  groups: (string | undefined)[];
  /** The captured groups that have names. */
  named: Record<string, string | undefined>;
}

/** Which of several patterns matched. */
export interface TaggedMatch<Tag extends string> extends SerialMatch {
  /** The tag of the pattern. */
  tag: Tag;
}

/** How a command is run in the guest's shell. */
export interface RunOptions extends WithinOptions {
  /** Keeps terminal escape sequences in the output. Default false. */
  ansi?: boolean;
}

/** What a stream needs of the machine. */
export interface StreamContext {
  loop: RunLoop;
  line: SerialLine;
  /** Default of `within` in virtual nanoseconds; undefined for none. */
  within: number | undefined;
  /** What {@linkcode SerialStream.writeLine} ends lines with. */
  newline: string;
}

function toMatch(buffer: TextBuffer, cursor: number, found: Found): SerialMatch {
  const [text, ...groups] = found.result;
  return {
    text,
    before: buffer.slice(cursor, found.start),
    groups,
    named: { ...found.result.groups },
  };
}

/**
 * A serial port of the guest.
 *
 * What the guest sends is kept as text (UTF-8) in front of a cursor. A successful wait moves the cursor
 * behind what it matched, so that nothing is matched twice and nothing is lost between two waits.
 * A pattern matches on the very byte that completes it, whether that byte comes during the wait or was
 * there before: the outcome is the same.
 */
export class SerialStream {
  private readonly buffer = new TextBuffer();
  private readonly decoder = new Utf8Decoder();
  private readonly raw: Uint8Array[] = [];
  private readonly chunk = new Uint8Array(4096);
  private chunkLength = 0;
  private readonly arrivals = new Set<() => void>();
  private readonly taps = new Set<(text: string) => void>();
  private position = 0;
  private commands = 0;

  /** Made by the machine. */
  constructor(private readonly context: StreamContext) {
    context.line.listen((byte) => this.take(byte));
  }

  /** The name of the port: `serial0` is COM1. */
  get name(): string {
    return this.context.line.name;
  }

  /** Takes a byte that the guest has sent. */
  private take(byte: number): void {
    this.chunk[this.chunkLength++] = byte;
    if (this.chunkLength === this.chunk.length) {
      this.raw.push(this.chunk.slice());
      this.chunkLength = 0;
    }
    for (const character of this.decoder.push(byte)) this.buffer.append(character);
    for (const arrival of this.arrivals) arrival();
    if (this.taps.size > 0) {
      const text = this.buffer.slice(this.tapped);
      this.tapped = this.buffer.length;
      for (const tap of this.taps) tap(text);
    }
  }
  private tapped = 0;

  /** How many characters lie behind the cursor. */
  get cursor(): number {
    return this.position;
  }

  /** The text after the cursor: received, and not yet matched by any wait. */
  get unread(): string {
    return this.buffer.slice(this.position);
  }

  /** Moves the cursor behind everything received so far, and returns what it skipped. */
  skip(): string {
    const text = this.unread;
    this.position = this.buffer.length;
    return text;
  }

  /** Everything that the guest has sent since power-on, as text (at least its last 32 million characters). */
  transcript(): string {
    return this.buffer.slice(0);
  }

  /** Everything that the guest has sent since power-on, as bytes. */
  bytes(): Uint8Array {
    const parts = [...this.raw, this.chunk.subarray(0, this.chunkLength)];
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  /** The end of what the guest has sent, whole lines as far as possible. */
  tail(characters = 1000): string {
    const text = this.buffer.slice(Math.max(0, this.buffer.length - characters));
    const feed = text.indexOf("\n");
    return text.length < characters || feed < 0 ? text : text.slice(feed + 1);
  }

  /**
   * Calls `listener` with text as the guest sends it, character by character: to show or log it. It is
   * called from within the guest's instructions and must not wait for anything. The returned function ends it.
   */
  tap(listener: (text: string) => void): () => void {
    this.tapped = this.buffer.length;
    this.taps.add(listener);
    return () => this.taps.delete(listener);
  }

  /** The wait's own time limit, else the machine's. */
  private within(options: WithinOptions): number | undefined {
    return options.within === undefined ? this.context.within : nanoseconds(options.within);
  }

  /** Waits until one of the patterns matches; calls `done` with its index. */
  private search<T>(
    what: string,
    patterns: StreamPattern[],
    options: WithinOptions,
    done: (wait: Wait<T>, index: number, found: Found, cursor: number) => void,
    atDeadline?: (wait: Wait<T>) => void,
    orderlyEnd?: (wait: Wait<T>) => void,
  ): Promise<T> {
    return this.context.loop.wait<T>(`${this.name}: ${what}`, {
      within: this.within(options),
      atDeadline,
      hint: () => {
        if (atDeadline !== undefined) return undefined;
        const passed = this.buffer.slice(0, this.position);
        for (const pattern of patterns) {
          const miss = nearMiss(pattern, passed, this.unread);
          if (miss !== undefined) return `${pattern.label} ${miss}`;
        }
      },
      atEnd: (wait, exit) => {
        if (["power-off", "debug-exit", "reset"].includes(exit.kind)) orderlyEnd?.(wait);
      },
      arm: (wait) => {
        const from = this.position;
        const searches = patterns.map((pattern) => new Search(pattern, this.buffer, from));
        const advance = () => {
          if (wait.settled) return;
          let best: { index: number; found: Found; at: number } | undefined;
          for (const [index, search] of searches.entries()) {
            const found = search.advance();
            if (found === undefined) continue;
            if (best === undefined || search.searched < best.at) {
              best = { index, found, at: search.searched };
            }
          }
          if (best !== undefined) done(wait, best.index, best.found, from);
        };
        advance();
        if (wait.settled) return;
        this.arrivals.add(advance);
        return () => this.arrivals.delete(advance);
      },
    });
  }

  /** Calls `found` with each text that matches from now on, from within the guest's instruction. The cursor has no part in it. */
  watch(pattern: string | RegExp, found: (text: string) => void): () => void {
    const prepared = streamPattern(pattern);
    let search = new Search(prepared, this.buffer, this.buffer.length);
    const advance = () => {
      const match = search.advance();
      if (match === undefined) return;
      search = new Search(prepared, this.buffer, search.searched);
      found(match.result[0]);
    };
    this.arrivals.add(advance);
    return () => this.arrivals.delete(advance);
  }

  /**
   * Waits until the guest sends text that matches, and moves the cursor behind it.
   *
   * @param pattern text, or a regular expression. `^` without the `m` flag is the cursor. Lines of a terminal end
   * in `\r\n`, and `.` does not match `\r`: write `/error: .*\r?\n/`.
   * @throws {PatternError} at once for a pattern that can match the empty string or ends in an unbounded repetition
   * @returns what matched; rejects with a {@linkcode MachineError} when it cannot match any more or time is up
   */
  expect(pattern: string | RegExp, options: WithinOptions = {}): Promise<SerialMatch> {
    const prepared = streamPattern(pattern);
    return this.search<SerialMatch>(
      prepared.label,
      [prepared],
      options,
      (wait, _index, found, cursor) => {
        this.position = Math.max(this.position, found.end);
        wait.resolve(toMatch(this.buffer, cursor, found));
      },
    );
  }

  /**
   * Waits for whichever of several patterns matches first; of those that match on the same byte, the one
   * listed first.
   *
   * @param patterns patterns by the tag that is returned with the match
   */
  first<Tag extends string>(
    patterns: Record<Tag, string | RegExp>,
    options: WithinOptions = {},
  ): Promise<TaggedMatch<Tag>> {
    const tags = Object.keys(patterns) as Tag[];
    if (tags.length === 0) throw new TypeError("first() needs at least one pattern");
    const prepared = tags.map((tag) => streamPattern(patterns[tag]));
    return this.search<TaggedMatch<Tag>>(
      `first of ${tags.map((tag, i) => `${tag}: ${prepared[i].label}`).join(", ")}`,
      prepared,
      options,
      (wait, index, found, cursor) => {
        this.position = Math.max(this.position, found.end);
        wait.resolve({ tag: tags[index], ...toMatch(this.buffer, cursor, found) });
      },
    );
  }

  /**
   * Runs the guest for a while and rejects as soon as it sends text that matches. The cursor stays.
   * An orderly end of the machine (power-off, debug-exit, reset) fulfils it too.
   *
   * @param options `within` says how long to watch, in virtual time
   */
  expectNot(
    pattern: string | RegExp,
    options: { within: Duration },
  ): Promise<void> {
    const prepared = streamPattern(pattern);
    return this.search<void>(
      `no ${prepared.label}`,
      [prepared],
      options,
      (wait, _index, found, cursor) => {
        const { text } = toMatch(this.buffer, cursor, found);
        wait.fail((report) =>
          new GuestFailureError(
            `${this.name} sent ${
              JSON.stringify(text)
            }, which matches ${prepared.label} and was not expected`,
            report,
          )
        );
      },
      (wait) => wait.resolve(),
      (wait) => wait.resolve(),
    );
  }

  /** Waits for the rest of the current line and returns it without its line ending. */
  readLine(options: WithinOptions = {}): Promise<string> {
    return this.search<string>(
      "a line",
      [streamPattern("\n")],
      options,
      (wait, _index, found, cursor) => {
        this.position = Math.max(this.position, found.end);
        wait.resolve(this.buffer.slice(cursor, found.start).replace(/\r+$/, ""));
      },
    );
  }

  /**
   * Sends input to the guest as fast as its UART takes it, and waits until it has taken everything.
   * Text is sent as UTF-8.
   */
  write(data: string | Uint8Array, options: WithinOptions = {}): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`input is text or a Uint8Array, not ${typeof data}`);
    }
    return this.context.loop.wait<void>(
      `${this.name} to take ${bytes.length} bytes of input`,
      {
        within: this.within(options),
        arm: (wait) => this.context.line.send(bytes, () => wait.resolve()),
      },
    );
  }

  /** Sends a line of text and its end, `"\n"` unless the machine was made with another `newline`. */
  writeLine(text: string, options: WithinOptions = {}): Promise<void> {
    return this.write(text + this.context.newline, options);
  }

  /**
   * Runs a command in the POSIX shell that reads from this port, and waits for its end. Several lines,
   * quotes and here-documents are allowed. What the shell echoes, its prompts and the colours of the
   * command's output do not get into the result.
   */
  async run(command: string, options: RunOptions = {}): Promise<ShellResult> {
    const script = shellScript(command, ++this.commands);
    const what = `the end of the command ${JSON.stringify(command)}`;
    const within = this.within(options);
    // Input and output run together: a long command is echoed while it is sent.
    const write = this.context.loop.wait<void>(what, {
      within,
      arm: (wait) =>
        this.context.line.send(
          new TextEncoder().encode(script.input.replaceAll("\n", this.context.newline)),
          () => wait.resolve(),
        ),
    });
    const read = this.search<ShellResult>(
      what,
      [streamPattern(script.end)],
      options,
      (wait, _index, found, cursor) => {
        this.position = Math.max(this.position, found.end);
        const before = this.buffer.slice(cursor, found.start);
        wait.resolve({
          stdout: shellOutput(script, before, options.ansi ?? false),
          status: Number(found.result.groups!.status),
        });
      },
    );
    const [, result] = await Promise.all([write, read]);
    return result;
  }
}
