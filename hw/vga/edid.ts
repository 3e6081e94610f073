/** What the attached monitor says of itself: VESA E-EDID standard, release A, revision 1 (structure 1.3). */

/** Preferred resolution of the monitor. */
const WIDTH = 1024, HEIGHT = 768;
const HEADER = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
/** Chromaticity of sRGB, sections 3.7. */
const SRGB = [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54];
/** Size of the picture in centimetres. */
const WIDTH_CM = 32, HEIGHT_CM = 24;

/** Three letters in five bits each. */
function manufacturer(letters: string): [number, number] {
  const code = [...letters].reduce((sum, letter) => (sum << 5) | (letter.charCodeAt(0) - 64), 0);
  return [code >> 8, code & 0xff];
}

/** A detailed timing, section 3.10.2: 1024 by 768 at 60 Hz as in VESA's list of monitor timings. */
function detailedTiming(): number[] {
  const clock = 6500, blankH = 320, blankV = 38;
  const offsetH = 24, pulseH = 136, offsetV = 3, pulseV = 6;
  const millimetresH = WIDTH_CM * 10, millimetresV = HEIGHT_CM * 10;
  return [
    ...[clock & 0xff, clock >> 8],
    ...[WIDTH & 0xff, blankH & 0xff, ((WIDTH >> 8) << 4) | (blankH >> 8)],
    ...[HEIGHT & 0xff, blankV & 0xff, ((HEIGHT >> 8) << 4) | (blankV >> 8)],
    ...[offsetH, pulseH, (offsetV << 4) | pulseV, 0],
    ...[millimetresH & 0xff, millimetresV & 0xff, ((millimetresH >> 8) << 4) | (millimetresV >> 8)],
    ...[0, 0, 0x18],
  ];
}

/** A monitor descriptor, section 3.10.3. */
function descriptor(tag: number, bytes: readonly number[]): number[] {
  return [0, 0, 0, tag, 0, ...bytes, ...new Array(13 - bytes.length).fill(0x20)];
}

/** The 128 bytes that the monitor gives. */
export function monitorEdid(): Uint8Array {
  const name = [..."compy"].map((letter) => letter.charCodeAt(0));
  const RANGE_LIMITS = 0xfd, NAME = 0xfc, UNUSED = 0x10;
  const bytes = [
    ...HEADER,
    ...manufacturer("CPY"),
    // Product 1, no serial number, week 1 of 2000, structure 1.3
    ...[0x01, 0x00, 0, 0, 0, 0, 1, 10, 1, 3],
    // Analogue input, size, gamma 2.2, RGB colour with a preferred timing
    ...[0x08, WIDTH_CM, HEIGHT_CM, 120, 0x0a],
    ...SRGB,
    // Established timings: 640x480, 800x600 and 1024x768 at 60 Hz
    ...[0x21, 0x08, 0x00],
    // Standard timings at 60 Hz: 1280x1024, 1600x1200; the rest is not used
    ...[0x81, 0x80, 0xa9, 0x40, ...new Array(12).fill(0x01)],
    ...detailedTiming(),
    ...descriptor(RANGE_LIMITS, [50, 75, 30, 82, 16, 0, 0x0a]),
    ...descriptor(NAME, [...name, 0x0a]),
    ...descriptor(UNUSED, new Array(13).fill(0)),
    // No extension blocks
    0,
  ];
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  return Uint8Array.from([...bytes, -sum & 0xff]);
}
