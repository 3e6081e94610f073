/** The host's ends of serial ports: files, the terminal, sockets. */
import { type EscapedInput, EscapeFilter } from "./escapes.ts";
import type { CharBackend } from "../../core/char/backend.ts";
import type { CharRequest } from "./command_line.ts";
import { dirname } from "@std/path";

/** Gives input to the guest; settles when the guest has taken it. */
type Receiver = CharBackend["onInput"];

/** Bytes kept for a peer that does not read. */
const QUEUE_LIMIT = 1 << 20;

const ignore = () => {};
const ignoreInput: Receiver = () => Promise.resolve();

/** Keeps what comes in before the machine listens. */
class Input {
  private receiver: Receiver = ignoreInput;
  private readonly joined = Promise.withResolvers<void>();

  get onInput(): Receiver {
    return this.receiver;
  }
  set onInput(receiver: Receiver) {
    this.receiver = receiver;
    this.joined.resolve();
  }

  /** Settles when the guest has taken the bytes. */
  protected async give(bytes: Uint8Array): Promise<void> {
    await this.joined.promise;
    await this.receiver(bytes);
  }
}

class NullDevice implements CharBackend {
  readonly live = false;
  onInput: Receiver = ignoreInput;
  write(): void {}
  async close(): Promise<void> {}
}

/** A host's end that may have something to begin with. */
export interface HostEnd extends CharBackend {
  /** Does what cannot be undone, such as emptying a file. Called once the machine is made; throws when it cannot be done. */
  begin?(): void;
}

function cannotOpen(what: string, cause: unknown): Error {
  return new Error(`cannot open ${what}: ${(cause as Error).message}`, { cause });
}

class FileDevice implements HostEnd {
  readonly live = false;
  onInput: Receiver = ignoreInput;
  private failed = false;
  private file: Deno.FsFile | undefined;

  /** Throws when the file could not be opened, but leaves it as it is. */
  constructor(private readonly path: string, private readonly append: boolean) {
    try {
      let info: Deno.FileInfo;
      try {
        info = Deno.statSync(path);
      } catch (error) {
        // The file is not there; its directory must be.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        Deno.statSync(dirname(path));
        return;
      }
      if (info.isDirectory) throw new Error("it is a directory");
      if (info.isFile) Deno.openSync(path, { append: true }).close();
    } catch (error) {
      throw cannotOpen(path, error);
    }
  }

  begin(): void {
    const { append } = this;
    try {
      this.file ??= Deno.openSync(this.path, {
        write: true,
        create: true,
        append,
        truncate: !append,
      });
    } catch (error) {
      throw cannotOpen(this.path, error);
    }
  }

  write(bytes: Uint8Array): void {
    if (this.failed) return;
    try {
      this.begin();
      for (let done = 0; done < bytes.length;) done += this.file!.writeSync(bytes.subarray(done));
    } catch (error) {
      this.failed = true;
      console.error(`compy: cannot write to ${this.path} any more: ${(error as Error).message}`);
    }
  }

  close(): Promise<void> {
    this.file?.close();
    return Promise.resolve();
  }
}

/** What the terminal asks of the command. */
export interface TerminalEvents {
  onQuit: () => void;
  onHelp: () => void;
}

/** Standard input and output; in raw mode when they are a terminal. */
class StdioDevice extends Input implements CharBackend {
  /** Until the end of the input. */
  live = true;
  private readonly raw: boolean;
  private readonly filter = new EscapeFilter();
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private broken = false;

  constructor(private readonly events: TerminalEvents) {
    super();
    this.raw = Deno.stdin.isTerminal();
    if (this.raw) Deno.stdin.setRaw(true);
    this.reader = Deno.stdin.readable.getReader();
    this.read();
  }

  private async read(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) break;
        if (this.raw) this.take(this.filter.take(value));
        else await this.give(value);
      }
    } catch {
      // The terminal went away: the guest just receives nothing more.
    }
    this.live = false;
  }

  /** Does not wait for the guest, so that a guest that reads nothing can still be quit. */
  private take({ data, commands }: EscapedInput): void {
    if (data.length > 0) this.give(data);
    for (const command of commands) {
      if (command === "quit") this.events.onQuit();
      else this.events.onHelp();
    }
  }

  write(bytes: Uint8Array): void {
    if (this.broken) return;
    try {
      for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
    } catch {
      // Nobody reads standard output any more; the run goes on, as its exit status may matter.
      this.broken = true;
    }
  }

  async close(): Promise<void> {
    if (this.raw) Deno.stdin.setRaw(false);
    await this.reader.cancel().catch(ignore);
  }
}

