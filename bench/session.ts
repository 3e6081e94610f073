/** A guest in a process of its own: what one emulator does to the host's process must not slow another down. */
import { fromFileUrl } from "@std/path";
import type { GuestOptions, Peer } from "./guest.ts";

/** What is asked of a guest: to run until it has sent the marks, one after the other. */
export interface Request {
  marks: readonly string[];
  input?: string;
  /** Milliseconds. */
  limit: number;
}

/** What came of it. */
export interface Answer {
  /** When each mark was seen, in milliseconds of the guest's clock. */
  times: number[];
  /** All that the guest sent so far. */
  text: string;
  error?: string;
}

/** A run that takes longer has failed. */
const LIMIT = 900_000;
/** So much later the process is taken not to answer at all. */
const GRACE = 30_000;

/** A guest in a process of its own. */
export class Session {
  private readonly lines: ReadableStreamDefaultReader<string>;
  private readonly requests: WritableStreamDefaultWriter<Uint8Array>;
  private rest = "";
  /** The end of what the process complained of. */
  private complaints = "";
  /** When the machine was being made, on the guest's clock. */
  started = 0;

  private constructor(private readonly peer: Peer, private readonly child: Deno.ChildProcess) {
    this.lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.requests = child.stdin.getWriter();
    this.listen();
  }

  private async listen(): Promise<void> {
    const verbose = Deno.env.has("BENCH_VERBOSE"), decoder = new TextDecoder();
    for await (const part of this.child.stderr) {
      if (verbose) await Deno.stderr.write(part);
      this.complaints = (this.complaints + decoder.decode(part, { stream: true })).slice(-2000);
    }
  }

  /** Starts a guest. */
  static async start(peer: Peer, options: GuestOptions): Promise<Session> {
    const program = fromFileUrl(new URL("./session_program.ts", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", program, peer, JSON.stringify(options)],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const session = new Session(peer, child);
    try {
      session.started = (await session.answer(LIMIT)).times[0];
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  private async answer(limit: number): Promise<Answer> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), limit + GRACE);
    try {
      while (!this.rest.includes("\n")) {
        const { value, done } = await this.lines.read();
        if (done) {
          await this.child.status;
          throw new Error(
            `the process of ${this.peer} ended without an answer: ${this.complaints.trim()}`,
          );
        }
        this.rest += value;
      }
    } finally {
      clearTimeout(timer);
    }
    const at = this.rest.indexOf("\n"), line = this.rest.slice(0, at);
    this.rest = this.rest.slice(at + 1);
    const answer = JSON.parse(line) as Answer;
    if (answer.error !== undefined) throw new Error(`${this.peer}: ${answer.error}`);
    return answer;
  }

  /** Sends `input` and runs the guest until it has sent the marks, one after the other. */
  async run(marks: readonly string[], input?: string): Promise<Answer> {
    const request: Request = { marks, input, limit: LIMIT };
    await this.requests.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    return await this.answer(LIMIT);
  }

  /** Ends the guest's process. */
  async close(): Promise<void> {
    await this.requests.close().catch(() => {});
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 5000);
    await this.child.status;
    clearTimeout(timer);
    await this.lines.cancel().catch(() => {});
  }
}
