import { assertEquals } from "@std/assert";
import { VirtualClock } from "../core/machine/clock.ts";
import { Uart16550 } from "./uart16550.ts";

const RBR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7;
/** A character of 8N1 at 115,200 baud in nanoseconds. */
const CHARACTER = 86_806;

/** A port at 115,200 baud, 8N1, with OUT2 on. */
function port({ fifo = 0 } = {}) {
  const clock = new VirtualClock(0);
  const irqs: boolean[] = [];
  const sent: number[] = [];
  const uart = new Uart16550({
    clock,
    irq: (level) => {
      if (level !== (irqs.at(-1) ?? false)) irqs.push(level);
    },
  });
  uart.onTransmit = (byte) => sent.push(byte);
  const read = (offset: number) => uart.registers.read(offset, 1);
  const write = (offset: number, value: number) => uart.registers.write(offset, 1, value);
  write(LCR, 0x83);
  write(0, 1);
  write(1, 0);
  write(LCR, 0x03);
  write(MCR, 0x0b);
  write(FCR, fifo);
  const to = (ns: number) => {
    while (clock.next <= ns) {
      clock.skipTo(clock.next);
      clock.fireDue();
    }
    clock.skipTo(ns);
  };
  const irq = () => irqs.at(-1) ?? false;
  return { clock, uart, irqs, irq, sent, read, write, to };
}

Deno.test("Uart16550 sends a byte at once and stays empty", () => {
  const { read, write, sent } = port();
  assertEquals(read(LSR), 0x60);
  write(0, 0x41);
  write(0, 0xff);
  assertEquals([sent, read(LSR)], [[0x41, 0xff], 0x60]);
});

Deno.test("Uart16550 raises IRQ when the transmit register empties", () => {
  const { read, write, irqs, irq } = port();
  write(IER, 0x02);
  assertEquals(irq(), true);
  // Reading IIR quits the interrupt, a further byte brings it again.
  assertEquals([read(IIR), irq(), read(IIR)], [0x02, false, 0x01]);
  write(0, 0x41);
  assertEquals(irq(), true);
  write(0, 0x42);
  assertEquals(irqs, [true, false, true, false, true]);
  write(IER, 0);
  assertEquals(irq(), false);
  write(IER, 0x02);
  assertEquals(read(IIR), 0x02);
});

Deno.test("Uart16550 receives a byte and interrupts until it is read", () => {
  const { uart, read, write, irq } = port();
  write(IER, 0x01);
  uart.receive(0x55);
  assertEquals([irq(), read(IIR), read(LSR)], [true, 0x04, 0x61]);
  assertEquals([read(RBR), irq(), read(LSR), read(IIR)], [0x55, false, 0x60, 0x01]);
});

Deno.test("Uart16550 overruns without FIFO: the old byte is lost", () => {
  const { uart, read, write } = port();
  write(IER, 0x05);
  uart.receive(1);
  assertEquals(uart.canReceive(), false);
  uart.receive(2);
  // Line status comes first.
  assertEquals([read(IIR), read(LSR), read(IIR), read(RBR)], [0x06, 0x63, 0x04, 2]);
});

Deno.test("Uart16550 overruns with FIFO: the new byte is lost", () => {
  const { uart, read } = port({ fifo: 0x01 });
  for (let i = 0; i < 17; i++) uart.receive(i);
  assertEquals(read(LSR), 0x63);
  const bytes = Array.from({ length: 16 }, () => read(RBR));
  assertEquals(bytes, Array.from({ length: 16 }, (_, i) => i));
  assertEquals(read(LSR), 0x60);
});

Deno.test("Uart16550 interrupts at each FIFO trigger level", () => {
  for (const [bits, level] of [[0x00, 1], [0x40, 4], [0x80, 8], [0xc0, 14]]) {
    const { uart, read, write, irq } = port({ fifo: 0x01 | bits });
    write(IER, 0x01);
    for (let i = 1; i < level; i++) {
      uart.receive(i);
      assertEquals(irq(), false);
    }
    uart.receive(level);
    assertEquals([irq(), read(IIR)], [true, 0xc4]);
    read(RBR);
    assertEquals(irq(), false);
  }
});

Deno.test("Uart16550 times out after four characters with bytes below the trigger level", () => {
  const { clock, uart, read, write, irq, to } = port({ fifo: 0xc1 });
  write(IER, 0x01);
  uart.receive(1);
  to(2 * CHARACTER);
  uart.receive(2);
  to(6 * CHARACTER - 1);
  assertEquals(irq(), false);
  to(6 * CHARACTER);
  assertEquals([irq(), read(IIR)], [true, 0xcc]);
  // Reading a byte quits it and starts it over for the rest.
  assertEquals([read(RBR), irq()], [1, false]);
  to(clock.now() + 4 * CHARACTER);
  assertEquals([read(IIR), read(RBR), irq()], [0xcc, 2, false]);
  assertEquals(clock.next, Infinity);
});

