/**
 * Prompts to meshes with a t3export bundle, in a browser or in Node.js.
 *
 *     const bundle = await WebBundle.open(new URL("..", import.meta.url));
 *     const glb = toGlb(await bundle.generate("a red chair", { seed: 0 }));
 *
 * Of a model that takes pictures, `generate` gets a file of an <input>, a canvas or an ImageData in the prompt's place.
 *
 * A page finds the packages that it needs in packages/, beside this file, where `t3export build` put them; Node.js and
 * bundlers find them by name after `npm ci`. Pages need https or localhost, and more than one thread needs cross-origin
 * isolation.
 */
export { WebBundle } from "./bundle.js";
export { BundleError } from "./errors.js";
export { pointsToGlb, toGlb } from "./glb.js";
export { verify } from "./goldens.js";
export { imageOf } from "./image.js";
export { fieldOf, meshOf } from "./mesh.js";
export { noise } from "./noise.js";
export { pictureOf } from "./picture.js";
export { pointsOf } from "./points.js";
export { Run } from "./run.js";
export { toStl } from "./stl.js";
