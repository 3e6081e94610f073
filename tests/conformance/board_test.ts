/** The chips that only boards have join the conformance suite here. */
import { assertEquals } from "@std/assert";
import { A20Gate } from "../../hw/boards/a20_gate.ts";
import { conformance } from "./suite.ts";

conformance({
  name: "A20Gate",
  create(bench) {
    const gate = new A20Gate({ out: bench.wire("a20") });
    return {
      chips: [gate],
      spaces: [],
      events: [(random) => gate.drive(random.bool())],
      invariants: () => assertEquals(bench.levels.get("a20") ?? true, gate.snapshot().open),
    };
  },
});
