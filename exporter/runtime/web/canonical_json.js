/** JSON in one form only, so that a digest of it can be computed anywhere. */

// A number is not read, since it would be written otherwise again: 3.0 as 3, 1e-05 as 0.00001.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
const NUMBER = "\u0000";

/** A JSON object's text without some of its fields: keys sorted, no spaces, every number as it was written. */
export function canonicalJson(text, without = []) {
  const marked = text.replace(TOKENS, (token) => (token[0] === '"' ? token : `"\\u0000${token}"`));
  const data = JSON.parse(marked);
  for (const field of without) delete data[field];
  return written(data);
}

function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${written(value[key])}`).join(",")}}`;
  }
  if (typeof value === "string" && value.startsWith(NUMBER)) return value.slice(NUMBER.length);
  return JSON.stringify(value);
}
