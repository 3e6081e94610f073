import { assertEquals } from "@std/assert";
import { alternate, peersFor } from "./measure.ts";

Deno.test("alternate takes emulators in turn and leaves out one that failed", async () => {
  const order: string[] = [];
  const row = await alternate(
    { group: "boot", name: "i386" },
    { runs: 3, peers: ["qemu", "v86", "compy"] },
    (peer) => {
      order.push(peer);
      const count = order.filter((one) => one === peer).length;
      return peer === "v86" && count === 2
        ? Promise.reject(new Error("broken"))
        : Promise.resolve(count);
    },
  );
  assertEquals(order.join(" "), "qemu v86 compy qemu v86 compy qemu compy");
  assertEquals(row.seconds, { qemu: [1, 2, 3], compy: [1, 2, 3] });
  assertEquals(row.failed, { v86: "broken" });
});

Deno.test("peersFor leaves out v86 for 64-bit guests", () => {
  const plan = { runs: 1, peers: ["v86", "qemu", "compy"] as const };
  assertEquals(peersFor(plan, "i386"), ["v86", "qemu", "compy"]);
  assertEquals(peersFor(plan, "amd64"), ["qemu", "compy"]);
});
