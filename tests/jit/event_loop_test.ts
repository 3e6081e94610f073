/** Translating never keeps the host's event loop from its turn for long. `tests/boots/determinism_test.ts` has a whole boot. */
import { assert } from "@std/assert";
import { assertResponsive, measureEventLoop } from "../../core/machine/event_loop_testing.ts";
import { Machine } from "../../mod.ts";

const PAGE = 4096, PAGES = 12, BASE = 0x100000;

/** Instructions with much to write about, on memory at [esi + displacement]. */
const INSTRUCTIONS: readonly ((n: number, at: number) => number[])[] = [
  (n, at) => [0x66, 0x0f, 0x58, 0x46 | (n & 7) << 3, at], // addpd xmm, [esi+at]
  (_, at) => [0x83, 0x56, at, 0x7f], // adc dword [esi+at], 127
  (n, at) => [0x0f, 0x59, 0x46 | (n & 7) << 3, at], // mulps xmm, [esi+at]
  (_, at) => [0xd1, 0x56, at], // rcl dword [esi+at], 1
  (_, at) => [0x0f, 0xa4, 0x56, at, 0x05], // shld [esi+at], edx, 5
  (_, at) => [0xf6, 0x66, at], // mul byte [esi+at]
  (n, at) => [0x66, 0x0f, 0xf5, 0x46 | (n & 7) << 3, at], // pmaddwd xmm, [esi+at]
  (_, at) => [0x0f, 0xc1, 0x46, at], // xadd [esi+at], eax
];

const word = (value: number) => [value, value >> 8, value >> 16, value >> 24].map((b) => b & 0xff);

/** Page after page a loop that fills it; at the end all over again. */
function guest(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PAGE * (PAGES + 1));
  bytes.set([
    ...[0xb8, ...word(0x33), 0x0f, 0x22, 0xc0], // mov eax, 33h; mov cr0, eax: x87 and SSE are there
    ...[0xb8, ...word(0x600), 0x0f, 0x22, 0xe0], // mov eax, 600h; mov cr4, eax
    ...[0xbe, ...word(BASE + (PAGES + 4) * PAGE)], // mov esi, data
    0xe9,
  ]);
  new DataView(bytes.buffer).setInt32(22, PAGE - 26, true); // jmp to the first page
  for (let page = 1; page <= PAGES; page++) {
    const code = [0xb9, ...word(1500)], top = code.length; // mov ecx, 1500
    for (let n = page; code.length < PAGE - 24; n++) {
      code.push(...INSTRUCTIONS[n % INSTRUCTIONS.length](n, n * 16 & 0x70));
    }
    code.push(0x49, 0x0f, 0x85, ...word(top - (code.length + 7))); // dec ecx; jnz top
    const next = page === PAGES ? PAGE : PAGE * (page + 1);
    code.push(0xe9, ...word(next - (PAGE * page + code.length + 5))); // jmp to the next page
    bytes.set(code, PAGE * page);
  }
  return bytes;
}

Deno.test("The event loop turns while regions as large as they get are translated", async () => {
  await using vm = await Machine.create({
    memory: "4M",
    kernel: guest(),
    flat: { address: BASE, mode: "protected" },
    accel: "jit",
    limits: { within: "none" },
  });
  const stretches = await measureEventLoop(() => vm.run({ instructions: 16_000_000 }));
  const { regions, bytes } = vm.translation!;
  // V8 does not optimise functions that are much longer.
  assert(bytes / regions > 20_000 && bytes / regions <= 50_000, `${bytes} / ${regions}`);
  assertResponsive(stretches);
});
