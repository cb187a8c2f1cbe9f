from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporter.errors import ValidationFailed
from exporter.quantize import segments
from exporter.quantize.collect import collect
from exporter.quantize.statistics import BINS, load, save
from exporter.trace.onnx import trace
from tests.exporter.tiny import pure_module, tiny_recipe

PROMPTS = ["a red chair", "a blue mug", "a tall table"]
LATENTS = (64, 20)


def write_shard(path, prompts, **arrays):
    np.savez(path, allow_pickle=False, prompts=np.array(prompts), **arrays)
    return path


@pytest.fixture(scope="module")
def denoiser(tiny, tmp_path_factory):
    """A step program of the tiny model, recorded inputs for it, and its layers' inputs as ONNX Runtime gives them."""
    folder = tmp_path_factory.mktemp("step")
    program = trace(pure_module(tiny, "denoiser", tiny_recipe(steps=3)), 23, folder)
    rng = np.random.default_rng(0)
    shards = []
    for step, count in enumerate((3, 3, 2)):
        size = (count, *LATENTS)
        arrays = {name: rng.standard_normal(size) for name in ("sample", "previous_sample", "previous_prediction")}
        arrays["embedding"] = rng.standard_normal((count, 24))
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        shards.append(write_shard(folder / f"{step}.npz", PROMPTS[:count], step=np.array(step), **arrays))
    model = onnx.load(program)
    weights = {tensor.name for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights]
    tensors = list(dict.fromkeys(node.input[0] for node in layers))
    return SimpleNamespace(program=program, shards=shards, tensors=tensors, raw=raw_values(model, tensors, shards))


def raw_values(model, tensors, shards):
    """Every value of these tensors: a list of arrays, one a shard."""
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    session = ort.InferenceSession(model.SerializeToString())
    taken = [value.name for value in session.get_inputs()]
    runs = []
    for shard in shards:
        with np.load(shard) as file:
            runs.append(session.run(tensors, {name: file[name] for name in taken}))
    return dict(zip(tensors, zip(*runs, strict=True), strict=True))


def write_program(folder, nodes, **weights):
    """A program from x [B, 4, 8] to y."""
    graph = helper.make_graph(
        nodes,
        "program",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 8])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(weight, name) for name, weight in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (folder / "program.onnx").write_bytes(model.SerializeToString())
    return folder / "program.onnx"


def rows_of(arrays):
    return np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays]).astype(np.float64)


def assert_same(found, expected, rtol=0.0):
    """With a tolerance for ONNX Runtime, which fuses another part of a program in another way."""
    assert list(found) == list(expected)
    for name, statistics in found.items():
        other = expected[name]
        assert (statistics.edge, statistics.rows) == (other.edge, other.rows)
        counts = np.cumsum(statistics.histogram - other.histogram)
        assert np.abs(counts).max() <= 100 * rtol * other.histogram.sum()
        for field in ("maximum", "channel_maximum", "gram", "guided_gram"):
            one, two = getattr(statistics, field), getattr(other, field)
            assert (one is None) == (two is None)
            assert one is None or np.abs(one - two).max() <= rtol * np.abs(two).max(), field


def test_statistics_are_those_of_the_raw_values(denoiser):
    some = denoiser.tensors[::3]
    found = collect(denoiser.program, denoiser.tensors, denoiser.shards, grams=some, energies=some, guidance_scale=3.0)
    assert list(found) == denoiser.tensors, "in the order of the program"
    for name, statistics in found.items():
        rows = rows_of(denoiser.raw[name])
        magnitudes = np.abs(rows)
        assert statistics.rows == len(rows)
        np.testing.assert_allclose(statistics.channel_maximum, magnitudes.max(0), rtol=1e-5)
        assert statistics.maximum == statistics.channel_maximum.max() < statistics.edge <= 2 * statistics.maximum
        expected = np.histogram(magnitudes, BINS, (0, statistics.edge))[0]
        assert np.abs(np.cumsum(statistics.histogram) - np.cumsum(expected)).max() <= 1e-3 * rows.size
        sums = (statistics.gram, statistics.guided_gram, statistics.energy, statistics.guided_energy)
        assert [one is not None for one in sums] == [name in some] * 4
        if name in some:
            np.testing.assert_allclose(statistics.gram, rows.T @ rows, rtol=1e-3, atol=1e-3 * np.abs(rows).max() ** 2)
            halves = [np.split(array.astype(np.float64), 2) for array in denoiser.raw[name]]
            guided = rows_of([u + 3.0 * (c - u) for u, c in halves])
            close = {"rtol": 1e-3, "atol": 1e-3 * np.abs(guided).max() ** 2}
            np.testing.assert_allclose(statistics.guided_gram, guided.T @ guided, **close)
            np.testing.assert_allclose(statistics.energy, np.square(rows).sum(0), rtol=1e-3)
            np.testing.assert_allclose(statistics.guided_energy, np.square(guided).sum(0), rtol=1e-3)


def test_inputs_of_both_ranks_are_seen(denoiser):
    ranks = {array.ndim for arrays in denoiser.raw.values() for array in arrays}
    assert ranks == {2, 3}


def test_a_bound_on_the_outputs_changes_the_segments_and_not_the_result(denoiser, monkeypatch):
    runs = []
    whole = collect(denoiser.program, denoiser.tensors, denoiser.shards, on_run=lambda *told: runs.append(told))
    assert runs == [(1, 3), (2, 3), (3, 3)]
    largest = 4 * max(arrays[0].size for arrays in denoiser.raw.values())
    monkeypatch.setattr(segments, "OUTPUT_BYTES", 2 * largest)
    parted = collect(denoiser.program, denoiser.tensors, denoiser.shards)
    assert_same(parted, whole, rtol=1e-5)


