/** A mesh as a .usdz file for AR Quick Look, written by three.js: in metres, y up, its colours in a texture. */

import * as three from "three";

import { USDZExporter } from "../packages/USDZExporter.js";
import { copied, painted } from "../painted.js";

const ROUGHNESS = 0.9;

/** {vertices, faces, colors} as the bytes of a .usdz. Throws RangeError for an empty mesh. */
export async function toUsdz(mesh) {
  if (!mesh.faces.length) throw new RangeError("the mesh is empty: try another seed or another wording");
  const { sources, faces, uv, picture } = painted(mesh);
  const whole = new three.BufferGeometry();
  whole.setAttribute("position", new three.BufferAttribute(mesh.vertices, 3));
  whole.setIndex(new three.BufferAttribute(mesh.faces, 1));
  whole.computeVertexNormals();
  const geometry = new three.BufferGeometry();
  for (const name of ["position", "normal"]) {
    geometry.setAttribute(name, new three.BufferAttribute(copied(whole.attributes[name].array, sources), 3));
  }
  // three.js counts v upwards.
  const places = uv.map((value, i) => (i % 2 ? 1 - value : value));
  geometry.setAttribute("uv", new three.BufferAttribute(places, 2));
  geometry.setIndex(new three.BufferAttribute(faces, 1));
  // The model's z is up.
  geometry.rotateX(-Math.PI / 2);
  const body = new three.Mesh(geometry, materialOf(picture));
  const file = await new USDZExporter().parseAsync(new three.Scene().add(body), { quickLookCompatible: true });
  for (const part of [whole, geometry, body.material.map, body.material]) part.dispose();
  return file;
}

function materialOf({ data, width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  const map = new three.CanvasTexture(canvas);
  map.colorSpace = three.SRGBColorSpace;
  return new three.MeshStandardMaterial({ map, metalness: 0, roughness: ROUGHNESS });
}
