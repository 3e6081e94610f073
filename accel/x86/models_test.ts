import { assertEquals, assertThrows } from "@std/assert";
import { cpuHelp, MODEL_NAMES, onBoard, parseCpuModel, signature } from "./models.ts";
import { cpuid } from "./system/cpuid.ts";

const message = (text: string) => assertThrows(() => parseCpuModel(text), RangeError).message;
const has = (text: string, feature: Parameters<Set<string>["has"]>[0]) =>
  (parseCpuModel(text).features as ReadonlySet<string>).has(feature);

Deno.test("every model parses, in any case, and has its family's signature", () => {
  assertEquals(MODEL_NAMES.map((name) => signature(parseCpuModel(name))), [
    0x480,
    0x543,
    0x652,
    0x673,
    0x663,
    0x60fb1,
    0x106a3,
    0x206c1,
    0x60fb1,
  ]);
  assertEquals(parseCpuModel("Pentium3").name, "pentium3");
  assertEquals(parseCpuModel("nehalem").name, "Nehalem");
});

Deno.test("models gain features from one to the next", () => {
  let before: ReadonlySet<string> = new Set();
  for (const name of ["486", "pentium", "pentium2", "pentium3", "max"]) {
    const { features } = parseCpuModel(name);
    for (const feature of before) assertEquals((features as Set<string>).has(feature), true);
    before = features;
  }
  assertEquals(has("486", "tsc"), false);
  assertEquals(has("pentium", "cmov"), false);
  assertEquals(has("pentium3", "sse2"), false);
  assertEquals(has("max", "sse3"), true);
});

Deno.test("switching a feature on brings what it needs, off takes along what needs it", () => {
  assertEquals(has("pentium,+sse2", "sse"), true);
  assertEquals(has("pentium,+sse2", "fxsr"), true);
  assertEquals(has("max,-mmx", "sse3"), false);
  assertEquals(has("max,-mmx", "fxsr"), true);
  assertEquals(has("max,pni=off", "sse3"), false);
  assertEquals(has("pentium3,sse2=on", "sse2"), true);
  assertEquals(has("pentium3,-sse,+sse", "sse"), true);
});

Deno.test("contradictions, unknown names and malformed switches are errors that say so", () => {
  assertEquals(
    message("pentium3,+sse2,-mmx"),
    'CPU model "pentium3,+sse2,-mmx" contradicts itself: sse2 needs mmx',
  );
  assertEquals(
    message("pentum3"),
    'unknown CPU model "pentum3" (did you mean "pentium3"?); known models: 486 pentium pentium2 pentium3 qemu32 qemu64 Nehalem Westmere max',
  );
  assertEquals(
    message("max,+ssse2").startsWith('unknown CPU feature "ssse2" (did you mean "sse2"?)'),
    true,
  );
  assertEquals(message("max,sse").startsWith('cannot read "sse"'), true);
  assertEquals(message("max,").startsWith('cannot read ""'), true);
  assertEquals(message("").startsWith('unknown CPU model ""'), true);
  parseCpuModel("max,-apic");
});

Deno.test("help lists every model and feature", () => {
  const text = cpuHelp();
  for (const word of [...MODEL_NAMES, ...parseCpuModel("max").features]) {
    assertEquals(text.includes(`  ${word} `), true, word);
  }
});

const string = (words: number[]) =>
  words.map((w) => String.fromCharCode(w & 255, (w >>> 8) & 255, (w >>> 16) & 255, w >>> 24))
    .join("");

Deno.test("CPUID names vendor, signature and features", () => {
  const model = parseCpuModel("pentium3");
  const [max, ebx, ecx, edx] = cpuid(model, 0, 0);
  assertEquals([max, string([ebx, edx, ecx])], [2, "GenuineIntel"]);
  assertEquals(cpuid(model, 1, 0), [0x673, 0, 0, 0x0383fbff]);
  assertEquals(cpuid(model, 1, 0, { apicEnabled: false })[3], 0x0383f9ff);
  assertEquals(cpuid(onBoard(model, false), 1, 0)[3], 0x0383f9ff);
  assertEquals(cpuid(parseCpuModel("486"), 1, 0), [0x480, 0, 0, 0xb]);
  assertEquals(cpuid(parseCpuModel("qemu32"), 1, 0)[2] >>> 0, 0x80000001);
  assertEquals(cpuid(parseCpuModel("max,-clflush"), 1, 0)[1], 0);
});

Deno.test("CPUID beyond the highest leaf gives the highest basic one on Intel's, zeros on AMD's", () => {
  const model = parseCpuModel("pentium3");
  assertEquals(cpuid(model, 9, 0), cpuid(model, 2, 0));
  assertEquals(cpuid(model, 0x80000000, 0), cpuid(model, 2, 0));
  const small = parseCpuModel("qemu32");
  assertEquals(cpuid(small, 0x80000005, 0), cpuid(small, 4, 0));
  assertEquals(cpuid(parseCpuModel("qemu64"), 0x80000009, 0), [0, 0, 0, 0]);
});

Deno.test("CPUID gives a brand string and cache parameters", () => {
  const small = parseCpuModel("qemu32");
  assertEquals(cpuid(small, 0x80000000, 0)[0] >>> 0, 0x80000004);
  const text = string([2, 3, 4].flatMap((n) => cpuid(small, 0x80000000 + n, 0)));
  assertEquals(text, "Compy virtual CPU".padEnd(48, "\0"));
  const sizes = [0, 1, 2, 3].map((n) => {
    const [eax, ebx, ecx] = cpuid(small, 4, n);
    return [eax & 0x1f, ((ebx >>> 22) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1)];
  });
  assertEquals(sizes.slice(0, 3), [[1, 32768], [2, 32768], [3, 2 << 20]]);
  assertEquals(sizes[3][0], 0);
});

