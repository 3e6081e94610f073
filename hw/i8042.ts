/**
 * Intel 8042 keyboard controller with the PS/2 firmware: keyboard and mouse interface, A20 gate, processor reset.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and auxiliary device controller".
 * Where firmware differ, as QEMU's: replies of the controller wait until the guest has read what is in the
 * output buffer, and the keyboard's interrupt is off while its interface is disabled.
 *
 * Deviation: bytes take no time on the serial lines. They come one by one, each with an edge of its own.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import { type Bounds, checkedState } from "./bounds.ts";
import type { Ps2Device } from "./ps2_device.ts";
import { translateToSet1 } from "./scan_codes.ts";

/** Status register. */
const OBF = 0x01, SYS = 0x04, CMD = 0x08, UNLOCKED = 0x10, AUX_OBF = 0x20;
/** Controller command byte, at internal address 0. */
const CTR_KBD_INT = 0x01,
  CTR_AUX_INT = 0x02,
  CTR_SYS = 0x04,
  CTR_KBD_DISABLE = 0x10,
  CTR_AUX_DISABLE = 0x20,
  CTR_TRANSLATE = 0x40;

const READ_RAM = 0x20,
  WRITE_RAM = 0x60,
  TEST_PASSWORD = 0xa4,
  DISABLE_AUX = 0xa7,
  ENABLE_AUX = 0xa8,
  TEST_AUX = 0xa9,
  SELF_TEST = 0xaa,
  TEST_KBD = 0xab,
  DISABLE_KBD = 0xad,
  ENABLE_KBD = 0xae,
  READ_INPUT_PORT = 0xc0,
  READ_OUTPUT_PORT = 0xd0,
  WRITE_OUTPUT_PORT = 0xd1,
  WRITE_KBD_OUTPUT = 0xd2,
  WRITE_AUX_OUTPUT = 0xd3,
  WRITE_AUX = 0xd4,
  DISABLE_A20 = 0xdd,
  ENABLE_A20 = 0xdf,
  READ_TEST_INPUTS = 0xe0,
  PULSE = 0xf0;

const NO_PASSWORD = 0xf1, SELF_TEST_OK = 0x55, TEST_OK = 0x00;
/** Input port: the keyboard lock is open. */
const INPUT_PORT = 0x80;
/** Output port: not in reset, A20, the lines of the interfaces, the interrupts. */
const OUT_NO_RESET = 0x01, OUT_A20 = 0x02, OUT_LINES = 0xcc, OUT_KBD_OBF = 0x10, OUT_AUX_OBF = 0x20;
const BREAK = 0xf0;
const RAM_SIZE = 32;

/** Where the byte in the output buffer came from. */
const FROM_CONTROLLER = 0, FROM_KEYBOARD = 1, FROM_MOUSE = 2;

interface I8042State extends State {
  /** The firmware's memory; byte 0 is the command byte. */
  ram: Uint8Array;
  /** The output buffer. Reading it empty gives the last byte again. */
  output: number;
  full: boolean;
  /** It is the mouse's, or was declared to be. */
  aux: boolean;
  source: number;
  /** A reply of the controller that waits for the output buffer. */
  reply: number | null;
  replyAux: boolean;
  /** The command that waits for a byte at port 60h, 0 for none. */
  command: number;
  /** The last write went to port 64h. */
  lastWasCommand: boolean;
  selfTested: boolean;
  a20: boolean;
  /** A break prefix has been swallowed by translation. */
  breakPending: boolean;
}

function resetState(): I8042State {
  const ram = new Uint8Array(RAM_SIZE);
  ram[0] = CTR_KBD_INT | CTR_AUX_INT;
  return {
    ram,
    output: 0,
    full: false,
    aux: false,
    source: FROM_CONTROLLER,
    reply: null,
    replyAux: false,
    command: 0,
    lastWasCommand: true,
    selfTested: false,
    a20: true,
    breakPending: false,
  };
}

const BOUNDS: Bounds = {
  output: 0xff,
  source: FROM_MOUSE,
  reply: { max: 0xff, nullable: true },
  command: 0xff,
};

