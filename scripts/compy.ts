/** `deno task compy`: the command, with QEMU's options. */
import config from "../deno.json" with { type: "json" };
import { parseCommandLine, VERSION_REQUEST } from "./cli/command_line.ts";
import { runMachine } from "./cli/run.ts";

if (import.meta.main) {
  let status: number;
  try {
    const command = parseCommandLine(Deno.args);
    if ("run" in command) status = await runMachine(command.run);
    else {
      const { print } = command;
      const version = `compy version ${config.version}\n`;
      Deno.stdout.writeSync(new TextEncoder().encode(print === VERSION_REQUEST ? version : print));
      status = 0;
    }
  } catch (error) {
    console.error(`compy: ${(error as Error).message}`);
    status = 1;
  }
  // A pending read of the terminal would keep the process alive.
  Deno.exit(status);
}
