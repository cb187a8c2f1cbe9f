"""What a pipeline says of itself, and how one that does not hang together is told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from exporter.errors import RecipeError
from exporter.pipeline.assets import ImageAsset, MeshAsset, PixelTensor
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.sampling import STATE, Sampling
from exporter.pipeline.tensor import TensorSpec


def spec(name, *shape):
    return TensorSpec(name, "float32", ("batch", *shape))


def stage(kind, inputs, outputs, **more):
    return PipelineStage(kind=kind, inputs=inputs, outputs=outputs, **more)


def sampling_of(latents, unroll):
    return Sampling(
        scheduler="euler",
        steps=2,
        evaluations=2,
        guidance_scale=1.0,
        clamp="diffusers",
        unroll=unroll,
        init_noise_sigma=1.0,
        latents=latents,
        table="samplers/base.json",
    )


PROMPT = TextInput(tensor="tokens", file="tokenizer.json", length=5, pad_id=0)
TOKENS, EMBEDDING, COARSE, FINE = spec("tokens", 5), spec("embedding", 8), spec("coarse", 16), spec("fine", 4, 4, 4)
PLANES, TINT = spec("planes", 3, 6, 6), spec("tint", 3)
POINTS, RAYS = spec("points", "points", 3), spec("rays", "rays", 2, 3)
VALUES = [spec("distance", "points", 1), spec("density", "points", 1), spec("color", "points", 3)]
VOLUME = Volume(distance="distance", density="density", color="color")
STAGES = {
    "text": stage("encode", [TOKENS], [EMBEDDING]),
    "base": stage("sample", [EMBEDDING], [COARSE]),
    "upsampler": stage("sample", [EMBEDDING, COARSE], [FINE]),
    "backbone": stage("map", [FINE], [PLANES]),
    "tinter": stage("map", [EMBEDDING], [TINT]),
    "field": stage("field", [POINTS, PLANES], VALUES, volume=VOLUME),
    "renderer": stage("render", [PLANES, RAYS, TINT], [spec("color", "rays", 3)]),
}
MESH, IMAGE = MeshAsset(stage="field", grid=16, extraction="exact"), ImageAsset(stage="renderer", size=8)


def pipeline(stages=None, inputs=None, assets=None, **changed):
    """The pipeline above, with other stages or some of them changed or added."""
    return Pipeline(
        inputs={"prompt": PROMPT} if inputs is None else inputs,
        stages=(STAGES if stages is None else stages) | changed,
        assets={"mesh": MESH, "image": IMAGE} if assets is None else assets,
    )


def names(specs):
    return [one.name for one in specs]


def test_a_whole_pipeline_is_sound():
    pipeline().require_sound()
    pipeline(stages={}, inputs={}, assets={}).require_sound()


@pytest.mark.parametrize(
    ("name", "takes", "makes"),
    [
        ("text", ["tokens"], ["embedding"]),
        ("upsampler", ["embedding", "coarse"], ["fine"]),
        ("backbone", ["fine"], ["planes"]),
        ("field", ["planes"], []),
        ("renderer", ["planes", "tint"], []),
    ],
)
def test_what_every_kind_takes_and_makes(name, takes, makes):
    one = pipeline().stages[name]
    assert (names(one.takes), names(one.makes)) == (takes, makes)


def test_a_field_is_evaluated_at_points_and_a_renderer_along_rays():
    stages = pipeline().stages
    assert stages["field"].evaluated_at == POINTS and stages["renderer"].evaluated_at == RAYS


@pytest.mark.parametrize("unroll", ["step", "loop", "full"])
def test_a_samplers_program_takes_its_conditions_and_makes_its_latents(unroll):
    """However it is unrolled: what the host carries from step to step concerns no other stage."""
    state, ends = (STATE, ["next_sample", "prediction"]) if unroll == "step" else (STATE[:1], ["coarse"])
    inputs = [*(spec(name, 16) for name in state), EMBEDDING]
    program = stage("sample", inputs, [spec(n, 16) for n in ends], sampling=sampling_of(COARSE, unroll))
    assert (names(program.takes), names(program.makes)) == (["embedding"], ["coarse"])
    assert program.is_whole_sampler == (unroll != "step")
    built = pipeline(base=program)
    built.require_sound()
    assert built.samplings == {"base": program.sampling} and built.maker("coarse") == "base"


def test_a_stage_of_another_kind_may_take_a_tensor_that_a_sampler_calls_its_own():
    inputs = {"prompt": PROMPT.model_copy(update={"tensor": "sample"})}
    one = stage("encode", [spec("sample", 5)], [EMBEDDING])
    assert names(one.takes) == ["sample"]
    pipeline(inputs=inputs, text=one).require_sound()


def test_before_a_stage_are_those_it_depends_on_in_order():
    whole = pipeline()
    assert whole.before("text") == []
    assert whole.before("upsampler") == ["text", "base"]
    assert whole.before("tinter") == ["text"]
    assert whole.before("field") == ["text", "base", "upsampler", "backbone"]
    assert whole.before("renderer") == ["text", "base", "upsampler", "backbone", "tinter"]


def test_decoders_are_what_comes_after_all_latents():
    whole = pipeline()
    assert whole.decoders("field") == ["backbone", "field"]
    assert whole.decoders("renderer") == ["backbone", "tinter", "renderer"]


def test_stages_tensors_inputs_and_assets_are_found():
    whole = pipeline()
    assert whole.of_kind("sample") == ["base", "upsampler"]
    assert whole.of_kind("render", "encode") == ["text", "renderer"]
    assert whole.latents == ["coarse", "fine"]
    assert whole.made == ["embedding", "coarse", "fine", "planes", "tint"]
    assert [whole.maker(tensor) for tensor in whole.made] == ["text", "base", "upsampler", "backbone", "tinter"]
    assert whole.texts == {"prompt": PROMPT} and whole.samplings == {}
    assert whole.asset(MeshAsset) == MESH and whole.asset(ImageAsset) == IMAGE
    assert pipeline(assets={"mesh": MESH}).asset(ImageAsset) is None


@pytest.mark.parametrize("tensor", ["fin", "tokens", "distance", "rays"])
def test_a_tensor_that_no_stage_makes_has_no_maker(tensor):
    with pytest.raises(RecipeError, match=f"no stage makes '{tensor}'; allowed: coarse, embedding, fine, planes, tint"):
        pipeline().maker(tensor)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"backbone": stage("map", [spec("fein", 4)], [PLANES])},
            r"stage 'backbone' takes 'fein'; allowed: .*tokens; did you mean 'fine'",
        ),
        ({"base": stage("sample", [FINE], [COARSE])}, r"stage 'base' takes 'fine'; allowed: embedding, tokens"),
        ({"renderer": stage("render", [RAYS, spec("tints", 3)], VALUES)}, r"'renderer' takes 'tints'.*mean 'tint'"),
        ({"field": stage("field", [POINTS, spec("plane", 3)], VALUES)}, r"'field' takes 'plane'.*mean 'planes'"),
        ({"again": stage("map", [FINE], [TINT])}, r"stage 'again' makes 'tint', which 'tinter' makes already"),
        ({"again": stage("sample", [TINT], [FINE])}, r"stage 'again' makes 'fine', which 'upsampler' makes already"),
        ({"text": stage("encode", [TOKENS], [TOKENS])}, r"stage 'text' makes 'tokens', which 'prompt' makes already"),
        ({"tinter": stage("map", [EMBEDDING], [TINT, TINT])}, r"'tinter' makes 'tint', which 'tinter' makes already"),
    ],
)
def test_a_wrong_wire_is_told_by_name(changed, told):
    with pytest.raises(RecipeError, match=told):
        pipeline(**changed).require_sound()


def test_two_inputs_of_one_tensor_are_told_by_name():
    with pytest.raises(RecipeError, match="input 'style' makes 'tokens', which 'prompt' makes already"):
        pipeline(inputs={"prompt": PROMPT, "style": PROMPT}).require_sound()


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize("word", ["voxels", "Batch", "point"])
def test_an_unknown_word_in_a_shape_is_told_by_name(side, word):
    sides = {"inputs": [FINE], "outputs": [PLANES]}
    sides[side] = [spec(sides[side][0].name, word, 6)]
    told = f"stage 'backbone': '{sides[side][0].name}' has a size '{word}'; known are batch, points, rays"
    with pytest.raises(RecipeError, match=told):
        pipeline(backbone=PipelineStage(kind="map", **sides)).require_sound()


@pytest.mark.parametrize(
    ("kind", "port", "word"), [("field", "rays", "points"), ("render", "points", "rays"), ("field", "xyz", "points")]
)
def test_a_stage_that_is_evaluated_nowhere_is_told_by_name(kind, port, word):
    one = stage(kind, [spec(port, port if port != "xyz" else 64, 3), PLANES], VALUES)
    with pytest.raises(RecipeError, match=f"stage 'decoder' of kind {kind} has no input with a size '{word}'"):
        pipeline(decoder=one).require_sound()


@pytest.mark.parametrize(
    ("asset", "told"),
    [
        (MESH.model_copy(update={"stage": "renderer"}), "of a stage of kind field, and 'renderer' is none"),
        (IMAGE.model_copy(update={"stage": "field"}), "of a stage of kind render, and 'field' is none"),
        (IMAGE.model_copy(update={"stage": "nobody"}), "of a stage of kind render, and 'nobody' is none"),
    ],
)
def test_an_asset_of_a_stage_of_another_kind_is_told_by_name(asset, told):
    with pytest.raises(RecipeError, match=f"asset 'thing' is {told}"):
        pipeline(assets={"thing": asset}).require_sound()


@pytest.mark.parametrize("own", ["sample", "previous_prediction", "step", "next_sample", "prediction", "noise"])
def test_a_condition_or_latents_that_are_called_as_a_samplers_own_are_refused_by_name(own):
    """Taken for the sampler's own, a condition of that name would be left out without a word."""
    style = TextInput(tensor=own, file="style.json", length=5, pad_id=0)
    inputs = {"prompt": PROMPT, "style": style}
    takes = stage("sample", [EMBEDDING, spec(own, 5)], [COARSE])
    with pytest.raises(RecipeError, match=f"stage 'base' takes '{own}', and a sampler's program calls something of"):
        pipeline(inputs=inputs, base=takes).require_sound()
    makes = stage("sample", [EMBEDDING], [spec(own, 16)])
    with pytest.raises(RecipeError, match=f"stage 'last' makes '{own}', and a sampler's program calls something of"):
        pipeline(last=makes).require_sound()


