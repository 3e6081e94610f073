/** Words in error messages. */

/** Single-character edits, swaps of neighbours included, that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        next[j] = Math.min(next[j], before[j - 2] + 1);
      }
    }
    before = row;
    row = next;
  }
  return row[b.length];
}

/**
 * The candidate that was most likely meant by `word`, or undefined when none is close. Case does not
 * count; the start of one candidate is close to it; of equally close ones the first wins.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  if (wanted === "") return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const other = candidate.toLowerCase();
    let distance = editDistance(wanted, other);
    const longer = Math.max(wanted.length, other.length);
    const limit = Math.min(longer - 1, Math.max(1, Math.floor(longer / 3)));
    const begins = wanted.length >= 2 && other.startsWith(wanted);
    if (begins) distance = Math.min(distance, 1.5);
    if ((distance <= limit || begins) && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` (did you mean "x"?)`, or an empty string when no candidate is close: a tail for error messages. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates);
  return found === undefined ? "" : ` (did you mean ${JSON.stringify(found)}?)`;
}
