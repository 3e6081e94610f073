/**
 * The tests of modes, faults, debugging and changing code, and those of the interpreter, on the translator that
 * compiles at first sight.
 */
import { Translator } from "../../accel/jit/translator.ts";
import { engine } from "../../accel/interp/testing.ts";
import "../../accel/interp/extensions_test.ts";
import "../../accel/interp/interpreter_test.ts";
import "../../accel/interp/processors_test.ts";
import "../modes/above_4g_test.ts";
import "../modes/alignment_test.ts";
import "../modes/code_test.ts";
import "../modes/debug_test.ts";
import "../modes/long_sse_test.ts";
import "../modes/long_system_test.ts";
import "../modes/pae_nx_test.ts";
import "../modes/paging_test.ts";
import "../modes/protection_test.ts";
import "../modes/segments_test.ts";

engine.make = (bus, model, peer) =>
  new Translator(bus, model, { eager: true, peer: peer as Translator | undefined });
