/** The page: a form that asks, a model that makes, a stage that shows. */

import { Choices } from "./choices.js";
import { element } from "./element.js";
import { downloadButtons } from "./files.js";
import { Form } from "./form.js";
import { Model } from "./model.js";
import { keepForLater, whyOneThread } from "./offline.js";
import { linkOf, valuesOf } from "./share.js";
import { Stage } from "./stage.js";

const of = (name) => document.getElementById(name);
const form = new Form(of("form"));
const stage = new Stage(of("stage"));
const choices = new Choices(of("choices"), show);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
let title;
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
  loaded() {
    settle();
    of("make").disabled = false;
    say("Ready.");
    of("threads").textContent = whyOneThread();
    of("threads").hidden = !of("threads").textContent;
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
  const { made, cost, seed, asset } = thing;
  stage.show(thing, title);
  const count = { mesh: () => `${(made.faces.length / 3).toLocaleString()} triangles`,
                  points: () => `${(made.positions.length / 3).toLocaleString()} points`,
                  image: () => `${made.width} × ${made.height} pixels` }[asset]();
  const threads = `${cost.threads} thread${cost.threads === 1 ? "" : "s"}`;
  say(`Seed ${seed}: ${count} in ${cost.seconds.toFixed(1)} s on ${threads}, ${megabytes(cost.memory)} of memory`);
  const link = linkOf({ ...form.values, seed: String(seed) });
  history.replaceState(null, "", link);
  of("files").replaceChildren(...downloadButtons(thing, title, fail), shareButton(link));
  of("files").hidden = false;
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
  title = form.title;
  of("problem").hidden = true;
  of("files").hidden = true;
  of("stop").hidden = false;
  of("stage").setAttribute("aria-busy", "true");
  choices.clear();
  say(`Making ${title}`);
  of("progress").removeAttribute("value");
  of("progress").hidden = false;
  model.make(form.request);
};
of("stop").onclick = () => {
  model.stop();
  settle();
  say("Stopped.");
};
addEventListener("hashchange", () => (form.values = valuesOf(location.hash)));

say("Loading the model");
await keepForLater();
model = new Model(heard);
stage.open().catch((error) => fail({ message: `Objects cannot be shown here (${error.message}); files can be kept.` }));
