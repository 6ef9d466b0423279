"""Panels of a user's own, beside those that suit each kind of file."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes

DrawPanel = Callable[..., Axes]

# by name: a function of what a file holds that returns a function of axes, `ax`, or None where the panel does not suit
PANELS: dict[str, Callable[[object], DrawPanel | None]] = {}


def added_panels(held: object) -> list[tuple[str, DrawPanel]]:
    """Return the panels of `PANELS` that suit what a file holds."""
    made = ((name, suiting(held)) for name, suiting in PANELS.items())
    return [(name, draw) for name, draw in made if draw is not None]
