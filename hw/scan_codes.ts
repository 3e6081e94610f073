/**
 * Scan codes of a PC keyboard by QEMU's QKeyCode names.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and auxiliary device controller"
 * (translation) and "101- and 102-key keyboard" (sets 2 and 3).
 */

/**
 * Name, set 2 code (a leading `e0` marks the prefix) and set 3 code of every key that has just one; `-` stands
 * for none.
 */
const KEYS = `
esc 76 08, f1 05 07, f2 06 0f, f3 04 17, f4 0c 1f, f5 03 27, f6 0b 2f, f7 83 37, f8 0a 3f, f9 01 47,
f10 09 4f, f11 78 56, f12 07 5e, scroll_lock 7e 5f, sysrq 84 57,
grave_accent 0e 0e, 1 16 16, 2 1e 1e, 3 26 26, 4 25 25, 5 2e 2e, 6 36 36, 7 3d 3d, 8 3e 3e, 9 46 46,
0 45 45, minus 4e 4e, equal 55 55, backspace 66 66,
tab 0d 0d, q 15 15, w 1d 1d, e 24 24, r 2d 2d, t 2c 2c, y 35 35, u 3c 3c, i 43 43, o 44 44, p 4d 4d,
bracket_left 54 54, bracket_right 5b 5b, backslash 5d 5c,
caps_lock 58 14, a 1c 1c, s 1b 1b, d 23 23, f 2b 2b, g 34 34, h 33 33, j 3b 3b, k 42 42, l 4b 4b,
semicolon 4c 4c, apostrophe 52 52, ret 5a 5a,
shift 12 12, z 1a 1a, x 22 22, c 21 21, v 2a 2a, b 32 32, n 31 31, m 3a 3a, comma 41 41, dot 49 49,
slash 4a 4a, shift_r 59 59, less 61 13,
ctrl 14 11, alt 11 19, spc 29 29, alt_r e011 39, ctrl_r e014 58, meta_l e01f 8b, meta_r e027 8c,
compose e02f 8d, menu e01c -,
insert e070 67, home e06c 6e, pgup e07d 6f, delete e071 64, end e069 65, pgdn e07a 6d,
up e075 63, left e06b 61, down e072 60, right e074 6a,
num_lock 77 76, kp_divide e04a 77, kp_multiply 7c 7e, kp_subtract 7b 84, kp_add 79 7c, kp_enter e05a 79,
kp_decimal 71 71, kp_0 70 70, kp_1 69 69, kp_2 72 72, kp_3 7a 7a, kp_4 6b 6b, kp_5 73 73, kp_6 74 74,
kp_7 6c 6c, kp_8 75 75, kp_9 7d 7d, kp_comma 6d 7b, kp_equals 0f -,
ro 51 51, yen 6a 5d, muhenkan 67 85, henkan 64 86, katakanahiragana 13 87, hiragana 62 -, katakana 63 -,
power e037 -, sleep e03f -, wake e05e -,
audionext e04d -, audioprev e015 -, audiostop e03b -, audioplay e034 -, audiomute e023 -,
volumeup e032 -, volumedown e021 -, mediaselect e050 -, mail e048 -, calculator e02b -,
computer e040 -, ac_home e03a -, ac_back e038 -, ac_forward e030 -, ac_refresh e020 -, ac_bookmarks e018 -
`;

/** The codes of one key. */
export interface ScanCode {
  /** Whether sets 1 and 2 send E0 first. */
  readonly extended: boolean;
  readonly set1: number;
  readonly set2: number;
  /** 0 for none. */
  readonly set3: number;
}

/** What the 8042 makes of set 2 codes 00h to 7Fh when it translates. */
const TRANSLATION =
  `ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59 65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b
   67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d 69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f
   6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61 6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76
   55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f 52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54`
    .trim().split(/\s+/).map((hex) => parseInt(hex, 16));

/** A byte of set 2 as the 8042 translates it to set 1; the break prefix F0h is the controller's own business. */
export function translateToSet1(byte: number): number {
  if (byte < 0x80) return TRANSLATION[byte];
  if (byte === 0x83) return 0x41;
  if (byte === 0x84) return 0x54;
  return byte;
}

/** Every key but `print` and `pause`, whose sequences depend on other keys. */
export const SCAN_CODES: ReadonlyMap<string, ScanCode> = new Map(
  KEYS.trim().split(/,\s*/).map((row) => {
    const [name, code2, code3] = row.split(" ");
    const set2 = parseInt(code2, 16) & 0xff;
    return [name, {
      extended: code2.length === 4,
      set1: translateToSet1(set2),
      set2,
      set3: code3 === "-" ? 0 : parseInt(code3, 16),
    }];
  }),
);

/** The names of all keys, QEMU's QKeyCodes. */
export const KEY_NAMES: readonly string[] = [...SCAN_CODES.keys(), "print", "pause"];
