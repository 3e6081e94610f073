/** Linux to the shell's first line. */
import { seabios } from "../scripts/guests/guests.ts";
import { linuxGuest, READY } from "../scripts/guests/initramfs.ts";
import type { GuestOptions } from "./guest.ts";
import { alternate, peersFor, type Plan } from "./measure.ts";
import type { Row } from "./results.ts";
import { Session } from "./session.ts";

const MEMORY_MIB = 128;

/** The processor of each architecture, by the name that compy and QEMU share; v86 has but its own. */
const PROCESSOR = { i386: "qemu32", amd64: "qemu64" } as const;

/** Debian's kernel with our RAM disk, on the same machine in each emulator. */
export async function linuxOptions(plan: Plan, arch: GuestOptions["arch"]): Promise<GuestOptions> {
  const { kernel, initrd } = await linuxGuest({ arch });
  return {
    arch,
    memory: MEMORY_MIB,
    kernel,
    linux: { initrd, append: "console=ttyS0", cpu: PROCESSOR[arch] },
    accel: plan.accel,
    clock: plan.clock,
    firmware: arch === "i386" ? await seabios() : undefined,
    qemu: plan.qemu?.[arch],
  };
}

/** Boots of one architecture. */
export async function benchBoot(plan: Plan, arch: GuestOptions["arch"]): Promise<Row> {
  const options = await linuxOptions(plan, arch), peers = peersFor(plan, arch);
  return await alternate(
    { group: "boot", name: arch },
    { runs: plan.runs, peers },
    async (peer) => {
      const session = await Session.start(peer, options);
      try {
        const { times: [ready] } = await session.run([READY]);
        return (ready - session.started) / 1000;
      } finally {
        await session.close();
      }
    },
  );
}
