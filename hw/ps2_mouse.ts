/**
 * A PS/2 mouse with wheel and five buttons, as far as the guest asks for them.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Auxiliary device"; Microsoft, "Intellimouse
 * PS/2 protocol" for identities 3 and 4.
 *
 * Deviation: reports go out as soon as something happens and there is room, not at the sample rate; host
 * movements are counts already, so the resolution is remembered but not applied. Both as in QEMU.
 */
import { type Chip, copyState, type State } from "../core/chip.ts";
import { type Bounds, checkedState } from "./bounds.ts";
import { PS2_ACK, PS2_BAT_OK, PS2_BUFFER_SIZE, PS2_RESEND, type Ps2Device } from "./ps2_device.ts";

const SCALING_1_1 = 0xe6,
  SCALING_2_1 = 0xe7,
  SET_RESOLUTION = 0xe8,
  STATUS_REQUEST = 0xe9,
  SET_STREAM = 0xea,
  READ_DATA = 0xeb,
  RESET_WRAP = 0xec,
  SET_WRAP = 0xee,
  SET_REMOTE = 0xf0,
  READ_ID = 0xf2,
  SET_RATE = 0xf3,
  ENABLE = 0xf4,
  DISABLE = 0xf5,
  SET_DEFAULT = 0xf6,
  RESEND = 0xfe,
  RESET = 0xff;

/** First byte of a report; the buttons are bits 0 (left), 1 (right) and 2 (middle). */
const ALWAYS = 0x08, X_SIGN = 0x10, Y_SIGN = 0x20;
/** First byte of the answer to a status request. */
const STATUS_REMOTE = 0x40, STATUS_ENABLED = 0x20, STATUS_SCALING = 0x10;
const ID_PLAIN = 0, ID_WHEEL = 3, ID_FIVE_BUTTONS = 4;
/** Sample rates that, set one after the other, unlock the wheel and the side buttons. */
const UNLOCK_WHEEL = [200, 100, 80], UNLOCK_BUTTONS = [200, 200, 80];
/** Small enough to be doubled by 2:1 scaling. */
const MOST_COUNTS = 127, MOST_WHEEL = 7;
const BUTTONS = 5;

interface MouseState extends State {
  enabled: boolean;
  remote: boolean;
  wrap: boolean;
  doubled: boolean;
  resolution: number;
  rate: number;
  id: number;
  /** The last three sample rates set. */
  rates: number[];
  /** The command that waits for its parameter, 0 for none. */
  command: number;
  /** Movement not reported yet; y counts upwards. */
  dx: number;
  dy: number;
  dz: number;
  buttons: number;
  /** The buttons have changed since the last report. */
  changed: boolean;
  replies: number[];
  reports: number[];
  last: number;
  underway: boolean;
  inhibited: boolean;
}

function resetState(): MouseState {
  return {
    enabled: false,
    remote: false,
    wrap: false,
    doubled: false,
    resolution: 2,
    rate: 100,
    id: ID_PLAIN,
    rates: [0, 0, 0],
    command: 0,
    dx: 0,
    dy: 0,
    dz: 0,
    buttons: 0,
    changed: false,
    replies: [],
    reports: [],
    last: 0,
    underway: false,
    inhibited: false,
  };
}

/** No hand moves a mouse further than that between two looks. */
const FAR = 1_000_000;
const MOVEMENT = { min: -FAR, max: FAR };
const BOUNDS: Bounds = {
  resolution: 3,
  rate: 0xff,
  id: ID_FIVE_BUTTONS,
  rates: { items: 0xff, least: 3, most: 3 },
  command: 0xff,
  dx: MOVEMENT,
  dy: MOVEMENT,
  dz: MOVEMENT,
  buttons: 2 ** BUTTONS - 1,
  replies: { items: 0xff, most: PS2_BUFFER_SIZE },
  reports: { items: 0xff, most: PS2_BUFFER_SIZE },
  last: 0xff,
};

