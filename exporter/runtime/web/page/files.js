/** What was made, as files to keep. */

import { pointsToGlb, toGlb } from "../glb.js";
import { toStl } from "../stl.js";
import { element } from "./element.js";

const WRITERS = {
  mesh: {
    glb: async ({ made }) => toGlb(made),
    stl: async ({ made }) => toStl(made),
    usdz: async ({ made }) => (await import("./usdz.js")).toUsdz(made),
  },
  points: { glb: async ({ made }) => pointsToGlb(made) },
  image: { png: async ({ made }) => pngOf(made) },
};
const TYPES = { glb: "model/gltf-binary", stl: "model/stl", usdz: "model/vnd.usdz+zip", png: "image/png" };
const LONGEST_NAME = 60;

/** A button for each format of a thing {asset, made, seed}; `title` names the files. */
export function downloadButtons(thing, title, failed) {
  return Object.entries(WRITERS[thing.asset]).map(([suffix, write]) => {
    const button = element("button", { type: "button", textContent: suffix.toUpperCase() });
    button.setAttribute("aria-label", `Download ${suffix.toUpperCase()}`);
    button.onclick = async () => {
      try {
        const href = URL.createObjectURL(new Blob([await write(thing)], { type: TYPES[suffix] }));
        element("a", { href, download: `${nameOf(title)}_${thing.seed}.${suffix}` }).click();
        setTimeout(() => URL.revokeObjectURL(href), 60_000);
      } catch (error) {
        failed(error);
      }
    };
    return button;
  });
}

/** "A red chair!" as a_red_chair. */
function nameOf(title) {
  const plain = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "_").replace(/^_|_$/g, "");
  return plain.slice(0, LONGEST_NAME) || "object";
}

function pngOf({ data, width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
