import { assertEquals } from "@std/assert";
import { testMachine } from "../../accel/interp/testing.ts";
import * as S from "../../accel/x86/state.ts";

Deno.test("INS and OUTS move strings between ports and memory", () => {
  for (const bits of [32, 16] as const) {
    for (const size of [1, 2, 4] as const) {
      for (const backwards of [false, true]) {
        const { cpu, memory, ports, put, R } = testMachine({ bits });
        let next = 0x11223340;
        const written: number[] = [];
        ports.claim("test", 0x300, 4, {
          read: () => ++next,
          write: (_offset, _size, value) => written.push(value),
        }, { sizes: [1, 2, 4] });
        const prefix = size === 1 || size * 8 === bits || (size === 2) === (bits === 16)
          ? []
          : [0x66];
        // [rep] ins; [rep] outs; hlt
        put(
          0x1000,
          ...[0xf3, ...prefix, size === 1 ? 0x6c : 0x6d],
          ...[0xf3, ...prefix, size === 1 ? 0x6e : 0x6f],
          0xf4,
        );
        const by = backwards ? -size : size;
        R[S.RDX] = 0x300;
        R[S.RCX] = 3;
        R[S.RDI] = 0x3000;
        R[S.RSI] = 0x3000;
        if (backwards) R[S.EFLAGS] |= S.DF;
        cpu.run(3);
        const mask = 0xffffffff >>> (32 - 8 * size);
        const values = [1, 2, 3].map((i) => ((0x11223340 + i) & mask) >>> 0);
        assertEquals([R[S.RCX], R[S.RDI]], [0, 0x3000 + 3 * by]);
        assertEquals([0, 1, 2].map((i) => memory.read(0x3000 + i * by, size)), values);
        R[S.RCX] = 3;
        cpu.run(4);
        assertEquals([R[S.RCX], R[S.RSI], cpu.activity], [0, 0x3000 + 3 * by, "halted"]);
        assertEquals(written, values);
      }
    }
  }
});

Deno.test("OUTS reads through an overridden segment and INS writes through ES alone", () => {
  const { cpu, memory, ports, put, R } = testMachine({ bits: 16 });
  const written: number[] = [];
  ports.claim("test", 0x300, 4, {
    read: () => 0x5a,
    write: (_offset, _size, value) => written.push(value),
  });
  R[S.SEG_BASE + S.FS] = 0x20000;
  R[S.SEG_BASE + S.ES] = 0x30000;
  memory.write(0x20123, 1, 0xa5);
  // fs outsb; fs insb; hlt
  put(0x1000, 0x64, 0x6e, 0x64, 0x6c, 0xf4);
  R[S.RDX] = 0x300;
  R[S.RSI] = 0x123;
  R[S.RDI] = 0x456;
  cpu.run(3);
  assertEquals(written, [0xa5]);
  assertEquals([memory.read(0x20456, 1), memory.read(0x30456, 1)], [0, 0x5a]);
});

Deno.test("INS leaves the port alone when its destination cannot be written", () => {
  const { cpu, ports, put, R } = testMachine();
  let reads = 0;
  ports.claim("test", 0x300, 1, { read: () => ++reads, write: () => {} });
  // A page directory that maps the low 4 MiB, code and stack writable, the destination not.
  put(0x8000, 0x03, 0x90, 0, 0);
  for (let page = 0; page < 256; page++) {
    put(0x9000 + page * 4, page === 0x20 ? 1 : 3, (page << 4) & 0xff, page >> 4, 0);
  }
  // insb
  put(0x1000, 0x6c);
  R[S.CR3] = 0x8000;
  R[S.CR0] |= S.CR0_PG | S.CR0_WP;
  cpu.x86.mmu.flushAll();
  R[S.RDX] = 0x300;
  R[S.RDI] = 0x20000;
  cpu.run(1);
  assertEquals([reads, R[S.CR2] >>> 0], [0, 0x20000]);
});
