/** The words that a small model was taught: those that its tokenizer keeps whole, and makes no longer word of. */

// The tokenizer of a large model keeps words of any kind.
const MOST_TOKENS = 4000;
const SHORTEST = 3;

/** Words in alphabetical order, of a parsed tokenizer file; none of a large vocabulary or of one without merges. */
export function knownWords({ model: { vocab, merges, end_of_word_suffix: end } }) {
  if (!end || !merges || Object.keys(vocab).length > MOST_TOKENS) return [];
  const parts = new Set(merges.flatMap((merge) => (typeof merge === "string" ? merge.split(" ") : merge)));
  const whole = Object.keys(vocab).filter((token) => token.endsWith(end) && !parts.has(token));
  const words = whole.map((token) => token.slice(0, -end.length));
  return words.filter((word) => word.length >= SHORTEST && /^\p{L}+$/u.test(word)).sort();
}