const clamp = (value: number, most: number): number => Math.max(-most, Math.min(most, value));

/** 2:1 scaling: 0, 1, 1, 3, 6, 9, and double from 6 on. */
function double(value: number): number {
  const size = Math.abs(value);
  return Math.sign(value) * ([0, 1, 1, 3, 6, 9][size] ?? 2 * size);
}

/** The mouse. */
export class Ps2Mouse implements Chip, Ps2Device {
  readonly name = "ps2_mouse";
  onByte: () => void = () => {};
  private state = resetState();

  // --- the host's side ---

  /**
   * Moves the mouse by counts: `dx` to the right, `dy` towards the user (down the screen), and turns the
   * wheel by `dz` notches towards the user. Nothing happens while the guest has not enabled the mouse.
   */
  move(dx: number, dy: number, dz = 0): void {
    if (!Number.isInteger(dx) || !Number.isInteger(dy) || !Number.isInteger(dz)) {
      throw new RangeError(`mouse movement ${dx}, ${dy}, ${dz} is not in whole counts`);
    }
    const s = this.state;
    if (!s.enabled) return;
    s.dx = clamp(s.dx + dx, FAR);
    s.dy = clamp(s.dy - dy, FAR);
    if (s.id !== ID_PLAIN) s.dz = clamp(s.dz + dz, FAR);
    this.stream();
  }

  /** Presses or releases a button: 0 left, 1 right, 2 middle, 3 and 4 at the sides. */
  button(button: number, down: boolean): void {
    if (!Number.isInteger(button) || button < 0 || button >= BUTTONS) {
      throw new RangeError(`mouse button ${button} does not exist: give 0 to ${BUTTONS - 1}`);
    }
    const s = this.state, bit = 1 << button;
    if (((s.buttons & bit) !== 0) === down) return;
    s.buttons ^= bit;
    s.changed = true;
    this.stream();
  }

  /** Reports what there is to report, as far as there is room. */
  private stream(): void {
    const s = this.state;
    if (!s.enabled || s.remote || s.wrap) return;
    const size = s.id === ID_PLAIN ? 3 : 4;
    let news = false;
    while (
      (s.changed || s.dx !== 0 || s.dy !== 0 || s.dz !== 0) &&
      s.reports.length + size <= PS2_BUFFER_SIZE
    ) {
      s.reports.push(...this.report(s.doubled));
      news = true;
    }
    if (news) this.onByte();
  }

  private report(doubled: boolean): number[] {
    const s = this.state;
    let dx = clamp(s.dx, MOST_COUNTS), dy = clamp(s.dy, MOST_COUNTS);
    const dz = clamp(s.dz, MOST_WHEEL);
    s.dx -= dx;
    s.dy -= dy;
    s.dz -= dz;
    s.changed = false;
    if (doubled) {
      dx = double(dx);
      dy = double(dy);
    }
    const bytes = [
      ALWAYS | (s.buttons & 7) | (dx < 0 ? X_SIGN : 0) | (dy < 0 ? Y_SIGN : 0),
      dx & 0xff,
      dy & 0xff,
    ];
    if (s.id === ID_WHEEL) bytes.push(dz & 0xff);
    if (s.id === ID_FIVE_BUTTONS) bytes.push((dz & 0x0f) | ((s.buttons & 0x18) << 1));
    return bytes;
  }

  // --- the controller's side ---

  get hasByte(): boolean {
    return this.state.replies.length > 0 || this.state.reports.length > 0;
  }

  take(): number {
    const s = this.state;
    s.last = s.replies.shift() ?? s.reports.shift() ?? s.last;
    s.underway = true;
    return s.last;
  }

  delivered(): void {
    this.state.underway = false;
    this.stream();
  }

  setInhibited(level: boolean): void {
    this.state.inhibited = level;
  }

  /** Whether the guest has read everything, and would hear of more. */
  get idle(): boolean {
    const s = this.state;
    return s.enabled && !s.inhibited && !s.underway && !this.hasByte;
  }