/** Who is at the other end of a socket now. */
class Peer {
  private queue: Uint8Array[] = [];
  private queued = 0;
  private sending: Promise<void> | undefined;

  constructor(private readonly conn: Deno.Conn) {}

  /** Reads until the peer leaves; breaking off is leaving. */
  async receive(onInput: Receiver): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      for (;;) {
        const count = await this.conn.read(buffer);
        if (count === null) break;
        await onInput(buffer.slice(0, count));
      }
    } catch {
      // As above.
    }
    this.close();
  }

  write(bytes: Uint8Array): void {
    if (this.queued + bytes.length > QUEUE_LIMIT) return;
    this.queue.push(bytes.slice());
    this.queued += bytes.length;
    this.sending ??= this.send();
  }

  private async send(): Promise<void> {
    try {
      for (let bytes; (bytes = this.queue.shift()) !== undefined;) {
        for (let done = 0; done < bytes.length;) {
          done += await this.conn.write(bytes.subarray(done));
        }
        this.queued -= bytes.length;
      }
      this.sending = undefined;
    } catch {
      this.close();
    }
  }

  /** Waits a little for what is still to be sent. */
  async flush(): Promise<void> {
    if (this.sending === undefined) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, 500);
    await Promise.race([this.sending, late.promise]);
    clearTimeout(timer);
  }

  close(): void {
    try {
      this.conn.close();
    } catch {
      // Closed already.
    }
  }
}

/** A socket: one peer at a time. */
class SocketDevice extends Input implements CharBackend {
  private peer: Peer | undefined;

  constructor(private readonly listener: Deno.Listener | undefined) {
    super();
  }

  /** Serves a peer until it leaves. */
  async serve(conn: Deno.Conn): Promise<void> {
    const peer = new Peer(conn);
    this.peer = peer;
    await peer.receive((bytes) => this.give(bytes));
    this.peer = undefined;
  }

  /** Takes peers one after the other. */
  async acceptAll(): Promise<void> {
    for (;;) {
      let conn: Deno.Conn;
      try {
        conn = await this.listener!.accept();
      } catch {
        return; // The listener was closed.
      }
      await this.serve(conn);
    }
  }

  write(bytes: Uint8Array): void {
    this.peer?.write(bytes);
  }

  async close(): Promise<void> {
    this.listener?.close();
    await this.peer?.flush();
    this.peer?.close();
  }
}

function address(request: CharRequest & { kind: "tcp" | "unix" }): string {
  return request.kind === "tcp" ? `tcp:${request.host}:${request.port}` : `unix:${request.path}`;
}

/**
 * Opens the host's end of a port.
 *
 * @throws {Error} naming the file or address and the cause
 */
export async function openCharDevice(
  request: CharRequest,
  events: TerminalEvents,
): Promise<HostEnd> {
  switch (request.kind) {
    case "null":
      return new NullDevice();
    case "stdio":
      return new StdioDevice(events);
    case "file":
      return new FileDevice(request.path, request.append);
    case "tcp":
    case "unix":
      return await openSocket(request);
  }
}

async function openSocket(request: CharRequest & { kind: "tcp" | "unix" }): Promise<CharBackend> {
  try {
    if (!request.server) {
      const peer = request.kind === "tcp"
        ? await Deno.connect({ hostname: request.host, port: request.port })
        : await Deno.connect({ transport: "unix", path: request.path });
      const device = new SocketDevice(undefined);
      device.serve(peer);
      return device;
    }
    if (request.kind === "unix") await removeStaleSocket(request.path);
    const listener = request.kind === "tcp"
      ? Deno.listen({ hostname: request.host, port: request.port })
      : Deno.listen({ transport: "unix", path: request.path });
    const device = new SocketDevice(listener);
    if (listener.addr.transport === "tcp" && request.kind === "tcp" && request.port === 0) {
      console.error(`compy: listening on tcp:${request.host}:${listener.addr.port}`);
    }
    if (!request.wait) {
      device.acceptAll();
      return device;
    }
    console.error(`compy: waiting for a connection to ${address(request)}`);
    const first = await listener.accept();
    device.serve(first).then(() => device.acceptAll());
    return device;
  } catch (error) {
    throw cannotOpen(address(request), error);
  }
}

/** A socket's file that nobody listens on is in the way of a new one, and of no use. Other files are left alone. */
async function removeStaleSocket(path: string): Promise<void> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined || info.isSocket !== true) return;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch {
    await Deno.remove(path);
  }
}
