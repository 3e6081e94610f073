/** The guest's screen as a script sees it. */
import { encode } from "fast-png";
import type { Display, TextCursor } from "../display/display.ts";
import { type Duration, nanoseconds } from "../machine/duration.ts";
import type { RunLoop, Wait } from "../machine/run_loop.ts";
import { checkNotEmpty } from "./pattern.ts";

/** Virtual nanoseconds between two looks at a display that does not report changes. */
const SAMPLE_NS = 10_000_000;

/** What a pattern matched on the screen. */
export interface ScreenMatch {
  /** The matched text. */
  text: string;
  /** Row of its first character, from 0. */
  row: number;
  /** Column of its first character, from 0. */
  column: number;
  /** The captured groups, the first group at index 0. */
  groups: (string | undefined)[];
}

/** What the screen needs of the machine. */
export interface ScreenContext {
  loop: RunLoop;
  display: Display | undefined;
  /** Default of `within` in virtual nanoseconds. */
  within: number | undefined;
}

/** The guest's screen. In graphics modes it has a picture but no text. */
export class Screen {
  /** Made by the machine. */
  constructor(private readonly context: ScreenContext) {}

  /** The display; throws without one. */
  private get display(): Display {
    const { display } = this.context;
    if (display === undefined) throw new Error("this machine has no display adapter");
    return display;
  }

  /** The rows of the text screen without trailing spaces; empty in graphics modes. */
  lines(): string[] {
    return (this.display.textLines() ?? []).map((line) => line.trimEnd());
  }

  /** The rows of the text screen joined by `\n`. */
  text(): string {
    return this.lines().join("\n");
  }

  /** Where the cursor stands; undefined in graphics modes. */
  get cursor(): TextCursor | undefined {
    return this.display.cursor;
  }

  /** What a monitor would show now, as a PNG file. */
  screenshot(): Uint8Array {
    const { width, height, data } = this.display.render();
    return encode({ width, height, data, channels: 4, depth: 8 });
  }

  /**
   * Waits until the text on the screen matches. The rows are joined by `\n`, without trailing spaces.
   *
   * The guest stops on the instruction that completes the match where the display adapter reports its
   * changes, else at a look every 10 ms of virtual time.
   *
   * @throws {PatternError} at once for a pattern that can match the empty string
   */
  expect(
    pattern: string | RegExp,
    options: { within?: Duration } = {},
  ): Promise<ScreenMatch> {
    checkNotEmpty(pattern);
    const { display } = this;
    const regExp = typeof pattern === "string"
      ? new RegExp(pattern.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&"))
      : new RegExp(pattern.source, pattern.flags.replace(/[gyd]/g, ""));
    const label = typeof pattern === "string" ? JSON.stringify(pattern) : String(pattern);
    const { within } = options;
    return this.context.loop.wait<ScreenMatch>(`${label} on the screen`, {
      within: within === undefined ? this.context.within : nanoseconds(within),
      hint: () => {
        const lines = display.textLines();
        if (lines === undefined) return "the display is in a graphics mode and shows no text";
        if (lines.every((line) => line.trim() === "")) return "the screen is empty";
      },
      arm: (wait) => new Watcher(display, regExp, wait).start(this.context.loop),
    });
  }
}

/** One wait for the screen. */
class Watcher {
  private lines: string[] | undefined;

  constructor(
    private readonly display: Display,
    private readonly regExp: RegExp,
    private readonly wait: Wait<ScreenMatch>,
  ) {}

  start(loop: RunLoop): (() => void) | undefined {
    this.look(-1);
    if (this.wait.settled) return undefined;
    if (this.display.watchText !== undefined) {
      return this.display.watchText((row) => this.look(row));
    }
    return loop.every(SAMPLE_NS, () => this.look(-1));
  }

  private look(row: number): void {
    if (this.wait.settled) return;
    const changed = row >= 0 && this.lines !== undefined && this.display.textLine !== undefined
      ? this.display.textLine(row)?.trimEnd()
      : undefined;
    if (changed === undefined || row >= this.lines!.length) {
      this.lines = this.display.textLines()?.map((line) => line.trimEnd());
    } else if (changed === this.lines![row]) return;
    else this.lines![row] = changed;
    if (this.lines === undefined) return;
    const text = this.lines.join("\n");
    const found = this.regExp.exec(text);
    if (found === null) return;
    const before = text.slice(0, found.index);
    const [match, ...groups] = found;
    this.wait.resolve({
      text: match,
      row: before.split("\n").length - 1,
      column: found.index - (before.lastIndexOf("\n") + 1),
      groups,
    });
  }
}
