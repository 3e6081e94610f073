/** A machine's whole state: taken, put back, and hashed. */
import { createHash } from "node:crypto";
import { type HostMemory, PAGE_SIZE } from "../bus/host_memory.ts";
import { type State, StateError, type StateValue } from "../chip.ts";
import type { Board } from "./board.ts";

/** A machine's state between two instructions. It can be stored by `structuredClone` and put back into a machine made with the same options. */
export interface MachineSnapshot {
  /** Version of this layout. */
  format: 1;
  /** Length of an instruction as a power of two, in nanoseconds. */
  shift: number;
  /** Virtual nanoseconds that HLT has skipped. */
  skippedNs: number;
  /** Size of all guest memory, RAM, ROM and video memory, in bytes. */
  memorySize: number;
  /** Numbers of the 4 KiB pages that are not all zero, ascending. */
  pages: Uint32Array;
  /** The bytes of these pages. */
  bytes: Uint8Array;
  /** State of the processor. */
  cpu: State;
  /** States of the other chips, in the board's order. */
  chips: { name: string; state: State }[];
}

/** Numbers of the host pages that are not all zero, ascending. Pages that nobody wrote are not looked at. */
function filledPages({ buffer, touched, allocated }: HostMemory): number[] {
  const words = new Int32Array(buffer), WORDS = PAGE_SIZE / 4;
  const pages: number[] = [], end = allocated / PAGE_SIZE;
  for (
    let page = touched.indexOf(1);
    page >= 0 && page < end;
    page = touched.indexOf(1, page + 1)
  ) {
    for (let i = page * WORDS; i < (page + 1) * WORDS; i++) {
      if (words[i] === 0) continue;
      pages.push(page);
      break;
    }
  }
  return pages;
}

/** Takes the state of a board. */
export function takeSnapshot(board: Board): MachineSnapshot {
  const { host } = board.memory;
  const pages = filledPages(host);
  const bytes = new Uint8Array(pages.length * PAGE_SIZE);
  pages.forEach((page, i) =>
    bytes.set(host.bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE), i * PAGE_SIZE)
  );
  return {
    format: 1,
    shift: board.clock.shift,
    skippedNs: board.clock.skippedNs,
    memorySize: host.allocated,
    pages: new Uint32Array(pages),
    bytes,
    cpu: board.cpu.snapshot(),
    chips: board.chips.map((chip) => ({ name: chip.name, state: chip.snapshot() })),
  };
}

/**
 * Puts a state back.
 *
 * @throws {StateError} when it is of another kind of machine. When it is of the same kind and yet one
 * chip refuses it, the board is put back to what it was.
 */
export function putSnapshot(board: Board, snapshot: MachineSnapshot): void {
  checkFit(board, snapshot);
  const before = takeSnapshot(board);
  try {
    put(board, snapshot);
  } catch (error) {
    put(board, before);
    throw error;
  }
}

function checkFit(board: Board, snapshot: MachineSnapshot): void {
  const refuse = (problem: string): never => {
    throw new StateError("machine", problem);
  };
  if (snapshot.format !== 1) refuse(`snapshot format ${snapshot.format} is unknown`);
  const { clock, memory, chips } = board;
  if (snapshot.shift !== clock.shift) {
    refuse(`it was taken with icountShift ${snapshot.shift}, this machine has ${clock.shift}`);
  }
  if (snapshot.memorySize !== memory.host.allocated) {
    refuse(
      `it has ${snapshot.memorySize} bytes of memory, this machine has ${memory.host.allocated}`,
    );
  }
  const { pages, bytes, skippedNs } = snapshot;
  const last = memory.host.allocated / PAGE_SIZE;
  if (
    bytes.length !== pages.length * PAGE_SIZE ||
    pages.some((page, i) => page >= last || (i > 0 && page <= pages[i - 1]))
  ) refuse("its list of pages is damaged");
  if (!(Number.isInteger(skippedNs) && skippedNs >= 0)) refuse(`skippedNs is ${skippedNs}`);
  const names = snapshot.chips.map(({ name }) => name);
  const own = chips.map(({ name }) => name);
  if (names.join() !== own.join()) {
    const odd = names.find((name) => !own.includes(name)) ??
      own.find((name) => !names.includes(name));
    refuse(`its chips are others than this machine's${odd === undefined ? "" : `: see ${odd}`}`);
  }
}

function put(board: Board, snapshot: MachineSnapshot): void {
  const { memory, clock, cpu } = board;
  const { host } = memory, { bytes } = host;
  for (const page of filledPages(host)) bytes.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  snapshot.pages.forEach((page, i) => {
    bytes.set(snapshot.bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE), page * PAGE_SIZE);
    host.touch(page * PAGE_SIZE);
  });
  for (let page = 0; page < memory.codePages.length; page++) {
    if (memory.codePages[page] !== 0) memory.onCodeWrite(page * PAGE_SIZE, PAGE_SIZE);
  }
  memory.onRemap();
  clock.skippedNs = snapshot.skippedNs;
  // The processor comes first: it counts the instructions that the chips' deadlines are made of.
  cpu.restore(snapshot.cpu);
  board.chips.forEach((chip, i) => chip.restore(snapshot.chips[i].state));
  // And once more: a line that a chip moved on the way may have been an NMI by what the interrupt
  // controllers were told before.
  cpu.restore(snapshot.cpu);
}

type Sink = (bytes: Uint8Array | string) => void;

/** Feeds a state to a hash in one canonical form: keys sorted, every value with its kind and length. */
export function feedState(value: StateValue, sink: Sink): void {
  if (value === null) sink("n;");
  else if (typeof value === "boolean") sink(value ? "t;" : "f;");
  else if (typeof value === "number") sink(`d${Object.is(value, -0) ? "-0" : value};`);
  else if (typeof value === "string") sink(`s${value.length}:${value};`);
  else if (value instanceof Uint8Array) {
    sink(`b${value.length}:`);
    sink(value);
  } else if (Array.isArray(value)) {
    sink(`a${value.length}:`);
    for (const item of value) feedState(item, sink);
  } else {
    const keys = Object.keys(value).sort();
    sink(`o${keys.length}:`);
    for (const key of keys) {
      sink(`s${key.length}:${key};`);
      feedState(value[key], sink);
    }
  }
}

/** SHA-256, in hexadecimal, over everything that a guest could notice: memory, processor, chips, time. */
export function hashState(board: Board): string {
  const hash = createHash("sha256");
  const sink: Sink = (data) => void hash.update(data);
  const { memory, clock, cpu } = board;
  sink(`compy state 2;${clock.shift};${clock.skippedNs};${cpu.instructions};`);
  sink(`${memory.host.allocated};`);
  const { bytes } = memory.host, pages = filledPages(memory.host);
  for (let i = 0; i < pages.length;) {
    // Pages that follow each other go in one piece.
    let end = i + 1;
    while (end < pages.length && pages[end] === pages[end - 1] + 1) end++;
    sink(`p${pages[i]}+${end - i}:`);
    sink(bytes.subarray(pages[i] * PAGE_SIZE, (pages[end - 1] + 1) * PAGE_SIZE));
    i = end;
  }
  for (const chip of [cpu, ...board.chips]) {
    feedState(chip.name, sink);
    feedState(chip.snapshot(), sink);
  }
  return hash.digest("hex");
}