Deno.test("CPUID of qemu64 names long mode, its address sizes and AMD", () => {
  const model = parseCpuModel("qemu64");
  const [max, ebx, ecx, edx] = cpuid(model, 0, 0);
  assertEquals([max, string([ebx, edx, ecx])], [13, "AuthenticAMD"]);
  const [highest, ...names] = cpuid(model, 0x80000000, 0);
  assertEquals([highest >>> 0, names], [0x80000008, [ebx, ecx, edx]]);
  const [signed, , lahf, features] = cpuid(model, 0x80000001, 0);
  // Long mode, NX, SYSCALL, and what leaf 1 says as well.
  const repeated = cpuid(model, 1, 0)[3] & 0x0183f3ff;
  assertEquals([signed, lahf, features], [0x60fb1, 1, 0x20100800 | repeated]);
  assertEquals(cpuid(model, 0x80000008, 0), [0x3028, 0, 0, 0]);
  assertEquals(cpuid(model, 7, 0), [0, 0, 0, 0]);
  assertEquals(cpuid(parseCpuModel("qemu64,+smap,+smep,+fsgsbase,+umip"), 7, 0), [
    0,
    0x100081,
    4,
    0,
  ]);
});

Deno.test("CPUID names a hypervisor where the model says that it is virtual", () => {
  const [highest, ...name] = cpuid(parseCpuModel("qemu64"), 0x40000000, 0);
  assertEquals([highest, string(name)], [0x40000000, "CompyCompyPC"]);
  assertEquals(cpuid(parseCpuModel("qemu64,-hypervisor"), 0x40000000, 0), [0, 0, 0, 0]);
});

Deno.test("CPUID tells each processor its number and how many there are, by either vendor's leaves", () => {
  const amd = parseCpuModel("qemu64"), intel = parseCpuModel("Nehalem");
  const third = { index: 2, count: 4 };
  for (const model of [amd, intel]) {
    const [, ebx, , edx] = cpuid(model, 1, 0, third);
    assertEquals([ebx >>> 24, (ebx >>> 16) & 0xff, (edx >>> 28) & 1], [2, 4, 1]);
    const [, alone, , flags] = cpuid(model, 1, 0);
    assertEquals([alone >>> 16, (flags >>> 28) & 1], [0, 0]);
  }
  assertEquals(cpuid(amd, 0x80000001, 0, third)[2] & 2, 2);
  assertEquals(cpuid(amd, 0x80000008, 0, third)[2], 0x2003);
  assertEquals(cpuid(intel, 4, 0, third)[0] >>> 26, 3);
  assertEquals(cpuid(intel, 0xb, 0, third), [0, 1, 0x100, 2]);
  assertEquals(cpuid(intel, 0xb, 1, third), [2, 4, 0x201, 2]);
  assertEquals(cpuid(intel, 0xb, 2, third), [0, 0, 2, 2]);
  assertEquals(cpuid(intel, 0xb, 1, { index: 2, count: 3 }), [2, 3, 0x201, 2]);
});

Deno.test("a model has the CPUID leaves that its features need", () => {
  assertEquals(cpuid(parseCpuModel("pentium3,+smep"), 7, 0), [0, 0x80, 0, 0]);
  const model = parseCpuModel("pentium3,+nx");
  assertEquals(cpuid(model, 0x80000001, 0), [0, 0, 0, 1 << 20]);
  assertEquals(cpuid(model, 0x80000008, 0), [0x2024, 0, 0, 0]);
});

Deno.test("features are read in the spellings of QEMU and of Linux", () => {
  for (const name of ["lahf-lm", "LAHF_LM", "lahf.lm"]) {
    assertEquals(has(`qemu32,+${name}`, "lahf_lm"), true);
  }
  assertEquals(has("qemu64,+tsc-adjust", "tsc_adjust"), true);
  assertEquals(has("qemu64,+tsc-deadline", "tsc_deadline_timer"), true);
});

Deno.test("CPUID names instruction-set extensions", () => {
  const one = (features: string) => cpuid(parseCpuModel(`qemu64,${features}`), 1, 0)[2];
  const none = one("-ssse3");
  assertEquals(one("+pclmulqdq") ^ none, 2);
  assertEquals(one("+ssse3") ^ none, 1 << 9);
  assertEquals(one("+sse4.2") ^ none, (1 << 9) | (3 << 19));
  assertEquals(one("+movbe,+popcnt,+aes,+rdrand") ^ none, 0x42c00000);
  const seven = cpuid(parseCpuModel("qemu64,+bmi1,+bmi2,+adx,+rdseed,+sha-ni,+clwb,+rdpid"), 7, 0);
  assertEquals(seven, [0, 0x210c0108, 1 << 22, 0]);
  const extended = cpuid(parseCpuModel("qemu64,+lzcnt,+3dnowprefetch"), 0x80000001, 0);
  assertEquals(extended[2], 0x121);
});

Deno.test("long mode brings what 64-bit code takes for granted", () => {
  assertEquals(has("pentium3,+lm", "sse2"), true);
  assertEquals(has("max,+lm", "syscall"), true);
  assertEquals(has("qemu64,-lm", "cx16"), false);
  assertEquals(has("qemu64,-sse2", "lm"), false);
});
