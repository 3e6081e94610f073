/**
 * An IBM enhanced PS/2 keyboard: 104 keys and the usual extra ones, scan code sets 1, 2 and 3.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "101- and 102-key keyboard".
 *
 * Deviation: keys do not repeat by themselves; who holds the host's key down presses again, as in QEMU.
 * Deviation: navigation keys send no additional shift codes while Num Lock or Shift is on.
 * Deviation: self-test and replies take no time.
 */
import { type Chip, copyState, type State } from "../core/chip.ts";
import type { KeySink } from "../core/expect/keyboard.ts";
import { didYouMean } from "../core/text.ts";
import { type Bounds, checkedState } from "./bounds.ts";
import { PS2_ACK, PS2_BAT_OK, PS2_BUFFER_SIZE, PS2_RESEND, type Ps2Device } from "./ps2_device.ts";
import { KEY_NAMES, SCAN_CODES } from "./scan_codes.ts";

const SET_LEDS = 0xed,
  ECHO = 0xee,
  SCAN_CODE_SET = 0xf0,
  READ_ID = 0xf2,
  SET_TYPEMATIC = 0xf3,
  ENABLE = 0xf4,
  DEFAULT_DISABLE = 0xf5,
  SET_DEFAULT = 0xf6,
  ALL_TYPEMATIC = 0xf7,
  ALL_MAKE_BREAK = 0xf8,
  ALL_MAKE = 0xf9,
  ALL_TYPEMATIC_MAKE_BREAK = 0xfa,
  KEY_TYPEMATIC = 0xfb,
  KEY_MAKE_BREAK = 0xfc,
  KEY_MAKE = 0xfd,
  RESEND = 0xfe,
  RESET = 0xff;
const KEYBOARD_ID = [0xab, 0x83];
/** 10.9 characters a second after half a second. */
const TYPEMATIC_DEFAULT = 0x2b;
const BREAK = 0xf0, EXTENDED = 0xe0;

/** Keys of set 3 that send break codes by default: Caps Lock, both Shift, left Ctrl and Alt. */
const SET3_MAKE_BREAK = [0x14, 0x12, 0x59, 0x11, 0x19];

/** Keys that change what Print Screen and Pause send. */
const SHIFTS = ["shift", "shift_r"], CTRLS = ["ctrl", "ctrl_r"], ALTS = ["alt", "alt_r"];
const MODIFIERS = [...SHIFTS, ...CTRLS, ...ALTS];

/** What Print Screen sends alone, with Ctrl or Shift, with Alt: make and break in sets 1 and 2. */
const PRINT: readonly Record<1 | 2, { make: number[]; break: number[] }>[] = [
  {
    1: { make: [0xe0, 0x2a, 0xe0, 0x37], break: [0xe0, 0xb7, 0xe0, 0xaa] },
    2: { make: [0xe0, 0x12, 0xe0, 0x7c], break: [0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12] },
  },
  {
    1: { make: [0xe0, 0x37], break: [0xe0, 0xb7] },
    2: { make: [0xe0, 0x7c], break: [0xe0, 0xf0, 0x7c] },
  },
  { 1: { make: [0x54], break: [0xd4] }, 2: { make: [0x84], break: [0xf0, 0x84] } },
];
const PRINT_SET3 = 0x57, PAUSE_SET3 = 0x62;
/** Pause sends make and break at once, alone and with Ctrl. */
const PAUSE: readonly Record<1 | 2, number[]>[] = [
  { 1: [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5], 2: [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77] },
  { 1: [0xe0, 0x46, 0xe0, 0xc6], 2: [0xe0, 0x7e, 0xe0, 0xf0, 0x7e] },
];

interface KeyboardState extends State {
  scanning: boolean;
  set: number;
  /** Scroll, Num and Caps Lock from bit 0. */
  leds: number;
  typematic: number;
  /** The command that waits for its parameter, 0 for none. */
  command: number;
  /** Replies go before keys. */
  replies: number[];
  keys: number[];
  last: number;
  underway: boolean;
  inhibited: boolean;
  /** Bits of `MODIFIERS` that are down. */
  modifiers: number;
  /** Which of `PRINT` was made last. */
  print: number;
  /** Set 3: 1 for each code that sends a break. */
  breaks: Uint8Array;
}

