"""A run makes each tensor when it is first wanted, once, of every object."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.errors import RecipeError
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import POINTS_AT_ONCE, RAYS_AT_ONCE, TensorSpec
from exporter.runtime.inputs.noise import noise
from exporter.runtime.run import Run, make, requests_of, unit_noise

UPSTREAM = ["text", "base", "fine", "split"]


def spec(name, *shape):
    return TensorSpec(name, "float32", ("batch", *shape))


def stage(kind, inputs, outputs):
    return PipelineStage(kind=kind, inputs=inputs, outputs=outputs)


EMBEDDING, COARSE, LATENTS, LEFT, RIGHT = (
    spec(name, size) for name, size in (("embedding", 2), ("coarse", 3), ("latents", 4), ("left", 2), ("right", 2))
)
PIPELINE = Pipeline(
    inputs={"prompt": TextInput(tensor="tokens", file="tokenizer.json", length=2, pad_id=0)},
    stages={
        "text": stage("encode", [spec("tokens", 2)], [EMBEDDING]),
        "base": stage("sample", [EMBEDDING], [COARSE]),
        "fine": stage("sample", [EMBEDDING, COARSE], [LATENTS]),
        "split": stage("map", [LATENTS], [LEFT, RIGHT]),
        "field": stage("field", [spec("points", "points", 3), LEFT], [spec("distance", "points", 1)]),
        "renderer": stage("render", [RIGHT, spec("rays", "rays", 2, 3), EMBEDDING], [spec("color", "rays", 3)]),
    },
    assets={},
)
PIPELINE.require_sound()


class Recorder:
    """Programs of simple arithmetic, row by row; `calls`: which stages ran with which inputs."""

    pipeline = PIPELINE

    def __init__(self):
        self.calls = []

    @property
    def ran(self):
        return [name for name, _ in self.calls]

    def read(self, requests):
        return {"tokens": np.array([[len(request["prompt"]), 1] for request in requests], np.float32)}

    def run_program(self, stage, arrays):
        self.calls.append((stage, dict(arrays)))
        return {
            "text": lambda tokens: {"embedding": tokens + 1},
            "split": lambda latents: {"left": latents[:, :2], "right": latents[:, 2:]},
            "field": lambda points, left: {"distance": points[..., :1] * left[:, None, :1]},
            "renderer": lambda rays, right, embedding: {
                "color": rays[:, :, 0] + right[:, None, :1] * embedding[:, None, :1],
                "depth": rays[:, :, 1, :1],
            },
        }[stage](**arrays)

    def sample(self, stage, arrays, noise, on_step=None, draws=None):
        self.calls.append((stage, dict(arrays)))
        if on_step:
            on_step(0, noise, noise)
        return noise + sum(array.sum(axis=1, keepdims=True) for array in arrays.values())


@pytest.fixture
def programs():
    return Recorder()


@pytest.fixture
def run(programs):
    return make(programs, requests_of(PIPELINE, ["a", "bb", "ccc"]), [7, 8, 9])


def test_each_tensor_is_made_once_and_only_when_it_is_wanted(run, programs):
    assert programs.ran == []
    assert run["embedding"].tolist() == [[2, 2], [3, 2], [4, 2]] and programs.ran == ["text"]
    right = run["right"]
    assert programs.ran == UPSTREAM
    assert run["right"] is right and run["left"].shape == (3, 2) and run["latents"].shape == (3, 4)
    assert run.taken_by("renderer").keys() == {"right", "embedding"} and programs.ran == UPSTREAM


def test_a_stage_is_given_what_it_takes_and_no_more(run, programs):
    run["right"]
    assert {name: set(arrays) for name, arrays in programs.calls} == {
        "text": {"tokens"},
        "base": {"embedding"},
        "fine": {"embedding", "coarse"},
        "split": {"latents"},
    }


def test_what_is_given_is_not_made(programs):
    run = Run(programs, {"latents": np.ones((1, 4), np.float32)})
    assert run["left"].tolist() == [[1, 1]] and programs.ran == ["split"]


def test_every_object_has_the_noise_of_its_own_seed(run, programs):
    assert np.array_equal(unit_noise([7, 8], (2, 3)), np.stack([noise(7, (2, 3)), noise(8, (2, 3))]))
    without = run["coarse"] - run["embedding"].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(without, [noise(seed, (3,)) for seed in (7, 8, 9)], atol=1e-5)
    alone = make(programs, [{"prompt": "bb"}], [8])
    assert np.array_equal(alone["latents"], run["latents"][1:2])


def test_every_sampler_has_a_stream_of_its_own(run):
    """The first of them the noise that a pipeline of one sampler has."""
    for stream, (stage, shape) in enumerate({"base": (3,), "fine": (4,)}.items()):
        for draw in (0, 5):
            expected = [noise(seed, shape, draw, stream) for seed in (7, 8, 9)]
            assert np.array_equal(run.draws(stage)(draw), expected)
    assert np.array_equal(run.draws("base")(0), unit_noise([7, 8, 9], (3,)))
    fine = run["latents"] - run["embedding"].sum(1, keepdims=True) - run["coarse"].sum(1, keepdims=True)
    np.testing.assert_allclose(fine, run.draws("fine")(0), atol=1e-5)


def test_steps_of_every_sampler_are_reported(programs):
    seen = []
    run = make(programs, [{"prompt": "a"}], [0], lambda i, sample, prediction: seen.append(sample.shape))
    run["latents"]
    assert seen == [(1, 3), (1, 4)]


def test_objects_keep_what_is_made_of_them_and_make_the_rest_alone(run, programs):
    run["coarse"]
    objects = list(run.objects())
    assert [one.count for one in objects] == [1, 1, 1] and run.count == 3
    for one in objects:
        one["embedding"], one["coarse"]
    assert programs.ran == ["text", "base"]
    assert np.array_equal(np.concatenate([one["latents"] for one in objects]), run["latents"])
    assert programs.ran == ["text", "base", "fine", "fine", "fine", "fine"]


def test_all_latents_are_sampled_together_and_nothing_else(run, programs):
    assert run.sample() is run and programs.ran == ["text", "base", "fine"]
    assert [len(one["latents"]) for one in run.objects()] == [1, 1, 1] and programs.ran == ["text", "base", "fine"]


def test_texts_are_encoded_together_and_the_rest_is_made_in_parts(run, programs):
    parts = list(run.encode_texts().parts(2))
    assert programs.ran == ["text"] and [part.count for part in parts] == [2, 1]
    for part in parts:
        part.sample()
    assert programs.ran == ["text", "base", "fine", "base", "fine"]
    assert np.array_equal(np.concatenate([part["latents"] for part in parts]), run["latents"])


def test_the_first_objects_are_those_of_the_run(run, programs):
    run["embedding"]
    first = run.first(2)
    assert first.count == 2 and np.array_equal(first["latents"], run["latents"][:2])
    assert programs.ran.count("text") == 1


def test_points_are_evaluated_in_pieces(programs):
    run = Run(programs, {"left": np.array([[2.0, 0.0]], np.float32)})
    points = np.random.default_rng(0).standard_normal((23, 3)).astype(np.float32)
    made = run.at("field", points, "distance", chunk=10)
    assert np.array_equal(made["distance"], 2 * points[:, :1]) and made.keys() == {"distance"}
    assert programs.ran == ["field"] * 3
    assert [arrays["points"].shape for _, arrays in programs.calls] == [(1, 10, 3), (1, 10, 3), (1, 3, 3)]


@pytest.mark.parametrize(("stage", "port"), [("field", np.zeros((4, 3))), ("renderer", np.zeros((4, 2, 3)))])
def test_of_several_objects_none_is_evaluated_and_it_is_said_how_to(run, programs, stage, port):
    """The first alone would be taken for all of them."""
    output = PIPELINE.stages[stage].outputs[0].name
    with pytest.raises(RecipeError, match=rf"run is of {run.count} objects, and one is wanted: .*`run\.objects\(\)`"):
        run.at(stage, port, output)
    assert run.count > 1 and not programs.calls
    assert [len(one.at(stage, port, output)[output]) for one in run.objects()] == [4] * run.count


def test_rays_are_evaluated_once_for_all_outputs_and_what_is_taken_is_made_once(run, programs):
    one = next(run.objects())
    rays = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    both = one.at("renderer", rays, "color", "depth", chunk=4)
    assert both["color"].shape == (5, 3) and np.array_equal(both["depth"], rays[:, 1, :1])
    assert programs.ran == [*UPSTREAM, "renderer", "renderer"]
    assert one.at("renderer", rays, "depth").keys() == {"depth"}
    assert programs.ran == [*UPSTREAM, "renderer", "renderer", "renderer"]


@pytest.mark.parametrize(("stage", "most"), [("field", POINTS_AT_ONCE), ("renderer", RAYS_AT_ONCE)])
def test_without_a_size_pieces_are_of_the_usual_one(programs, stage, most):
    given = {"left": np.ones((1, 2)), "right": np.ones((1, 2)), "embedding": np.ones((1, 2))}
    run, port = Run(programs, given), PIPELINE.stages[stage].evaluated_at
    run.at(stage, np.zeros((most + 1, *port.shape[2:])), PIPELINE.stages[stage].outputs[0].name)
    assert [arrays[port.name].shape[1] for _, arrays in programs.calls] == [most, 1]


def test_a_tensor_that_nobody_makes_is_named_with_the_nearest(run):
    with pytest.raises(RecipeError, match=r"no stage makes 'latent';.*did you mean 'latents'"):
        run["latent"]
    with pytest.raises(RecipeError, match="no stage makes 'distance'"):
        run["distance"]


@pytest.mark.parametrize(("request_", "told"), [({"promt": "a chair"}, "promt"), ({}, "nothing")])
def test_a_request_without_one_of_the_inputs_names_it(programs, request_, told):
    with pytest.raises(RecipeError, match=f"input 'prompt' is not given, {told} is"):
        make(programs, [{"prompt": "a table"}, request_], [0, 1])


def test_a_text_goes_to_every_input_that_is_one():
    second = TextInput(tensor="negative_tokens", file="tokenizer.json", length=2, pad_id=0)
    pipeline = PIPELINE.model_copy(update={"inputs": PIPELINE.inputs | {"style": second}})
    assert requests_of(pipeline, ["a chair"]) == [{"prompt": "a chair", "style": "a chair"}]
