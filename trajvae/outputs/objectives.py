"""What `optimize` can follow: named objectives and a user's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.functions import imported, importing, one_line
from trajvae.models.pipeline import Pipeline
from trajvae.observables import Function, Observable, built_in, distance, superposed_rmsd
from trajvae.outputs.structures import read_structure

KNOWN = "rg, end-to-end, distance:i,j, rmsd:FILE, or module:function"


@dataclass(frozen=True)
class Goal:
    """Set which way to optimise: to the minimum, the maximum, or a value."""

    text: str

    def __post_init__(self) -> None:
        if self.text not in ("min", "max"):
            try:
                value = float(self.text)
            except ValueError as error:
                raise OptionError(f"goal must be min, max or a number, got '{self.text}'") from error
            if not np.isfinite(value):
                raise OptionError(f"goal must be a finite number, got '{self.text}'")

    def cost(self, values: Any, scale: float) -> Any:
        """Return what is minimised, in units of the simulation's spread; for arrays and tensors.

        Towards a value it is sqrt(1 + d^2) of the distance d: a parabola near it, and a slope of one however far.
        """
        if self.text == "min":
            return values / scale
        if self.text == "max":
            return -values / scale
        return (1.0 + ((values - float(self.text)) / scale) ** 2) ** 0.5


def parse_objective(
    text: str | Callable[[Tensor], Tensor], pipeline: Pipeline, topology: str | Path | None = None
) -> Observable:
    """Return the differentiable function of positions that an objective's name stands for.

    Parameters
    ----------
    text : str or callable
        `rg`, `end-to-end`, `distance:i,j` (from 0, within the selection), `rmsd:FILE` (the file's first frame), or
        `module:function`, a function of a tensor (B, N, D) in Å that returns (B,); or such a function itself.
    pipeline : Pipeline
    topology : str or Path, optional
        For `rmsd:FILE` where the file carries none.

    Raises
    ------
    OptionError
        None of these, atoms that are not there, or a function that cannot be imported.
    """
    if callable(text):
        name = getattr(text, "__name__", "function")
        return Observable(name, "", _checked(text, name))
    known = built_in(pipeline.topology)
    plain = text.replace("-", "_")
    if plain in known:
        return dataclasses.replace(known[plain], name=text)
    kind, _, rest = text.partition(":")
    if kind == "distance":
        return _distance(text, rest, pipeline.n_atoms)
    if kind == "rmsd" and rest:
        return _rmsd(text, rest, pipeline, topology)
    if rest:
        with importing([text]):
            return Observable(text, "", _checked(imported(text, "objective", KNOWN), text))
    raise OptionError(f"no objective '{text}': wanted {KNOWN}")


def _distance(text: str, rest: str, n_atoms: int) -> Observable:
    try:
        i, j = (int(part) for part in rest.split(","))
    except ValueError as error:
        raise OptionError(f"objective '{text}': wanted two atom numbers, as in distance:0,9") from error
    if not (0 <= i < n_atoms and 0 <= j < n_atoms) or i == j:
        raise OptionError(f"objective '{text}': wanted two different atoms between 0 and {n_atoms - 1}")
    return Observable(text, "Angstrom", lambda x: distance(x, i, j))


def _rmsd(text: str, file: str, pipeline: Pipeline, topology: str | Path | None) -> Observable:
    target = torch.from_numpy(read_structure(file, pipeline, topology).astype(np.float64))
    return Observable(text, "Angstrom", lambda x: superposed_rmsd(x, target))


def _checked(function: Callable[[Tensor], Any], name: str) -> Function:
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
