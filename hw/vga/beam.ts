/** Where the monitor's beam is: input status 1, worked out of the CRT controller's timing and virtual time. */
import {
  CLOCKING_8_DOTS,
  CLOCKING_HALF_DOT_CLOCK,
  CONTROL_DOUBLE_VERTICAL,
  CR_HORIZONTAL_DISPLAY_END,
  CR_HORIZONTAL_TOTAL,
  CR_MODE_CONTROL,
  CR_OVERFLOW,
  CR_VERTICAL_RETRACE_END,
  CR_VERTICAL_RETRACE_START,
  CR_VERTICAL_TOTAL,
  MISC_CLOCK_28,
  rasterOf,
  SR_CLOCKING_MODE,
  STATUS_1_DISPLAY_OFF,
  STATUS_1_VERTICAL_RETRACE,
  type VgaState,
} from "./registers.ts";

const MHZ_25 = 25.175, MHZ_28 = 28.322;

interface Timing {
  /** Length of a scan line in nanoseconds, and of its visible part. */
  line: number;
  visible: number;
  /** Scan lines of a frame, of its visible part, and of the retrace. */
  lines: number;
  visibleLines: number;
  retraceStart: number;
  retraceLines: number;
}

/** 640 by 400 at 70 Hz: the timing while the registers describe none that a monitor could follow. */
const STANDARD: Timing = {
  line: 800 / MHZ_25 * 1000,
  visible: 640 / MHZ_25 * 1000,
  lines: 449,
  visibleLines: 400,
  retraceStart: 412,
  retraceLines: 2,
};

function timingOf(state: VgaState): Timing {
  const { CR, SR, MISC } = state;
  const clocking = SR[SR_CLOCKING_MODE], overflow = CR[CR_OVERFLOW];
  const dots = (clocking & CLOCKING_8_DOTS) !== 0 ? 8 : 9;
  const megahertz = ((MISC & MISC_CLOCK_28) !== 0 ? MHZ_28 : MHZ_25) /
    ((clocking & CLOCKING_HALF_DOT_CLOCK) !== 0 ? 2 : 1);
  const character = dots / megahertz * 1000;
  const total = CR[CR_HORIZONTAL_TOTAL] + 5;
  const lines = (CR[CR_VERTICAL_TOTAL] | ((overflow & 0x01) << 8) | ((overflow & 0x20) << 4)) + 2;
  const retraceStart = CR[CR_VERTICAL_RETRACE_START] | ((overflow & 0x04) << 6) |
    ((overflow & 0x80) << 2);
  // The end is where the lowest four bits of the line counter are next equal.
  const retraceLines = ((CR[CR_VERTICAL_RETRACE_END] - retraceStart - 1) & 0x0f) + 1;
  const visibleLines = rasterOf(state).height;
  // The line counter may count every second line.
  const factor = (CR[CR_MODE_CONTROL] & CONTROL_DOUBLE_VERTICAL) !== 0 ? 2 : 1;
  if (total < 32 || lines < 200 || retraceStart + retraceLines > lines) return STANDARD;
  return {
    line: total * character,
    visible: (CR[CR_HORIZONTAL_DISPLAY_END] + 1) * character,
    lines: lines * factor,
    visibleLines,
    retraceStart: retraceStart * factor,
    retraceLines: retraceLines * factor,
  };
}

/** Input status 1 at a virtual time in nanoseconds. */
export function displayStatus(state: VgaState, now: number): number {
  const { line, visible, lines, visibleLines, retraceStart, retraceLines } = timingOf(state);
  const inFrame = now % (line * lines);
  const row = Math.floor(inFrame / line);
  const off = row >= visibleLines || inFrame - row * line >= visible;
  const retrace = row >= retraceStart && row < retraceStart + retraceLines;
  return (off ? STATUS_1_DISPLAY_OFF : 0) | (retrace ? STATUS_1_VERTICAL_RETRACE : 0);
}
