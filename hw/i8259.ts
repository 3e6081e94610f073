/**
 * Two Intel 8259A programmable interrupt controllers, cascaded as in a PC: the slave's INT drives the
 * master's IR2. Edge/level control registers as in the PIIX3 (ELCR, 4D0h and 4D1h).
 *
 * Intel 8259A datasheet (order number 231468); 82371SB (PIIX3) datasheet, sections 2.5.7 and 2.5.8.
 *
 * Deviation: ICW3 is accepted and ignored, the cascade is wired. Buffered mode and MCS-80/85 vectors
 * do not exist in a PC.
 * Deviation: in edge mode a request stays latched when its line falls before the acknowledge, as in QEMU.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import { type Bound, checkedState } from "./bounds.ts";

/** Offset of ICW1, OCW2 and OCW3 (written), IRR, ISR and the poll word (read). */
const COMMAND = 0;

const ICW1 = 0x10, ICW1_LTIM = 0x08, ICW1_SNGL = 0x02, ICW1_IC4 = 0x01;
const ICW4_SFNM = 0x10, ICW4_AEOI = 0x02;
const OCW3 = 0x08,
  OCW3_ESMM = 0x40,
  OCW3_SMM = 0x20,
  OCW3_P = 0x04,
  OCW3_RR = 0x02,
  OCW3_RIS = 0x01;
/** OCW2's R, SL and EOI bits. */
const ROTATE_AEOI_CLEAR = 0,
  NONSPECIFIC_EOI = 1,
  SPECIFIC_EOI = 3,
  ROTATE_AEOI_SET = 4,
  ROTATE_NONSPECIFIC_EOI = 5,
  SET_PRIORITY = 6,
  ROTATE_SPECIFIC_EOI = 7;

const CASCADE = 2;
const SPURIOUS = 7;
/** Lines that a board may not switch to level mode: timer, keyboard, cascade; RTC and coprocessor. */
const ELCR_MASK = [0xf8, 0xde];

/** What the next write to the odd port is. */
const READY = 0, WANTS_ICW2 = 1, WANTS_ICW3 = 2, WANTS_ICW4 = 3;

interface PicState extends State {
  /** Levels of the IR inputs. */
  lines: number;
  irr: number;
  isr: number;
  imr: number;
  elcr: number;
  /** Upper five bits of the vectors. */
  base: number;
  /** The IR with the highest priority. */
  top: number;
  init: number;
  icw1: number;
  icw4: number;
  readIsr: boolean;
  poll: boolean;
  specialMask: boolean;
  rotateAeoi: boolean;
}

interface I8259State extends State {
  master: PicState;
  slave: PicState;
}

function resetState(): PicState {
  return {
    lines: 0,
    irr: 0,
    isr: 0,
    imr: 0,
    elcr: 0,
    base: 0,
    top: 0,
    init: READY,
    icw1: 0,
    icw4: 0,
    readIsr: false,
    poll: false,
    specialMask: false,
    rotateAeoi: false,
  };
}

const PIC_BOUNDS: Bound = {
  keys: {
    lines: 0xff,
    irr: 0xff,
    isr: 0xff,
    imr: 0xff,
    elcr: 0xff,
    base: 0xf8,
    top: 7,
    init: WANTS_ICW4,
    icw1: 0xff,
    icw4: 0xff,
  },
};

/** One of the two controllers. */
class Pic implements RegisterAccess {
  state = resetState();

  constructor(private readonly master: boolean, private readonly changed: () => void) {}

  /** Distance of the highest of the requests in `bits` from the top priority, 8 when there is none. */
  private rank(bits: number): number {
    if (bits === 0) return 8;
    let rank = 0;
    while ((bits & (1 << ((rank + this.state.top) & 7))) === 0) rank++;
    return rank;
  }

  /** The IR that INT stands for now, or -1. */
  pending(): number {
    const s = this.state;
    const wanted = this.rank(s.irr & ~s.imr);
    if (wanted === 8) return -1;
    let serving = s.isr;
    if (s.specialMask) serving &= ~s.imr;
    // Special fully nested mode lets the slave interrupt its own service again.
    if (this.master && (s.icw4 & ICW4_SFNM) !== 0) serving &= ~(1 << CASCADE);
    return wanted < this.rank(serving) ? (wanted + s.top) & 7 : -1;
  }

