"""Every kind of loss is found, and nothing is found where nothing changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validate.ci.baseline import BaselineTolerances
from validate.ci.measurement import MeasuredQuality, MeasuredSpeed, Measurement, RungFigures
from validate.ci.regressions import compare, ladder_alone

BEFORE = Measurement(
    bundle_digest="b",
    weights_digest="w",
    stored_bytes=1000,
    rungs={
        "stages": RungFigures(status="passed", summary="33.0 dB", value=33.0, limit=25.0),
        "latents": RungFigures(status="passed", summary="0.03", value=0.03, limit=0.2, sense="at most"),
        "quality": RungFigures(status="passed", summary="no drop", value=0.0, limit=2.0, sense="at most"),
    },
    quality=MeasuredQuality(made="same", hits="1" * 92 + "0" * 8),
    speed=MeasuredSpeed(ratio=3.0, low=2.9, high=3.1, processor="one"),
)


def regressed(**changes) -> list[str]:
    now = BEFORE.model_copy(update=changes)
    found = compare("r/t", now, BEFORE, BaselineTolerances())
    assert {finding.pair for finding in found} == {"r/t"}
    return [finding.check for finding in found if finding.status == "regressed"]


def rungs(name: str, **changes) -> dict[str, RungFigures]:
    return BEFORE.rungs | {name: BEFORE.rungs[name].model_copy(update=changes)}


def test_nothing_changed_nothing_found():
    assert regressed() == []


@pytest.mark.parametrize(
    ("name", "value", "worse"),
    [("stages", 32.3, False), ("stages", 32.1, True), ("latents", 0.045, False), ("latents", 0.05, True)],
)
def test_a_tenth_of_the_distance_to_the_limit_may_be_lost(name, value, worse):
    assert regressed(rungs=rungs(name, value=value)) == ([f"ladder: {name}"] if worse else [])


def test_a_rung_that_fails_or_is_no_longer_climbed_is_found():
    assert regressed(rungs=rungs("stages", status="failed")) == ["ladder: stages"]
    assert regressed(rungs=rungs("quality", status="refused")) == ["ladder: quality"]
    assert [f.status for f in ladder_alone("r/t", BEFORE, BaselineTolerances())] == ["held"] * 3


def test_a_drop_within_chance_is_the_quality_tests_to_judge():
    assert regressed(rungs=rungs("quality", value=0.5)) == []


def test_figures_of_different_measures_are_not_compared():
    assert regressed(rungs=rungs("stages", measure="iou", value=0.9, limit=0.8)) == []


@pytest.mark.parametrize(("size", "worse"), [(990, False), (1010, False), (1011, True)])
def test_size_may_grow_by_a_hundredth(size, worse):
    assert regressed(stored_bytes=size) == (["size"] if worse else [])


def test_three_points_of_quality_are_found_and_one_is_not():
    assert regressed(quality=MeasuredQuality(made="same", hits="1" * 91 + "0" * 9)) == []
    assert regressed(quality=MeasuredQuality(made="same", hits="1" * 89 + "0" * 11)) == ["quality"]


def test_a_fall_that_cannot_be_chance_is_found_whatever_its_size():
    before = BEFORE.model_copy(update={"quality": MeasuredQuality(made="same", hits="1" * 2000)})
    now = BEFORE.model_copy(update={"quality": MeasuredQuality(made="same", hits="1" * 1990 + "0" * 10)})
    found = {f.check: f.status for f in compare("r/t", now, before, BaselineTolerances())}
    assert found["quality"] == "regressed"


def test_objects_of_other_prompts_are_not_compared():
    now = BEFORE.model_copy(update={"quality": MeasuredQuality(made="other", hits="0" * 100)})
    found = {f.check: f.status for f in compare("r/t", now, BEFORE, BaselineTolerances())}
    assert found["quality"] == "not run"


@pytest.mark.parametrize(
    ("speed", "worse"),
    [
        (MeasuredSpeed(ratio=2.4, low=2.35, high=2.5, processor="one"), True),
        (MeasuredSpeed(ratio=2.4, low=2.0, high=2.7, processor="one"), False),
        (MeasuredSpeed(ratio=2.4, low=2.35, high=2.5, processor="another"), False),
    ],
)
def test_a_step_that_is_a_fifth_slower_is_found_on_the_same_processor(speed, worse):
    assert regressed(speed=speed) == (["speed"] if worse else [])


def test_without_quality_and_speed_they_are_not_checked():
    plain = BEFORE.model_copy(update={"quality": None, "speed": None})
    assert {f.check for f in compare("r/t", plain, plain, BaselineTolerances())} == {
        "ladder: stages", "ladder: latents", "ladder: quality", "size",
    }  # fmt: skip


@given(st.text("01", min_size=1, max_size=60), st.floats(1, 9), st.floats(0, 100))
def test_no_measurement_regresses_against_itself(hits, ratio, value):
    now = BEFORE.model_copy(
        update={
            "quality": MeasuredQuality(made="same", hits=hits),
            "speed": MeasuredSpeed(ratio=ratio, low=ratio, high=ratio, processor="one"),
            "rungs": rungs("stages", value=value, limit=0.0),
        }
    )
    assert all(f.status == "held" for f in compare("r/t", now, now, BaselineTolerances()))
