/** Links that carry what was asked for, in the part of an address that no server sees. */

/** {name: text} of an address's hash. */
export function valuesOf(hash) {
  return Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
}

/** The address of the page with these values in it. */
export function linkOf(values) {
  const url = new URL(location.href);
  url.hash = new URLSearchParams(values).toString();
  return url.href;
}