function defaultBreaks(): Uint8Array {
  const breaks = new Uint8Array(256);
  for (const code of SET3_MAKE_BREAK) breaks[code] = 1;
  return breaks;
}

function resetState(): KeyboardState {
  return {
    scanning: true,
    set: 2,
    leds: 0,
    typematic: TYPEMATIC_DEFAULT,
    command: 0,
    replies: [],
    keys: [],
    last: 0,
    underway: false,
    inhibited: false,
    modifiers: 0,
    print: 0,
    breaks: defaultBreaks(),
  };
}

const BOUNDS: Bounds = {
  set: { min: 1, max: 3 },
  leds: 7,
  typematic: 0xff,
  command: 0xff,
  replies: { items: 0xff, most: PS2_BUFFER_SIZE },
  keys: { items: 0xff, most: PS2_BUFFER_SIZE + 1 },
  last: 0xff,
  modifiers: 2 ** MODIFIERS.length - 1,
  print: PRINT.length - 1,
};

/** The keyboard. */
export class Ps2Keyboard implements Chip, Ps2Device, KeySink {
  readonly name = "ps2_keyboard";
  onByte: () => void = () => {};
  onIdle: () => void = () => {};
  private state = resetState();

  // --- the host's side ---

  /**
   * Presses a key. Pressing one that is down already repeats it. What does not fit into the keyboard's
   * buffer is lost, and the guest is told so with an overrun code.
   *
   * @throws {RangeError} when there is no key of that name
   */
  keyDown(qcode: string): void {
    this.key(qcode, true);
  }

  /**
   * Releases a key.
   *
   * @throws {RangeError} when there is no key of that name
   */
  keyUp(qcode: string): void {
    this.key(qcode, false);
  }

  /** Whether the guest has read everything that keys sent so far, and the keyboard is enabled. */
  get idle(): boolean {
    const s = this.state;
    return s.scanning && !s.inhibited && !s.underway && !this.hasByte;
  }

  /** Bytes of scan codes for which the keyboard has room. The longest key, Pause, sends eight. */
  queueFree(): number {
    return Math.max(0, PS2_BUFFER_SIZE - this.state.keys.length);
  }

  /** The lights: Scroll Lock is bit 0, Num Lock bit 1, Caps Lock bit 2. */
  get leds(): number {
    return this.state.leds;
  }

  private key(qcode: string, down: boolean): void {
    const s = this.state;
    if (!KEY_NAMES.includes(qcode)) {
      throw new RangeError(
        `there is no key ${JSON.stringify(qcode)}${didYouMean(qcode, KEY_NAMES)}`,
      );
    }
    const bytes = this.sequence(qcode, down);
    const modifier = MODIFIERS.indexOf(qcode);
    if (modifier >= 0) {
      const bit = 1 << modifier;
      s.modifiers = down ? s.modifiers | bit : s.modifiers & ~bit;
    }
    if (!s.scanning || bytes.length === 0) return;
    if (bytes.length <= this.queueFree()) s.keys.push(...bytes);
    else if (s.keys.length <= PS2_BUFFER_SIZE) {
      // Once: the code stands for everything that got lost.
      const overrun = s.set === 1 ? 0xff : 0x00;
      if (s.keys.at(-1) === overrun) return;
      s.keys.push(overrun);
    }
    this.offer();
  }

  private isDown(keys: readonly string[]): boolean {
    return keys.some((key) => (this.state.modifiers & (1 << MODIFIERS.indexOf(key))) !== 0);
  }

  private sequence(qcode: string, down: boolean): number[] {
    const s = this.state;
    if (qcode === "print" || qcode === "pause") return this.specialSequence(qcode, down);
    const code = SCAN_CODES.get(qcode)!;
    if (s.set === 3) return this.set3(code.set3, down);
    const prefix = code.extended ? [EXTENDED] : [];
    if (s.set === 1) return [...prefix, down ? code.set1 : code.set1 | 0x80];
    return down ? [...prefix, code.set2] : [...prefix, BREAK, code.set2];
  }

  private set3(code: number, down: boolean): number[] {
    if (code === 0) return [];
    if (down) return [code];
    return this.state.breaks[code] !== 0 ? [BREAK, code] : [];
  }

