/** Blocks that cannot hold a surface, told from their samples: exporter/runtime/surface/clearance.py, which says why. */

import { cells, cornersOf, mostAround, place } from "./lattice.js";
import { TANH, undone } from "./squash.js";

const SAFETY = 1.25;
const MEAN_REACH = (3 + 3 * Math.sqrt(2) + Math.sqrt(3)) / 8;
const AXES = [0, 1, 2];
// In half widths.
const CORNERS = Array.from({ length: 8 }, (_, i) => AXES.map((axis) => 2 * ((i >> (2 - axis)) & 1)));
const CORNERS_AND_MIDDLE = [...CORNERS, [1, 1, 1]];
const PARTS_ALONG_AN_EDGE = 4;
const FARTHEST = CORNERS_AND_MIDDLE.map((place) => farthestOfParts(place.map((i) => i / 2)));

/** A Map of blocks that may hold a surface all the same to what the field may change over their width. */
export function notClearedByCorners(level, blocks, crossed, squash = TANH) {
  const side = level.side - 1;
  const widths = level.lattice.slice(1).map((to, i) => ((to - level.lattice[i]) * 2) / (level.grid - 1));
  const raw = new Float64Array(level.values.length);
  for (let at = 0; at < raw.length; at++) raw[at] = undone(level.values[at], squash);
  const around = (x, y, z) => cornersOf(x, y, z, level.side);
  const slopes = new Float64Array(side ** 3);
  cells(side, (x, y, z, at) => blocks[at] && (slopes[at] = steepest(raw, around(x, y, z), [x, y, z], widths)));
  const means = new Float64Array(side ** 3).fill(Infinity);
  const mean = (x, y, z) => {
    let sum = 0;
    for (const corner of around(x, y, z)) sum += Math.abs(raw[corner]);
    return sum / 8;
  };
  cells(side, (x, y, z, at) => blocks[at] && (means[at] = mean(x, y, z)));
  const nearest = means.reduce((least, value) => Math.min(least, value), Infinity);
  const anywhere = crossed.includes(1);
  const usual = median(slopes.filter((_, at) => (anywhere ? crossed[at] : blocks[at] && means[at] === nearest)));
  const steepestNear = mostAround(slopes, side);
  const changes = new Map();
  cells(side, (x, y, z, at) => {
    if (!blocks[at] || crossed[at]) return;
    const change = widths[0] * SAFETY * Math.max(usual, steepestNear[at]);
    if (means[at] >= MEAN_REACH * change) return;
    const samples = around(x, y, z).map((corner) => raw[corner]);
    if (!cleared(samples, change)) changes.set(at, change);
  });
  return changes;
}

/** Whether a block of the level half as fine holds no surface, its middle asked. */
export function clearedWithMiddle(level, at, change, squash = TANH) {
  const block = place(at, level.parents);
  const values = CORNERS_AND_MIDDLE.map((place) => level.values[level.sampleIn(block, place)]);
  const samples = values.map((value) => undone(value, squash));
  return samples.every((value) => value > 0 === samples[0] > 0) && cleared(samples, change);
}

/** Whether the balls that corners (and middle) of a block clear hold each of its parts. */
function cleared(samples, change) {
  for (let part = 0; part < PARTS_ALONG_AN_EDGE ** 3; part++) {
    let isHeld = false;
    for (let i = 0; i < samples.length && !isHeld; i++) isHeld = Math.abs(samples[i]) / change > FARTHEST[i][part];
    if (!isHeld) return false;
  }
  return true;
}

/** From a place in a block one wide, how far the farthest point is of each of its parts. */
function farthestOfParts(from) {
  const parts = new Float64Array(PARTS_ALONG_AN_EDGE ** 3);
  const along = (axis, i) => {
    const start = i / PARTS_ALONG_AN_EDGE - from[axis];
    return Math.max(Math.abs(start), Math.abs(start + 1 / PARTS_ALONG_AN_EDGE));
  };
  cells(PARTS_ALONG_AN_EDGE, (x, y, z, at) => {
    parts[at] = Math.hypot(along(0, x), along(1, y), along(2, z));
  });
  return parts;
}

/** The slope that the steepest edges of a block along each axis make together; `corner` as cornersOf gives them. */
function steepest(raw, corner, block, widths) {
  let squares = 0;
  for (const axis of AXES) {
    const step = 4 >> axis;
    let most = 0;
    for (let i = 0; i < 8; i++) {
      if (!(i & step)) most = Math.max(most, Math.abs(raw[corner[i + step]] - raw[corner[i]]));
    }
    squares += (most / widths[block[axis]]) ** 2;
  }
  return Math.sqrt(squares);
}

function median(values) {
  if (!values.length) return 0;
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
