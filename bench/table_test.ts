import { assertEquals } from "@std/assert";
import type { Result, Row } from "./results.ts";
import { circumstancesText, markdownTable, resultTables, threeDigits } from "./table.ts";

const ROWS: Row[] = [
  { group: "boot", name: "i386", seconds: { compy: [8], v86: [22], qemu: [9] }, failed: {} },
  { group: "boot", name: "amd64", seconds: { compy: [20], qemu: [10] }, failed: {} },
  { group: "kernels-32", name: "alu", seconds: { compy: [0.5], v86: [2] }, failed: { qemu: "?" } },
  {
    group: "kernels-32",
    name: "fib",
    seconds: { compy: [150], v86: [150] },
    failed: { qemu: "?" },
  },
];

Deno.test("threeDigits keeps three digits", () => {
  assertEquals([0.123, 9.994, 9.996, 99.94, 99.96, 1234].map(threeDigits), [
    "0.12",
    "9.99",
    "10.0",
    "99.9",
    "100",
    "1234",
  ]);
});

Deno.test("markdownTable aligns numbers to the right", () => {
  assertEquals(
    markdownTable([["", "a"], ["one", "1.00"]]),
    "|     |    a |\n| --- | ---: |\n| one | 1.00 |\n",
  );
});

Deno.test("resultTables has a table for each group, and means of speeds but of boots", () => {
  assertEquals(
    resultTables(ROWS),
    `### Linux to the shell's first line

|       | compy, s | v86, s | QEMU, s | speed to v86 | speed to QEMU |
| ----- | -------: | -----: | ------: | -----------: | ------------: |
| i386  |     8.00 |   22.0 |    9.00 |         2.75 |          1.13 |
| amd64 |     20.0 |        |    10.0 |              |          0.50 |

### Bare-metal kernels, 32-bit

|                | compy, s | v86, s | QEMU, s | speed to v86 | speed to QEMU |
| -------------- | -------: | -----: | ------: | -----------: | ------------: |
| alu            |     0.50 |   2.00 |  failed |         4.00 |               |
| fib            |      150 |    150 |  failed |         1.00 |               |
| geometric mean |          |        |         |         2.00 |               |
`,
  );
});

Deno.test("circumstancesText says what ran where", () => {
  const result: Result = {
    circumstances: {
      date: "2026-11-25T23:10:11.000Z",
      commit: "abc1234",
      deno: "2.9.6",
      v8: "15.0",
      processor: "A Processor",
      cpus: 2,
      load: [0.12, 1.5],
      accel: "jit",
      clock: "host",
      versions: { v86: "v86 0.5.462", qemu: "QEMU 7.2" },
    },
    rows: ROWS,
  };
  assertEquals(
    circumstancesText(result),
    `2026-11-25, 23:10 UTC, commit abc1234: compy with \`jit\`
on Deno 2.9.6 (V8 15.0); v86 0.5.462; QEMU 7.2.
2 processors: A Processor.
One run each.
Load average 0.1 before, 1.5 after.`,
  );
});