/** What the controller is joined to. */
export interface I8042Wires {
  irq1: Wire;
  irq12: Wire;
  /** Lets address bit 20 through. */
  a20: Wire;
  /** Pulsed to reset the processor. */
  reset: () => void;
  keyboard: Ps2Device;
  mouse: Ps2Device;
}

/** The keyboard controller. */
export class I8042 implements Chip {
  readonly name = "i8042";
  private state = resetState();
  /** Port 60h. */
  readonly data: RegisterAccess = {
    read: () => this.readData(),
    write: (_offset, _size, value) => this.writeData(value),
  };
  /** Port 64h. */
  readonly command: RegisterAccess = {
    read: () => this.status(),
    write: (_offset, _size, value) => this.writeCommand(value),
  };

  constructor(private readonly wires: I8042Wires) {
    wires.keyboard.onByte = () => this.refill();
    wires.mouse.onByte = () => this.refill();
  }

  private get ctr(): number {
    return this.state.ram[0];
  }

  private setCtr(value: number): void {
    this.state.ram[0] = value;
    this.wires.keyboard.setInhibited((value & CTR_KBD_DISABLE) !== 0);
    this.wires.mouse.setInhibited((value & CTR_AUX_DISABLE) !== 0);
    this.refill();
  }

  private status(): number {
    const s = this.state;
    return UNLOCKED | (s.full ? OBF : 0) | (s.full && s.aux ? AUX_OBF : 0) |
      (s.lastWasCommand ? CMD : 0) | (s.selfTested || (this.ctr & CTR_SYS) !== 0 ? SYS : 0);
  }

  private readData(): number {
    const s = this.state;
    if (!s.full) return s.output;
    const value = s.output;
    this.empty();
    this.refill();
    return value;
  }

  /** Takes the byte out of the output buffer. */
  private empty(): void {
    const s = this.state, source = s.source;
    s.full = false;
    this.driveIrqs();
    if (source === FROM_KEYBOARD) this.wires.keyboard.delivered();
    else if (source === FROM_MOUSE) this.wires.mouse.delivered();
  }

  /** Puts the next byte into the output buffer, if that is empty, and drives the interrupts. */
  private refill(): void {
    const s = this.state, { keyboard, mouse } = this.wires;
    if (!s.full && s.reply !== null) {
      this.put(s.reply, FROM_CONTROLLER, s.replyAux);
      s.reply = null;
    }
    while (!s.full && (this.ctr & CTR_KBD_DISABLE) === 0 && keyboard.hasByte) {
      const byte = this.translate(keyboard.take());
      if (byte < 0) keyboard.delivered();
      else this.put(byte, FROM_KEYBOARD, false);
    }
    if (!s.full && (this.ctr & CTR_AUX_DISABLE) === 0 && mouse.hasByte) {
      this.put(mouse.take(), FROM_MOUSE, true);
    }
    this.driveIrqs();
  }

  private put(byte: number, source: number, aux: boolean): void {
    Object.assign(this.state, { output: byte, full: true, source, aux });
  }

  /** The byte for the guest, or -1 for one that is swallowed. */
  private translate(byte: number): number {
    const s = this.state;
    if ((this.ctr & CTR_TRANSLATE) === 0) return byte;
    if (byte === BREAK) {
      s.breakPending = true;
      return -1;
    }
    const code = translateToSet1(byte) | (s.breakPending ? 0x80 : 0);
    s.breakPending = false;
    return code;
  }

  private driveIrqs(): void {
    const { full, aux } = this.state;
    const kbd = CTR_KBD_INT | CTR_KBD_DISABLE;
    this.wires.irq1(full && !aux && (this.ctr & kbd) === CTR_KBD_INT);
    this.wires.irq12(full && aux && (this.ctr & CTR_AUX_INT) !== 0);
  }

  private reply(byte: number, aux = false): void {
    this.state.reply = byte;
    this.state.replyAux = aux;
    this.refill();
  }

  private setA20(level: boolean): void {
    this.state.a20 = level;
    this.wires.a20(level);
  }

