/** The picture of a run that a stage makes as a tensor, as exporter/runtime/assets/tensor_picture.py takes it. */

import { BundleError } from "./errors.js";

/**
 * {data: Uint8ClampedArray [height * width * 4], width, height} of a run, as the constructor of ImageData takes it.
 * Throws BundleError for a pipeline that ends in no picture, or in one that is rendered.
 */
export async function imageOf(run) {
  const { stage, pixels } = run.pipeline.asset("image");
  if (!pixels) {
    throw new BundleError(`the image of this bundle is rendered: run.at("${stage}", rays, …) gives colours`);
  }
  const { data: values, dims } = await run.tensor(pixels.name);
  const first = pixels.channels === "first";
  const [height, width] = first ? dims.slice(2) : dims.slice(1);
  const [black, white] = pixels.range;
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let at = 0; at < width * height; at++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = values[first ? channel * width * height + at : 3 * at + channel];
      // Such an array clamps and rounds, halves to even, as numpy does.
      data[4 * at + channel] = ((value - black) / (white - black)) * 255;
    }
  }
  return { data, width, height };
}
