/** What a guest sent to its serial port, and when marks in it were seen. */

/** Texts that are awaited one after the other. */
interface Wait {
  marks: readonly string[];
  times: number[];
  resolve(times: number[]): void;
  reject(error: Error): void;
}

/** Collects text and notes on the host's clock when marks in it were complete. */
export class SerialText {
  /** What has been received. */
  text = "";
  /** Behind the last mark that was found. */
  private position = 0;
  /** No mark that is awaited begins before this. */
  private searched = 0;
  private wait: Wait | undefined;

  /** @param clock the host's time in milliseconds */
  constructor(private readonly clock: () => number = () => performance.now()) {}

  /** Takes text from the guest. */
  add(text: string): void {
    this.text += text;
    this.look();
  }

  /**
   * Waits until all `marks` have been seen, each behind the one before and behind what earlier waits found; the
   * times at which each was.
   */
  seen(marks: readonly string[]): Promise<number[]> {
    if (this.wait !== undefined) throw new Error("there is a wait already");
    return new Promise((resolve, reject) => {
      this.wait = { marks, times: [], resolve, reject };
      this.searched = this.position;
      this.look();
    });
  }

  /** Ends a wait in vain. */
  fail(why: string): void {
    const { wait } = this;
    this.wait = undefined;
    if (wait === undefined) return;
    const mark = JSON.stringify(wait.marks[wait.times.length]);
    wait.reject(new Error(`${why} before ${mark}; its last words: ${this.text.slice(-1000)}`));
  }

  private look(): void {
    const { wait } = this;
    if (wait === undefined) return;
    while (wait.times.length < wait.marks.length) {
      const mark = wait.marks[wait.times.length], at = this.text.indexOf(mark, this.searched);
      if (at < 0) {
        this.searched = Math.max(this.position, this.text.length - mark.length + 1);
        return;
      }
      wait.times.push(this.clock());
      this.searched = this.position = at + mark.length;
    }
    this.wait = undefined;
    wait.resolve(wait.times);
  }
}
