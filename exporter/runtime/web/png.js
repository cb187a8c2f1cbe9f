/** Small pictures as PNG files whose pixels are stored, not compressed: the same bytes in Node.js and in every browser. */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const HEADER = 13;
const RGB = 2;
const LONGEST_BLOCK = 0xffff;
const ADLER_PRIME = 65521;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/** The bytes of a .png of an ImageData's {data, width, height}, without its alpha. */
export function toPng({ data, width, height }) {
  const header = new Uint8Array(HEADER);
  const sizes = new DataView(header.buffer);
  sizes.setUint32(0, width);
  sizes.setUint32(4, height);
  header.set([8, RGB], 8);
  const parts = [chunk("IHDR", header), chunk("IDAT", stored(rows(data, width, height))), chunk("IEND", new Uint8Array())];
  return joined([Uint8Array.from(SIGNATURE), ...parts]);
}

/** Each row begins with the number of its filter, 0 for none. */
function rows(data, width, height) {
  const bytes = new Uint8Array(height * (1 + 3 * width));
  for (let pixel = 0, to = 0; pixel < width * height; pixel++, to += 3) {
    if (pixel % width === 0) to++;
    bytes.set(data.subarray(4 * pixel, 4 * pixel + 3), to);
  }
  return bytes;
}

/** A zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4). */
function stored(bytes) {
  const parts = [Uint8Array.of(0x78, 0x01)];
  for (let from = 0; from < bytes.length; from += LONGEST_BLOCK) {
    const block = bytes.subarray(from, from + LONGEST_BLOCK);
    const { length } = block;
    const isLast = from + length === bytes.length;
    parts.push(Uint8Array.of(isLast, length, length >> 8, ~length, ~length >> 8), block);
  }
  return joined([...parts, bigEndian(adler32(bytes))]);
}

function chunk(kind, content) {
  const named = joined([new TextEncoder().encode(kind), content]);
  return joined([bigEndian(content.length), named, bigEndian(crc32(named))]);
}

function crc32(bytes) {
  let rest = 0xffffffff;
  for (const byte of bytes) rest = CRC_TABLE[(rest ^ byte) & 0xff] ^ (rest >>> 8);
  return ~rest;
}

function adler32(bytes) {
  let [low, high] = [1, 0];
  for (const byte of bytes) {
    low = (low + byte) % ADLER_PRIME;
    high = (high + low) % ADLER_PRIME;
  }
  return high * 2 ** 16 + low;
}

function bigEndian(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
