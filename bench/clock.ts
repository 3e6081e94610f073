/** The clocks that runs are timed by, in milliseconds. */
import type { Clock } from "./guest.ts";

/** Nanoseconds that a thread was on a processor (Linux, Documentation/scheduler/sched-stats.rst). */
function onProcessor(schedstat: string): number {
  return Number(Deno.readTextFileSync(schedstat).split(" ")[0]);
}

/** The host's time, or the processor time of this process's main thread. */
export function ownClock(clock: Clock = "host"): () => number {
  if (clock === "host") return () => performance.now();
  const path = `/proc/self/task/${Deno.pid}/schedstat`;
  return () => onProcessor(path) / 1e6;
}

/** Clock ticks a second, as Linux tells programs (time(7)). */
const USER_HZ = 100;
/** Fields of /proc/PID/stat behind the program's name: time in user mode and in the kernel (proc(5), 14 and 15). */
const UTIME = 11, STIME = 12;

/** The host's time, or the processor time that all threads of another process have used. */
export function clockOf(pid: number, clock: Clock = "host"): () => number {
  if (clock === "host") return () => performance.now();
  return () => {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[UTIME]) + Number(fields[STIME])) * 1000 / USER_HZ;
  };
}