  private levelBits(): number {
    const s = this.state;
    return (s.icw1 & ICW1_LTIM) !== 0 ? 0xff : s.elcr;
  }

  setLine(ir: number, level: boolean): void {
    const s = this.state, bit = 1 << ir;
    const was = (s.lines & bit) !== 0;
    if (level === was) return;
    s.lines ^= bit;
    if (level) s.irr |= bit;
    else if ((this.levelBits() & bit) !== 0) s.irr &= ~bit;
    this.changed();
  }

  /** The second INTA pulse for `ir`. */
  serve(ir: number): void {
    const s = this.state, bit = 1 << ir;
    if ((s.icw4 & ICW4_AEOI) !== 0) {
      if (s.rotateAeoi) s.top = (ir + 1) & 7;
    } else s.isr |= bit;
    if ((this.levelBits() & bit) === 0) s.irr &= ~bit;
  }

  read(offset: number): number {
    const s = this.state;
    if (s.poll) {
      s.poll = false;
      const ir = this.pending();
      if (ir < 0) return 0;
      this.serve(ir);
      this.changed();
      return 0x80 | ir;
    }
    if (offset !== COMMAND) return s.imr;
    return s.readIsr ? s.isr : s.irr;
  }

  write(offset: number, _size: number, value: number): void {
    if (offset !== COMMAND) this.writeData(value);
    else if ((value & ICW1) !== 0) this.initialize(value);
    else if ((value & OCW3) !== 0) this.writeOcw3(value);
    else this.writeOcw2(value >> 5, value & 7);
    this.changed();
  }

  /** ICW1. Edge-triggered lines must rise again to be heard. */
  private initialize(value: number): void {
    const { lines, elcr } = this.state;
    this.state = resetState();
    Object.assign(this.state, { lines, elcr, icw1: value, init: WANTS_ICW2 });
    this.state.irr = lines & this.levelBits();
  }

  private writeData(value: number): void {
    const s = this.state;
    const last = (s.icw1 & ICW1_IC4) !== 0 ? WANTS_ICW4 : READY;
    switch (s.init) {
      case WANTS_ICW2:
        s.base = value & 0xf8;
        s.init = (s.icw1 & ICW1_SNGL) !== 0 ? last : WANTS_ICW3;
        break;
      case WANTS_ICW3:
        s.init = last;
        break;
      case WANTS_ICW4:
        s.icw4 = value;
        s.init = READY;
        break;
      default:
        s.imr = value;
    }
  }

  private writeOcw2(command: number, level: number): void {
    const s = this.state;
    switch (command) {
      case ROTATE_AEOI_CLEAR:
        s.rotateAeoi = false;
        break;
      case ROTATE_AEOI_SET:
        s.rotateAeoi = true;
        break;
      case NONSPECIFIC_EOI:
      case ROTATE_NONSPECIFIC_EOI: {
        // In special mask mode a masked level is not the one that is being served.
        const rank = this.rank(s.specialMask ? s.isr & ~s.imr : s.isr);
        if (rank === 8) break;
        const ir = (rank + s.top) & 7;
        s.isr &= ~(1 << ir);
        if (command === ROTATE_NONSPECIFIC_EOI) s.top = (ir + 1) & 7;
        break;
      }
      case SPECIFIC_EOI:
        s.isr &= ~(1 << level);
        break;
      case SET_PRIORITY:
        s.top = (level + 1) & 7;
        break;
      case ROTATE_SPECIFIC_EOI:
        s.isr &= ~(1 << level);
        s.top = (level + 1) & 7;
        break;
    }
  }

  private writeOcw3(value: number): void {
    const s = this.state;
    if ((value & OCW3_P) !== 0) s.poll = true;
    else if ((value & OCW3_RR) !== 0) s.readIsr = (value & OCW3_RIS) !== 0;
    if ((value & OCW3_ESMM) !== 0) s.specialMask = (value & OCW3_SMM) !== 0;
  }