  private writeData(value: number): void {
    const s = this.state, command = s.command;
    s.lastWasCommand = false;
    s.command = 0;
    if (command >= WRITE_RAM && command < WRITE_RAM + RAM_SIZE) {
      const address = command - WRITE_RAM;
      if (address === 0) this.setCtr(value);
      else s.ram[address] = value;
      return;
    }
    switch (command) {
      case WRITE_OUTPUT_PORT:
        this.setA20((value & OUT_A20) !== 0);
        if ((value & OUT_NO_RESET) === 0) this.wires.reset();
        break;
      case WRITE_KBD_OUTPUT:
        this.reply(value);
        break;
      case WRITE_AUX_OUTPUT:
        this.reply(value, true);
        break;
      case WRITE_AUX:
        // Talking to a device enables its interface.
        this.setCtr(this.ctr & ~CTR_AUX_DISABLE);
        this.wires.mouse.send(value);
        break;
      default:
        this.setCtr(this.ctr & ~CTR_KBD_DISABLE);
        this.wires.keyboard.send(value);
    }
  }

  private writeCommand(value: number): void {
    const s = this.state;
    s.lastWasCommand = true;
    s.command = 0;
    if (value >= READ_RAM && value < READ_RAM + RAM_SIZE) {
      this.reply(s.ram[value - READ_RAM]);
      return;
    }
    if (value >= WRITE_RAM && value < WRITE_RAM + RAM_SIZE) {
      s.command = value;
      return;
    }
    if (value >= PULSE) {
      // Bits 0 to 3 name the lines that are not pulsed; only the reset line is connected.
      if ((value & 1) === 0) this.wires.reset();
      return;
    }
    switch (value) {
      case TEST_PASSWORD:
        this.reply(NO_PASSWORD);
        break;
      case DISABLE_AUX:
        this.setCtr(this.ctr | CTR_AUX_DISABLE);
        break;
      case ENABLE_AUX:
        this.setCtr(this.ctr & ~CTR_AUX_DISABLE);
        break;
      case DISABLE_KBD:
        this.setCtr(this.ctr | CTR_KBD_DISABLE);
        break;
      case ENABLE_KBD:
        this.setCtr(this.ctr & ~CTR_KBD_DISABLE);
        break;
      case TEST_AUX:
      case TEST_KBD:
        this.reply(TEST_OK);
        break;
      case SELF_TEST:
        s.selfTested = true;
        this.reply(SELF_TEST_OK);
        break;
      case READ_INPUT_PORT:
        this.reply(INPUT_PORT);
        break;
      case READ_OUTPUT_PORT:
        this.reply(
          OUT_LINES | OUT_NO_RESET | (s.a20 ? OUT_A20 : 0) |
            (s.full ? (s.aux ? OUT_AUX_OBF : OUT_KBD_OBF) : 0),
        );
        break;
      case WRITE_OUTPUT_PORT:
      case WRITE_KBD_OUTPUT:
      case WRITE_AUX_OUTPUT:
      case WRITE_AUX:
        s.command = value;
        break;
      case DISABLE_A20:
      case ENABLE_A20:
        this.setA20(value === ENABLE_A20);
        break;
      case READ_TEST_INPUTS:
        // T0 and T1: the clock lines, which a disabled interface holds low.
        this.reply(
          ((this.ctr & CTR_KBD_DISABLE) === 0 ? 1 : 0) |
            ((this.ctr & CTR_AUX_DISABLE) === 0 ? 2 : 0),
        );
        break;
    }
  }

  /** A byte that was on its way from a device is lost. A board resets the devices first, or they go on sending. */
  reset(): void {
    const { full, source } = this.state;
    this.state = resetState();
    this.setA20(true);
    if (full && source === FROM_KEYBOARD) this.wires.keyboard.delivered();
    if (full && source === FROM_MOUSE) this.wires.mouse.delivered();
    this.setCtr(this.ctr);
  }

  snapshot(): State {
    return { ...this.state, ram: this.state.ram.slice() };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, resetState(), BOUNDS);
    this.wires.a20(this.state.a20);
    this.driveIrqs();
  }
}
