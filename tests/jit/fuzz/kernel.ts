/** The small kernel beneath a fuzzed program: start-up, page tables, handlers. */
import { Assembler, EAX, EBX, ECX, type Label } from "./assembler.ts";
import * as L from "./layout.ts";
import type { Setup } from "./layout.ts";

/** Vectors that push an error code. */
const WITH_ERROR = [8, 10, 11, 12, 13, 14, 17];
/** Vectors of the timer and of the system call. */
export const TIMER = 0x40, SYSTEM_CALL = 0x80;
/** Guest memory at the start: pieces by physical address. */
export type Image = { address: number; bytes: Uint8Array }[];

/**
 * Makes everything but the program.
 *
 * @param entry where the program is entered
 * @param twins addresses of pages that the second set of tables has exchanged with the next one
 */
export function kernelImage(setup: Setup, entry: number, twins: readonly number[]): Image {
  const code = new KernelCode(setup, entry);
  const bytes = code.write();
  return [
    { address: L.KERNEL, bytes },
    { address: L.GDT, bytes: descriptors(setup) },
    { address: L.IDT, bytes: code.gates() },
    { address: L.TSS, bytes: taskState(setup) },
    ...(setup.paging === "none" ? [] : [0, 1].map((set) => tables(setup, set, twins))),
  ];
}

function words(
  count: number,
): { bytes: Uint8Array; put: (at: number, ...values: number[]) => void } {
  const bytes = new Uint8Array(count), view = new DataView(bytes.buffer);
  return {
    bytes,
    put: (at, ...values) => values.forEach((v, i) => view.setInt32(at + 4 * i, v, true)),
  };
}

function descriptors(setup: Setup): Uint8Array {
  const { bytes, put } = words(L.GDT_SIZE), { ring } = setup;
  const segment = (
    at: number,
    base: number,
    limit: number,
    type: number,
    flags: number,
    dpl: number,
  ) =>
    put(
      at & ~7,
      (limit & 0xffff) | (base << 16),
      ((base >>> 16) & 0xff) | ((type | (dpl << 5)) << 8) | (limit & 0xf0000) | (flags << 20) |
        (base & 0xff000000),
    );
  segment(L.CODE0, 0, 0xfffff, 0x9b, 0xc, 0);
  segment(L.DATA0, 0, 0xfffff, 0x93, 0xc, 0);
  segment(L.CODE3, 0, 0xfffff, 0x9b, 0xc, 3);
  segment(L.DATA3, 0, 0xfffff, 0x93, 0xc, 3);
  segment(L.LONG0, 0, 0xfffff, 0x9b, 0xa, 0);
  segment(L.LONG3, 0, 0xfffff, 0x9b, 0xa, 3);
  segment(L.SHORT_CODE, L.CODE, 0xffff, 0x9b, 0, ring);
  segment(L.BASED_CODE, L.CODE, 0x3ffff, 0x9b, 4, ring);
  segment(L.BASED_DATA, L.DATA, 0xffff, 0x93, 4, 3);
  segment(L.WIDE_DATA, L.DATA, 0xfffff, 0x93, 0xc, 3);
  segment(L.DOWN_DATA, L.DATA, 0x3ff, 0x97, 4, 3);
  segment(L.TASK, L.linear(setup, L.TSS), 0x67, 0x89, 0, 0);
  if (setup.high) put(L.TASK + 8, -1);
  return bytes;
}

function taskState(setup: Setup): Uint8Array {
  const { bytes, put } = words(0x68);
  const stack = L.linear(setup, L.KERNEL_STACK);
  put(4, stack, setup.bits === 64 ? stack >> 31 : L.DATA0);
  put(0x64, 0x680000);
  return bytes;
}

