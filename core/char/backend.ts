/** The host's end of a serial port: where the guest's bytes go and where its input comes from. */
import type { SerialLine } from "./serial_line.ts";

/** A host's end of a serial port: a terminal, a file, a socket. */
export interface CharBackend {
  /**
   * Whether input may come at any time, so that a guest that waits for nothing else is not dead.
   * Default true. It may change; a backend whose input has ended says so by an empty input.
   */
  readonly live?: boolean;
  /** Takes what the guest sent. Called between the guest's instructions; it must not block for long. */
  write(bytes: Uint8Array): void;
  /**
   * To be called with what the guest shall receive. Set by the machine. It returns a promise that
   * resolves when the guest has taken the bytes: a fast source waits for it before it reads on.
   */
  onInput: (bytes: Uint8Array) => void | Promise<void>;
  /** Releases what the host holds open. */
  close(): Promise<void>;
}

/** Bytes that are collected at most before a backend gets them. */
const BATCH = 4096;

/**
 * Joins a backend to a serial port. Output is handed over at the latest when the host's event loop
 * gets its turn. `noticed` is called after each input.
 *
 * @returns what hands over the rest of the output and closes the backend
 */
export function joinBackend(
  line: SerialLine,
  backend: CharBackend,
  noticed: () => void,
): () => Promise<void> {
  const batch = new Uint8Array(BATCH);
  let length = 0;
  const flush = () => {
    if (length === 0) return;
    const bytes = batch.slice(0, length);
    length = 0;
    backend.write(bytes);
  };
  const unlisten = line.listen((byte) => {
    if (length === 0) queueMicrotask(flush);
    batch[length++] = byte;
    if (length === BATCH) flush();
  });
  backend.onInput = (bytes) =>
    new Promise((resolve) => {
      line.send(bytes, resolve);
      noticed();
    });
  return async () => {
    unlisten();
    flush();
    await backend.close();
  };
}
