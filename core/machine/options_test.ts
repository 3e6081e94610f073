import { assertEquals, assertThrows } from "@std/assert";
import { checkChoice, checkOptions, type Kind, OptionError } from "./options.ts";

const KNOWN: Record<string, Kind> = {
  name: "text",
  drives: "list",
  quick: "boolean",
  limits: "object",
  tap: "function",
  start: "date",
  count: "number",
  whatever: "any",
};

Deno.test("Options of the right kinds pass, and those left undefined", () => {
  checkOptions("x", {
    name: "",
    drives: [],
    quick: false,
    limits: {},
    tap: () => {},
    start: new Date(0),
    count: 0,
    whatever: Symbol(),
  }, KNOWN);
  checkOptions("x", Object.fromEntries(Object.keys(KNOWN).map((name) => [name, undefined])), KNOWN);
});

const REFUSED: [unknown, string, string][] = [
  [undefined, "x", "x: undefined is no set of options: give an object"],
  [[1], "x", "x: [1] is no set of options: give an object"],
  [{ nme: 1 }, "nme", 'nme: there is no such option of x (did you mean "name"?)'],
  [{ name: 5 }, "name", "name: 5 will not do: give text"],
  [{ drives: "disk.img" }, "drives", 'drives: "disk.img" will not do: give an array'],
  [{ quick: "no" }, "quick", "give true or false"],
  [{ limits: null }, "limits", "limits: null will not do: give an object"],
  [{ tap: {} }, "tap", "give a function"],
  [{ start: new Date(NaN) }, "start", "give a valid Date"],
  [{ count: -1 }, "count", "-1 will not do: give a whole number from 0 on"],
  [{ count: 10n }, "count", "10 will not do"],
  [{ count: () => {} }, "count", "a function will not do"],
];
Deno.test("Options of a wrong kind or name are refused by name", () => {
  for (const [given, option, message] of REFUSED) {
    const error = assertThrows(() => checkOptions("x", given, KNOWN), OptionError, message);
    assertEquals(error.option, option);
  }
});

Deno.test("A choice that there is not is refused with the nearest", () => {
  checkChoice("media", undefined, ["disk", "cdrom"]);
  checkChoice("media", "disk", ["disk", "cdrom"]);
  assertThrows(
    () => checkChoice("media", "cdrm", ["disk", "cdrom"]),
    OptionError,
    'media: "cdrm" is none of disk, cdrom (did you mean "cdrom"?)',
  );
});