/** One set of page tables. The data's pages come in an order of each set's own. */
function tables(
  setup: Setup,
  set: number,
  twins: readonly number[],
): { address: number; bytes: Uint8Array } {
  const { bytes, put } = words(0x6000), { paging } = setup, base = L.TABLES[set];
  const size = L.entrySize(setup), pages = L.MEMORY >>> 12;
  const pageOf = (page: number) => {
    if (set === 1 && twins.includes(page << 12)) return page + 1;
    if (set === 1 && twins.includes((page - 1) << 12)) return page - 1;
    const at = page - (L.DATA >>> 12);
    return at >= 0 && at < 16 ? page ^ [at < 8 ? 1 : 6, at < 8 ? 1 : 3][set] : page;
  };
  for (let page = 0; page < pages; page++) {
    const there = page < L.NOWHERE >>> 12 || page >= (L.NOWHERE >>> 12) + 4;
    put(0x4000 + page * size, there ? (pageOf(page) << 12) | 7 : 0);
    put(0x5000 + page * size, (page << 12) | 7);
  }
  const low = base + 0x4000 | 7, alias = base + 0x5000 | 7, apic = 0xfee00087 | 0;
  if (paging === "32-bit") {
    put(0, low, alias);
    put((L.APIC >>> 22) * 4, 0xfec00087 | 0);
  } else {
    put(0x2000, low, 0, 0, 0, alias, 0);
    put(0x3000 + 503 * 8, apic);
    const right = paging === "PAE" ? 1 : 7, directories = paging === "PAE" ? 0 : 0x1000;
    put(directories, (base + 0x2000) | right);
    put(directories + 3 * 8, (base + 0x3000) | right);
    if (paging === "long") {
      put(0, (base + 0x1000) | 7);
      put(511 * 8, (base + 0x1000) | 7);
      put(0x1000 + 510 * 8, (base + 0x2000) | 7);
      put(0x1000 + 511 * 8, (base + 0x3000) | 7);
    }
  }
  return { address: base, bytes };
}

class KernelCode {
  private readonly a: Assembler;
  private readonly vectors = new Map<number, Label>();

  constructor(private readonly setup: Setup, private readonly entry: number) {
    this.a = new Assembler(L.linear(setup, L.KERNEL), 32);
  }

  private get long(): boolean {
    return this.setup.bits === 64;
  }

  private at(address: number): number {
    return L.linear(this.setup, address);
  }

  write(): Uint8Array {
    this.start();
    this.a.bits = this.setup.bits;
    this.handlers();
    const bytes = this.a.finish();
    if (bytes.length > 0x1800) throw new RangeError("the kernel does not fit");
    return bytes;
  }

  /** The interrupt descriptor table. */
  gates(): Uint8Array {
    const size = this.long ? 16 : 8, { bytes, put } = words(256 * size);
    for (const [vector, { at }] of this.vectors) {
      const dpl = [3, 4, SYSTEM_CALL].includes(vector) ? 3 : 0, offset = at!;
      put(
        vector * size,
        (offset & 0xffff) | ((this.long ? L.LONG0 : L.CODE0) << 16),
        (offset & 0xffff0000) | 0x8e00 | (dpl << 13),
      );
      if (this.long) put(vector * size + 8, offset >> 31);
    }
    return bytes;
  }

