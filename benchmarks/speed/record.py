"""One line of the table: a figure, what stands beside it, and whether that is what was wanted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """A measured figure.

    Attributes
    ----------
    what : str
    figure : float
    unit : str
    beside : str
        The peer or the bound.
    beside_figure : float
        Its figure, in the same unit.
    ratio : float
        Of rates: ours over the peer's; of seconds and bytes too. The median over neighbours in time where there is one.
    wanted : str
        What the ratio has to be, or nothing.
    met : bool, optional
    note : str
        The range of the ratio over the rounds, the other peers, and the like.
    """

    what: str
    figure: float
    unit: str
    beside: str
    beside_figure: float
    ratio: float
    wanted: str = ""
    met: bool | None = None
    note: str = ""


def at_least(what: str, unit: str, ours: float, peer: tuple[str, float], ratio: float, bound: float | None) -> Record:
    """A rate that must not be below `bound` times the peer's, or has no bound."""
    wanted, met = ("", None) if bound is None else (f">= {bound:g} x", ratio >= bound)
    return Record(what, ours, unit, *peer, ratio, wanted, met)


def at_most(what: str, unit: str, ours: float, peer: tuple[str, float], bound: float | None = 1.0) -> Record:
    """Seconds or bytes that must not be above `bound` times what stands beside them, or have no bound."""
    ratio = ours / peer[1]
    wanted, met = ("", None) if bound is None else (f"<= {bound:g} x", ratio <= bound)
    return Record(what, ours, unit, *peer, ratio, wanted, met)
