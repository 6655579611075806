"""Intervals as small pictures in the rows of a table."""

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Scale", "scale_of"]

#: Units of the picture: its width, its height, and the margin on both sides.
WIDTH, HEIGHT, MARGIN = 160, 18, 6


class Scale(NamedTuple):
    """The part of the axis that the pictures of a table share, and the value that a line marks in each."""

    low: float
    high: float
    reference: float

    def place(self, x: float) -> float:
        """Return where a value lies in a picture, moved to the margin if it is outside."""
        share = (x - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(MARGIN + (WIDTH - 2 * MARGIN) * min(1.0, max(0.0, share)), 1)

    def mark(self, value: float | None, interval: Sequence[float] | None, *, notable: bool = False) -> str:
        """Return the picture of a value and its interval; empty for a value that is infinite or missing."""
        if value is None or math.isinf(value):
            return ""
        middle, y = HEIGHT // 2, self.place(self.reference)
        color = "orange" if notable else "blue"
        parts = [f'<line x1="{y}" x2="{y}" y1="0" y2="{HEIGHT}" class="reference"/>']
        if interval is not None:
            ends = " ".join(f'x{i}="{self.place(x)}"' for i, x in enumerate(interval, 1))
            parts.append(f'<line {ends} y1="{middle}" y2="{middle}" class="range {color}"/>')
        parts.append(f'<circle cx="{self.place(value)}" cy="{middle}" r="3.5" class="{color}"/>')
        return f'<svg class="mark" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'


def scale_of(values: Sequence[float], intervals: Sequence[Sequence[float] | None], reference: float) -> Scale:
    """Return the scale on which all values, and intervals up to three times as wide as their range, are seen."""
    seen = [x for x in [*values, reference] if math.isfinite(x)] or [0.0]
    low, high = min(seen), max(seen)
    reach = (high - low) or abs(high) or 1.0
    ends = [x for interval in intervals if interval is not None for x in interval]
    return Scale(
        max(min([low, *ends]), low - reach), min(max([high, *ends]), high + reach), min(reference, high)
    )
