// A thin stand-in for @std/assert over Node's own assert, with the same signatures.
import nodeAssert from "node:assert";

/** An error thrown when an assertion does not hold. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

function check(run: () => void, message?: string): void {
  try {
    run();
  } catch (error) {
    const text = (error as Error).message;
    throw new AssertionError(message === undefined ? text : `${message}\n${text}`);
  }
}

/** Asserts that `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Asserts that `actual` and `expected` are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  check(() => nodeAssert.deepStrictEqual(actual, expected), msg);
}

/** Asserts that `actual` and `expected` are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  check(() => nodeAssert.notDeepStrictEqual(actual, expected), msg);
}

/** Asserts that `actual` and `expected` are the same value by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  check(() => nodeAssert.strictEqual(actual, expected), msg);
}

/** Asserts that `actual` is neither null nor undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    throw new AssertionError(msg ?? `Expected a value, got ${actual}`);
  }
}

/** Asserts that the string `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    throw new AssertionError(
      `Expected ${JSON.stringify(actual)} to contain ${JSON.stringify(expected)}${
        msg ? `: ${msg}` : ""
      }`,
    );
  }
}

/** Asserts that the string `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) {
    throw new AssertionError(
      `Expected ${JSON.stringify(actual)} to match ${expected}${msg ? `: ${msg}` : ""}`,
    );
  }
}

// deno-lint-ignore no-explicit-any
type ErrorConstructor<E extends Error> = abstract new (...args: any[]) => E;

function checkError<E extends Error>(
  error: unknown,
  ErrorClass: ErrorConstructor<E> | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): asserts error is E {
  const tail = msg ? `: ${msg}` : "";
  if (!(error instanceof Error)) throw new AssertionError(`A non-Error was thrown${tail}`);
  if (ErrorClass && !(error instanceof ErrorClass)) {
    throw new AssertionError(
      `Expected ${ErrorClass.name}, got ${error.constructor.name}: ${error.message}${tail}`,
      { cause: error },
    );
  }
  if (msgIncludes !== undefined && !error.message.includes(msgIncludes)) {
    throw new AssertionError(
      `Expected the message to include ${JSON.stringify(msgIncludes)}, got ${
        JSON.stringify(error.message)
      }${tail}`,
    );
  }
}

/** Asserts that `fn` throws, and returns what it threw. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass?: ErrorConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): E {
  let thrown: unknown;
  let threw = false;
  try {
    fn();
  } catch (error) {
    threw = true;
    thrown = error;
  }
  if (!threw) throw new AssertionError(`Expected the function to throw${msg ? `: ${msg}` : ""}`);
  checkError(thrown, ErrorClass, msgIncludes, msg);
  return thrown as E;
}

/** Asserts that `fn` rejects, and returns what it rejected with. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass?: ErrorConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E> {
  let thrown: unknown;
  let threw = false;
  try {
    await fn();
  } catch (error) {
    threw = true;
    thrown = error;
  }
  if (!threw) throw new AssertionError(`Expected the promise to reject${msg ? `: ${msg}` : ""}`);
  checkError(thrown, ErrorClass, msgIncludes, msg);
  return thrown as E;
}
