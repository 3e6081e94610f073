import { assertEquals, assertThrows } from "@std/assert";
import { parseBenchArguments } from "./arguments.ts";

Deno.test("parseBenchArguments takes a benchmark, its options and names", () => {
  assertEquals(parseBenchArguments([]), {
    what: "all",
    runs: 3,
    small: false,
    peers: ["v86", "qemu", "compy"],
    names: [],
    clock: "host",
    help: false,
  });
  const line = "micro --runs 1 --small --peers qemu --accel jit --clock processor alu";
  assertEquals(parseBenchArguments(line.split(" ")), {
    what: "micro",
    runs: 1,
    small: true,
    peers: ["qemu", "compy"],
    accel: "jit",
    names: ["alu"],
    clock: "processor",
    help: false,
  });
  assertEquals(parseBenchArguments(["--peers", "none"]).peers, ["compy"]);
});

Deno.test("parseBenchArguments refuses what it does not know", () => {
  const refused = (...args: string[]) => assertThrows(() => parseBenchArguments(args)).message;
  assertEquals(refused("mirco"), `there is no benchmark "mirco" (did you mean "micro"?)`);
  assertEquals(refused("--run", "2"), `unknown option --run (did you mean "--runs"?)`);
  assertEquals(refused("--runs", "none"), "--runs needs a whole number, at least 1");
  assertEquals(refused("--accel", "kvm"), "--accel needs one of interp, jit");
  assertEquals(refused("--clock", "wall"), "--clock needs one of host, processor");
  const peers = "--peers needs names out of v86, qemu, with commas, or none";
  assertEquals(refused("--peers", "v68"), peers);
  assertEquals(refused("--peers"), peers);
  assertEquals(refused("boot", "alu"), `boot takes no "alu"`);
  assertEquals(refused("amd64", "alu"), `amd64 takes no "alu"`);
  assertEquals(refused("publish"), "publish needs the JSON files that earlier runs have written");
});
