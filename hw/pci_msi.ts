/**
 * Message-signalled interrupts of a PCI function: the capabilities MSI and MSI-X.
 *
 * PCI Local Bus Specification 3.0, section 6.8.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { State } from "../core/chip.ts";
import { checkedState } from "./bounds.ts";
import type { MessageWire, PciConfig } from "./pci.ts";

/** Capability IDs. */
const CAP_MSI = 0x05, CAP_MSIX = 0x11;
/** Offset of the message control register in both. */
const CONTROL = 2;

// MSI's message control, and its registers for 64-bit addresses.
const MSI_ENABLE = 1 << 0,
  MSI_ENABLED_SHIFT = 4,
  MSI_CAPABLE_SHIFT = 1,
  MSI_64BIT = 1 << 7,
  MSI_MASKING = 1 << 8;
const MSI_ADDRESS = 4, MSI_UPPER = 8, MSI_DATA = 12, MSI_MASK = 16, MSI_PENDING = 20;

/** What MSI a function has. */
export interface MsiOptions {
  /** Where the capability lies in configuration space; it takes 24 bytes. */
  offset: number;
  /** Messages that differ in the lowest bits of their data: 1, 2, 4, 8, 16 or 32. Default 1. */
  vectors?: number;
}

/** The MSI capability, with 64-bit addresses and a mask bit for each vector. All of its state is in configuration space. */
export class Msi {
  private readonly offset: number;
  private readonly send: MessageWire;

  constructor(private readonly config: PciConfig, { offset, vectors = 1 }: MsiOptions) {
    const log = Math.log2(vectors);
    if (!(Number.isInteger(log) && log >= 0 && log <= 5)) {
      throw new RangeError(`MSI cannot have ${vectors} vectors: give a power of two up to 32`);
    }
    this.offset = offset;
    const all = 2 ** vectors - 1;
    config.capability(CAP_MSI, offset);
    config.register(offset + CONTROL, 2, {
      value: MSI_64BIT | MSI_MASKING | (log << MSI_CAPABLE_SHIFT),
      writable: MSI_ENABLE | (7 << MSI_ENABLED_SHIFT),
    });
    config.register(offset + MSI_ADDRESS, 4, { writable: 0xfffffffc });
    config.register(offset + MSI_UPPER, 4, { writable: 0xffffffff });
    config.register(offset + MSI_DATA, 2, { writable: 0xffff });
    config.register(offset + MSI_DATA + 2, 2, {});
    config.register(offset + MSI_MASK, 4, { writable: all });
    config.register(offset + MSI_PENDING, 4, { own: all });
    this.send = config.messenger(() => this.enabled, () => this.flush());
  }

  /** Whether software uses messages instead of the interrupt pin. */
  get enabled(): boolean {
    return (this.config.get16(this.offset + CONTROL) & MSI_ENABLE) !== 0;
  }

  /** The function asks for interrupt `vector`. A masked one waits. */
  notify(vector = 0): void {
    if (!this.enabled) return;
    this.setPending(this.pending | (1 << vector));
    this.flush();
  }

  private get pending(): number {
    return this.config.get32(this.offset + MSI_PENDING);
  }

  private setPending(bits: number): void {
    for (let i = 0; i < 4; i++) {
      this.config.bytes[this.offset + MSI_PENDING + i] = bits >>> (8 * i);
    }
  }

  private flush(): void {
    const { config, offset } = this;
    if (!this.enabled) return;
    const masked = config.get32(offset + MSI_MASK);
    for (let vector = 0; vector < 32; vector++) {
      const bit = 1 << vector;
      if ((this.pending & ~masked & bit) === 0) continue;
      this.setPending(this.pending & ~bit);
      this.message(vector);
    }
  }

  private message(vector: number): void {
    const { config, offset } = this;
    // Nothing takes messages above 4 GiB.
    if (config.get32(offset + MSI_UPPER) !== 0) return;
    const control = config.get16(offset + CONTROL);
    const granted = Math.min(
      (control >>> MSI_ENABLED_SHIFT) & 7,
      (control >>> MSI_CAPABLE_SHIFT) & 7,
    );
    const own = (1 << granted) - 1;
    const data = (config.get16(offset + MSI_DATA) & ~own) | (vector & own);
    this.send(config.get32(offset + MSI_ADDRESS), data);
  }
}

const MSIX_ENABLE = 1 << 15, MSIX_FUNCTION_MASK = 1 << 14;
const MSIX_TABLE = 4, MSIX_PBA = 8;
/** Words of one entry of the table. */
const ADDRESS = 0, UPPER = 1, DATA = 2, VECTOR_CONTROL = 3, ENTRY_WORDS = 4;
const VECTOR_MASK = 1;

/** What MSI-X a function has. */
export interface MsixOptions {
  /** Where the capability lies in configuration space; it takes 12 bytes. */
  offset: number;
  /** Entries of the table, 1 to 2048. */
  vectors: number;
  /** Index of the memory base address register behind which table and pending bits lie, and where there. */
  bar: number;
  tableOffset: number;
  pendingOffset: number;
}

