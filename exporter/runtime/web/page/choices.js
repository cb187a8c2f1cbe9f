/** Things side by side, of which one is chosen by eye. */

import { element } from "./element.js";

export class Choices {
  /** `chosen(thing)` is called for the first, and for each that is chosen after it. */
  constructor(root, chosen) {
    this.root = root;
    this.row = root.querySelector("div");
    this.chosen = chosen;
    this.clear();
  }

  clear() {
    this.root.hidden = true;
    this.row.replaceChildren();
  }

  add(thing, picture) {
    const input = element("input", { type: "radio", name: "choice", checked: !this.row.childElementCount });
    input.onchange = () => this.chosen(thing);
    const image = picture ? [element("img", { src: picture, alt: "" })] : [];
    const caption = element("span", { textContent: `Seed ${thing.seed}${picture ? "" : ", empty"}` });
    this.row.append(element("label", { className: "choice" }, [input, ...image, caption]));
    this.root.hidden = this.row.childElementCount < 2;
  }
}