def test_a_built_samplers_condition_is_refused_by_name_too():
    inputs = [*(spec(name, 16) for name in STATE), EMBEDDING, spec("prediction", 5)]
    built = stage("sample", inputs, [spec("next_sample", 16)], sampling=sampling_of(COARSE, "step"))
    style = TextInput(tensor="prediction", file="style.json", length=5, pad_id=0)
    with pytest.raises(RecipeError, match="stage 'base' takes 'prediction'"):
        pipeline(inputs={"prompt": PROMPT, "style": style}, base=built).require_sound()


def picture(name, channels, stage="painter"):
    return ImageAsset(stage=stage, pixels=PixelTensor(name=name, range=(-1, 1), channels=channels))


@pytest.mark.parametrize(("channels", "shape"), [("first", (3, 8, 6)), ("last", (8, 6, 3))])
def test_an_image_is_a_tensor_that_a_stage_makes(channels, shape):
    painted = pipeline(painter=stage("map", [FINE], [spec("paper", *shape)]), assets={"it": picture("paper", channels)})
    painted.require_sound()
    assert Pipeline.model_validate_json(painted.model_dump_json()) == painted
    assert painted.decoders("painter") == ["painter"]


@pytest.mark.parametrize(
    ("asset", "told"),
    [
        (picture("papers", "first"), "'it' is of 'papers', which 'painter' does not make; .*mean 'paper'"),
        (picture("paper", "first", "printer"), "asset 'it' is of stage 'printer'; allowed: .*did you mean 'painter'"),
        (picture("paper", "last"), r"with channels last a picture is float32 \[batch, height, width, 3\], and 'paper' "
                                   r"is float32 \[batch, 3, 8, 6\]"),
        (picture("color", "last", "renderer"), "'it' is of 'color', which 'renderer' does not make; allowed: coarse"),
    ],
)  # fmt: skip
def test_a_tensor_that_is_no_picture_is_told_by_name(asset, told):
    painter = stage("map", [FINE], [spec("paper", 3, 8, 6)])
    with pytest.raises(RecipeError, match=told):
        pipeline(painter=painter, assets={"it": asset}).require_sound()


