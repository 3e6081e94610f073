import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { BlockError, type BlockErrorKind } from "./block_device.ts";
import { openRawFile, RawFile, type SeekableFile } from "./raw_file.ts";

function withFile(content: Uint8Array, use: (path: string) => void): void {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(path, content);
    use(path);
  } finally {
    Deno.removeSync(path);
  }
}

function failure(kind: BlockErrorKind, run: () => void): BlockError {
  const error = assertThrows(run, BlockError);
  assertEquals(error.kind, kind);
  return error;
}

Deno.test("RawFile writes through to the file before write returns", () => {
  withFile(new Uint8Array(2048), (path) => {
    const disk = openRawFile(path);
    assertEquals(disk.size, 2048);
    disk.write(512, new Uint8Array(512).fill(7));
    assertEquals(Deno.readFileSync(path).subarray(511, 1025).indexOf(7), 1);
    assertEquals(disk.read(1020, 8), new Uint8Array([7, 7, 7, 7, 0, 0, 0, 0]));
    disk.flush();
    disk.close();
    disk.close();
    failure("closed", () => disk.read(0, 1));
  });
});

Deno.test("RawFile rounds a ragged size up and never writes beyond the file", () => {
  withFile(new Uint8Array(1000).fill(1), (path) => {
    const disk = openRawFile(path);
    assertEquals(disk.size, 1024);
    assertEquals(disk.read(998, 26), new Uint8Array(26).fill(1, 0, 2));
    const sector = new Uint8Array(512).fill(9, 0, 488);
    disk.write(512, sector);
    assertEquals(Deno.statSync(path).size, 1000);
    assertEquals(disk.read(512, 512), sector);
    sector[511] = 1;
    assertStringIncludes(failure("out-of-range", () => disk.write(512, sector)).message, "1000");
    assertEquals(Deno.statSync(path).size, 1000);
    disk.close();
  });
});

Deno.test("RawFile opened for reading only refuses writes and leaves the file alone", () => {
  withFile(new Uint8Array(512), (path) => {
    Deno.chmodSync(path, 0o444);
    const disk = openRawFile(path, { readOnly: true });
    assert(disk.readOnly);
    failure("read-only", () => disk.write(0, new Uint8Array(512)));
    disk.flush();
    disk.close();
  });
});

Deno.test("RawFile names the file and the cause when it cannot be opened", () => {
  const missing = failure("missing", () => openRawFile("/no/such/disk.img"));
  assertStringIncludes(missing.message, "/no/such/disk.img");
  const directory = Deno.makeTempDirSync();
  failure("directory", () => openRawFile(directory));
  Deno.removeSync(directory);
  failure("not-a-file", () => openRawFile("/dev/null"));
  withFile(new Uint8Array(0), (path) => failure("empty", () => openRawFile(path)));
});

Deno.test({
  name: "RawFile without Deno's permission says which flag it needs",
  permissions: { read: false },
  fn: () => {
    const error = failure("permission", () => openRawFile("/tmp/disk.img", { readOnly: true }));
    assertStringIncludes(error.message, "--allow-read");
  },
});

Deno.test("RawFile refuses accesses outside of the device", () => {
  withFile(new Uint8Array(512), (path) => {
    const disk = openRawFile(path);
    failure("out-of-range", () => disk.read(0, 513));
    failure("out-of-range", () => disk.read(-1, 1));
    failure("out-of-range", () => disk.write(512, new Uint8Array(1)));
    failure("out-of-range", () => disk.read(0.5, 1));
    disk.close();
  });
});

Deno.test("RawFile whose file shrinks reports it", () => {
  withFile(new Uint8Array(4096), (path) => {
    const disk = openRawFile(path);
    Deno.truncateSync(path, 1024);
    assertEquals(disk.read(0, 1024).length, 1024);
    failure("shrunk", () => disk.read(512, 1024));
    disk.close();
  });
});

Deno.test("RawFile whose file is deleted reports writes and flushes, and still reads", () => {
  const path = Deno.makeTempFileSync();
  Deno.writeFileSync(path, new Uint8Array(512).fill(3));
  const disk = openRawFile(path);
  disk.write(0, new Uint8Array(1));
  Deno.removeSync(path);
  assertStringIncludes(
    failure("missing", () => disk.write(0, new Uint8Array(512))).message,
    `${path}: the file has been deleted`,
  );
  failure("missing", () => disk.flush());
  assertEquals(disk.read(0, 2), new Uint8Array([0, 3]));
  disk.close();
});

Deno.test("RawFile tells a full host disk from other errors", () => {
  const error = Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
  let thrown: Error = error;
  const file: SeekableFile = {
    seekSync: (offset) => offset,
    readSync: () => {
      throw thrown;
    },
    writeSync: () => {
      throw thrown;
    },
    syncDataSync: () => {
      throw thrown;
    },
    statSync: () => ({ nlink: null }),
    close: () => {},
  };
  const disk = new RawFile("full.img", file, 512, false);
  const full = failure("no-space", () => disk.write(0, new Uint8Array(512)));
  assertStringIncludes(full.message, "full.img: cannot write");
  failure("no-space", () => disk.flush());
  if (Deno.build.os === "linux") {
    thrown = new Error("File too large (os error 27)");
    failure("no-space", () => disk.write(0, new Uint8Array(512)));
  }
  thrown = Object.assign(new Error("Input/output error"), { code: "EIO" });
  failure("io", () => disk.read(0, 512));
});