Deno.test("Uart16550 offers room again when a character time has passed and a byte was read", () => {
  const { uart, read, to, write } = port();
  let offers = 0;
  uart.onCanReceive = () => offers++;
  assertEquals(uart.canReceive(), true);
  uart.receive(1);
  to(CHARACTER);
  assertEquals([offers, uart.canReceive()], [0, false]);
  read(RBR);
  assertEquals([offers, uart.canReceive()], [1, true]);
  uart.receive(2);
  read(RBR);
  assertEquals([offers, uart.canReceive()], [1, false]);
  to(2 * CHARACTER);
  assertEquals([offers, uart.canReceive()], [2, true]);
  write(MCR, 0x1b);
  assertEquals(uart.canReceive(), false);
  write(MCR, 0x0b);
  assertEquals(offers, 3);
});

Deno.test("Uart16550 loops back data and modem lines, and lets no interrupt out", () => {
  const { uart, read, write, sent, irq } = port();
  write(IER, 0x01);
  write(MCR, 0x1f);
  write(0, 0x99);
  uart.receive(0x11);
  assertEquals([read(LSR), read(IIR), irq(), sent], [0x61, 0x04, false, []]);
  assertEquals(read(RBR), 0x99);
  assertEquals(read(MSR) & 0xf0, 0xf0);
  write(MCR, 0x12);
  // CTS stays; DSR, RI's end and DCD changed.
  assertEquals([read(MSR), read(MSR)], [0x1e, 0x10]);
});

Deno.test("Uart16550 notes changes of the modem lines and interrupts", () => {
  const { uart, read, write, irq } = port();
  write(IER, 0x08);
  assertEquals(read(MSR), 0xb0);
  uart.setModemLines({ cts: false, ri: true });
  assertEquals([irq(), read(IIR), read(MSR), irq(), read(MSR)], [true, 0x00, 0xe1, false, 0xe0]);
  uart.setModemLines({ ri: false, dcd: false });
  assertEquals(read(MSR), 0x2c);
});

Deno.test("Uart16550 ranks line status, data, transmitter, modem", () => {
  const { uart, read, write } = port();
  write(IER, 0x0f);
  uart.setModemLines({ dsr: false });
  uart.receiveBreak();
  assertEquals([read(IIR), read(LSR)], [0x06, 0x71]);
  assertEquals([read(IIR), read(RBR)], [0x04, 0]);
  assertEquals([read(IIR), read(IIR)], [0x02, 0x00]);
  read(MSR);
  assertEquals(read(IIR), 0x01);
});

Deno.test("Uart16550 shows an error when its byte is at the head of the FIFO", () => {
  const { uart, read } = port({ fifo: 0x01 });
  uart.receive(1);
  uart.receiveBreak();
  assertEquals(read(LSR), 0xe1);
  assertEquals(read(RBR), 1);
  assertEquals([read(LSR), read(LSR)], [0xf1, 0x61]);
});

Deno.test("Uart16550 keeps the divisor behind DLAB", () => {
  const { read, write } = port();
  write(LCR, 0x83);
  write(0, 0x34);
  write(1, 0x12);
  assertEquals([read(0), read(1), read(LCR)], [0x34, 0x12, 0x83]);
  write(LCR, 0x03);
  assertEquals([read(1), read(LSR)], [0, 0x60]);
});

Deno.test("Uart16550 clears its FIFO on command and when FIFOs are switched", () => {
  const { uart, read, write } = port({ fifo: 0x01 });
  uart.receive(1);
  write(FCR, 0x02);
  assertEquals([read(LSR), read(IIR)], [0x60, 0x01]);
  write(FCR, 0x01);
  uart.receive(1);
  write(FCR, 0x03);
  assertEquals([read(LSR), read(IIR)], [0x60, 0xc1]);
});

Deno.test("Uart16550 lets interrupts out only with OUT2", () => {
  const { read, write, irq } = port();
  write(MCR, 0x03);
  write(IER, 0x02);
  assertEquals([irq(), read(MCR)], [false, 0x03]);
  write(MCR, 0x0b);
  assertEquals(irq(), true);
});

Deno.test("Uart16550 remembers its scratch register and the bits that exist", () => {
  const { read, write } = port();
  write(SCR, 0xa5);
  write(IER, 0xff);
  write(MCR, 0xff);
  assertEquals([read(SCR), read(IER), read(MCR)], [0xa5, 0x0f, 0x1f]);
});
