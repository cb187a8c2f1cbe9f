/** The form, made from what the manifest says of its inputs, conditions and assets. */

import { QUALITIES } from "../values.js";
import { element } from "./element.js";
import { isShown } from "./shown.js";

const TITLES = { mesh: "a mesh", points: "points", image: "a picture" };
const GRIDS = { draft: "Draft", normal: "Normal", fine: "Fine" };
const SEVERAL = 4;

export class Form {
  constructor(root) {
    this.root = root;
    this.of = (name) => root.querySelector(`#${name}`);
    this.of("another").onclick = () => (this.of("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0]));
    this.fields = [];
  }

  /** Fills the form in. Throws Error for a bundle that the page cannot show anything of. */
  fill({ assets, inputs, recipe, stages }, words) {
    const kinds = [...new Set(Object.values(assets).filter(isShown).map(({ kind }) => kind))];
    if (!kinds.length) throw new Error("This bundle makes nothing that the page can show; index.js runs its stages.");
    for (const [name, { kind }] of Object.entries(inputs)) this.add(name, kind, [name]);
    const sets = Object.values(stages).flatMap(({ conditions }) => Object.keys(conditions ?? {}));
    for (const set of new Set(sets)) {
      for (const [name, { kind }] of Object.entries(inputs)) if (kind === "text") this.add(name, kind, [set, name]);
    }
    this.offer("asset", kinds.map((kind) => [kind, TITLES[kind]]), kinds[0]);
    this.of("asset-field").hidden = kinds.length < 2;
    this.of("asset").onchange = () => (this.of("quality-field").hidden = this.asset !== "mesh");
    if (kinds.includes("mesh")) this.offerQualities(Object.values(assets).find(({ kind }) => kind === "mesh").grid);
    this.of("asset").onchange();
    this.offerExamples(recipe.goldens?.prompts ?? [], words);
  }

  /** A field for a text or a picture; `path`: the input's name, after the set of conditions that it belongs to. */
  add(name, kind, path) {
    const id = `input-${path.join("-")}`;
    const title = path.map((part) => part.replaceAll("_", " ")).join(" ");
    const label = element("label", { htmlFor: id, textContent: title[0].toUpperCase() + title.slice(1) });
    const main = path.length === 1;
    const field =
      kind === "text"
        ? element("input", { id, type: "text", required: main, autocomplete: "off", enterKeyHint: "go" })
        : element("input", { id, type: "file", accept: "image/*", required: main });
    const parts = [label, field];
    if (kind !== "text") parts.push(preview(field, title));
    this.of("inputs").append(element("div", { className: "field" }, parts));
    this.fields.push({ field, kind, path });
  }

  offer(name, choices, chosen) {
    const options = choices.map(([value, textContent]) => element("option", { value, textContent }));
    this.of(name).replaceChildren(...options);
    this.of(name).value = chosen;
  }

  offerQualities(grid) {
    const named = Object.entries(GRIDS).map(([name, title]) => [name, `${title}, ${QUALITIES[name]}³`]);
    const own = Object.keys(QUALITIES).find((name) => QUALITIES[name] === grid) ?? "";
    this.offer("quality", own ? named : [["", `The recipe's, ${grid}³`], ...named], own);
  }

  /** What the bundle was checked with, texts or pictures, and the words of a small model. */
  offerExamples(prompts, words) {
    const [first] = this.fields;
    const buttons = first ? prompts.map((prompt) => example(prompt, first)) : [];
    this.of("examples").replaceChildren(element("span", { textContent: "Try" }), ...buttons);
    this.of("examples").hidden = !buttons.length;
    this.of("words").hidden = !words.length;
    this.of("words").querySelector("p").textContent = words.join(", ");
  }

  get asset() {
    return this.of("asset").value;
  }

  /** What is asked for, as the worker takes it. */
  get request() {
    const [request, others] = [{}, {}];
    for (const { field, kind, path } of this.fields) {
      const value = kind === "text" ? field.value : field.files[0];
      if (path.length === 1) request[path[0]] = value;
      else if (value.trim()) (others[path[0]] ??= {})[path[1]] = value;
    }
    const first = BigInt(this.of("seed").value);
    const seeds = Array.from({ length: this.of("several").checked ? SEVERAL : 1 }, (_, i) => first + BigInt(i));
    return { asset: this.asset, request, others, seeds, quality: this.of("quality").value };
  }

  /** What a link carries, texts by the name of their field; pictures stay here. */
  get values() {
    const texts = this.fields.filter(({ field, kind }) => kind === "text" && field.value.trim());
    return {
      ...Object.fromEntries(texts.map(({ field, path }) => [path.join("."), field.value])),
      ...Object.fromEntries(this.carried.map((name) => [name, this.of(name).value])),
    };
  }

  set values(values) {
    for (const { field, kind, path } of this.fields) if (kind === "text") field.value = values[path.join(".")] ?? field.value;
    for (const name of this.carried) {
      const field = this.of(name);
      const isOffered = !field.options || [...field.options].some(({ value }) => value === values[name]);
      if (values[name] !== undefined && isOffered) field.value = values[name];
    }
    this.of("asset").onchange?.();
  }

  get carried() {
    return ["seed", "asset", "quality"].filter((name) => this.of(name).value);
  }

  /** What was asked for in words, for titles and file names. */
  get title() {
    const named = this.fields.map(({ field, kind }) => (kind === "text" ? field.value : field.files[0]?.name ?? ""));
    return named.find((text) => text.trim())?.trim() ?? "object";
  }
}

/** The picture that was chosen, shown below its field. */
function preview(field, title) {
  const image = element("img", { alt: `The chosen ${title}`, className: "preview", hidden: true });
  field.addEventListener("change", () => {
    URL.revokeObjectURL(image.src);
    image.hidden = !field.files.length;
    if (field.files.length) image.src = URL.createObjectURL(field.files[0]);
  });
  return image;
}

/** A button that fills a field in with a text, or with a picture of the bundle by its path there. */
function example(prompt, { field, kind }) {
  if (kind === "text") {
    const button = element("button", { type: "button", className: "chip", textContent: prompt });
    button.onclick = () => (field.value = prompt);
    return button;
  }
  const name = prompt.split("/").at(-1);
  const src = new URL(`../../${prompt}`, import.meta.url).href;
  const button = element("button", { type: "button", className: "picture" }, [element("img", { src, alt: name })]);
  button.onclick = async () => {
    const given = new DataTransfer();
    const picture = await (await fetch(src)).blob();
    given.items.add(new File([picture], name, { type: picture.type }));
    field.files = given.files;
    field.dispatchEvent(new Event("change"));
  };
  return button;
}