  private reply(...bytes: number[]): void {
    this.state.replies.push(...bytes);
  }

  send(byte: number): void {
    const s = this.state;
    if (byte !== RESEND || s.wrap) {
      // A command ends the report that was being sent, and older replies.
      s.replies = [];
      s.reports = [];
    }
    const command = s.command;
    s.command = 0;
    if (s.wrap && byte !== RESET_WRAP && byte !== RESET) this.reply(byte);
    else if (command === SET_RATE) this.setRate(byte);
    else if (command === SET_RESOLUTION) this.setResolution(byte);
    else this.execute(byte);
    this.onByte();
  }

  private setRate(rate: number): void {
    const s = this.state;
    s.rate = rate;
    s.rates = [s.rates[1], s.rates[2], rate];
    const unlocks = (rates: number[]) => rates.every((r, i) => r === s.rates[i]);
    if (unlocks(UNLOCK_WHEEL) && s.id === ID_PLAIN) s.id = ID_WHEEL;
    if (unlocks(UNLOCK_BUTTONS)) s.id = ID_FIVE_BUTTONS;
    this.reply(PS2_ACK);
  }

  private setResolution(value: number): void {
    if (value > 3) {
      this.reply(PS2_RESEND);
      return;
    }
    this.state.resolution = value;
    this.reply(PS2_ACK);
  }

  private execute(command: number): void {
    const s = this.state;
    this.reply(PS2_ACK);
    switch (command) {
      case SCALING_1_1:
      case SCALING_2_1:
        s.doubled = command === SCALING_2_1;
        break;
      case SET_RESOLUTION:
      case SET_RATE:
        s.command = command;
        break;
      case STATUS_REQUEST:
        this.reply(this.status(), s.resolution, s.rate);
        break;
      case SET_STREAM:
        s.remote = false;
        break;
      case READ_DATA:
        this.reply(...this.report(false));
        break;
      case RESET_WRAP:
        s.wrap = false;
        break;
      case SET_WRAP:
        s.wrap = true;
        break;
      case SET_REMOTE:
        s.remote = true;
        break;
      case READ_ID:
        this.reply(s.id);
        break;
      case ENABLE:
        if (!s.enabled) this.forgetMovement();
        s.enabled = true;
        break;
      case DISABLE:
        s.enabled = false;
        break;
      case SET_DEFAULT:
        this.setDefaults();
        break;
      case RESEND:
        s.replies = [s.last, ...s.replies.slice(0, -1)].slice(0, PS2_BUFFER_SIZE);
        break;
      case RESET:
        this.setDefaults();
        s.id = ID_PLAIN;
        s.rates = [0, 0, 0];
        this.reply(PS2_BAT_OK, ID_PLAIN);
        break;
      default:
        s.replies = [PS2_RESEND];
    }
  }

  /** Here the left button is bit 2 and the right one bit 0. */
  private status(): number {
    const { buttons, remote, enabled, doubled } = this.state;
    return ((buttons & 1) << 2) | ((buttons & 4) >> 1) | ((buttons & 2) >> 1) |
      (remote ? STATUS_REMOTE : 0) | (enabled ? STATUS_ENABLED : 0) |
      (doubled ? STATUS_SCALING : 0);
  }

  private forgetMovement(): void {
    Object.assign(this.state, { dx: 0, dy: 0, dz: 0, changed: false });
  }

  private setDefaults(): void {
    this.forgetMovement();
    Object.assign(this.state, {
      enabled: false,
      remote: false,
      wrap: false,
      doubled: false,
      resolution: 2,
      rate: 100,
    });
  }

  /** Power-on. The buttons that are down stay down. */
  reset(): void {
    const { buttons, inhibited } = this.state;
    this.state = resetState();
    Object.assign(this.state, { buttons, inhibited });
  }

  snapshot(): State {
    return copyState(this.state);
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, resetState(), BOUNDS);
  }
}
