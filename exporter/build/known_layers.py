"""Do rules match layers that a model has? Seen in its modules' names, before anything is recorded or traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.recipe.policy import Policy, no_match

if TYPE_CHECKING:
    import torch

    from exporter.families.family import Model
    from exporter.recipe.recipe import Recipe


def require_known_layers(policy: Policy, model: Model, recipe: Recipe) -> None:
    """Raises RuleError for a rule that no module's name fits: layers are named as their modules.

    Whether a module that fits has such a layer, what tables there are, and which call of a module a second '/' means,
    is known when the stages are traced.
    """
    of_modules = [rule for rule in policy.rules if rule.operator != "table" and rule.layers.count("/") < 2]
    if not of_modules:
        return
    known = [
        name
        for stage, make in model.unfilled().modules(recipe).items()
        if any(rule.may_speak_of(stage) for rule in of_modules)
        for name in _names(stage, make())
    ]
    for number, rule in enumerate(policy.rules, start=1):
        if rule in of_modules and not any(rule.speaks_of(name, rule.operator) for name in known):
            raise no_match(number, rule, [(name, rule.operator) for name in known])


def _names(stage: str, module: torch.nn.Module) -> list[str]:
    """What layers of a stage may be called: the stage, for what it computes in no module of its own, or a module."""
    modules = (name for name, _ in module.named_modules(remove_duplicate=False) if name)
    return [stage, f"{stage}/{stage}", *(f"{stage}/{name}" for name in modules)]
