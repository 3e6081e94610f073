/** Decoding of UTF-8 one byte at a time, so that a character is there as soon as its last byte is. */

/** An incremental decoder. What is no UTF-8 becomes U+FFFD, one for each byte or broken sequence. */
export class Utf8Decoder {
  private code = 0;
  private missing = 0;
  private least = 0;

  /** Takes one byte; returns the characters that it completes, mostly one, or none. */
  push(byte: number): string {
    if (this.missing > 0) {
      if ((byte & 0xc0) === 0x80) {
        this.code = this.code << 6 | byte & 0x3f;
        if (--this.missing > 0) return "";
        const valid = this.code >= this.least && this.code <= 0x10ffff &&
          (this.code < 0xd800 || this.code > 0xdfff);
        return valid ? String.fromCodePoint(this.code) : "\ufffd";
      }
      this.missing = 0;
      return "\ufffd" + this.push(byte);
    }
    if (byte < 0x80) return String.fromCharCode(byte);
    if (byte >= 0xc2 && byte <= 0xdf) this.begin(byte & 0x1f, 1, 0x80);
    else if (byte >= 0xe0 && byte <= 0xef) this.begin(byte & 0xf, 2, 0x800);
    else if (byte >= 0xf0 && byte <= 0xf4) this.begin(byte & 7, 3, 0x10000);
    else return "\ufffd";
    return "";
  }

  private begin(code: number, missing: number, least: number): void {
    this.code = code;
    this.missing = missing;
    this.least = least;
  }
}
