import { assertEquals } from "@std/assert";
import { megabytes, Progress, type ProgressOutput } from "./progress.ts";

class Recorder implements ProgressOutput {
  text = "";
  constructor(private readonly terminal: boolean) {}
  isTerminal(): boolean {
    return this.terminal;
  }
  writeSync(bytes: Uint8Array): number {
    this.text += new TextDecoder().decode(bytes);
    return bytes.length;
  }
}

Deno.test("Progress redraws one line on a terminal", () => {
  const output = new Recorder(true);
  const progress = new Progress("Fetching x", { total: 2e6, output, columns: 80 });
  progress.update(1e6);
  progress.done();
  assertEquals(
    output.text.replace(/\d+\.\d s/, "1.0 s"),
    "\r\x1b[KFetching x [                    ]   0% of 2.0 MB" +
      "\r\x1b[KFetching x [==========          ]  50% of 2.0 MB" +
      "\r\x1b[KFetching x: done in 1.0 s\n",
  );
});

Deno.test("Progress cuts what a narrow terminal would break", () => {
  const output = new Recorder(true);
  new Progress("Fetching everything", { output, columns: 10 });
  assertEquals(output.text, "\r\x1b[KFetching ");
});

Deno.test("Progress writes plain lines elsewhere, not more often than its interval", () => {
  const output = new Recorder(false);
  const progress = new Progress("Fetching x", { total: 2e6, output });
  progress.update(1e6);
  progress.done("failed");
  assertEquals(
    output.text.replace(/\d+\.\d s/, "1.0 s"),
    "Fetching x (2.0 MB)\n  failed in 1.0 s\n",
  );
  const often = new Recorder(false);
  new Progress("Fetching y", { output: often, interval: 0 }).update(500);
  assertEquals(often.text, "Fetching y\n  1 kB\n");
});

Deno.test("megabytes rounds small amounts up to kilobytes", () => {
  assertEquals([megabytes(1), megabytes(51_921_880)], ["1 kB", "51.9 MB"]);
});
