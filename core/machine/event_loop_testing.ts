/** Measures how long a machine keeps the host's event loop from its turn. For tests; no part of the product imports this. */
import { assert } from "@std/assert";
import { setImmediate } from "node:timers";
import process from "node:process";

/** Milliseconds of processor time that this thread has used: other processes do not count, however busy. */
function threadTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** A timer of 10 ms must not be late by more. */
const LATENESS_MS = 50;

/** What was measured, in milliseconds. */
export interface Stretches {
  /** Longest time between two turns of the event loop. */
  longest: number;
  /** Longest time between two calls of a timer of 10 ms. */
  longestTick: number;
  /** How often the event loop had its turn. */
  turns: number;
}

/**
 * Measures while `work` is pending. Of processor and wall-clock time the smaller counts, so that a busy host
 * makes nothing look worse.
 */
export async function measureEventLoop(work: () => Promise<unknown>): Promise<Stretches> {
  const found = { longest: 0, longestTick: 0, turns: 0 };
  const stopwatch = () => {
    let wall = performance.now(), own = threadTime();
    return () => {
      const lap = Math.min(performance.now() - wall, threadTime() - own);
      wall = performance.now();
      own = threadTime();
      return lap;
    };
  };
  let running = true;
  const lap = stopwatch(), tick = stopwatch();
  const turn = () => {
    found.longest = Math.max(found.longest, lap());
    found.turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  const timer = setInterval(() => {
    found.longestTick = Math.max(found.longestTick, tick());
  }, 10);
  try {
    await work();
  } finally {
    running = false;
    clearInterval(timer);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return found;
}

/** Fails if the event loop was kept from its turn for too long. */
export function assertResponsive({ longest, longestTick, turns }: Stretches): void {
  assert(longest <= LATENESS_MS, `the event loop had no turn for ${longest} ms`);
  assert(longestTick <= 10 + LATENESS_MS, `a timer of 10 ms came after ${longestTick} ms`);
  assert(turns > 10, `${turns} turns`);
}
