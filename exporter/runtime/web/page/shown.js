/** Whether the page can show an asset of a manifest: a picture that is rendered needs rays, and is none of them. */
export function isShown({ kind, pixels }) {
  return kind === "mesh" || kind === "points" || (kind === "image" && Boolean(pixels));
}
