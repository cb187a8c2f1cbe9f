"""What can go wrong in a validation besides a miss."""

from __future__ import annotations

from exporter.errors import T3Error, WeightsError


class EvaluatorError(WeightsError):
    """The judging CLIP is missing, incomplete or of another kind."""


class PromptsError(T3Error):
    """A prompt file cannot be read or an entry is malformed."""

    exit_code = 2