  private specialSequence(qcode: "print" | "pause", down: boolean): number[] {
    const s = this.state;
    if (s.set === 3) return this.set3(qcode === "print" ? PRINT_SET3 : PAUSE_SET3, down);
    const set = s.set as 1 | 2;
    if (qcode === "pause") return down ? PAUSE[this.isDown(CTRLS) ? 1 : 0][set] : [];
    if (down) s.print = this.isDown(ALTS) ? 2 : this.isDown([...SHIFTS, ...CTRLS]) ? 1 : 0;
    const codes = PRINT[s.print][set];
    return down ? codes.make : codes.break;
  }

  // --- the controller's side ---

  get hasByte(): boolean {
    return this.state.replies.length > 0 || this.state.keys.length > 0;
  }

  take(): number {
    const s = this.state;
    s.last = s.replies.shift() ?? s.keys.shift() ?? s.last;
    s.underway = true;
    return s.last;
  }

  delivered(): void {
    this.state.underway = false;
    this.tellIdle();
  }

  setInhibited(level: boolean): void {
    if (level === this.state.inhibited) return;
    this.state.inhibited = level;
    this.tellIdle();
  }

  private tellIdle(): void {
    if (this.idle) this.onIdle();
  }

  private offer(): void {
    if (this.hasByte) this.onByte();
  }

  private reply(...bytes: number[]): void {
    const { replies } = this.state;
    for (const byte of bytes) if (replies.length < PS2_BUFFER_SIZE) replies.push(byte);
  }

  send(byte: number): void {
    const s = this.state;
    const command = s.command;
    // A command where a parameter is due takes its place.
    if (command !== 0 && byte < SET_LEDS) this.parameter(command, byte);
    else {
      s.command = 0;
      // The host has given up what it has not read of older replies.
      if (byte !== RESEND) s.replies = [];
      this.execute(byte);
    }
    this.offer();
  }

  private parameter(command: number, value: number): void {
    const s = this.state;
    s.command = 0;
    switch (command) {
      case SET_LEDS:
        s.leds = value & 7;
        break;
      case SET_TYPEMATIC:
        s.typematic = value;
        break;
      case SCAN_CODE_SET:
        if (value > 3) {
          this.reply(PS2_RESEND);
          return;
        }
        if (value === 0) {
          this.reply(PS2_ACK, s.set);
          return;
        }
        s.set = value;
        s.keys = [];
        break;
      default:
        // Further keys may follow until the next command.
        s.breaks[value] = command === KEY_MAKE_BREAK ? 1 : 0;
        s.command = command;
    }
    this.reply(PS2_ACK);
  }

  private execute(command: number): void {
    const s = this.state;
    switch (command) {
      case SET_LEDS:
      case SCAN_CODE_SET:
      case SET_TYPEMATIC:
      case KEY_TYPEMATIC:
      case KEY_MAKE_BREAK:
      case KEY_MAKE:
        s.command = command;
        break;
      case ECHO:
        this.reply(ECHO);
        return;
      case READ_ID:
        this.reply(PS2_ACK, ...KEYBOARD_ID);
        return;
      case ENABLE:
        s.keys = [];
        s.scanning = true;
        break;
      case DEFAULT_DISABLE:
      case SET_DEFAULT:
        this.setDefaults();
        s.scanning = command === SET_DEFAULT;
        break;
      case ALL_TYPEMATIC:
      case ALL_MAKE:
        s.breaks.fill(0);
        break;
      case ALL_MAKE_BREAK:
      case ALL_TYPEMATIC_MAKE_BREAK:
        s.breaks.fill(1);
        break;
      case RESEND:
        s.replies.unshift(s.last);
        s.replies.length = Math.min(s.replies.length, PS2_BUFFER_SIZE);
        return;
      case RESET:
        this.setDefaults();
        s.leds = 0;
        s.scanning = true;
        this.reply(PS2_ACK, PS2_BAT_OK);
        return;
      default:
        this.reply(PS2_RESEND);
        return;
    }
    this.reply(PS2_ACK);
  }

  private setDefaults(): void {
    const s = this.state;
    s.keys = [];
    s.set = 2;
    s.typematic = TYPEMATIC_DEFAULT;
    s.breaks = defaultBreaks();
  }

  /** Power-on. The keys that are down stay down. */
  reset(): void {
    const { modifiers, inhibited } = this.state;
    this.state = resetState();
    Object.assign(this.state, { modifiers, inhibited });
  }

  snapshot(): State {
    return copyState(this.state);
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, resetState(), BOUNDS);
  }
}
