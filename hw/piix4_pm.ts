/**
 * Intel 82371AB (PIIX4), function 3: power management and SMBus host controller.
 *
 * Datasheet: 82371AB, order number 290562-001, sections 7.1 to 7.3; the general purpose events at a fixed
 * address are QEMU's.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import { type Chip, copyState, type State, StateError, type Wire } from "../core/chip.ts";
import type { Alarm, Clock } from "../core/machine/clock.ts";
import { ANY_TIME, ANY_TIME_OR_NULL, type Bounds, checkedState } from "./bounds.ts";
import { type BarRange, PciConfig } from "./pci.ts";

// Configuration space.
const PMBA = 0x40;
/** CNTA to DEVRESJ: device and general purpose input control, which nothing here acts on. */
const FIRST_CONTROL = 0x44, LAST_CONTROL = 0x7c;
const DEVACTB = 0x58;
const DEVRESA = 0x5c;
const DEVRESB = 0x60;
const DEVRESC = 0x64;
const PMREGMISC = 0x80;
const SMBBA = 0x90;
const SMBHSTCFG = 0xd2;
const SMBSLVC = 0xd3;
const SMBSHDW1 = 0xd4;
const SMBSHDW2 = 0xd5;

const BASE_IS_IO = 1 << 0;
const DEVACTB_APMC_EN = 1 << 25;
const PMREGMISC_PMIOSE = 1 << 0;
const SMBHSTCFG_SMB_HST_EN = 1 << 0;
const SMBHSTCFG_INTRSEL = 7 << 1, SMBHSTCFG_INTRSEL_IRQ9 = 4 << 1;

// Power management ports.
const PMSTS = 0x00;
const PMEN = 0x02;
const PMCNTRL = 0x04;
const PMTMR = 0x08;
const GPEN = 0x0e;
const PCNTRL = 0x10;
const GLBEN = 0x20;
const GLBCTL = 0x28;
const DEVCTL = 0x2c;
const GPOREG = 0x34;
const PM_PORTS = 0x40;

const PM_TMROF = 1 << 0;
const PM_GBL = 1 << 5;
const PM_PWRBTN = 1 << 8;
const PM_RTC = 1 << 10;
const PM_RSM = 1 << 15;
const PM_EVENTS = PM_TMROF | PM_GBL | PM_PWRBTN | PM_RTC;
const PMCNTRL_SCI_EN = 1 << 0;
const PMCNTRL_BRLD_EN_BM = 1 << 1;
const PMCNTRL_SUS_TYP = 7 << 10;
const PMCNTRL_SUS_EN = 1 << 13;
const SUS_TYP_SOFT_OFF = 0;

/** Hertz of the power management timer; its 24 bits overflow when the uppermost changes. */
const PMTMR_RATE = 3579545;
const PMTMR_HALF = 1 << 23;
const NS_PER_SECOND = 1e9;

// SMBus ports.
const SMBHSTSTS = 0x0;
const SMBSLVSTS = 0x1;
const SMBHSTCNT = 0x2;
const SMBBLKDAT = 0x7;
const SMB_PORTS = 16;

const SMBHSTSTS_HOST_BUSY = 1 << 0;
const SMBHSTSTS_DEV_ERR = 1 << 2;
const SMBHSTSTS_FAILED = 1 << 4;
const SMBHSTSTS_CLEARABLE = 0x1e;
const SMBHSTCNT_INTEREN = 1 << 0;
const SMBHSTCNT_KILL = 1 << 1;
const SMBHSTCNT_START = 1 << 6;
const SMBHSTCNT_KEPT = 0x1d;
const SMB_BLOCK = 32;
/** A start condition, an address and the silence after it, at some 100 kHz. */
const SMB_TRANSACTION_NS = 100_000;

const APMC = 0;
const ACPI_ENABLE = 0xf1, ACPI_DISABLE = 0xf0;
/** Bytes of status, and as many of enables, at QEMU's GPE0 block. */
const GPE_LENGTH = 2;

