import { assertEquals } from "@std/assert";
import { BROADCAST, INIT, LOWEST_PRIORITY, NMI, STARTUP } from "./apic_bus.ts";
import { ApicBed } from "./local_apic_testing.ts";

Deno.test("LocalApic lets the 8259 through to the bootstrap processor after a reset", () => {
  const bed = new ApicBed(2);
  bed.apics[0].lint(0)(true);
  bed.apics[1].lint(0)(true);
  assertEquals(bed.intr, [true, false]);
  assertEquals(bed.apics[0].acknowledge(), 0x08);
  bed.apics[0].lint(0)(false);
  assertEquals(bed.intr[0], false);
});

Deno.test("LocalApic masks its vector table when software switches it off", () => {
  const bed = new ApicBed().enable();
  bed.apics[0].lint(0)(true);
  bed.write("svr", 0xff);
  assertEquals(bed.read("lint0"), 0x10700);
  assertEquals(bed.intr[0], false);
  bed.write("lint0", 0x700);
  assertEquals(bed.read("lint0"), 0x10700);
  bed.write("svr", 0x1ff);
  bed.write("lint0", 0x700);
  assertEquals(bed.intr[0], true);
});

Deno.test("LocalApic serves the highest vector and nests by priority class", () => {
  const bed = new ApicBed().enable();
  bed.interrupt(0x31);
  bed.interrupt(0x52);
  assertEquals(bed.intr[0], true);
  assertEquals(bed.apics[0].acknowledge(), 0x52);
  assertEquals(bed.read("ppr"), 0x50);
  assertEquals(bed.intr[0], false);
  bed.interrupt(0x5f);
  assertEquals(bed.intr[0], false);
  bed.interrupt(0x60);
  assertEquals(bed.intr[0], true);
  assertEquals(bed.apics[0].acknowledge(), 0x60);
  bed.write("eoi", 0);
  assertEquals(bed.intr[0], false);
  bed.write("eoi", 0);
  assertEquals(bed.apics[0].acknowledge(), 0x5f);
  bed.write("eoi", 0);
  assertEquals(bed.apics[0].acknowledge(), 0x31);
});

Deno.test("LocalApic shows vectors in IRR, ISR and TMR", () => {
  const bed = new ApicBed().enable();
  bed.interrupt(0x45, true);
  const word = (register: number) => bed.apics[0].registers.read(register + 0x20, 4);
  assertEquals([word(0x100), word(0x180), word(0x200)], [0, 0x20, 0x20]);
  bed.apics[0].acknowledge();
  assertEquals([word(0x100), word(0x180), word(0x200)], [0x20, 0x20, 0]);
});

Deno.test("LocalApic holds back what the task priority covers, and CR8 is its upper half", () => {
  const bed = new ApicBed().enable();
  bed.apics[0].taskPriority = 5;
  assertEquals(bed.read("tpr"), 0x50);
  bed.interrupt(0x5f);
  assertEquals(bed.intr[0], false);
  bed.write("tpr", 0x4f);
  assertEquals(bed.intr[0], true);
  assertEquals(bed.read("ppr"), 0x4f);
  assertEquals(bed.apics[0].taskPriority, 4);
});

Deno.test("LocalApic answers the spurious vector when the request has gone, and keeps no bit of it", () => {
  const bed = new ApicBed().enable();
  bed.interrupt(0x41);
  bed.write("tpr", 0xf0);
  assertEquals(bed.apics[0].acknowledge(), 0xff);
  assertEquals(bed.read("ppr"), 0xf0);
  bed.write("tpr", 0);
  assertEquals(bed.apics[0].acknowledge(), 0x41);
});

Deno.test("LocalApic tells the bus of ends of level-triggered interrupts only", () => {
  const bed = new ApicBed().enable();
  const ends: number[] = [];
  bed.bus.listen({ endOfInterrupt: (vector) => ends.push(vector) });
  for (const [vector, level] of [[0x31, true], [0x32, false]] as const) {
    bed.interrupt(vector, level);
    bed.apics[0].acknowledge();
    bed.write("eoi", 0);
  }
  assertEquals(ends, [0x31]);
  bed.write("svr", 0x11ff);
  bed.interrupt(0x33, true);
  bed.apics[0].acknowledge();
  bed.write("eoi", 0);
  assertEquals(ends, [0x31]);
});

Deno.test("LocalApic finds itself by physical, flat and clustered destinations", () => {
  const bed = new ApicBed(4).enable();
  const takers = (destination: number, logical: boolean) =>
    bed.apics.flatMap((apic, i) => apic.matches(destination, logical) ? [i] : []);
  assertEquals(takers(2, false), [2]);
  assertEquals(takers(BROADCAST, false), [0, 1, 2, 3]);
  bed.apics.forEach((_, i) => bed.write("ldr", 1 << (24 + i), i));
  assertEquals(takers(0b1010, true), [1, 3]);
  bed.apics.forEach((_, i) => {
    bed.write("dfr", 0, i);
    bed.write("ldr", ((i >> 1) << 28) | (1 << (24 + (i & 1))), i);
  });
  assertEquals(bed.read("dfr"), 0x0fffffff);
  assertEquals(takers(0x01, true), [0]);
  assertEquals(takers(0x13, true), [2, 3]);
  assertEquals(takers(0x23, true), []);
});