def test_only_what_leads_to_the_tensors_is_run(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Reshape", ["a", "seven"], ["y"])]
    program = write_program(tmp_path, nodes, seven=np.array([7]))
    shard = write_shard(tmp_path / "0.npz", PROMPTS, x=np.ones((3, 4, 8), np.float32))
    assert collect(program, ["a"], [shard])["a"].maximum == 1.0, "x cannot be reshaped to 7"


def test_external_weights_are_read_where_they_are(denoiser, tmp_path):
    model = onnx.load(denoiser.program)
    onnx.save(model, tmp_path / "program.onnx", save_as_external_data=True, location="weights", size_threshold=256)
    before = sorted(tmp_path.iterdir())
    found = collect(tmp_path / "program.onnx", denoiser.tensors[:5], denoiser.shards, grams=denoiser.tensors[:2])
    assert sorted(tmp_path.iterdir()) == before, "nothing is written"
    assert_same(found, collect(denoiser.program, denoiser.tensors[:5], denoiser.shards, grams=denoiser.tensors[:2]))


def test_no_guided_gram_without_guidance_or_without_two_branches(denoiser, tmp_path):
    name = denoiser.tensors[0]
    assert collect(denoiser.program, [name], denoiser.shards, grams=[name])[name].guided_gram is None
    with np.load(denoiser.shards[0]) as file:
        arrays = dict(file) | {"prompts": np.array(["one", "two"])}
    np.savez(tmp_path / "0.npz", **arrays)
    found = collect(denoiser.program, [name], [tmp_path / "0.npz"], grams=[name], guidance_scale=3.0)
    assert found[name].gram is not None and found[name].guided_gram is None


def test_channels_of_a_batched_product_are_those_of_its_sum(tiny, tmp_path):
    """The projector's rows are vectors x batch, and its input may be the program's own."""
    program = trace(pure_module(tiny, "projector"), 23, tmp_path)
    latents = np.random.default_rng(0).uniform(-1, 1, (3, *LATENTS)).astype(np.float32)
    shard = write_shard(tmp_path / "0.npz", PROMPTS, latents=latents)
    tensor = next(node.input[0] for node in onnx.load(program).graph.node if node.op_type == "MatMul")
    found = collect(program, ["latents", tensor], [shard], grams=[tensor])
    vectors = found[tensor].rows // len(PROMPTS)
    rows = latents[:, :vectors].reshape(-1, latents.shape[-1])
    np.testing.assert_array_equal(found[tensor].channel_maximum, np.abs(rows).max(0))
    np.testing.assert_allclose(found[tensor].gram, rows.T @ rows, rtol=1e-4, atol=1e-4)
    assert found["latents"].rows == latents[..., 0].size
    assert found["latents"].maximum == np.abs(latents).max()


def test_guided_gram_foretells_the_error_of_the_guided_output(tmp_path):
    """What it is for: |guidance of x·dW|² summed over rows is the trace of dWᵀ·G·dW."""
    rng = np.random.default_rng(1)
    weight, change = rng.standard_normal((2, 8, 5)).astype(np.float32)
    values = rng.standard_normal((6, 4, 8)).astype(np.float32)
    program = write_program(tmp_path, [helper.make_node("MatMul", ["x", "w"], ["y"])], w=weight)
    shard = write_shard(tmp_path / "0.npz", PROMPTS, x=values)
    found = collect(program, ["x"], [shard], grams=["x"], guidance_scale=15.0)["x"]

    def guided(w):
        unconditional, conditional = np.split(values.astype(np.float64) @ w, 2)
        return unconditional + 15.0 * (conditional - unconditional)

    error = ((guided(weight.astype(np.float64) + change) - guided(weight.astype(np.float64))) ** 2).sum()
    assert np.trace(change.T @ found.guided_gram @ change) == pytest.approx(error, rel=1e-4)
    assert np.trace(change.T @ found.gram @ change) < error / 10, "each half alone knows nothing of it"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_told_with_tensor_and_prompt(denoiser, tmp_path, bad):
    with np.load(denoiser.shards[0]) as file:
        arrays = dict(file)
    arrays["embedding"][2, 5] = bad
    np.savez(tmp_path / "denoiser_0007.npz", **arrays)
    with pytest.raises(ValidationFailed) as raised:
        collect(denoiser.program, denoiser.tensors, [denoiser.shards[0], tmp_path / "denoiser_0007.npz"])
    told = str(raised.value)
    assert "'a tall table'" in told and "denoiser_0007.npz" in told
    assert f"'{denoiser.tensors[0]}'" in told or f"'{denoiser.tensors[1]}'" in told
    assert "a red chair" not in told


def test_a_prompt_is_found_where_the_batch_comes_second(tiny, tmp_path):
    program = trace(pure_module(tiny, "projector"), 23, tmp_path)
    latents = np.zeros((3, *LATENTS), np.float32)
    latents[2, 0, 3] = np.nan
    shard = write_shard(tmp_path / "0.npz", PROMPTS, latents=latents)
    tensor = next(node.input[0] for node in onnx.load(program).graph.node if node.op_type == "MatMul")
    with pytest.raises(ValidationFailed, match="prompt 'a tall table'"):
        collect(program, [tensor], [shard])


def test_a_wrong_name_is_told(denoiser):
    with pytest.raises(ValueError, match="no tensor nothing"):
        collect(denoiser.program, ["nothing"], denoiser.shards)


def test_saved_statistics_are_read_again(denoiser, tmp_path):
    found = collect(denoiser.program, denoiser.tensors, denoiser.shards, grams=denoiser.tensors[:2], guidance_scale=3.0)
    save(found, tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == len(found)
    assert_same(load(tmp_path), found)
    assert {type(value) for s in load(tmp_path).values() for value in (s.maximum, s.edge)} == {float}
