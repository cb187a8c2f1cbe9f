"""The quality of a validation for its page: the paired comparison, and the objects to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from validate.judge.statistics import smallest_loss_shown
from validate.ladder.words import between, loss_shown, show
from validate.objects.exhibits import Exhibit
from validate.page.models import shown

Row = Sequence[Any]


def quality_part(rung: dict[str, Any]) -> dict[str, Any] | None:
    """Sentences, the rows of the comparison, and the objects that the judge sees differently."""
    details = rung.get("details", {})
    if "comparisons" not in details:
        return None
    told = [
        f"{details['prompts']} prompts, seeds of each: {details['seeds']}, told apart from {details['captions']} "
        f"captions by {details['evaluator']['name']}; {details['views']['text']}. Same prompts, same noise, same judge "
        "on both sides, compared pair by pair."
    ]
    if details["under_specified_prompts"]:
        told[0] += (
            f" Below R-Precision: {details['under_specified_prompts']} prompts that leave much open, "
            f"{details['under_specified_seeds']} seeds each."
        )
    if "may_hide_points" in details:
        told.append(
            f"{loss_told(details)} (McNemar's test, p < 0.05); a loss of up to {details['may_hide_points']:.1f} points "
            "may still hide (upper end of the 95 % interval of objects that only the reference gets right)."
        )
    differing = [row for row in details["objects"] if (row["reference"]["rank"] == 1) != (row["bundle"]["rank"] == 1)]
    return {
        "told": told,
        "rows": [_compared(one) for one in details["comparisons"]],
        "differing": [
            (row["prompt"], row["seed"], row["reference"]["rank"], row["bundle"]["rank"],
             row["bundle" if row["bundle"]["rank"] != 1 else "reference"]["top"])
            for row in differing
        ],
    }  # fmt: skip


def loss_told(details: dict[str, Any]) -> str:
    """The smallest loss that the objects of a quality rung can show; reports of former versions do not say it."""
    pairs = len(details["objects"])
    smallest = smallest_loss_shown(pairs)
    return loss_shown(pairs, None if smallest is None else 100 * smallest)


def _compared(one: dict[str, Any]) -> Row:
    sides = []
    for side in ("reference", "bundle"):
        text, interval = show(one[side], one["unit"]), one.get(f"{side}_interval")
        sides.append(f"{text} ({interval[0]:.1f} to {interval[1]:.1f})" if interval else text)
    difference = f"{one['bundle'] - one['reference']:+.3g} ({between(one['low'], one['high'])})"
    return one["measure"], *sides, difference.replace("-", "−"), f"{one['p']:.3g} ({one['test']})"


def exhibit_part(exhibit: Exhibit, quality: dict[str, Any]) -> dict[str, Any]:
    """One prompt with both sides and what the judge said of each."""
    rows = quality.get("details", {}).get("objects", [])
    row = next((row for row in rows if row["prompt"] == exhibit.prompt and row["seed"] == exhibit.seed), None)
    sides = []
    for side in shown(exhibit):
        rank = f"rank {row[side.label]['rank']}" if row else ""
        sides.append(vars(side) | {"told": rank})
    return {"prompt": exhibit.prompt, "sides": sides}
