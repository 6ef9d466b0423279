"""What `optimize` can follow: named objectives and a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from torch import Tensor

from trajvae.arguments.user_functions import import_function, importing, one_line
from trajvae.errors import OptionError
from trajvae.models.pipeline import Pipeline
from trajvae.molecule.observables import Function, Observable, built_in
from trajvae.outputs.searching.circular_statistics import wrapped
from trajvae.outputs.searching.objective_table import OBJECTIVES, Request, known_objectives
from trajvae.typing import Float64

Values = TypeVar("Values", Float64, Tensor)
Objective: TypeAlias = str | Observable | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Goal:
    """Set which way to optimise: to the minimum, the maximum, or a value.

    Attributes
    ----------
    text : str
        `min`, `max` or a number.
    period : float
        That of the objective, or 0. A periodic objective has neither minimum nor maximum, and its distance to a value
        is the shorter way round the circle.
    """

    text: str
    period: float = 0.0

    def __post_init__(self) -> None:
        if self.text in ("min", "max"):
            if self.period:
                raise OptionError(
                    f"goal must be a number for a periodic objective, found '{self.text}': on a circle there is no "
                    "minimum and no maximum; give a value, as in --goal -60"
                )
            return
        try:
            value = float(self.text)
        except ValueError as error:
            raise OptionError(f"goal must be min, max or a number, got '{self.text}'") from error
        if not np.isfinite(value):
            raise OptionError(f"goal must be a finite number, got '{self.text}'")

    def away(self, value: float) -> float | None:
        """Return how far a value is from the goal, or None for the goals `min` and `max`."""
        return None if self.text in ("min", "max") else abs(wrapped(value - float(self.text), self.period))

    def cost(self, values: Values, scale: float) -> Values:
        """Return what is minimised, in units of the simulation's spread; for arrays and tensors.

        Towards a value it is sqrt(1 + d^2) of the distance d: a parabola near it, and a slope of one however far.
        """
        if self.text == "min":
            return values / scale
        if self.text == "max":
            return -values / scale
        return (1.0 + (wrapped(values - float(self.text), self.period) / scale) ** 2) ** 0.5


def parse_objective(text: Objective, pipeline: Pipeline, topology: str | Path | None = None) -> Observable:
    """Return the differentiable function of positions that a text names, with its unit and period.

    Parameters
    ----------
    text : str, Observable or callable
        `rg`, `end-to-end`, `distance:i,j`, `angle:i,j,k`, `dihedral:i,j,k,l` (atoms from 0, within the selection),
        `rmsd:FILE` (the file's first frame), or another entry of the table of objectives; an observable that models
        keep; or `module:function`, a function of a tensor (B, N, D) in Å that returns (B,). Or such a function itself,
        or an `Observable`, which gives it a unit and a period.
    pipeline : Pipeline
    topology : str or Path, optional
        For `rmsd:FILE` where the file carries none.

    Raises
    ------
    OptionError
        None of these, atoms that are not there, or a function that cannot be imported.
    """
    if isinstance(text, Observable):
        return replace(text, function=_checked(text.function, text.name))
    if callable(text):
        name = getattr(text, "__name__", "function")
        return Observable(name, "", _checked(text, name))
    kept = built_in(pipeline.topology)
    plain = text.replace("-", "_")
    if plain in kept:
        return replace(kept[plain], name=text, function=_checked(kept[plain].function, text))
    name, _, arguments = text.partition(":")
    kind = OBJECTIVES.get(name)
    if kind is not None and kind.make is not None and (arguments or not kind.reads_file):
        function = kind.make(Request(text, arguments, pipeline, topology))
        return Observable(text, kind.unit, _checked(function, text), kind.period)
    if arguments:
        with importing([text]):
            return Observable(text, "", _checked(import_function(text, "objective", known_objectives()), text))
    raise OptionError(f"no objective '{text}': expected {_known(kept)}")


def _known(kept: dict[str, Observable]) -> str:
    """All that can be named: the table, and before it observables that a user has added."""
    added = [name for name in kept if name not in OBJECTIVES and name.replace("_", "-") not in OBJECTIVES]
    return ", ".join([*added, known_objectives()])


def _checked(function: Callable[[Tensor], object], name: str) -> Function:
    """A user's function whose failures are one-line errors."""

    def checked(x: Tensor) -> Tensor:
        """The user's function, with its result's shape checked."""
        try:
            values = function(x)
        except Exception as error:  # so may a user's function
            raise OptionError(f"objective '{name}' failed: {one_line(error)}") from error
        if not isinstance(values, Tensor) or values.shape != x.shape[:1]:
            got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise OptionError(f"'{name}' must return a tensor of shape ({len(x)},), got {got}")
        if x.requires_grad and not values.requires_grad:
            raise OptionError(f"'{name}' is not differentiable: its result does not depend on the positions")
        return values

    return checked