/** Ports that keep what is written. */
const KEPT: readonly { at: number; length: number }[] = [
  { at: GPEN, length: 2 },
  { at: PCNTRL, length: 4 },
  { at: GLBEN, length: 2 },
  { at: GLBCTL, length: 4 },
  { at: DEVCTL, length: 4 },
  { at: GPOREG, length: 4 },
];

type PmState = {
  PMSTS: number;
  PMEN: number;
  PMCNTRL: number;
  /** Count of timer ticks since power-on at which TMROF_STS is set next. */
  overflow: number;
  kept: Uint8Array;
  APMC: number;
  APMS: number;
  GPE_STS: number;
  GPE_EN: number;
  smbus: Uint8Array;
  block: Uint8Array;
  blockIndex: number;
  /** When the SMBus transaction ends. */
  smbusDone: number | null;
};

const BOUNDS: Bounds = {
  PMSTS: 0xffff,
  PMEN: 0xffff,
  PMCNTRL: 0x1fff,
  overflow: ANY_TIME,
  APMC: 0xff,
  APMS: 0xff,
  GPE_STS: 0xffff,
  GPE_EN: 0xffff,
  blockIndex: SMB_BLOCK - 1,
  smbusDone: ANY_TIME_OR_NULL,
};

/** What the function is connected to. */
export interface Piix4PmWires {
  clock: Clock;
  /** System control interrupt: ISA interrupt 9. */
  sci: Wire;
  /** The guest entered soft-off. */
  powerOff: () => void;
}

/** Devices whose presence the configuration registers tell to ACPI code like that of SeaBIOS. */
export interface Piix4PmOptions {
  serial1?: boolean;
  serial2?: boolean;
  parallel?: boolean;
  /** Whether SCI_EN is set from reset on: for ACPI tables whose FADT has no SMI_CMD by which to set it. Default false. */
  acpiFromReset?: boolean;
}

/** Ticks of the power management timer until a virtual time. */
export function ticksAt(ns: number): number {
  const seconds = Math.floor(ns / NS_PER_SECOND);
  return seconds * PMTMR_RATE + Math.floor((ns % NS_PER_SECOND) * PMTMR_RATE / NS_PER_SECOND);
}

/** The first virtual time at which the timer has counted so many ticks. */
export function timeOfTick(tick: number): number {
  const seconds = Math.floor(tick / PMTMR_RATE);
  return seconds * NS_PER_SECOND + Math.ceil((tick % PMTMR_RATE) * NS_PER_SECOND / PMTMR_RATE);
}

/** Power management function. */
export class Piix4Pm implements Chip {
  readonly name = "piix4-pm";
  readonly config: PciConfig = new PciConfig({
    vendor: 0x8086,
    device: 0x7113,
    classCode: 0x068000,
    revision: 3,
    interruptPin: 1,
    commandMask: 0x0001,
    status: 0x0280,
  });
  private state: PmState;
  private readonly timer: Alarm;
  private readonly transaction: Alarm;
  private readonly acpiFromReset: boolean;
  private pmRange: BarRange | undefined;
  private smbusRange: BarRange | undefined;

  /** Power management registers at PMBA: claim 64 ports with `sizes: [1, 2, 4]`. */
  readonly pm: RegisterAccess = byBytes(
    (offset) => this.readPm(offset),
    (offset, value) => this.writePm(offset, value),
    () => this.update(),
  );
  /** SMBus registers at SMBBA: claim 16 ports. */
  readonly smbus: RegisterAccess = {
    read: (offset) => this.readSmbus(offset),
    write: (offset, _size, value) => this.writeSmbus(offset, value),
  };
  /** APMC and APMS at 0xb2: claim 2 ports. */
  readonly apm: RegisterAccess = {
    read: (offset) => offset === APMC ? this.state.APMC : this.state.APMS,
    write: (offset, _size, value) => this.writeApm(offset, value),
  };
  /** General purpose event block at 0xafe0: claim 4 ports with `sizes: [1, 2, 4]`. */
  readonly gpe: RegisterAccess = byBytes(
    (offset) => {
      const { GPE_STS, GPE_EN } = this.state;
      return ((offset < GPE_LENGTH ? GPE_STS : GPE_EN) >>> (8 * (offset % GPE_LENGTH))) & 0xff;
    },
    (offset, value) => {
      const shift = 8 * (offset % GPE_LENGTH);
      if (offset < GPE_LENGTH) this.state.GPE_STS &= ~(value << shift);
      else this.state.GPE_EN = (this.state.GPE_EN & ~(0xff << shift)) | value << shift;
    },
    () => this.update(),
  );

