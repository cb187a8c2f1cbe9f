"""The table as people read it."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from tests.validate.table import results
from tests.validate.table.results import FIDELITY
from validate.table.show_table import HEADERS, RANDOM, SYNTHETIC, console_table, markdown


def printed(table):
    console = Console(file=io.StringIO(), width=120)
    console.print(console_table(table))
    return console.file.getvalue()


def test_markdown_has_a_line_a_row_and_as_many_cells_as_headers():
    lines = markdown(results.table()).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 5
    assert {line.replace("\\|", "").count("|") for line in rows} == {len(HEADERS) + 1}


def test_markdown_shows_each_figure_with_its_uncertainty():
    row = next(line for line in markdown(results.table()).splitlines() if "naive" in line)
    assert row == (
        "| INT8 \\| naive | 71.9 p 0.0012 (66.7–76.5) | 50.0 p 0.5 (44.5–55.5) | 11.5 worst 7.2 | 0.33 | inf "
        "| 2.60 26% | x2.35 (2.20–2.40) | x2.35 (2.20–2.40) | 123 |"
    )


def test_a_student_has_no_figure_for_each_evaluation():
    student = replace(results.INT8, title="student", fidelity=replace(FIDELITY, snr_worst_db=None, snr_mean_db=None))
    row = next(line for line in markdown(results.table(rows=[student])).splitlines() if "student" in line)
    assert "| – | 0.33 | inf |" in row


def test_what_was_measured_on_and_why_not_stands_below():
    told = markdown(results.table())
    assert "- shap-e-mini on cpu; heun, 64 steps, guidance 3." in told
    assert "- R-Precision: 160 prompts x 2 seeds among 160 captions;" in told
    assert "- smallest: not measured: no such file: tiny.yaml" in told
    assert "- another: projector left in fp32 (IndexError)" in told
    assert SYNTHETIC not in told and RANDOM not in told


def test_synthetic_and_random_weights_are_called_so():
    assert SYNTHETIC in markdown(results.table(weights="stress:shap-e-mini:64", synthetic=True))
    bare = [results.BASELINE]
    few = {key: value for key, value in results.SETTINGS.items() if key not in ("prompts", "seeds", "views", "judge")}
    told = markdown(results.table(trained=False, rows=bare, settings=few))
    assert RANDOM in told and "R-Precision:" not in told


def test_the_terminal_gets_every_figure_whole():
    told = printed(results.table())
    for figure in ("93.1", "71.9 p 0.0012", "(66.7–76.5)", "worst 7.2", "26%", "x2.35", "(2.20–2.40)", "123", "–"):
        assert figure in told
    assert max(map(len, told.splitlines())) <= 120


def test_a_model_that_samples_nothing_has_other_words():
    few = {key: value for key, value in results.SETTINGS.items() if key not in ("scheduler", "steps", "guidance_scale")}
    told = markdown(results.table(settings=few | {"evaluations": 0}))
    assert "nothing is sampled" in told and "of what the field is made of" in told and "guidance" not in told