Deno.test("LocalApic sends to the destination field, itself, all and the others", () => {
  const bed = new ApicBed(3).enable();
  const send = (low: number, to = 0) => {
    bed.write("icrHigh", to << 24, 1);
    bed.write("icrLow", low, 1);
    const took = bed.apics.flatMap((apic, i) => apic.intr ? [i] : []);
    for (const i of took) {
      bed.apics[i].acknowledge();
      bed.write("eoi", 0, i);
    }
    return took;
  };
  assertEquals(send(0x4040, 2), [2]);
  assertEquals(send(0x4040, 0xff), [0, 1, 2]);
  assertEquals(send(0x44040), [1]);
  assertEquals(send(0x84040), [0, 1, 2]);
  assertEquals(send(0xc4040), [0, 2]);
  assertEquals(bed.read("icrLow", 1), 0xc4040);
});

Deno.test("LocalApic starts other processors by INIT and start-up messages", () => {
  const bed = new ApicBed(2).enable();
  const send = (low: number) => {
    bed.write("icrHigh", 1 << 24);
    bed.write("icrLow", low);
  };
  bed.write("tpr", 0x20, 1);
  send(0xc500); // INIT, level, assert
  send(0x8500); // INIT, level, de-assert
  send(0x4600 | 0x9a);
  send(0x4400); // NMI
  assertEquals(bed.events, ["1 init", "1 startup 154", "1 nmi"]);
  assertEquals(bed.read("tpr", 1), 0);
  assertEquals(bed.read("svr", 1), 0xff);
});

Deno.test("LocalApic gives lowest-priority messages to the processor with the least urgent work", () => {
  const bed = new ApicBed(3).enable();
  const message = { mode: LOWEST_PRIORITY, vector: 0x41, level: false, logical: false };
  bed.write("tpr", 0x30, 0);
  bed.write("tpr", 0x10, 1);
  bed.write("tpr", 0x20, 2);
  assertEquals(bed.bus.send({ ...message, destination: BROADCAST }), true);
  assertEquals(bed.intr, [false, true, false]);
  bed.write("svr", 0xff, 1);
  bed.bus.send({ ...message, vector: 0x42, destination: BROADCAST });
  assertEquals(bed.intr, [false, false, true]);
});

Deno.test("LocalApic takes NMI, INIT and start-up messages while software has it off, and no others", () => {
  const bed = new ApicBed();
  assertEquals(bed.interrupt(0x41), false);
  for (const mode of [NMI, INIT, STARTUP]) {
    bed.bus.send({ mode, vector: 7, level: false, logical: false, destination: 0 });
  }
  assertEquals(bed.events, ["0 nmi", "0 init", "0 startup 7"]);
});

Deno.test("LocalApic answers the acknowledge cycle of an ExtINT message with the 8259's vector", () => {
  const bed = new ApicBed().enable();
  bed.bus.send({ mode: 7, vector: 0, level: false, logical: false, destination: 0 });
  assertEquals(bed.intr[0], true);
  assertEquals(bed.apics[0].acknowledge(), 0x08);
  assertEquals(bed.intr[0], false);
});

Deno.test("LocalApic reports illegal vectors and registers in ESR, and by its error interrupt", () => {
  const bed = new ApicBed().enable();
  bed.write("error", 0xfe);
  bed.interrupt(0x0f);
  assertEquals(bed.read("esr"), 0);
  bed.write("esr", 0);
  assertEquals(bed.read("esr"), 0x40);
  bed.write("icrLow", 0x4003);
  bed.apics[0].registers.read(0x3f0, 4);
  bed.write("esr", 0);
  assertEquals(bed.read("esr"), 0xa0);
  bed.write("esr", 0);
  assertEquals(bed.read("esr"), 0);
  assertEquals(bed.apics[0].acknowledge(), 0xfe);
});

Deno.test("LocalApic passes LINT1 on as NMI, once an edge", () => {
  const bed = new ApicBed().enable();
  const pin = bed.apics[0].lint(1);
  pin(true);
  pin(true);
  pin(false);
  bed.write("lint1", 0x10400);
  pin(true);
  pin(false);
  assertEquals(bed.events, ["0 nmi"]);
});

Deno.test("LocalApic asks again for a level on LINT0 that outlasts the end of its interrupt", () => {
  const bed = new ApicBed().enable();
  bed.write("lint0", 0x8040);
  const pin = bed.apics[0].lint(0);
  pin(true);
  assertEquals(bed.read("lint0"), 0xc040);
  assertEquals(bed.apics[0].acknowledge(), 0x40);
  assertEquals(bed.intr[0], false);
  bed.write("eoi", 0);
  assertEquals(bed.intr[0], true);
  bed.apics[0].acknowledge();
  pin(false);
  bed.write("eoi", 0);
  assertEquals([bed.intr[0], bed.read("lint0")], [false, 0x8040]);
});