  constructor(private readonly wires: Piix4PmWires, options: Piix4PmOptions = {}) {
    const { serial1 = true, serial2 = true, parallel = false } = options;
    this.acpiFromReset = options.acpiFromReset ?? false;
    const { config } = this;
    config.register(PMBA, 4, { value: BASE_IS_IO, writable: 0xffc0 });
    for (let offset = FIRST_CONTROL; offset <= LAST_CONTROL; offset += 4) {
      config.register(offset, 4, { writable: 0xffffffff });
    }
    // Deviation: APMC_EN is set from the start, as in QEMU without system management mode. By it SeaBIOS
    // knows that it need not set that mode up.
    const all = 0xffffffff;
    config.register(DEVACTB, 4, { value: DEVACTB_APMC_EN, writable: all });
    config.register(DEVRESA, 4, { value: parallel ? 0x90000000 : 0x10000000, writable: all });
    config.register(DEVRESB, 4, { value: 0x60000000, writable: all });
    const serials = (serial1 ? 0x08000000 : 0) | (serial2 ? 0x90000000 : 0);
    config.register(DEVRESC, 4, { value: serials, writable: all });
    config.register(PMREGMISC, 1, { writable: PMREGMISC_PMIOSE });
    config.register(SMBBA, 4, { value: BASE_IS_IO, writable: 0xfff0 });
    config.register(SMBHSTCFG, 1, { writable: SMBHSTCFG_SMB_HST_EN | SMBHSTCFG_INTRSEL });
    config.register(SMBSLVC, 1, { writable: 0xff });
    config.register(SMBSHDW1, 1, { writable: 0xff });
    config.register(SMBSHDW2, 1, { writable: 0xff });
    config.onChange = () => this.configured();
    this.timer = wires.clock.createAlarm("piix4-pm timer", () => this.update());
    this.transaction = wires.clock.createAlarm("piix4-pm smbus", () => this.endTransaction());
    this.state = this.initial();
    this.reset();
  }

  /** Hands over what the board claimed for the power management and SMBus ports: the function moves and switches them. */
  connectPorts(pm: BarRange, smbus: BarRange): void {
    this.pmRange = pm;
    this.smbusRange = smbus;
    this.configured();
  }

  /** A short press of the power button, which an ACPI guest takes as a request to shut down. */
  pressPowerButton(): void {
    this.state.PMSTS |= PM_PWRBTN;
    this.update();
  }

  /** Raises general purpose event `bit`, 0 to 15. */
  raiseGpe(bit: number): void {
    this.state.GPE_STS |= 1 << bit;
    this.update();
  }

  reset(): void {
    this.state = this.initial();
    this.transaction.cancel();
    this.config.reset();
    this.update();
  }

  snapshot(): State {
    this.latchOverflow();
    return { config: this.config.bytes.slice(), registers: copyState(this.state) };
  }

  restore(state: State): void {
    const like = this.snapshot();
    const next = checkedState(this.name, state, like, {
      registers: { keys: BOUNDS },
    });
    const registers = next.registers as PmState;
    const problem = (text: string) => new StateError(this.name, text);
    if (registers.overflow % PMTMR_HALF !== 0) throw problem("overflow is between overflows");
    const busy = (registers.smbus[SMBHSTSTS] & SMBHSTSTS_HOST_BUSY) !== 0;
    if (busy !== (registers.smbusDone !== null)) throw problem("smbusDone and HOST_BUSY differ");
    this.config.check(this.name, next.config as Uint8Array);
    this.state = registers;
    if (registers.smbusDone === null) this.transaction.cancel();
    else this.transaction.set(registers.smbusDone);
    this.config.restore(next.config as Uint8Array);
  }

