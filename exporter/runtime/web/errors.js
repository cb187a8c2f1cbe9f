/** What a user can mend: which bundle, file, stage, input or asset is wrong, and what there is instead. */
export class BundleError extends Error {}

/** The end of such a message: the names that there are. */
export function namesOf(things) {
  return Object.keys(things).join(", ") || "none";
}
