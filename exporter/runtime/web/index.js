/** Prompts to meshes with a t3export bundle, in a browser or in Node.js. */
export { WebBundle } from "./bundle.js";
export { BundleError } from "./files.js";
export { toGlb } from "./glb.js";
export { noise } from "./noise.js";