  private start(): void {
    const { a, setup, long } = this, { code, data } = L.selectors(setup);
    const far = (selector: number) => {
      const to = (a.origin & 0x7fffffff) + a.bytes.length + 7;
      a.put(0xea, ...le(to), selector, 0);
    };
    // Physical addresses until paging is on.
    a.store(L.SPARE, (L.GDT_SIZE - 1) | (L.GDT << 16));
    a.store(L.SPARE + 4, L.GDT >>> 16);
    a.op([0x0f, 0x01], 2, { disp: L.SPARE }); // lgdt
    far(L.CODE0);
    for (const sreg of [3, 0, 2, 4, 5]) {
      if (sreg === 3) a.set(EAX, L.DATA0);
      a.put(0x8e, 0xc0 | (sreg << 3)); // mov sreg, ax
    }
    a.put(0xb0, 0xff, 0xe6, 0x21, 0xe6, 0xa1); // mov al, 255; out 21h, al; out A1h, al
    a.put(0xdb, 0xe3); // fninit
    a.set(EAX, 0x600 | (setup.paging === "32-bit" ? 0x10 : setup.paging === "none" ? 0 : 0x20));
    a.put(0x0f, 0x22, 0xe0); // mov cr4, eax
    if (setup.paging !== "none") {
      a.set(EAX, L.TABLES[0]);
      a.put(0x0f, 0x22, 0xd8); // mov cr3, eax
    }
    if (long) {
      a.set(ECX, 0xc0000080);
      a.put(0x0f, 0x32, 0x0d, 1, 1, 0, 0, 0x0f, 0x30); // rdmsr; or eax, 101h; wrmsr
    }
    a.set(
      EAX,
      0x33 | (setup.alignment ? 1 << 18 : 0) | (setup.writeProtect ? 1 << 16 : 0) |
        (setup.paging === "none" ? 0 : 1 << 31),
    );
    a.put(0x0f, 0x22, 0xc0); // mov cr0, eax
    if (long) {
      // To 64-bit code below, then to where it is linked.
      far(L.LONG0);
      a.bits = 64;
      const up = {};
      a.setLabel(EAX, up);
      a.put(0xff, 0xe0); // jmp rax
      a.bind(up);
    }
    // Tables by linear address.
    const table = (limit: number, address: number, opcode: number) => {
      a.op([0xc7], 0, { disp: this.at(L.SPARE) }, {
        size: 16,
        immediate: [limit & 0xff, limit >> 8],
      });
      a.store(this.at(L.SPARE) + 2, this.at(address), true);
      a.op([0x0f, 0x01], opcode, { disp: this.at(L.SPARE) });
    };
    table(L.GDT_SIZE - 1, L.GDT, 2);
    table(long ? 0xfff : 0x7ff, L.IDT, 3);
    a.set(EAX, L.TASK);
    a.put(0x0f, 0x00, 0xd8); // ltr ax
    a.store(L.APIC + 0xf0, 0x1ff);
    if (setup.timer > 0) {
      a.store(L.APIC + 0x3e0, 0xb);
      a.store(L.APIC + 0x320, 0x20000 | TIMER);
      a.store(L.APIC + 0x380, setup.timer);
    }
    a.store(this.at(L.RESUME_IP), this.at(this.entry), true);
    a.store(this.at(L.RESUME_SP), this.at(L.STACK), true);
    // On to the program by IRET, in every ring.
    a.set(4, this.at(L.KERNEL_STACK));
    const push = (value: number) => a.put(0x68, value, value >> 8, value >> 16, value >> 24);
    if (long || setup.ring === 3) {
      push(data);
      push(this.at(L.STACK));
    }
    push(setup.ring === 3 ? 0x3202 : 0x202);
    push(code);
    push(this.at(this.entry));
    a.set(EAX, data);
    for (const sreg of [3, 0, 4, 5]) a.put(0x8e, 0xc0 | (sreg << 3));
    if (!long && setup.ring === 0) {
      // The frame of three lies on the program's own stack.
      a.set(4, this.at(L.STACK));
      push(0x202);
      push(code);
      push(this.at(this.entry));
    }
    this.iret();
  }

  private iret(): void {
    if (this.long) this.a.put(0x48);
    this.a.put(0xcf);
  }

  private handlers(): void {
    const { a } = this, common: Label = {};
    for (let vector = 0; vector < 32; vector++) {
      this.vectors.set(vector, a.label());
      if (!WITH_ERROR.includes(vector)) a.put(0x6a, 0);
      a.put(0x6a, vector);
      a.jump(common);
    }
    a.bind(common);
    if (this.long) this.exception64();
    else this.exception32();
    this.timer();
    this.vectors.set(0xff, a.label());
    this.iret();
    this.services();
  }

  /** Saves registers; gives where the vector lies above the stack pointer. */
  private save(): number {
    const { a, long } = this;
    if (long) a.put(0x50, 0x53, 0x51); // push rax, rbx, rcx
    else {
      a.put(0x60, 0x1e, 0x06); // pusha; push ds, es
      a.set(EAX, L.DATA0);
      a.put(0x8e, 0xd8, 0x8e, 0xc0);
    }
    a.put(0xfc); // cld
    return long ? 24 : 40;
  }

  private restore(): void {
    const { a, long } = this;
    if (long) a.put(0x59, 0x5b, 0x58);
    else a.put(0x07, 0x1f, 0x61);
  }

