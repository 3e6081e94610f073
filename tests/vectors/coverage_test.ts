import { assertEquals } from "@std/assert";
import { coverage, formName } from "./coverage.ts";
import { type Elsewhere, NOT_RECORDED, REFUSED } from "./not_recorded.ts";

async function missingTests(list: Record<string, Elsewhere>): Promise<string[]> {
  const missing: string[] = [];
  for (const [name, { test, title }] of Object.entries(list)) {
    const source = await Deno.readTextFile(new URL(`../../${test}`, import.meta.url));
    if (!source.includes(`Deno.test("${title}"`)) missing.push(`${name}: ${test}: ${title}`);
  }
  return missing;
}

Deno.test("every operand form of every decode table row has 100 vectors, or a reason and a scenario test", async () => {
  const forms = coverage();
  const few = forms.filter((form) => form.cases < 100);
  const unexplained = few.filter((form) => !Object.hasOwn(NOT_RECORDED, form.row.semantic));
  assertEquals(unexplained.map((form) => `${formName(form)}: ${form.cases} cases`), []);
  const unneeded = Object.keys(NOT_RECORDED).filter((name) =>
    !few.some((f) => f.row.semantic === name)
  );
  assertEquals(unneeded, [], "reasons that no row needs");
  const unknown = Object.keys(REFUSED).filter((name) =>
    !forms.some((f) => f.row.semantic === name)
  );
  assertEquals(unknown, [], "refused rows that the table does not have");
  assertEquals(await missingTests({ ...NOT_RECORDED, ...REFUSED }), []);
});
