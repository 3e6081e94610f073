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

/** The host's time, or the processor time of all threads that another process has. */
export function clockOf(pid: number, clock: Clock = "host"): () => number {
  if (clock === "host") return () => performance.now();
  const tasks = `/proc/${pid}/task`;
  return () => {
    let sum = 0;
    for (const { name } of Deno.readDirSync(tasks)) {
      try {
        sum += onProcessor(`${tasks}/${name}/schedstat`);
      } catch (error) {
        // The thread has ended.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return sum / 1e6;
  };
}