def test_an_image_is_either_rendered_or_a_tensor():
    with pytest.raises(ValidationError, match="either the size of what a renderer draws, or the pixels"):
        ImageAsset(stage="renderer")
    with pytest.raises(ValidationError, match="either the size of what a renderer draws, or the pixels"):
        picture("paper", "first").model_validate(picture("paper", "first").model_dump() | {"size": 8})
    with pytest.raises(ValidationError, match="range: 1 is both black and white"):
        PixelTensor(name="paper", range=(1, 1), channels="first")
    assert "pixels" not in IMAGE.model_dump()


def test_a_mesh_needs_a_volume_and_a_volume_its_tensors():
    bare = STAGES["field"].model_copy(update={"volume": None})
    with pytest.raises(RecipeError, match="asset 'mesh' is of stage 'field', which declares no volume"):
        pipeline(field=bare).require_sound()
    pipeline(field=bare, assets={"image": IMAGE}).require_sound()
    misspelt = VOLUME.model_copy(update={"density": "dense"})
    with pytest.raises(RecipeError, match=r"stage 'field': its volume names 'dense'.*did you mean 'density'"):
        pipeline(field=stage("field", [POINTS, PLANES], VALUES, volume=misspelt)).require_sound()


def test_kinds_and_fields_are_closed_sets():
    with pytest.raises(ValidationError, match="decode"):
        stage("decode", [FINE], [PLANES])
    with pytest.raises(ValidationError, match="extra"):
        stage("map", [FINE], [PLANES], hook="x")


def test_a_pipeline_goes_through_json():
    whole = pipeline(base=stage("sample", [EMBEDDING], [COARSE], sampling=sampling_of(COARSE, "loop")))
    assert Pipeline.model_validate_json(whole.model_dump_json()) == whole
