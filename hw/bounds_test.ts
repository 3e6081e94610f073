import { assertEquals, assertThrows } from "@std/assert";
import { type State, StateError } from "../core/chip.ts";
import { ANY_TIME_OR_NULL, checkedState } from "./bounds.ts";

const LIKE = { level: 0, on: false, at: null, queue: [] as State[], bytes: new Uint8Array(2) };
const BOUNDS = {
  level: { min: -1, max: 7 },
  at: ANY_TIME_OR_NULL,
  queue: { items: { keys: { value: 0xff } }, most: 2 },
};
const check = (changes: State) =>
  checkedState("chip", { ...LIKE, ...changes }, LIKE as State, BOUNDS);

Deno.test("checkedState copies a state within its bounds", () => {
  const queue = [{ value: 255 }];
  const state = check({ level: -1, at: 5, queue });
  assertEquals(state, { ...LIKE, level: -1, at: 5, queue });
  queue[0].value = 1;
  assertEquals((state.queue as State[])[0].value, 255);
});

Deno.test("checkedState refuses numbers, arrays and items out of bounds", () => {
  const wrong: State[] = [
    { level: 8 },
    { level: -2 },
    { level: 0.5 },
    { level: null },
    { at: -1 },
    { queue: [{ value: 1 }, { value: 1 }, { value: 1 }] },
    { queue: [{ value: 256 }] },
    { queue: [{}] },
    { queue: [{ value: 1, other: 1 }] },
    { queue: [null] },
    { queue: [7] },
    { other: 1 },
  ];
  for (const changes of wrong) assertThrows(() => check(changes), StateError);
});
