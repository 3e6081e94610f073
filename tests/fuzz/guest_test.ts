import { FuzzMachine, MODES } from "./guest.ts";

/** Instructions in all; the number that the project promises. */
const INSTRUCTIONS = 10_000_000;
const MODELS = ["max", "486", "pentium", "pentium3"];

Deno.test("ten million random instructions in all modes let no exception leave the machine", async () => {
  let seed = 0x5eed, executed = 0;
  for (let m = 0; m < MODELS.length; m++) {
    const machine = await FuzzMachine.create(MODELS[m]);
    const share = INSTRUCTIONS * (m + 1) / MODELS.length;
    while (executed + machine.instructions < share) {
      machine.round(MODES[seed % MODES.length], seed);
      seed++;
    }
    executed += machine.instructions;
    await machine.dispose();
  }
});
