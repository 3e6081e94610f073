/**
 * Intel 440FX host bridge (82441FX PMC and 82442FX DBX).
 *
 * Datasheet: Intel 440FX PCIset, order number 290549-001, section 3.2. The memory controller's timing
 * registers keep what is written and do nothing else.
 */
import { checkState, type Chip, type State, StateError } from "../core/chip.ts";
import { PciConfig } from "./pci.ts";

const PMCCFG = 0x50;
const DETURBO = 0x52;
const DBC = 0x53;
const AXC = 0x54;
const DRT = 0x55;
const DRAMC = 0x57;
const DRAMT = 0x58;
const PAM = 0x59;
const DRB = 0x60;
const FDHC = 0x68;
const MTT = 0x70;
const CLT = 0x71;
const SMRAM = 0x72;
const ERRCMD = 0x90;
const ERRSTS = 0x91;
const TRC = 0x93;

/** Read and write enable of a nibble of a PAM register. */
const PAM_RE = 1 << 0, PAM_WE = 1 << 1;

const SMRAM_D_OPEN = 1 << 6;
const SMRAM_D_CLS = 1 << 5;
const SMRAM_D_LCK = 1 << 4;
const SMRAM_G_SMRAME = 1 << 3;
/** C_BASE_SEG, fixed at 0xa0000. */
const SMRAM_C_BASE_SEG = 2;

/** A piece of the address space whose shadow RAM a nibble of a PAM register opens. */
export interface PamSegment {
  base: number;
  size: number;
}

/** The 13 segments in the order in which {@linkcode I440fxWires.pam} takes them: nibble by nibble from PAM0's upper one. */
export const PAM_SEGMENTS: readonly PamSegment[] = [
  { base: 0xf0000, size: 0x10000 },
  ...Array.from({ length: 12 }, (_, i) => ({ base: 0xc0000 + i * 0x4000, size: 0x4000 })),
];

/** Where the SMRAM window lies: over the VGA window. */
export const SMRAM_WINDOW: PamSegment = { base: 0xa0000, size: 0x20000 };

/** What the bridge switches. */
export interface I440fxWires {
  /**
   * The RAM behind each of {@linkcode PAM_SEGMENTS}: `MemoryRange`s that cover whatever is on the ISA
   * bus there.
   */
  pam: readonly { setAccess(reads: boolean, writes: boolean): void }[];
  /** The RAM behind {@linkcode SMRAM_WINDOW}: a `MemoryRange` that covers the VGA window. */
  smram?: { setEnabled(enabled: boolean): void };
}

/** Host bridge: decides which accesses of the first megabyte reach RAM. */
export class I440fx implements Chip {
  readonly name = "i440fx";
  readonly config: PciConfig = new PciConfig({
    vendor: 0x8086,
    device: 0x1237,
    classCode: 0x060000,
    revision: 2,
    command: 0x0006,
    commandMask: 0x0140,
    status: 0x0280,
  });

  /** @throws {RangeError} when there is not one range for each PAM segment */
  constructor(private readonly wires: I440fxWires) {
    if (wires.pam.length !== PAM_SEGMENTS.length) {
      throw new RangeError(`i440fx needs ${PAM_SEGMENTS.length} PAM ranges`);
    }
    const { config } = this;
    config.register(PMCCFG, 2, { writable: 0x0fc0 });
    config.register(DETURBO, 1, { writable: 0xff });
    config.register(DBC, 1, { value: 0x80, writable: 0xe2 });
    config.register(AXC, 1, { writable: 0xff });
    config.register(DRT, 2, { writable: 0xffff });
    config.register(DRAMC, 1, { value: 0x01, writable: 0x3f });
    config.register(DRAMT, 1, { value: 0x10, writable: 0xff });
    config.register(PAM, 1, { writable: 0x30 });
    for (let i = 1; i < 7; i++) config.register(PAM + i, 1, { writable: 0x33 });
    for (let i = 0; i < 8; i++) config.register(DRB + i, 1, { value: 0x01, writable: 0xff });
    config.register(FDHC, 1, { writable: 0xc0 });
    config.register(MTT, 1, { value: 0x20, writable: 0xf8 });
    config.register(CLT, 1, { value: 0x10, writable: 0xf8 });
    config.register(SMRAM, 1, {
      value: SMRAM_C_BASE_SEG,
      writable: SMRAM_D_OPEN | SMRAM_D_CLS | SMRAM_D_LCK | SMRAM_G_SMRAME,
    });
    config.register(ERRCMD, 1, { writable: 0x9b });
    config.register(ERRSTS, 2, { clearable: 0x0011 });
    config.register(TRC, 1, { writable: 0x06 });
    config.onChange = () => this.update();
    this.reset();
  }

  reset(): void {
    this.locked = false;
    this.config.reset();
  }

  snapshot(): State {
    return { config: this.config.bytes.slice() };
  }

  restore(state: State): void {
    checkState(this.name, state, this.snapshot());
    const bytes = state.config as Uint8Array;
    this.config.check(this.name, bytes);
    if ((bytes[SMRAM] & SMRAM_D_LCK) !== 0 && (bytes[SMRAM] & SMRAM_D_OPEN) !== 0) {
      throw new StateError(this.name, "SMRAM is both open and locked");
    }
    this.locked = (bytes[SMRAM] & SMRAM_D_LCK) !== 0;
    this.smramWhenLocked = bytes[SMRAM];
    this.config.restore(bytes);
  }

  /** Follows D_LCK, which makes SMRAM read-only but for D_CLS until reset. */
  private locked = false;
  private smramWhenLocked = 0;

  private update(): void {
    const { bytes } = this.config;
    if (this.locked) {
      bytes[SMRAM] = (this.smramWhenLocked & ~SMRAM_D_CLS) | (bytes[SMRAM] & SMRAM_D_CLS);
    } else if ((bytes[SMRAM] & SMRAM_D_LCK) !== 0) {
      bytes[SMRAM] &= ~SMRAM_D_OPEN;
      this.locked = true;
      this.smramWhenLocked = bytes[SMRAM];
    }
    for (let i = 0; i < PAM_SEGMENTS.length; i++) {
      // Nibble 0 is PAM0's lower one, which is reserved.
      const nibble = i + 1;
      const bits = bytes[PAM + (nibble >> 1)] >> (nibble % 2 * 4);
      this.wires.pam[i].setAccess((bits & PAM_RE) !== 0, (bits & PAM_WE) !== 0);
    }
    const open = SMRAM_D_OPEN | SMRAM_G_SMRAME;
    // Deviation: there is no system management mode, so the window opens by D_OPEN alone.
    this.wires.smram?.setEnabled((bytes[SMRAM] & open) === open);
  }
}
