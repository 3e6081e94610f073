/** Typing on the guest's keyboard: characters and key names become key presses, paced by the guest. */
import { type Duration, nanoseconds } from "../machine/duration.ts";
import type { RunLoop, Wait } from "../machine/run_loop.ts";
import { didYouMean } from "../text.ts";

/** A keyboard, as a script presses its keys. Keys have QEMU's QKeyCode names: `a`, `ret`, `spc`, `ctrl`, `kp_1`. */
export interface KeySink {
  /** Presses a key. A name that the keyboard does not have is a host's mistake and throws a RangeError. */
  keyDown(qcode: string): void;
  /** Releases a key. */
  keyUp(qcode: string): void;
  /** Whether the guest has read everything that keys sent so far, and the keyboard is enabled. */
  readonly idle: boolean;
  /** Called whenever {@linkcode KeySink.idle} has become true. Set by the machine. */
  onIdle: () => void;
}

/** Keys of the US layout that give other characters than letters and digits: plain, and with Shift. */
const SYMBOLS: [string, string, string][] = [
  ["grave_accent", "`", "~"],
  ["minus", "-", "_"],
  ["equal", "=", "+"],
  ["bracket_left", "[", "{"],
  ["bracket_right", "]", "}"],
  ["backslash", "\\", "|"],
  ["semicolon", ";", ":"],
  ["apostrophe", "'", '"'],
  ["comma", ",", "<"],
  ["dot", ".", ">"],
  ["slash", "/", "?"],
  ["spc", " ", " "],
  ["ret", "\n", "\n"],
  ["tab", "\t", "\t"],
  ["backspace", "\b", "\b"],
  ["esc", "\x1b", "\x1b"],
];

/** Key and Shift for each character of the US layout. */
const CHARACTERS = new Map<string, { key: string; shift: boolean }>();
for (const [key, plain, shifted] of SYMBOLS) {
  CHARACTERS.set(shifted, { key, shift: true });
  CHARACTERS.set(plain, { key, shift: false });
}
for (let i = 0; i < 26; i++) {
  const key = String.fromCharCode(97 + i);
  CHARACTERS.set(key, { key, shift: false });
  CHARACTERS.set(key.toUpperCase(), { key, shift: true });
}
[..."0123456789"].forEach((key, i) => {
  CHARACTERS.set(key, { key, shift: false });
  CHARACTERS.set(")!@#$%^&*("[i], { key, shift: true });
});
CHARACTERS.set("\r", { key: "ret", shift: false });
CHARACTERS.set("\x7f", { key: "backspace", shift: false });

/** Names that scripts use, lower case, and the keys they mean. QKeyCode names mean themselves. */
const NAMES: Record<string, string> = {
  enter: "ret",
  return: "ret",
  escape: "esc",
  space: "spc",
  control: "ctrl",
  option: "alt",
  altgr: "alt_r",
  meta: "meta_l",
  super: "meta_l",
  win: "meta_l",
  del: "delete",
  ins: "insert",
  pageup: "pgup",
  pagedown: "pgdn",
  arrowup: "up",
  arrowdown: "down",
  arrowleft: "left",
  arrowright: "right",
  capslock: "caps_lock",
  numlock: "num_lock",
  scrolllock: "scroll_lock",
  printscreen: "print",
  break: "pause",
  contextmenu: "compose",
  menu: "compose",
};

const QCODES = new Set([
  ...[...CHARACTERS.values()].map(({ key }) => key),
  ...Object.values(NAMES),
  ...Array.from({ length: 12 }, (_, i) => `f${i + 1}`),
  ...["shift", "shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r", "home", "end"],
  ...["up", "down", "left", "right", "less", "sysrq"],
  ...Array.from({ length: 10 }, (_, i) => `kp_${i}`),
  ...["add", "subtract", "multiply", "divide", "decimal", "enter"].map((key) => `kp_${key}`),
]);

/**
 * The keys of a chord such as `Ctrl-Alt-Delete` or `Shift+F1`, in the order in which they are pressed.
 *
 * @throws {RangeError} naming the nearest key name
 */
export function chordKeys(chord: string): string[] {
  return chord.split(/[-+](?=.)/s).flatMap((name, _i, all) => {
    // A chord of one character is that character, with Shift when it takes it: "A", "-", "?".
    const character = [...name].length === 1 ? CHARACTERS.get(name) : undefined;
    if (character !== undefined) {
      const shift = character.shift && all.length === 1;
      return shift ? ["shift", character.key] : [character.key];
    }
    const lower = name.toLowerCase();
    const key = NAMES[lower] ?? lower;
    if (!QCODES.has(key)) {
      throw new RangeError(
        `no key is named ${JSON.stringify(name)}${
          didYouMean(name, [...Object.keys(NAMES), ...QCODES])
        }`,
      );
    }
    return [key];
  });
}

/** A key going down or up. */
interface Stroke {
  key: string;
  down: boolean;
}

