"""Is a program one that any runtime can read? Looked at after every step that writes one, so that the step is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx

from exporter.errors import ValidationFailed
from exporter.graphs.bodies import bodies

_SHOWN = 3


def require_sound(program: Path, step: str) -> None:
    """Raises ValidationFailed that names the `step` whose program breaks the ONNX standard, and where it does.

    What the standard asks of names and order is looked for first, in words of its own; then the standard's checker runs
    with shape inference. External weights are not read.
    """
    faults = list(_faults(onnx.load(program, load_external_data=False).graph, frozenset()))
    if not faults:
        try:
            onnx.checker.check_model(program, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            faults = [str(error).strip().splitlines()[0]]
    if faults:
        more = f" (and {len(faults) - _SHOWN} more)" if len(faults) > _SHOWN else ""
        raise ValidationFailed(
            f"step '{step}' made a program that breaks the ONNX standard: {'; '.join(faults[:_SHOWN])}{more}. "
            "That is a fault of t3export, not of the recipe: please report it with this line"
        )


def _faults(graph: onnx.GraphProto, outer: frozenset[str]) -> Iterator[str]:
    """Tensors with two makers, nodes that share a name, and nodes before what they read; bodies inside included."""
    given = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    # Until version 3 of the format a constant was listed as an input too.
    makers = Counter({*given, *(tensor.values.name for tensor in graph.sparse_initializer)})
    makers.update(name for node in graph.node for name in node.output if name)
    yield from (f"tensor '{name}' has {count} makers" for name, count in makers.items() if count > 1)
    yield from (f"tensor '{name}' hides one of the graph around it" for name in makers if name in outer)
    names = Counter(node.name for node in graph.node if node.name)
    yield from (f"{count} nodes are called '{name}'" for name, count in names.items() if count > 1)
    known = {*given, *outer}
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                when = "before it is made" if name in makers else "which nothing makes"
                yield f"node '{node.name}' reads tensor '{name}' {when}"
        for body in bodies(node):
            yield from _faults(body, frozenset(known))
        known.update(node.output)
    yield from (f"output '{value.name}' is made by nothing" for value in graph.output if value.name not in known)
