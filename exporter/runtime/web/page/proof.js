/** Words for what of a bundle holds on the device that shows the page. */

/** `found`: as verify gives it. */
export function proofOf(found) {
  if (!found.length) return "The bundle has no goldens to hold its programs to.";
  const missed = found.filter(({ passed }) => !passed);
  const worst = found.reduce((least, one) => (one.snr - one.limit < least.snr - least.limit ? one : least));
  const nearest = `${worst.stage}: ${decibelsOf(worst.snr)}, wanted ${worst.limit.toFixed(1)}`;
  const verdict = missed.length ? "It does NOT compute here what it should" : "It computes here what it should";
  return `${verdict}: ${found.length - missed.length} of ${found.length} recorded outputs hold (${nearest}).`;
}

function decibelsOf(snr) {
  if (Number.isFinite(snr)) return `${snr.toFixed(1)} dB`;
  return snr > 0 ? "exactly equal" : "not finite, or noise alone";
}

/** Where programs run: `providers` and `reason` as a bundle's runsOn gives them. */
export function placeOf({ providers, reason }) {
  if (reason) return `It runs on the processor, and slower than it could: ${reason}.`;
  return providers[0] === "webgpu" ? "It runs on the graphics processor, by WebGPU." : "";
}
