"""A description with the lines that it was written in, so that whatever is wrong is told of its field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from exporter.adopt.description import Description
from exporter.errors import RecipeError, T3Error, did_you_mean
from exporter.recipe.document import Document, read_yaml, validate

# How a pipeline begins what is wrong with it.
_SUBJECT = re.compile(r"^(stage|asset|input) '([^']+)'")


@dataclass(frozen=True)
class Described:
    """A description that was read from a file."""

    path: Path
    document: Document
    content: Description

    @classmethod
    def read(cls, path: Path) -> Described:
        """Raises RecipeError that names file, line and field of whatever is wrong in itself."""
        document = read_yaml(path)
        described = cls(path, document, validate(Description, document))
        described._require_whole()
        return described

    def wrong(self, problem: str, *field: str) -> RecipeError:
        """The error of a field: its line, its name and the problem."""
        return RecipeError(f"{self.document.place(field)}: {'.'.join(field)}: {problem}")

    def of_pipeline(self, error: T3Error) -> RecipeError:
        """An error of the pipeline or of its programs, with the line of the stage, asset or input that it names."""
        subject = _SUBJECT.match(str(error))
        place = self.document.place((f"{subject[1]}s", subject[2]) if subject else ())
        return RecipeError(f"{place}: {error}")

    def file(self, name: str, *field: str) -> Path:
        """The file that a field names. Raises RecipeError where there is none."""
        path = self.path.parent / name
        if not path.is_file():
            beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            raise self.wrong(f"{path} is no file; {did_you_mean(path.name, beside)}", *field)
        return path

    def _require_whole(self) -> None:
        """Raises RecipeError for a sampling or a volume that is missing or at another kind of stage, a sampler without
        a table, a precision without tolerances, and what only PyTorch's reference can do."""
        content = self.content
        for name, stage in content.stages.items():
            at = ("stages", name)
            for field, kind in (("sampling", "sample"), ("volume", "field")):
                given = getattr(stage, field) is not None
                if given and stage.kind != kind:
                    raise self.wrong(f"only a stage of kind {kind} has it, this is of kind {stage.kind}", *at, field)
            if stage.kind == "sample" and stage.sampling is None:
                raise self.wrong("a stage of kind sample needs a section `sampling`", *at)
            if stage.sampling and (stage.sampling.table is None) == (stage.sampling.scheduler_config is None):
                raise self.wrong("give either `table` or `scheduler_config`", *at, "sampling")
            if stage.precision not in content.validation.tolerances:
                section = f"validation.tolerances has no section '{stage.precision}', which it is judged with"
                raise self.wrong(section, *at, "precision")
        for field in ("sampler", "samplers"):
            if getattr(content.validation, field):
                problem = "the reference are programs, which sample as they were exported: leave it out"
                raise self.wrong(problem, "validation", field)