function chordStrokes(keys: string[]): Stroke[] {
  return [
    ...keys.map((key) => ({ key, down: true })),
    ...keys.toReversed().map((key) => ({ key, down: false })),
  ];
}

/** What the keyboard needs of the machine. */
export interface KeyboardContext {
  loop: RunLoop;
  sink: KeySink | undefined;
  /** Default of `within` in virtual nanoseconds. */
  within: number | undefined;
}

/** How long to wait for the guest to take the keys. */
export interface KeyOptions {
  /** Virtual time after which the wait fails. Default: the machine's `limits.within`. */
  within?: Duration;
}

interface Job {
  strokes: Stroke[];
  held: string[];
  wait: Wait<void>;
}

/**
 * Virtual time between the release of a key and the next one. Guests that read the controller at once may be
 * slow to use what they have read: a BIOS keeps 15 keys for a program and drops the rest.
 */
const PAUSE_NS = 10_000_000;

/**
 * The guest's keyboard, with the US layout. Each key waits until the guest has read the one before, and for
 * 10 ms of virtual time as a person's fingers would.
 */
export class Keyboard {
  private readonly jobs: Job[] = [];
  private pumping = false;
  /** Ends the pause after the last key; undefined when it is over. */
  private endPause: (() => void) | undefined;

  /** Made by the machine. */
  constructor(private readonly context: KeyboardContext) {
    if (context.sink !== undefined) context.sink.onIdle = () => this.pump();
  }

  /**
   * Types text, `\n` being Enter, and waits until the guest has read all of it.
   *
   * @throws {RangeError} at once for a character that the US layout does not have
   */
  type(text: string, options: KeyOptions = {}): Promise<void> {
    const strokes = [...text].flatMap((c) => {
      const character = CHARACTERS.get(c);
      if (character === undefined) {
        throw new RangeError(`the US keyboard layout has no key for ${JSON.stringify(c)}`);
      }
      return chordStrokes(character.shift ? ["shift", character.key] : [character.key]);
    });
    return this.send(`the guest to read the keys of ${JSON.stringify(text)}`, strokes, options);
  }

  /**
   * Presses keys together and releases them, and waits until the guest has read that. Keys are named
   * as in `Enter`, `F1`, `Ctrl-Alt-Delete`, `Shift-Tab`, or by QEMU's names: `ret`, `kp_add`.
   *
   * @throws {RangeError} at once for a key that does not exist, naming the nearest
   */
  press(chord: string, options: KeyOptions = {}): Promise<void> {
    return this.send(
      `the guest to read the key ${chord}`,
      chordStrokes(chordKeys(chord)),
      options,
    );
  }

  /** Queues strokes and waits until the guest has read them. */
  private send(what: string, strokes: Stroke[], { within }: KeyOptions): Promise<void> {
    if (this.context.sink === undefined) throw new Error("this machine has no keyboard");
    // A machine that has ended reads no more keys.
    const late = this.context.loop.ended;
    return this.context.loop.wait<void>(what, {
      within: within === undefined ? this.context.within : nanoseconds(within),
      // A key that ends the machine, such as Ctrl-Alt-Delete, was certainly read.
      atEnd: (wait) => {
        if (late) return;
        const job = this.jobs.find((job) => job.wait === wait);
        if (job !== undefined && job.strokes.every(({ down }) => !down)) wait.resolve();
      },
      arm: (wait) => {
        const job = { strokes, held: [], wait };
        this.jobs.push(job);
        this.pump();
        return () => this.withdraw(job);
      },
    });
  }

  /** For the machine: its time is another one now. */
  restart(): void {
    this.endPause?.();
    this.endPause = undefined;
  }

  /** Lets some time pass before the next key. */
  private pause(): void {
    this.endPause = this.context.loop.inputAfter(PAUSE_NS, () => {
      this.endPause = undefined;
      this.pump();
    });
  }

  /** Forgets the strokes that are left and releases the keys that are down. */
  private withdraw(job: Job): void {
    const at = this.jobs.indexOf(job);
    if (at < 0) return;
    this.jobs.splice(at, 1);
    for (const key of job.held.toReversed()) this.context.sink!.keyUp(key);
  }

  /** Sends strokes as long as the guest has read all before. */
  private pump(): void {
    const sink = this.context.sink!;
    // A keyboard may become idle while it is being given a key.
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (sink.idle && this.jobs.length > 0) {
        const [job] = this.jobs;
        if (job.strokes.length === 0) {
          this.jobs.shift();
          job.wait.resolve();
          continue;
        }
        if (this.endPause !== undefined) return;
        const stroke = job.strokes.shift()!;
        if (stroke.down) {
          sink.keyDown(stroke.key);
          job.held.push(stroke.key);
        } else {
          sink.keyUp(stroke.key);
          job.held.splice(job.held.indexOf(stroke.key), 1);
          if (job.held.length === 0) this.pause();
        }
      }
    } finally {
      this.pumping = false;
    }
  }
}
