"""Verdicts: whether a model, or a result of it, can be used, with reasons and a next step for each.

Each reason follows from a figure that exceeds a limit; both are part of its text. A verdict is the worst of its
reasons: `usable with care` or `not usable`; without a reason it is `good`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from trajvae.typing import JSON

from trajvae.errors import DAMAGED

GOOD, CARE, UNUSABLE = "good", "usable with care", "not usable"
_RANKS = (GOOD, CARE, UNUSABLE)


@dataclass(frozen=True)
class Reason:
    """Hold one reason not to trust a model or a result.

    Attributes
    ----------
    name : str
        Its short name, for scripts: `too_few_frames`, `overfitted`, ...
    severity : str
        What the reason alone makes of the whole: `usable with care` or `not usable`.
    text : str
        What was found, in words.
    step : str
        What to do next.
    """

    name: str
    severity: str
    text: str
    step: str


@dataclass(frozen=True)
class Verdict:
    """Hold the reasons of a verdict, worst first."""

    reasons: tuple[Reason, ...] = ()

    @property
    def verdict(self) -> str:
        """The verdict in words: `good`, `usable with care` or `not usable`."""
        return max((r.severity for r in self.reasons), key=_RANKS.index, default=GOOD)

    def to_json(self) -> dict[str, JSON]:
        """Return the keys `verdict` and `reasons`, as JSON takes them."""
        return {"verdict": self.verdict, "reasons": [dict(vars(reason)) for reason in self.reasons]}

    @classmethod
    def from_json(cls, figures: Mapping[str, Any]) -> Self:
        """Return the verdict whose reasons stand among figures that were read from JSON.

        Raises
        ------
        KeyError, TypeError, ValueError
            There are no reasons, or they are not those of a verdict.
        """
        found = cls(tuple(Reason(**reason) for reason in figures["reasons"]))
        if not all(isinstance(text, str) for reason in found.reasons for text in vars(reason).values()):
            raise TypeError("a reason holds something other than text")
        if not all(reason.severity in _RANKS for reason in found.reasons):
            raise ValueError("a reason has another severity than a verdict can have")
        return found

    def lines(self) -> list[str]:
        """Return the verdict as text, with a line for each reason."""
        return [f"verdict: {self.verdict}", *(f"  - {r.text}; next: {r.step}" for r in self.reasons)]


def judged(*found: Reason | None) -> Verdict:
    """Return the verdict of the reasons that hold, worst first."""
    held = [reason for reason in found if reason is not None]
    return Verdict(tuple(sorted(held, key=lambda r: -_RANKS.index(r.severity))))


def verdict_lines_of(figures: Mapping[str, Any]) -> list[str]:
    """Return the lines of the verdict in figures that were read from JSON; no lines if they have no verdict.

    Figures may come from a file of anyone: for a damaged verdict the line says so.
    """
    if "verdict" not in figures:
        return []
    try:
        return Verdict.from_json(figures).lines()
    except DAMAGED:
        return ["verdict: unreadable (the file's stored verdict is damaged)"]
