/** What a field's distances went through at their end: exporter/runtime/surface/squash.py. */

const SATURATED = Math.tanh(3.5);
const EMPTY = 1e-3;
export const TANH = { kind: "tanh" };

/** What went in, zero at the surface. */
export function undone(value, { kind, level }) {
  if (kind === "tanh") return Math.atanh(Math.min(SATURATED, Math.max(-SATURATED, value)));
  return kind === "exp" ? Math.log(Math.max(value / level + 1, EMPTY)) : value;
}
