/** Where what was made is shown: an object that turns, or a picture. */

const HOW = "Drag it, or use the arrow keys, to turn it.";

export class Stage {
  constructor(root) {
    this.view = root.querySelector("#view");
    this.flat = root.querySelector("#flat");
    this.empty = root.querySelector("#empty");
  }

  /** Loads what draws objects; Throws Error where the browser has no WebGL. */
  async open() {
    const { Viewer } = await import("./viewer.js");
    this.viewer = new Viewer(this.view);
  }

  /** Shows a thing {asset, made, seed}; `title`: what was asked for. */
  show({ asset, made, seed }, title) {
    const isFlat = asset === "image";
    const isEmpty = asset === "mesh" && !made.faces.length;
    [this.view.hidden, this.flat.hidden] = [isFlat || isEmpty, !isFlat];
    this.empty.hidden = !isEmpty;
    if (isEmpty) this.empty.textContent = "This one came out empty: try another seed or another wording.";
    const label = `${title}, seed ${seed}`;
    if (isFlat) {
      [this.flat.width, this.flat.height] = [made.width, made.height];
      this.flat.getContext("2d").putImageData(new ImageData(made.data, made.width, made.height), 0, 0);
      this.flat.setAttribute("aria-label", label);
    } else if (!isEmpty) {
      this.view.setAttribute("aria-label", `${label}. ${HOW}`);
      this.viewer?.show(asset, made);
    }
  }

  /** A small picture of a thing as a URL, empty where there is none. */
  pictureOf({ asset, made }) {
    if (asset === "image") {
      const canvas = Object.assign(document.createElement("canvas"), { width: made.width, height: made.height });
      canvas.getContext("2d").putImageData(new ImageData(made.data, made.width, made.height), 0, 0);
      return canvas.toDataURL();
    }
    if (asset === "mesh" && !made.faces.length) return "";
    return this.viewer?.pictureOf(asset, made) ?? "";
  }
}
