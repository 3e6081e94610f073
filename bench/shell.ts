/** Work in a shell inside Linux. */
import { READY } from "../scripts/guests/initramfs.ts";
import { linuxOptions } from "./boot.ts";
import type { GuestOptions, Peer } from "./guest.ts";
import { alternate, peersFor, type Plan, show } from "./measure.ts";
import { choose } from "./micro.ts";
import type { Row } from "./results.ts";
import { type Answer, Session } from "./session.ts";

/** What programs work on: the first bytes of busybox. */
const DATA = "/tmp/data", PART = "/tmp/part";
const PREPARE = `head -c 1500000 /bin/busybox > ${DATA}; head -c 500000 ${DATA} > ${PART}`;

/** Commands by name. What they print must be the same in all emulators. */
const JOBS: Record<string, string> = {
  sha256sum: `for i in 1 2 3 4 5 6; do cat ${DATA}; done | sha256sum`,
  gzip: `gzip -c ${DATA} | wc -c`,
  bzip2: `bzip2 -c ${PART} | wc -c`,
  sh: "i=0; s=0; while [ $i -lt 10000 ]; do i=$((i+1)); s=$((s+i)); done; echo $s",
  "fork-exec": "i=0; while [ $i -lt 100 ]; do /bin/true || break; i=$((i+1)); done; echo $i",
  find: "find /sys > /dev/null && echo found",
};

/** A command between two marks that its echo does not contain. */
export function marked(command: string): { input: string; marks: [string, string] } {
  return {
    input: `echo "@STA""RT"; ${command}; echo "@EN""D"\n`,
    marks: ["@START", "@END"],
  };
}

/** What a marked command printed. */
export function printed(text: string): string {
  const end = text.lastIndexOf("@END"), start = text.lastIndexOf("@START", end);
  return text.slice(start + "@START".length, end).trim();
}

async function command(session: Session, line: string): Promise<Answer> {
  const { input, marks } = marked(line);
  return await session.run(marks, input);
}

/** A session in each emulator, at its shell, with what the commands need. */
async function shells(options: GuestOptions, peers: readonly Peer[]): Promise<Map<Peer, Session>> {
  const sessions = new Map<Peer, Session>();
  try {
    for (const peer of peers) {
      show(`booting Linux ${options.arch} in ${peer} … `);
      const session = await Session.start(peer, options);
      sessions.set(peer, session);
      await session.run([READY, "# "]);
      await command(session, PREPARE);
      show("ready\n");
    }
    return sessions;
  } catch (error) {
    for (const session of sessions.values()) await session.close();
    throw error;
  }
}

/** The names of all jobs, as in `gzip.i386`. */
export function shellJobs(): string[] {
  const names = Object.keys(JOBS);
  return [...names.map((name) => `${name}.i386`), ...names.map((name) => `${name}.amd64`)];
}

/** Runs the jobs, or those named. */
export async function* benchShell(
  plan: Plan,
  names: readonly string[],
): AsyncGenerator<Row> {
  const chosen = choose(names, shellJobs(), "job");
  for (const arch of ["i386", "amd64"] as const) {
    const jobs = chosen.filter((name) => name.endsWith(`.${arch}`)).map((job) => job.split(".")[0]);
    if (jobs.length === 0) continue;
    const peers = peersFor(plan, arch);
    const sessions = await shells(await linuxOptions(plan, arch), peers);
    try {
      for (const name of jobs) {
        let expected: string | undefined;
        yield await alternate(
          { group: `shell-${arch}`, name },
          { runs: plan.runs, peers },
          async (peer) => {
            const { times: [start, end], text } = await command(sessions.get(peer)!, JOBS[name]);
            const result = printed(text);
            expected ??= result;
            if (result !== expected) {
              throw new Error(`printed "${result}", and ${peers[0]} "${expected}"`);
            }
            return (end - start) / 1000;
          },
        );
      }
    } finally {
      for (const session of sessions.values()) await session.close();
    }
  }
}
