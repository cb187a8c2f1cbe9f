"""`t3export tune`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.errors import ValidationFailed
from exporter.files.cache import Cache
from exporter.machine.meter import peak_so_far
from exporter.machine.processor import usable_processors
from exporter.recipe.recipe_file import write_extension
from exporter.targets.target import load_target, require_measurable
from t3export.commands.sensitivity import names_in
from t3export.options import checked_recipe, recipe_options
from t3export.output import print_json, print_note, results
from t3export.prompts import judged_choice
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines
from t3export.tunings import print_attempt, print_sampler, print_tuning

MAX_DROP = 5.0

if TYPE_CHECKING:
    from exporter.recipe.recipe import Recipe
    from exporter.search.search import Objective
    from validate.tune.tune import Searched, Tuning


@click.command()
@recipe_options
@click.option("--target", "target_name", default="cpu", show_default=True, help="A target's name, or your own file.")
@click.option(
    "--objective", type=click.Choice(["latency", "size"]), default="latency", show_default=True, help="What to save."
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="By how much R-Precision may fall below the reference's, to the end of its 95 % interval.  [default: 5]",
)
@click.option(
    "--unproven",
    is_flag=True,
    help="Take what keeps --max-drop by the estimate alone, although its interval reaches beyond.",
)
@click.option(
    "--min-snr",
    type=float,
    metavar="DB",
    help="Least SNR of a sampler's guided prediction and of the outputs of stages after it, instead of --max-drop.",
)
@click.option(
    "--candidates",
    metavar="A,B",
    default="",
    help="Precisions to choose from, such as int8,int4_weights:64:gptq,palette:4.  [default: all of the target that "
    "the recipe has tolerances for]",
)
@click.option(
    "--search",
    "searched",
    type=click.Choice(["both", "sampler", "policy"]),
    help="What is searched.  [default: both for latency by --max-drop, else the policy]",
)
@click.option(
    "--stage", metavar="NAME", help="Whose sampler is searched for, where several stages sample: Point-E's base."
)
@click.option("--prompts", metavar="N|FILE", help="How many shipped prompts, or a .txt or .json file of your own.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Objects of each prompt, instead of the recipe's.")
@click.option("--evaluator", type=click.Path(path_type=Path), help="A CLIP folder in the hub's layout that judges.")
@click.option("--workers", type=click.IntRange(0, 64), help="Processes that rasterise meshes.  [default: 1 of 2 cores]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("policy.yaml"),
    show_default=True,
    help="The policy. A sampler that was found is in a recipe beside it, <name>_recipe.yaml, which has the policy too; "
    "where there is no policy, in this file.",
)
@click.option("--no-cache", is_flag=True, help="Measure everything again and keep nothing for later.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON document on stdout.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    weights: str | None,
    target_name: str,
    objective: Objective,
    max_drop: float | None,
    unproven: bool,
    min_snr: float | None,
    candidates: str,
    searched: Searched | None,
    stage: str | None,
    prompts: str | None,
    seeds: int | None,
    evaluator: Path | None,
    workers: int | None,
    output: Path,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Find what saves most in a RECIPE and is still good enough. Exit code 5 when nothing is.

    The sampler: fewer evaluations by another solver, fewer steps, or guidance at some noise levels only. Samplers are
    screened by how near their latents come to those of the recipe's own; of the nearest for their cost the fastest is
    found whose objects, made by a bundle with the recipe's own rules, are good enough.

    The policy: searched in what `t3export sensitivity` measures. It is then tried as a whole: its bundle is built, and
    its objects are compared with the reference's on the same prompts and seeds. Where it falls short the search is
    repeated 3 dB tighter, six times at most. The recipe's own rules are left alone: name the policy in it as
    quantization.policy.

    Few objects prove little: what is taken keeps --max-drop to the end of the 95 % interval of the loss, for which
    5 points take 73 objects of which none differs, and 2 points 189; more where some differ.

    Whatever was saved, objects are compared with those of the recipe's own sampler in PyTorch. A sampler is written,
    with the policy, as a recipe that extends RECIPE: of `-o out/fast.yaml` that is out/fast_recipe.yaml beside the
    policy, or out/fast.yaml itself where there is no policy.

    \b
    Examples:
      t3export tune recipes/shape_e_int8.yaml --objective latency --max-drop 3 --prompts 300
      t3export tune recipes/shape_e_int8.yaml --search sampler -o out/fast.yaml
      t3export tune recipes/point_e_int8.yaml --search sampler --stage base --set samplers.base.churn=null
      t3export tune recipes/shape_e_int8.yaml --search policy -o recipes/policies/shape_e_int8.yaml
      t3export tune recipes/shape_e_int8.yaml --objective size --max-drop 2 --prompts 300 --seeds 2
      t3export tune recipes/shape_e_int8.yaml --max-drop 1 --prompts 40 --unproven      (a first look)
      t3export tune recipes/shape_e_int8.yaml --weights random:shap-e-mini --min-snr 25 --json
    """
    if max_drop is not None and min_snr is not None:
        raise click.UsageError("--max-drop and --min-snr exclude each other")
    if unproven and min_snr is not None:
        raise click.UsageError("--unproven is about --max-drop; --min-snr is measured, and has no interval")
    if searched is None:
        searched = "both" if objective == "latency" and min_snr is None else "policy"
    if searched != "policy" and (objective != "latency" or min_snr is not None):
        raise click.UsageError("a sampler saves time and is judged by its objects: --objective latency and --max-drop")
    if stage and searched == "policy":
        raise click.UsageError("--stage says whose sampler is searched for, and --search policy searches for none")
    if output.resolve() == recipe.resolve():
        raise click.UsageError(f"--output {output} is the recipe itself; choose another name for what is found")
    checked, target = checked_recipe(recipe, overrides, weights), load_target(target_name)
    require_measurable(target)
    # Tuning imports torch: only now, when the input is known to be good.
    quiet_libraries()
    from validate.prove import Options
    from validate.tune.tune import Goal, tune

    goal = Goal(objective, MAX_DROP if max_drop is None and min_snr is None else max_drop, min_snr, unproven)
    options = Options(
        prompts=judged_choice(prompts),
        seeds=seeds,
        evaluator=evaluator,
        workers=usable_processors() // 2 if workers is None else workers,
        cache=not no_cache,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with StepLines() as progress, Cache.none(output.parent) if no_cache else nullcontext(Cache()) as cache:
        tuning = tune(
            checked,
            target,
            goal,
            names_in(candidates),
            options,
            cache,
            progress,
            print_attempt,
            print_sampler,
            searched,
            stage,
        )
    written = _write(tuning, checked, recipe, output, stage)
    if as_json:
        print_json(tuning.to_dict() | {"peak_bytes": peak_so_far()})
    else:
        print_tuning(tuning)
        results().print(f"peak memory {peak_so_far() / 1e9:.2f} GB")
    if as_json and not tuning.passed:
        raise click.exceptions.Exit(ValidationFailed.exit_code)
    tuning.require_passed()
    for what, path in written.items():
        print_note(f"{what}: {path}")


def _write(tuning: Tuning, recipe: Recipe, path: Path, output: Path, stage: str | None) -> dict[str, Path]:
    """The policy into `output` and the recipe that has the sampler beside it, or there too without a policy.

    Gives what was written where.
    """
    written: dict[str, Path] = {}
    quantization = {}
    if tuning.policy:
        output.write_text(tuning.policy.to_yaml(), encoding="utf-8")
        written["the policy"] = output
        quantization = {"quantization": {"policy": output.name, "rules": []}}
    if tuning.sampler:
        from validate.tune.tune import with_sampler

        found = with_sampler(recipe, tuning.sampler, stage).data()
        has = "the recipe with the sampler and the policy" if written else "the recipe with the sampler"
        written[has] = output.with_stem(f"{output.stem}_recipe") if written else output
        field = "samplers" if stage or recipe.samplers else "sampler"
        changes = {
            "name": f"{recipe.name}_tuned",
            field: found[field],
            **quantization,
            "validation": {field: found["validation"][field]},
        }
        write_extension(written[has], path, changes)
    return written