  private initial(): PmState {
    const kept = new Uint8Array(PM_PORTS);
    new DataView(kept.buffer).setUint32(GPOREG, 0x7fffbfff, true);
    return {
      PMSTS: 0,
      PMEN: 0,
      PMCNTRL: this.acpiFromReset ? PMCNTRL_SCI_EN : 0,
      overflow: this.nextOverflow(),
      kept,
      APMC: 0,
      APMS: 0,
      GPE_STS: 0,
      GPE_EN: 0,
      smbus: new Uint8Array(SMB_PORTS),
      block: new Uint8Array(SMB_BLOCK),
      blockIndex: 0,
      smbusDone: null,
    };
  }

  private configured(): void {
    const { config } = this;
    place(
      this.pmRange,
      config.get16(PMBA) & 0xffc0,
      (config.get8(PMREGMISC) & PMREGMISC_PMIOSE) !== 0,
    );
    place(
      this.smbusRange,
      config.get16(SMBBA) & 0xfff0,
      (config.get8(SMBHSTCFG) & SMBHSTCFG_SMB_HST_EN) !== 0,
    );
    this.update();
  }

  private ticks(): number {
    return ticksAt(this.wires.clock.now());
  }

  private nextOverflow(): number {
    return (Math.floor(this.ticks() / PMTMR_HALF) + 1) * PMTMR_HALF;
  }

  /** Brings the timer status, its alarm and the interrupt in line with time and registers. */
  private update(): void {
    const { state } = this;
    this.latchOverflow();
    const waits = (state.PMEN & PM_TMROF) !== 0 && (state.PMSTS & PM_TMROF) === 0;
    if (waits) this.timer.set(timeOfTick(state.overflow));
    else this.timer.cancel();
    const events = (state.PMSTS & state.PMEN & PM_EVENTS) !== 0 ||
      (state.GPE_STS & state.GPE_EN) !== 0;
    const acpi = events && (state.PMCNTRL & PMCNTRL_SCI_EN) !== 0;
    this.wires.sci(acpi || this.smbusInterrupt());
  }

  private latchOverflow(): void {
    if (this.ticks() >= this.state.overflow) this.state.PMSTS |= PM_TMROF;
  }

  private smbusInterrupt(): boolean {
    const { smbus } = this.state;
    const select = this.config.get8(SMBHSTCFG) & SMBHSTCFG_INTRSEL;
    return select === SMBHSTCFG_INTRSEL_IRQ9 && (smbus[SMBHSTCNT] & SMBHSTCNT_INTEREN) !== 0 &&
      (smbus[SMBHSTSTS] & SMBHSTSTS_CLEARABLE) !== 0;
  }

  private readPm(offset: number): number {
    const { state } = this;
    const byte = (value: number, from: number) => (value >>> (8 * (offset - from))) & 0xff;
    if (offset < PMEN) {
      this.latchOverflow();
      return byte(state.PMSTS, PMSTS);
    }
    if (offset < PMCNTRL) return byte(state.PMEN, PMEN);
    if (offset < PMCNTRL + 2) return byte(state.PMCNTRL, PMCNTRL);
    if (offset >= PMTMR && offset < PMTMR + 4) return byte(this.ticks() % (2 * PMTMR_HALF), PMTMR);
    return state.kept[offset];
  }

  private writePm(offset: number, value: number): void {
    const { state } = this;
    if (offset < PMEN) {
      const cleared = value << (8 * (offset - PMSTS)) & (PM_EVENTS | PM_RSM);
      // A status set by time just now is cleared with the rest.
      this.latchOverflow();
      state.PMSTS &= ~cleared;
      if ((cleared & PM_TMROF) !== 0) state.overflow = this.nextOverflow();
    } else if (offset < PMCNTRL) {
      const shift = 8 * (offset - PMEN);
      state.PMEN = (state.PMEN & ~(0xff << shift) | value << shift) & PM_EVENTS;
    } else if (offset < PMCNTRL + 2) this.writeControl(offset - PMCNTRL, value);
    else if (KEPT.some(({ at, length }) => offset >= at && offset < at + length)) {
      state.kept[offset] = value;
    }
  }

