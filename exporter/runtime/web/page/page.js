/** The page: a form that asks, a model that makes, a stage that shows. */

import { Choices } from "./choices.js";
import { element } from "./element.js";
import { downloadButtons } from "./files.js";
import { Form } from "./form.js";
import { Model } from "./model.js";
import { keepForLater, whyOneThread } from "./offline.js";
import { placeOf, proofOf } from "./proof.js";
import { linkOf, valuesOf } from "./share.js";
import { Stage } from "./stage.js";

const of = (name) => document.getElementById(name);
const form = new Form(of("form"));
const stage = new Stage(of("stage"));
const choices = new Choices(of("choices"), show);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
let asked;
let shown;
let model;

function say(words) {
  of("status").textContent = words;
}

function fail({ message }) {
  settle();
  say("");
  of("problem").textContent = message;
  of("problem").hidden = false;
}

/** A request is running. */
function begin(words) {
  say(words);
  of("problem").hidden = true;
  of("stop").hidden = false;
  of("stage").setAttribute("aria-busy", "true");
  of("progress").removeAttribute("value");
  of("progress").hidden = false;
}

/** No request is running. */
function settle() {
  of("progress").hidden = true;
  of("stop").hidden = true;
  of("stage").removeAttribute("aria-busy");
}

function advance(done, total) {
  const bar = of("progress");
  bar.hidden = false;
  bar.max = total;
  bar.value = done;
}

const heard = {
  opened({ manifest, words }) {
    try {
      form.fill(manifest, words);
    } catch (error) {
      return fail(error);
    }
    form.values = valuesOf(location.hash);
    describe(manifest);
  },
  loading({ stage: name, done, total }) {
    say(`Loading the model: ${name.replaceAll("_", " ")}`);
    advance(done, total);
  },
  loaded({ where }) {
    settle();
    of("make").disabled = of("check").disabled = false;
    say("Ready.");
    const onProcessor = where.providers[0] !== "webgpu";
    of("place").textContent = [placeOf(where), onProcessor ? whyOneThread() : ""].filter(Boolean).join(" ");
    of("place").hidden = !of("place").textContent;
  },
  checked({ found }) {
    settle();
    say(shown ? costOf(shown) : "Ready.");
    of("proof").textContent = proofOf(found);
  },
  step({ done, total }) {
    if (done < total) return advance(done, total);
    of("progress").removeAttribute("value");
    say("Evaluated. Its shape is being taken.");
  },
  made({ kind: _, ...thing }) {
    if (!of("choices").querySelector("input")) show(thing);
    choices.add(thing, stage.pictureOf(thing));
  },
  finished() {
    settle();
    say(costOf(shown));
  },
  stopped() {
    settle();
    say("Stopped.");
  },
  failed: fail,
};

function describe({ name, recipe, stages, target, validation, weights }) {
  document.title = name;
  of("title").textContent = recipe.name ?? name;
  of("description").textContent = recipe.description ?? "";
  const size = Object.values(stages).reduce((sum, one) => sum + one.size, 0);
  const facts = [
    `${megabytes(size)} of programs for ${target.name}`,
    validation ? `validated: ${validation.passed ? "passed" : "FAILED"}` : "not validated",
    ...(weights.trained ? [] : ["random weights, which make no objects"]),
    "nothing that you type or choose leaves this device",
  ];
  of("facts").textContent = facts.join(" · ");
}

function show(thing) {
  shown = thing;
  stage.show(thing, asked.title);
  say(costOf(thing));
  const link = linkOf({ ...asked.values, seed: String(thing.seed) });
  history.replaceState(null, "", link);
  of("files").replaceChildren(...downloadButtons(thing, asked.title, fail), shareButton(link));
  of("files").hidden = false;
}

function costOf({ asset, cost: { seconds, threads, memory }, made, seed }) {
  const sizes = {
    mesh: () => `${(made.faces.length / 3).toLocaleString()} triangles`,
    points: () => `${(made.positions.length / 3).toLocaleString()} points`,
    image: () => `${made.width} × ${made.height} pixels`,
  };
  const on = `${threads} thread${threads === 1 ? "" : "s"}`;
  return `Seed ${seed}: ${sizes[asset]()} in ${seconds.toFixed(1)} s on ${on}, ${megabytes(memory)} of memory`;
}

function shareButton(link) {
  const button = element("button", { type: "button", textContent: "Copy link" });
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = "Copied";
    } catch {
      // The address of the page is the same link.
      button.textContent = "It is the page's address";
    }
  };
  return button;
}

of("form").onsubmit = (event) => {
  event.preventDefault();
  asked = { title: form.title, values: form.values };
  of("files").hidden = true;
  choices.clear();
  begin(`Making ${asked.title}`);
  model.make(form.request);
};
of("check").onclick = () => {
  of("proof").textContent = "";
  begin("Holding its programs to what they made where they were built");
  model.check();
};
of("stop").onclick = () => {
  of("stop").hidden = true;
  say("Stopping");
  model.stop();
};
addEventListener("hashchange", () => (form.values = valuesOf(location.hash)));

say("Loading the model");
await keepForLater();
model = new Model(heard);
stage.open().catch((error) => fail({ message: `Objects cannot be shown here (${error.message}); files can be kept.` }));
