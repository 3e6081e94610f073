/**
 * What joins the local APICs of a board with each other and with its I/O APIC: interrupt messages, end-of-
 * interrupt broadcasts, and message-signalled interrupts from bus masters.
 *
 * Intel SDM vol. 3, sections 11.6.2 "Determining IPI Destination", 11.11 "Message Signalled Interrupts".
 *
 * Deviation: messages arrive at once. Hardware takes some clocks, and reports meanwhile "send pending".
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";

/** Delivery modes, as in ICR, local vector tables, redirection entries and message data. */
export const FIXED = 0,
  LOWEST_PRIORITY = 1,
  SMI = 2,
  NMI = 4,
  INIT = 5,
  STARTUP = 6,
  EXTINT = 7;

/** Physical destination of every local APIC; narrow senders widen their FFh to it. */
export const BROADCAST = 0xffffffff;

/** First address and size of the window that takes message-signalled interrupts. */
export const MSI_BASE = 0xfee00000, MSI_SIZE = 0x100000;
/** Address: destination ID and destination mode. Data: vector, delivery mode and trigger mode. */
const MSI_DESTINATION_SHIFT = 12, MSI_LOGICAL = 1 << 2, MSI_LEVEL = 1 << 15;

/** One interrupt message. */
export interface ApicMessage {
  /** One of {@linkcode FIXED} and its like. */
  mode: number;
  /** 0 to 255. */
  vector: number;
  /** Whether the interrupt is level-triggered: its end is then told to the I/O APIC. */
  level: boolean;
  /** Whether the destination is logical. */
  logical: boolean;
  /** APIC ID, logical destination, or {@linkcode BROADCAST}. */
  destination: number;
}

/** A local APIC as the others see it. */
export interface ApicReceiver {
  /** Whether a message with this destination is for it. */
  matches(destination: number, logical: boolean): boolean;
  /** Takes a message; false when it does not, being switched off. */
  accept(message: ApicMessage): boolean;
  /** How urgent the work of its processor is: the least one gets lowest-priority messages. */
  readonly arbitrationPriority: number;
}

/** What an I/O APIC hears of. */
export interface EoiListener {
  /** A processor has finished a level-triggered interrupt. */
  endOfInterrupt(vector: number): void;
}

/** Whom an interprocessor interrupt is for, besides the processors of its destination field. */
export type Shorthand = "none" | "self" | "all" | "others";

/** The bus between the APICs. It has no state of its own. */
export class ApicBus {
  private readonly receivers: ApicReceiver[] = [];
  private readonly listeners: EoiListener[] = [];

  /** Puts the next local APIC on the bus. */
  attach(receiver: ApicReceiver): void {
    this.receivers.push(receiver);
  }

  /** Tells an I/O APIC about ends of interrupts. */
  listen(listener: EoiListener): void {
    this.listeners.push(listener);
  }

  /** Sends a message to its destination; false when nobody takes it. */
  send(message: ApicMessage): boolean {
    const { destination, logical } = message;
    return this.deliver(
      this.receivers.filter((receiver) => receiver.matches(destination, logical)),
      message,
    );
  }

  /** Sends an interprocessor interrupt. */
  sendFrom(sender: ApicReceiver, message: ApicMessage, shorthand: Shorthand): void {
    if (shorthand === "none") this.send(message);
    else {
      const targets = this.receivers.filter((receiver) =>
        shorthand === "all" || (receiver === sender) === (shorthand === "self")
      );
      this.deliver(targets, message);
    }
  }

  private deliver(targets: readonly ApicReceiver[], message: ApicMessage): boolean {
    if (message.mode !== LOWEST_PRIORITY) {
      let taken = false;
      for (const target of targets) if (target.accept(message)) taken = true;
      return taken;
    }
    // Of equals the first: hardware decides by an arbitration that nothing here can observe.
    const ranked = [...targets].sort((a, b) => a.arbitrationPriority - b.arbitrationPriority);
    return ranked.some((target) => target.accept({ ...message, mode: FIXED }));
  }

  /** Broadcasts the end of a level-triggered interrupt. */
  endOfInterrupt(vector: number): void {
    for (const listener of this.listeners) listener.endOfInterrupt(vector);
  }

  /** The window at {@linkcode MSI_BASE}: a doubleword written to it is an interrupt. Claim it with `sizes: [4]`. */
  readonly messages: RegisterAccess = {
    read: () => 0xffffffff,
    write: (offset, _size, data) => {
      const destination = (offset >>> MSI_DESTINATION_SHIFT) & 0xff;
      this.send({
        mode: (data >>> 8) & 7,
        vector: data & 0xff,
        level: (data & MSI_LEVEL) !== 0,
        logical: (offset & MSI_LOGICAL) !== 0,
        destination: destination === 0xff ? BROADCAST : destination,
      });
    },
  };
}
