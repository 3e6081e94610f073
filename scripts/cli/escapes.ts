/** The keys that the terminal keeps for itself while it is joined to a serial port: Ctrl-A and a letter. */

const CTRL_A = 0x01;

/** What a stretch of input means. */
export interface EscapedInput {
  /** For the guest. */
  data: Uint8Array<ArrayBuffer>;
  /** For the terminal, in order. */
  commands: ("quit" | "help")[];
}

/** What Ctrl-A H prints. */
export const ESCAPE_HELP: string = [
  "",
  "Ctrl-A H       this help",
  "Ctrl-A X       quit",
  "Ctrl-A Ctrl-A  send Ctrl-A to the guest",
  "",
].join("\n");

/** Separates the two. Nothing after a quit is the guest's. */
export class EscapeFilter {
  private pending = false;

  /** Takes input as it comes; an escape may be split between two calls. */
  take(input: Uint8Array): EscapedInput {
    const data: number[] = [];
    const commands: EscapedInput["commands"] = [];
    for (const byte of input) {
      if (!this.pending) {
        if (byte === CTRL_A) this.pending = true;
        else data.push(byte);
        continue;
      }
      this.pending = false;
      const letter = String.fromCharCode(byte).toLowerCase();
      if (byte === CTRL_A) data.push(CTRL_A);
      else if (letter === "x") {
        commands.push("quit");
        break;
      } else if (letter === "h" || letter === "?") commands.push("help");
    }
    return { data: Uint8Array.from(data), commands };
  }
}