/** The MSI-X capability. The table and the pending bits are its own state, which the function's chip keeps. */
export class Msix {
  private readonly offset: number;
  private readonly table: Uint32Array<ArrayBuffer>;
  private readonly pendingBits: Uint32Array<ArrayBuffer>;
  private readonly send: MessageWire;

  /** The table, 16 bytes an entry; doublewords only. */
  readonly tableAccess: RegisterAccess = {
    read: (offset) => this.table[offset >>> 2] ?? 0,
    write: (offset, _size, value) => {
      const word = offset >>> 2;
      if (word >= this.table.length) return;
      this.table[word] = word % ENTRY_WORDS === ADDRESS
        ? value & ~3
        : word % ENTRY_WORDS === VECTOR_CONTROL
        ? value & VECTOR_MASK
        : value;
      this.flush();
    },
  };
  /** The pending bits; doublewords only. */
  readonly pendingAccess: RegisterAccess = {
    read: (offset) => this.pendingBits[offset >>> 2] ?? 0,
    write: () => {},
  };

  constructor(private readonly config: PciConfig, options: MsixOptions) {
    const { offset, vectors, bar, tableOffset, pendingOffset } = options;
    if (!(Number.isInteger(vectors) && vectors >= 1 && vectors <= 2048)) {
      throw new RangeError(`MSI-X cannot have ${vectors} vectors: give 1 to 2048`);
    }
    if (tableOffset % 8 !== 0 || pendingOffset % 8 !== 0) {
      throw new RangeError("the table and the pending bits of MSI-X lie at multiples of 8");
    }
    this.offset = offset;
    this.table = new Uint32Array(vectors * ENTRY_WORDS);
    this.pendingBits = new Uint32Array(2 * Math.ceil(vectors / 64));
    config.capability(CAP_MSIX, offset);
    config.register(offset + CONTROL, 2, {
      value: vectors - 1,
      writable: MSIX_ENABLE | MSIX_FUNCTION_MASK,
    });
    config.register(offset + MSIX_TABLE, 4, { value: tableOffset | bar });
    config.register(offset + MSIX_PBA, 4, { value: pendingOffset | bar });
    this.send = config.messenger(() => this.enabled, () => this.flush());
    this.reset();
  }

  /** Whether software uses messages instead of the interrupt pin. */
  get enabled(): boolean {
    return (this.config.get16(this.offset + CONTROL) & MSIX_ENABLE) !== 0;
  }

  /** The function asks for interrupt `vector`. A masked one waits. */
  notify(vector: number): void {
    if (!this.enabled || vector >= this.table.length / ENTRY_WORDS) return;
    this.pendingBits[vector >>> 5] |= 1 << (vector & 31);
    this.flush();
  }

  private flush(): void {
    const control = this.config.get16(this.offset + CONTROL);
    if ((control & MSIX_ENABLE) === 0 || (control & MSIX_FUNCTION_MASK) !== 0) return;
    for (let word = 0; word < this.pendingBits.length; word++) {
      for (let bits = this.pendingBits[word]; bits !== 0;) {
        const bit = 31 - Math.clz32(bits);
        bits = (bits & ~(1 << bit)) >>> 0;
        const entry = (32 * word + bit) * ENTRY_WORDS;
        if ((this.table[entry + VECTOR_CONTROL] & VECTOR_MASK) !== 0) continue;
        this.pendingBits[word] &= ~(1 << bit);
        // Nothing takes messages above 4 GiB.
        if (this.table[entry + UPPER] !== 0) continue;
        this.send(this.table[entry + ADDRESS], this.table[entry + DATA]);
      }
    }
  }

  /** Back to the state after a reset: all vectors masked. */
  reset(): void {
    this.table.fill(0);
    this.pendingBits.fill(0);
    for (let at = VECTOR_CONTROL; at < this.table.length; at += ENTRY_WORDS) {
      this.table[at] = VECTOR_MASK;
    }
  }

  /** For the chip's snapshot. */
  snapshot(): State {
    return { table: [...this.table], pending: [...this.pendingBits] };
  }

  /**
   * Checks what {@linkcode Msix.snapshot} gave, for a chip that must not change before all is known to fit.
   *
   * @throws {StateError} when it does not fit
   */
  check(chip: string, state: State): { table: number[]; pending: number[] } {
    const words = ({ length }: Uint32Array) => ({ items: 0xffffffff, most: length, least: length });
    return checkedState(chip, state, { table: [0], pending: [0] }, {
      table: words(this.table),
      pending: words(this.pendingBits),
    });
  }

  /** Takes over what {@linkcode Msix.check} found right, before configuration space is restored. */
  restore({ table, pending }: { table: readonly number[]; pending: readonly number[] }): void {
    this.table.set(table);
    this.pendingBits.set(pending);
  }
}
