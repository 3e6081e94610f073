/** What a person sees while something is fetched: a moving line on a terminal, a few plain lines elsewhere. */

import { unicodeWidth } from "@std/cli";

/** Bytes as a person reads them: `51.9 MB`. */
export function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Where progress goes; standard error unless a test says otherwise. */
export interface ProgressOutput {
  isTerminal(): boolean;
  writeSync(bytes: Uint8Array): number;
}

/** Options of {@linkcode Progress}. */
export interface ProgressOptions {
  /** Bytes expected in all, when known. */
  total?: number;
  /** Standard error by default. */
  output?: ProgressOutput;
  /** Columns of the terminal; asked of it by default. */
  columns?: number;
  /** Milliseconds between plain lines; default 10,000. */
  interval?: number;
}

/** One thing that takes a while. */
export class Progress {
  private readonly output: ProgressOutput;
  private readonly started = performance.now();
  private readonly interval: number;
  private readonly total: number | undefined;
  private readonly columns: number | undefined;
  private said = performance.now();

  constructor(private readonly label: string, options: ProgressOptions = {}) {
    this.output = options.output ?? Deno.stderr;
    this.interval = options.interval ?? 10_000;
    this.total = options.total;
    this.columns = options.columns;
    if (!this.output.isTerminal()) {
      this.write(`${label}${this.total === undefined ? "" : ` (${megabytes(this.total)})`}\n`);
    } else this.update(0);
  }

  private write(text: string): void {
    this.output.writeSync(new TextEncoder().encode(text));
  }

  /** Cuts a line that the terminal would break: only the last line can be redrawn. */
  private fit(line: string): string {
    const columns = this.columns ?? Deno.consoleSize().columns;
    while (unicodeWidth(line) >= columns && line !== "") line = line.slice(0, -1);
    return line;
  }

  private amount(bytes: number): string {
    if (this.total === undefined) return megabytes(bytes);
    const part = Math.min(1, bytes / this.total);
    const bar = "=".repeat(Math.round(part * 20)).padEnd(20, " ");
    return `[${bar}] ${String(Math.floor(part * 100)).padStart(3)}% of ${megabytes(this.total)}`;
  }

  /** Shows that `bytes` are there. */
  update(bytes: number): void {
    if (this.output.isTerminal()) {
      this.write(`\r\x1b[K${this.fit(`${this.label} ${this.amount(bytes)}`)}`);
      return;
    }
    const now = performance.now();
    if (now - this.said < this.interval) return;
    this.said = now;
    this.write(`  ${this.amount(bytes)}\n`);
  }

  /** Ends the line with an outcome and the time it took. */
  done(outcome = "done"): void {
    const seconds = ((performance.now() - this.started) / 1000).toFixed(1);
    this.write(
      this.output.isTerminal()
        ? `\r\x1b[K${this.label}: ${outcome} in ${seconds} s\n`
        : `  ${outcome} in ${seconds} s\n`,
    );
  }
}
