/** numpy's .npz files as numpy.savez writes them: a ZIP archive whose members are stored, not compressed. */

const ARRAYS = { "<f4": ["float32", Float32Array], "<i8": ["int64", BigInt64Array] };
const END_OF_DIRECTORY = 0x06054b50;

/** {name: {type, data, dims}} of the bytes of an .npz file. Throws RangeError for what savez does not write here. */
export function readNpz(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END_OF_DIRECTORY) end--;
  if (end < 0) throw new RangeError("not an .npz file");
  const arrays = {};
  let entry = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const [method, size] = [view.getUint16(entry + 10, true), view.getUint32(entry + 20, true)];
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((at) => view.getUint16(entry + at, true));
    const name = new TextDecoder().decode(bytes.subarray(entry + 46, entry + 46 + nameLength));
    if (method !== 0) throw new RangeError(`${name}: compressed`);
    const local = view.getUint32(entry + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    arrays[name.replace(/\.npy$/, "")] = readNpy(bytes.slice(start, start + size), name);
    entry += 46 + nameLength + extraLength + commentLength;
  }
  return arrays;
}

function readNpy(bytes, name) {
  const view = new DataView(bytes.buffer);
  const [headerLength, start] = bytes[6] === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + headerLength));
  const descr = header.match(/'descr': '([^']+)'/)?.[1];
  const known = ARRAYS[descr];
  if (!known || !header.includes("'fortran_order': False")) throw new RangeError(`${name}: ${header.trim()}`);
  const dims = header
    .match(/'shape': \(([^)]*)\)/)[1]
    .split(",")
    .filter((size) => size.trim())
    .map(Number);
  return { type: known[0], data: new known[1](bytes.slice(start + headerLength).buffer), dims };
}