  /** From here on the same for both widths; `frame` is where RIP lies above the stack pointer. */
  private triage(frame: number, word: number, skip: Label, out: Label): void {
    const { a, setup } = this, size = word === 8 ? 64 : 32;
    const fault: Label = {}, debug: Label = {};
    a.op([0x8b], EBX, { base: 4, disp: frame - 2 * word });
    a.op([0xff], 0, { index: EBX, scale: 2, disp: this.at(L.VECTORS) });
    const compare = (vector: number, to: Label) => {
      a.put(0x83, 0xfb, vector);
      a.branch(4, to, true);
    };
    const unavailable: Label = {};
    compare(14, fault);
    compare(7, unavailable);
    compare(1, debug);
    compare(3, out);
    compare(4, out);
    a.jump(skip);
    a.bind(unavailable);
    a.put(0x0f, 0x06); // clts
    a.jump(out);
    a.bind(debug);
    // RF passes a breakpoint; single steps end when as many as wanted were counted.
    a.op([0x81], 1, { base: 4, disp: frame + 2 * word }, { immediate: [0, 0, 1, 0] });
    a.put(0x31, 0xc0, 0x0f, 0x23, 0xf0); // xor eax, eax; mov dr6, eax
    a.op([0xff], 1, { disp: this.at(L.STEPS) });
    a.branch(9, out, true); // jns
    a.op([0x81], 4, { base: 4, disp: frame + 2 * word }, { immediate: [0xff, 0xfe, 0xff, 0xff] });
    a.put(0x0f, 0x23, 0xf8); // mov dr7, eax
    a.jump(out);
    a.bind(fault);
    a.put(0x0f, 0x20, 0xd0); // mov eax, cr2
    a.op([0x81], 5, EAX, { size, immediate: le(this.at(L.SHIFTING)) });
    a.op([0x81], 7, EAX, { size, immediate: le(L.SHIFTING_PAGES << 12) });
    a.branch(3, skip, true); // jae
    a.op([0xc1], 5, EAX, { immediate: [12] });
    for (const set of setup.paging === "none" ? [] : [0, 1]) {
      a.op([0x80], 1, this.entryAt(set), { size: 8, kind: "other", immediate: [7] });
    }
    a.put(0x0f, 0x20, 0xd0, 0x0f, 0x01, 0x38); // mov eax, cr2; invlpg [eax]
    a.jump(out);
  }

  /** The entry for the page number in EAX, counted from SHIFTING on. */
  private entryAt(set: number): { index: number; scale: number; disp: number } {
    const size = L.entrySize(this.setup);
    return {
      index: EAX,
      scale: size === 4 ? 2 : 3,
      disp: this.at(L.pageTable(set) + (L.SHIFTING >>> 12) * size),
    };
  }

  private exception32(): void {
    const { a, setup } = this, { code, data } = L.selectors(setup);
    const frame = this.save() + 8, skip: Label = {}, out: Label = {};
    const set = (offset: number, value: number) =>
      a.op([0xc7], 0, { base: 4, disp: offset }, { immediate: le(value) });
    this.triage(frame, 4, skip, out);
    a.bind(skip);
    a.op([0xff], 0, { disp: L.FAULTS });
    a.op([0x81], 4, { base: 4, disp: frame + 8 }, { immediate: le(~0x40500) });
    set(0, data);
    set(4, data);
    a.op([0x8b], EAX, { disp: L.RESUME_IP });
    a.op([0x8b], ECX, { disp: L.RESUME_SP });
    if (setup.ring === 3) {
      a.op([0x89], EAX, { base: 4, disp: frame });
      a.op([0x89], ECX, { base: 4, disp: frame + 12 });
      set(frame + 4, code);
      set(frame + 16, data);
    } else {
      a.op([0x8b], EBX, { base: 4, disp: frame + 8 });
      a.op([0x89], EBX, { base: ECX, disp: -4 });
      a.op([0xc7], 0, { base: ECX, disp: -8 }, { immediate: le(code) });
      a.op([0x89], EAX, { base: ECX, disp: -12 });
      a.put(0x83, 0xe9, 12); // sub ecx, 12
      a.op([0x89], ECX, { disp: L.SPARE });
      this.restore();
      a.op([0x8b], 4, { disp: L.SPARE, segment: 0x2e });
      this.iret();
    }
    a.bind(out);
    this.restore();
    a.put(0x83, 0xc4, 8);
    this.iret();
  }

  private exception64(): void {
    const { a, setup } = this, { code, data } = L.selectors(setup);
    const frame = this.save() + 16, skip: Label = {}, out: Label = {};
    const set = (offset: number, value: number) =>
      a.op([0xc7], 0, { base: 4, disp: offset }, { size: 64, immediate: le(value) });
    this.triage(frame, 8, skip, out);
    a.bind(skip);
    a.op([0xff], 0, { disp: this.at(L.FAULTS) });
    a.op([0x81], 4, { base: 4, disp: frame + 16 }, { immediate: le(~0x40500) });
    for (const [cell, offset] of [[L.RESUME_IP, 0], [L.RESUME_SP, 24]]) {
      a.op([0x8b], EAX, { disp: this.at(cell) }, { size: 64 });
      a.op([0x89], EAX, { base: 4, disp: frame + offset }, { size: 64 });
    }
    set(frame + 8, code);
    set(frame + 32, data);
    a.bind(out);
    this.restore();
    a.put(0x48, 0x83, 0xc4, 16);
    this.iret();
  }

