/** Results as a chart: compy's speed in units of the others', on a logarithmic scale. */
import type { Peer } from "./guest.ts";
import { grouped, GROUPS, meanSpeed, type Row, speed } from "./results.ts";
import { rivals, threeDigits, TITLES } from "./table.ts";

const COLOURS: Record<Peer, string> = { compy: "#666666", v86: "#2f6db3", qemu: "#d9822b" };
const WIDTH = 760, LABELS = 130, NUMBERS = 50, TOP = 46, BAR = 8, GAP = 6, HEADING = 30;

/** A scale of powers of two around level that all values lie on: its ends as exponents. */
export function scaleOf(values: readonly number[]): { from: number; to: number } {
  const exponents = values.map(Math.log2);
  return {
    from: Math.min(-1, ...exponents.map(Math.floor)),
    to: Math.max(1, ...exponents.map(Math.ceil)),
  };
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** How a power of two is written at the scale. */
function tick(exponent: number): string {
  return exponent >= 0 ? String(2 ** exponent) : `1/${2 ** -exponent}`;
}

/** The chart as SVG. Empty bars stand for what an emulator cannot run. */
export function chart(rows: readonly Row[]): string {
  const others = rivals(rows);
  const speeds = rows.flatMap((row) => others.map((peer) => speed(row, peer)))
    .filter((value) => value !== undefined);
  const { from, to } = scaleOf(speeds);
  const x = (value: number) =>
    LABELS + (Math.log2(value) - from) / (to - from) * (WIDTH - LABELS - NUMBERS);
  const parts: string[] = [];
  let y = TOP;
  const line = (name: string, values: readonly (number | undefined)[], bold: boolean) => {
    const present = values.flatMap((value, i) => value === undefined ? [] : [{ value, i }]);
    const height = Math.max(1, present.length) * BAR + GAP;
    const middle = y + (height - GAP) / 2 + 4;
    parts.push(
      `<text x="${LABELS - 8}" y="${middle.toFixed(1)}" text-anchor="end"` +
        `${bold ? ' font-weight="bold"' : ""}>${escape(name)}</text>`,
    );
    for (const [at, { value, i }] of present.entries()) {
      const left = Math.min(x(1), x(value)), width = Math.abs(x(value) - x(1));
      const top = y + at * BAR;
      parts.push(
        `<rect x="${left.toFixed(1)}" y="${top}" width="${Math.max(width, 0.5).toFixed(1)}" ` +
          `height="${BAR - 1}" fill="${COLOURS[others[i]]}"/>`,
        `<text x="${(Math.max(x(1), x(value)) + 4).toFixed(1)}" y="${top + BAR - 1}" ` +
          `font-size="8">${threeDigits(value)}</text>`,
      );
    }
    y += height;
  };
  for (const { group, rows: members } of grouped(rows)) {
    y += HEADING;
    parts.push(
      `<text x="8" y="${y - 8}" font-size="13" font-weight="bold">${escape(GROUPS[group])}</text>`,
    );
    for (const row of members) line(row.name, others.map((peer) => speed(row, peer)), false);
    if (group === "boot" || members.length < 2) continue;
    line("geometric mean", others.map((peer) => meanSpeed(members, peer)), true);
  }
  const height = y + 12;
  const grid: string[] = [];
  for (let exponent = from; exponent <= to; exponent++) {
    const at = x(2 ** exponent).toFixed(1);
    grid.push(
      `<line x1="${at}" y1="${TOP}" x2="${at}" y2="${height - 8}" ` +
        `stroke="${exponent === 0 ? "#333333" : "#dddddd"}"/>`,
      `<text x="${at}" y="${TOP - 4}" text-anchor="middle">${tick(exponent)}</text>`,
    );
  }
  const legend = others.map((peer, i) =>
    `<rect x="${LABELS + 330 + i * 100}" y="10" width="12" height="9" fill="${COLOURS[peer]}"/>` +
    `<text x="${LABELS + 346 + i * 100}" y="18">to ${TITLES[peer]}</text>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="11" fill="#222222">`,
    `<title>Speed of compy relative to other emulators</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="8" y="18" font-size="13">Speed of compy relative to others: right of 1, faster</text>`,
    ...legend,
    ...grid,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}
