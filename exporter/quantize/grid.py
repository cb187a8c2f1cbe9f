"""Where the integers of an activation lie."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = 127


@dataclass(frozen=True)
class IntegerGrid:
    """255 or 256 even levels between `low` and `high`; values beyond are clipped.

    Around zero (`low` is -`high`) they are the integers ±127. A one-sided grid, of a tensor that hardly goes below
    zero, has all of 0 to 255, zero among them.
    """

    low: float
    high: float

    @classmethod
    def around_zero(cls, threshold: float) -> IntegerGrid:
        """±threshold."""
        return cls(-threshold, threshold)

    @property
    def is_one_sided(self) -> bool:
        return self.low != -self.high

    @property
    def step(self) -> float:
        """The distance of two levels."""
        return (self.high - self.low) / (2 * LEVELS + self.is_one_sided)

    @property
    def zero(self) -> int:
        """The integer that stands for 0, counted from the lowest level."""
        return round(-self.low / self.step)

    @property
    def middle(self) -> float:
        """The value halfway between low and high."""
        return (self.low + self.high) / 2