  private timer(): void {
    const { a } = this;
    this.vectors.set(TIMER, a.label());
    this.save();
    a.op([0xff], 0, { disp: this.at(L.TICKS) });
    a.store(L.APIC + 0xb0, 0);
    const none: Label = {};
    a.op([0x8b], EAX, { disp: this.at(L.PATCHED) }, { size: this.setup.bits });
    a.op([0x85], EAX, EAX, { size: this.setup.bits });
    a.branch(4, none);
    a.op([0xfe], 0, { base: EAX, disp: 0 }, { size: 8, kind: "other" });
    a.bind(none);
    this.restore();
    this.iret();
  }

  /** INT 80h: changes the rights of a page, or the page tables. */
  private services(): void {
    const { a, setup } = this, out: Label = {};
    this.vectors.set(SYSTEM_CALL, a.label());
    this.save();
    a.op([0x8b], EBX, { disp: this.at(L.SERVICE) });
    a.op([0x8b], EAX, { disp: this.at(L.ARGUMENT) });
    const invalidate = () => {
      // lea ecx, [eax << 12 + SHIFTING]; invlpg [ecx]
      a.op([0x8b], ECX, EAX);
      a.op([0xc1], 4, ECX, { immediate: [12] });
      a.op([0x81], 0, ECX, { size: this.long ? 64 : 32, immediate: le(this.at(L.SHIFTING)) });
      a.put(0x0f, 0x01, 0x39);
    };
    const service = (number: number, body: () => void) => {
      const next: Label = {};
      a.put(0x83, 0xfb, number);
      a.branch(5, next);
      body();
      a.jump(out);
      a.bind(next);
    };
    service(0, () => { // A breakpoint.
      a.op([0x8b], EAX, { disp: this.at(L.WATCHED) }, { size: setup.bits });
      a.put(0x0f, 0x23, 0xc0); // mov dr0, eax
      a.op([0x8b], EAX, { disp: this.at(L.WATCH_MODE) });
      a.put(0x0f, 0x23, 0xf8); // mov dr7, eax
    });
    const toggle = (register: number, bit: number) => {
      a.put(0x0f, 0x20, 0xc0 | (register << 3)); // mov eax, cr
      a.op([0x81], 6, EAX, { immediate: le(bit) });
      a.put(0x0f, 0x22, 0xc0 | (register << 3)); // mov cr, eax
    };
    service(8, () => toggle(0, 1 << 3)); // TS
    service(9, () => toggle(0, 1 << 16)); // WP
    service(10, () => toggle(4, 1 << 7)); // PGE
    if (setup.paging !== "none") {
      // Takes away presence, writing, the user's access.
      for (const [number, bit] of [[1, 1], [2, 2], [3, 4]]) {
        service(number, () => {
          for (const set of [0, 1]) {
            a.op([0x80], 4, this.entryAt(set), {
              size: 8,
              kind: "other",
              immediate: [~bit & 0xff],
            });
          }
          invalidate();
        });
      }
      service(4, () => a.put(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8)); // mov eax, cr3; mov cr3, eax
      service(5, () => {
        a.put(0x0f, 0x20, 0xd8); // mov eax, cr3
        a.op([0x81], 6, EAX, { immediate: le(L.TABLES[0] ^ L.TABLES[1]) });
        a.put(0x0f, 0x22, 0xd8); // mov cr3, eax
      });
      service(6, () => {
        // Exchanges the frame of a page with that of SHIFTING's first.
        for (const set of [0, 1]) {
          const first = {
            disp: this.at(L.pageTable(set) + (L.SHIFTING >>> 12) * L.entrySize(setup)),
          };
          a.op([0x8b], ECX, this.entryAt(set));
          a.op([0x87], ECX, first);
          a.op([0x89], ECX, this.entryAt(set));
        }
        invalidate();
        a.put(0x31, 0xc0); // xor eax, eax
        invalidate();
      });
      service(7, invalidate);
    }
    a.bind(out);
    this.restore();
    this.iret();
  }
}

function le(value: number): number[] {
  return [0, 8, 16, 24].map((n) => (value >> n) & 0xff);
}