Deno.test("LocalApic moves its page, and is no APIC at all while globally disabled", () => {
  const bed = new ApicBed();
  const [apic] = bed.apics;
  assertEquals(apic.readBase(), { low: 0xfee00900 | 0, high: 0 });
  assertEquals(bed.base, [0xfee00000]);
  assertEquals(apic.writeBase(0xd0000900 | 0, 0), true);
  assertEquals(bed.base, [0xd0000000]);
  assertEquals(apic.writeBase(0xd0000901 | 0, 0), false);
  assertEquals(apic.writeBase(0xd0000900 | 0, 0x100), false);
  bed.enable();
  bed.write("lint0", 0x10000);
  apic.lint(0)(true);
  assertEquals(bed.intr[0], false);
  apic.writeBase(0xfee00100 | 0, 0);
  assertEquals([bed.base[0], bed.intr[0]], [undefined, true]);
  assertEquals(bed.interrupt(0x41), false);
});

Deno.test("LocalApic enters x2APIC mode from xAPIC mode only and leaves it by switching off", () => {
  const bed = new ApicBed(2);
  const apic = bed.apics[1];
  const OFF = 0xfee00000 | 0, XAPIC = 0xfee00800 | 0, X2APIC = 0xfee00c00 | 0;
  assertEquals(apic.writeBase(0xfee00400 | 0, 0), false);
  assertEquals(apic.writeBase(X2APIC, 0), true);
  assertEquals(bed.base[1], undefined);
  assertEquals(apic.writeBase(XAPIC, 0), false);
  assertEquals(apic.writeBase(OFF, 0), true);
  assertEquals(apic.writeBase(X2APIC, 0), false);
  assertEquals(apic.writeBase(XAPIC, 0), true);
  assertEquals(bed.base[1], 0xfee00000);
});

Deno.test("LocalApic has its registers as MSRs in x2APIC mode", () => {
  const bed = new ApicBed(3);
  const apic = bed.apics[2];
  assertEquals(apic.readMsr(0x802), undefined);
  assertEquals(apic.writeMsr(0x808, 0, 0), false);
  apic.writeBase(0xfee00c00 | 0, 0);
  assertEquals(apic.readMsr(0x802), { low: 2, high: 0 });
  assertEquals(apic.readMsr(0x80d), { low: 1 << 2, high: 0 });
  assertEquals(apic.writeMsr(0x80f, 0x1ff, 0), true);
  assertEquals(apic.writeMsr(0x808, 0x100, 0), false);
  assertEquals(apic.writeMsr(0x808, 0x20, 1), false);
  assertEquals(apic.writeMsr(0x808, 0x20, 0), true);
  assertEquals(apic.taskPriority, 2);
  // DFR, the high half of ICR and APR do not exist; ID is read-only, EOI takes 0 alone and is write-only.
  for (const missing of [0x80e, 0x831, 0x809, 0x804]) {
    assertEquals([apic.readMsr(missing), apic.writeMsr(missing, 0, 0)], [undefined, false]);
  }
  assertEquals(apic.writeMsr(0x802, 0, 0), false);
  assertEquals(apic.writeMsr(0x80b, 1, 0), false);
  assertEquals(apic.writeMsr(0x80b, 0, 0), true);
  assertEquals(apic.readMsr(0x80b), undefined);
});

Deno.test("LocalApic sends 32-bit destinations and self IPIs in x2APIC mode", () => {
  const bed = new ApicBed(3);
  for (const apic of bed.apics) {
    apic.writeBase(0xfee00c00 | 0, 0);
    apic.writeMsr(0x80f, 0x1ff, 0);
  }
  const [apic] = bed.apics;
  assertEquals(apic.writeMsr(0x830, 0x4041, 2), true);
  assertEquals(bed.intr[2], true);
  assertEquals(apic.readMsr(0x830), { low: 0x4041, high: 2 });
  apic.writeMsr(0x830, 0x4841, 0b10); // logical: cluster 0, processor 1
  assertEquals(bed.intr[1], true);
  apic.writeMsr(0x830, 0x4041, 0xff); // APIC 255, and no broadcast
  assertEquals(apic.intr, false);
  apic.writeMsr(0x83f, 0x55, 0);
  assertEquals(apic.acknowledge(), 0x55);
});

Deno.test("LocalApic keeps ID, base and x2APIC mode through INIT, and nothing else", () => {
  const bed = new ApicBed();
  const [apic] = bed.apics;
  apic.writeBase(0xfee00d00 | 0, 0);
  apic.writeMsr(0x80f, 0x1ff, 0);
  apic.writeMsr(0x838, 1000, 0);
  apic.writeMsr(0x832, 0x20, 0);
  bed.interrupt(0x41);
  apic.init();
  assertEquals(bed.events, ["0 init"]);
  assertEquals(bed.intr[0], false);
  assertEquals(apic.readMsr(0x80f), { low: 0xff, high: 0 });
  assertEquals(apic.readMsr(0x80d), { low: 1, high: 0 });
  assertEquals(apic.readMsr(0x822), { low: 0, high: 0 });
  bed.pass(10_000);
  assertEquals(bed.intr[0], false);
});
