/**
 * Runs one guest in a process of its own for {@linkcode ./session.ts}. The arguments are the emulator and its
 * `GuestOptions` as JSON. Each line of standard input is a request, answered by a line on standard output; the
 * guest ends with the input.
 */
import { ownClock } from "./clock.ts";
import { type Guest, type GuestOptions, type Peer, starter } from "./guest.ts";
import type { Answer, Request } from "./session.ts";

/** Waits for an answer, but not longer than `limit` milliseconds. */
async function within<T>(limit: number, guest: Guest, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const words = guest.text.slice(-1000);
    late.reject(new Error(`${what} took more than ${limit / 1000} s; last words: ${words}`));
  }, limit);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function answer(guest: Guest, request: Request): Promise<Answer> {
  try {
    const { marks, input, limit } = request;
    const what = `reaching ${JSON.stringify(marks.at(-1))}`;
    const times = await within(limit, guest, what, guest.run(marks, input));
    return { times, text: guest.text };
  } catch (error) {
    return { times: [], text: guest.text, error: (error as Error).message };
  }
}

function say(answer: Answer): void {
  const bytes = new TextEncoder().encode(JSON.stringify(answer) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

if (import.meta.main) {
  // What emulators log must not come between the answers.
  console.log = console.info = console.debug = console.error;
  const [peer, options] = Deno.args;
  const start = await starter(peer as Peer), parsed: GuestOptions = JSON.parse(options);
  // The processor time of a process that is not there yet is none.
  const started = peer === "qemu" && parsed.clock === "processor" ? 0 : ownClock(parsed.clock)();
  const guest = await start(parsed);
  say({ times: [started], text: "" });
  let rest = "";
  for await (const part of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    for (const line of lines) say(await answer(guest, JSON.parse(line)));
  }
  await guest.close();
  Deno.exit(0);
}
