/** One serial port of the machine, seen from the host: listeners for what it sends, a queue for what it shall receive. */
import type { SerialEndpoint } from "../machine/board.ts";

interface Piece {
  bytes: Uint8Array;
  at: number;
  done: () => void;
}

/** A serial port with its queue of input, which the UART empties at its own pace. */
export class SerialLine {
  private readonly queue: Piece[] = [];
  private readonly listeners: ((byte: number) => void)[] = [];
  private pumping = false;

  constructor(readonly endpoint: SerialEndpoint) {
    endpoint.onTransmit = (byte) => {
      for (const listener of this.listeners) listener(byte);
    };
    endpoint.onCanReceive = () => this.pump();
  }

  get name(): string {
    return this.endpoint.name;
  }

  /** Calls `listener` with each byte that the guest sends, until the returned function is called. */
  listen(listener: (byte: number) => void): () => void {
    this.listeners.push(listener);
    return () => {
      const at = this.listeners.indexOf(listener);
      if (at >= 0) this.listeners.splice(at, 1);
    };
  }

  /** Queues input. `done` is called when the UART has taken the last byte. Returns what withdraws the rest. */
  send(bytes: Uint8Array, done: () => void): () => void {
    const piece = { bytes: bytes.slice(), at: 0, done };
    this.queue.push(piece);
    this.pump();
    return () => {
      const at = this.queue.indexOf(piece);
      if (at >= 0) this.queue.splice(at, 1);
    };
  }

  /** Bytes that the UART has not taken yet. */
  get pending(): number {
    return this.queue.reduce((sum, { bytes, at }) => sum + bytes.length - at, 0);
  }

  /** Withdraws all input that the UART has not taken. */
  clear(): void {
    this.queue.length = 0;
  }

  private pump(): void {
    // A UART may say that it can receive while it is being given a byte.
    if (this.pumping) return;
    this.pumping = true;
    try {
      for (let piece = this.queue[0]; piece !== undefined; piece = this.queue[0]) {
        while (piece.at < piece.bytes.length && this.endpoint.canReceive()) {
          this.endpoint.receive(piece.bytes[piece.at++]);
        }
        if (piece.at < piece.bytes.length) return;
        this.queue.shift();
        piece.done();
      }
    } finally {
      this.pumping = false;
    }
  }
}