  setElcr(value: number): void {
    const s = this.state, bits = value & ELCR_MASK[this.master ? 0 : 1];
    if (bits === s.elcr) return;
    s.elcr = bits;
    const level = this.levelBits();
    s.irr = (s.irr & ~level) | (s.lines & level);
    this.changed();
  }
}

/** The pair of interrupt controllers: lines 0 to 15 in, INTR out. */
export class I8259 implements Chip {
  readonly name = "i8259";
  private readonly masterPic: Pic;
  private readonly slavePic: Pic;
  /** Ports 20h and 21h. */
  readonly master: RegisterAccess;
  /** Ports A0h and A1h. */
  readonly slave: RegisterAccess;
  /** Ports 4D0h and 4D1h: one bit a line, set for level-triggered. */
  readonly elcr: RegisterAccess;
  private intrLevel = false;
  private updating = false;

  constructor(private readonly wires: { intr: Wire }) {
    const changed = () => this.update();
    this.masterPic = new Pic(true, changed);
    this.slavePic = new Pic(false, changed);
    this.master = this.masterPic;
    this.slave = this.slavePic;
    this.elcr = {
      read: (offset) => (offset === 0 ? this.masterPic : this.slavePic).state.elcr,
      write: (offset, _size, value) =>
        (offset === 0 ? this.masterPic : this.slavePic).setElcr(value),
    };
  }

  /** Drives an interrupt request line: 0 to 7 and 8 to 15. Line 2 is the cascade and cannot be driven. */
  setIrq(line: number, level: boolean): void {
    if (!Number.isInteger(line) || line < 0 || line > 15 || line === CASCADE) {
      throw new RangeError(`interrupt line ${line} does not exist: give 0 to 15, but not 2`);
    }
    if (line < 8) this.masterPic.setLine(line, level);
    else this.slavePic.setLine(line - 8, level);
  }

  /** The wire of one interrupt request line. */
  irq(line: number): Wire {
    return (level) => this.setIrq(line, level);
  }

  /** The level of INTR. */
  get intr(): boolean {
    return this.intrLevel;
  }

  /** Whether the masks hold back every request: the slave's go through the master. */
  get closed(): boolean {
    return this.masterPic.state.imr === 0xff;
  }

  /** The processor's interrupt acknowledge cycle; answers the vector. */
  acknowledge(): number {
    const ir = this.masterPic.pending();
    let vector: number;
    if (ir < 0) vector = this.masterPic.state.base | SPURIOUS;
    else if (ir !== CASCADE) {
      vector = this.masterPic.state.base | ir;
      this.masterPic.serve(ir);
    } else {
      this.masterPic.serve(ir);
      const slaveIr = this.slavePic.pending();
      vector = this.slavePic.state.base | (slaveIr < 0 ? SPURIOUS : slaveIr);
      if (slaveIr >= 0) {
        this.slavePic.serve(slaveIr);
        // INTA resets the slave's INT, so that what it still has pending makes an edge again.
        this.masterPic.setLine(CASCADE, false);
      }
    }
    this.update();
    return vector;
  }

  private update(): void {
    if (this.updating) return;
    this.updating = true;
    this.masterPic.setLine(CASCADE, this.slavePic.pending() >= 0);
    this.updating = false;
    const level = this.masterPic.pending() >= 0;
    if (level === this.intrLevel) return;
    this.intrLevel = level;
    this.wires.intr(level);
  }

  reset(): void {
    for (const pic of [this.masterPic, this.slavePic]) {
      // Who drives a line goes on driving it.
      const lines = pic.state.lines;
      pic.state = resetState();
      pic.state.lines = lines;
    }
    this.update();
    this.wires.intr(this.intrLevel);
  }

  snapshot(): State {
    return { master: { ...this.masterPic.state }, slave: { ...this.slavePic.state } };
  }

  restore(state: State): void {
    const like: I8259State = { master: resetState(), slave: resetState() };
    const { master, slave } = checkedState(this.name, state, like, {
      master: PIC_BOUNDS,
      slave: PIC_BOUNDS,
    });
    this.masterPic.state = master;
    this.slavePic.state = slave;
    this.intrLevel = this.masterPic.pending() >= 0;
    this.wires.intr(this.intrLevel);
  }
}
