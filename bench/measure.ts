/** Runs the same work in several emulators in turn. */
import type { Engine } from "../mod.ts";
import type { Clock, GuestOptions, Peer } from "./guest.ts";
import type { Group, Row } from "./results.ts";

/** What all measurements need. */
export interface Plan {
  runs: number;
  /** compy and what it is compared with, in the order of the runs. */
  peers: readonly Peer[];
  /** compy's engine; its default when there is none. */
  accel?: Engine;
  clock?: Clock;
  /** QEMU's programs by architecture, when it takes part. */
  qemu?: Record<GuestOptions["arch"], readonly string[]>;
}

const encoder = new TextEncoder();

/** Shows progress; the line goes on unless `text` ends it. */
export function show(text: string): void {
  Deno.stderr.writeSync(encoder.encode(text));
}

/** The emulators of a plan that can run a guest. */
export function peersFor(plan: Plan, arch: GuestOptions["arch"]): Peer[] {
  return plan.peers.filter((peer) => peer !== "v86" || arch === "i386");
}

/** Measures `runs` times in each emulator, alternating. One that fails is left out of what follows. */
export async function alternate(
  { group, name }: { group: Group; name: string },
  { runs, peers }: { runs: number; peers: readonly Peer[] },
  measure: (peer: Peer) => Promise<number>,
): Promise<Row> {
  const row: Row = { group, name, seconds: {}, failed: {} };
  const label = `${group} ${name}`.padEnd(24);
  for (let run = 1; run <= runs; run++) {
    for (const peer of peers) {
      if (row.failed[peer] !== undefined) continue;
      show(`${label} run ${run} of ${runs}  ${peer.padEnd(5)} `);
      try {
        const seconds = await measure(peer);
        (row.seconds[peer] ??= []).push(seconds);
        show(`${seconds.toFixed(3).padStart(8)} s\n`);
      } catch (error) {
        row.failed[peer] = (error as Error).message;
        delete row.seconds[peer];
        show(`  failed: ${row.failed[peer]}\n`);
      }
    }
  }
  return row;
}