  private writeControl(index: number, value: number): void {
    const { state } = this;
    const shift = 8 * index;
    const control = state.PMCNTRL & ~(0xff << shift) | value << shift;
    state.PMCNTRL = control & (PMCNTRL_SCI_EN | PMCNTRL_BRLD_EN_BM | PMCNTRL_SUS_TYP);
    // Deviation: of the suspend states there is only soft-off; to ask for another does nothing.
    const type = (control & PMCNTRL_SUS_TYP) >> 10;
    if ((control & PMCNTRL_SUS_EN) !== 0 && type === SUS_TYP_SOFT_OFF) this.wires.powerOff();
  }

  private writeApm(offset: number, value: number): void {
    const { state } = this;
    if (offset !== APMC) {
      state.APMS = value;
      return;
    }
    state.APMC = value;
    // Deviation: what the SMI handler of a firmware would do, there being no system management mode.
    if (value === ACPI_ENABLE) state.PMCNTRL |= PMCNTRL_SCI_EN;
    if (value === ACPI_DISABLE) state.PMCNTRL &= ~PMCNTRL_SCI_EN;
    this.update();
  }

  private readSmbus(offset: number): number {
    const { state } = this;
    if (offset === SMBHSTCNT) state.blockIndex = 0;
    if (offset !== SMBBLKDAT) return state.smbus[offset];
    return state.block[this.nextBlockByte()];
  }

  private writeSmbus(offset: number, value: number): void {
    const { state } = this;
    const { smbus } = state;
    switch (offset) {
      case SMBHSTSTS:
        smbus[SMBHSTSTS] &= ~(value & SMBHSTSTS_CLEARABLE);
        break;
      case SMBSLVSTS: // No slave ever addresses the host.
        break;
      case SMBHSTCNT:
        smbus[SMBHSTCNT] = value & SMBHSTCNT_KEPT;
        if ((value & SMBHSTCNT_KILL) !== 0) this.kill();
        else if ((value & SMBHSTCNT_START) !== 0) this.startTransaction();
        break;
      case SMBBLKDAT:
        state.block[this.nextBlockByte()] = value;
        break;
      default:
        smbus[offset] = value;
    }
    this.update();
  }

  private nextBlockByte(): number {
    const { state } = this;
    const index = state.blockIndex;
    state.blockIndex = (index + 1) % SMB_BLOCK;
    return index;
  }

  private startTransaction(): void {
    const { state } = this;
    if (state.smbusDone !== null) return;
    state.smbus[SMBHSTSTS] |= SMBHSTSTS_HOST_BUSY;
    state.smbusDone = this.wires.clock.now() + SMB_TRANSACTION_NS;
    this.transaction.set(state.smbusDone);
  }

  private kill(): void {
    const { state } = this;
    if (state.smbusDone === null) return;
    state.smbusDone = null;
    this.transaction.cancel();
    state.smbus[SMBHSTSTS] &= ~SMBHSTSTS_HOST_BUSY;
    state.smbus[SMBHSTSTS] |= SMBHSTSTS_FAILED;
  }

  private endTransaction(): void {
    const { state } = this;
    state.smbusDone = null;
    state.smbus[SMBHSTSTS] &= ~SMBHSTSTS_HOST_BUSY;
    // The bus is empty: nobody acknowledges the address.
    state.smbus[SMBHSTSTS] |= SMBHSTSTS_DEV_ERR;
    this.update();
  }
}

/** Registers that are read and written byte by byte, with something to do after a whole write. */
function byBytes(
  read: (offset: number) => number,
  write: (offset: number, value: number) => void,
  written: () => void,
): RegisterAccess {
  return {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= read(offset + i) << (8 * i);
      return value >>> 0;
    },
    write: (offset, size, value) => {
      for (let i = 0; i < size; i++) write(offset + i, (value >>> (8 * i)) & 0xff);
      written();
    },
  };
}

function place(range: BarRange | undefined, base: number, enabled: boolean): void {
  if (range === undefined) return;
  const on = enabled && base !== 0;
  if (!on) range.setEnabled(false);
  else {
    range.move(base);
    range.setEnabled(true);
  }
}
