/** Results as tables in Markdown, aligned to be read as they are. */
import type { Peer } from "./guest.ts";
import { grouped, GROUPS, meanSpeed, type Result, type Row, speed, timeOf } from "./results.ts";

/** How the emulators are called. */
export const TITLES: Record<Peer, string> = { compy: "compy", v86: "v86", qemu: "QEMU" };

/** The emulators that compy is compared with, as far as any row has them. */
export function rivals(rows: readonly Row[]): Peer[] {
  return (["v86", "qemu"] as const).filter((peer) =>
    rows.some((row) => row.seconds[peer] !== undefined || row.failed[peer] !== undefined)
  );
}

/** A number in three digits, as far as they lie behind the point. */
export function threeDigits(value: number): string {
  return value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
}

function timeCell(row: Row, peer: Peer): string {
  const time = timeOf(row, peer);
  if (time !== undefined) return threeDigits(time);
  return row.failed[peer] === undefined ? "" : "failed";
}

function speedCell(value: number | undefined): string {
  return value === undefined ? "" : threeDigits(value);
}

/** A table whose first column is text, and whose others are numbers. */
export function markdownTable(lines: readonly (readonly string[])[]): string {
  const widths = lines[0].map((_, i) => Math.max(3, ...lines.map((line) => line[i].length)));
  const [head, ...body] = lines.map((line) =>
    line.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))
  );
  const rule = widths.map((width, i) => i === 0 ? "-".repeat(width) : "-".repeat(width - 1) + ":");
  return [head, rule, ...body].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** All groups, each with a heading, its rows, and the geometric means of the speeds. */
export function resultTables(rows: readonly Row[]): string {
  return grouped(rows).map(({ group, rows }) => {
    const others = rivals(rows);
    const lines = [[
      "",
      ...["compy", ...others].map((peer) => `${TITLES[peer as Peer]}, s`),
      ...others.map((peer) => `speed to ${TITLES[peer]}`),
    ]];
    for (const row of rows) {
      lines.push([
        row.name,
        ...(["compy", ...others] as Peer[]).map((peer) => timeCell(row, peer)),
        ...others.map((peer) => speedCell(speed(row, peer))),
      ]);
    }
    // Two boots of different kernels have no meaningful mean.
    if (group !== "boot" && rows.length > 1 && others.length > 0) {
      const blanks = Array<string>(others.length + 1).fill("");
      const means = others.map((peer) => speedCell(meanSpeed(rows, peer)));
      lines.push(["geometric mean", ...blanks, ...means]);
    }
    return `### ${GROUPS[group]}\n\n${markdownTable(lines)}`;
  }).join("\n");
}

/** Where and how it was measured, in lines of prose. */
export function circumstancesText({ circumstances, rows }: Result): string {
  const { date, commit, deno, v8, processor, cpus, load, accel, clock, versions } = circumstances;
  const others = rivals(rows).map((peer) => versions[peer] ?? TITLES[peer]);
  const runs = rows.map((row) => row.seconds.compy?.length ?? 0);
  const least = Math.min(...runs), most = Math.max(...runs);
  return [
    `${date.slice(0, 10)}, ${date.slice(11, 16)} UTC, commit ${commit}: compy with \`${accel}\``,
    `on Deno ${deno} (V8 ${v8})${others.length > 0 ? "; " + others.join("; ") : ""}.`,
    `${cpus} processors: ${processor}.`,
    (most === 1
      ? "One run each"
      : `Medians of ${least === most ? least : `${least} to ${most}`} runs`) +
    `${clock === "host" ? "" : " by processor time of the thread that emulates"}.`,
    `Load average ${load[0].toFixed(1)} before, ${load[1].toFixed(1)} after.`,
  ].join("\n");
}

/** A whole result as a document. */
export function resultDocument(result: Result): string {
  return `${circumstancesText(result)}\n\n${resultTables(result.rows)}`;
}
