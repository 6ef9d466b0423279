"""Figures of a file of conformations, in the class of the command that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trajvae.figures.base import Figures
from trajvae.figures.generation import GenerationFigures
from trajvae.figures.optimization import OptimizationFigures
from trajvae.figures.path import PathFigures

if TYPE_CHECKING:
    from trajvae.typing import JSON

_MARKS: dict[str, type[Figures]] = {  # a figure that no other command has
    "objective": OptimizationFigures,
    "straight_length": PathFigures,
    "sampler": GenerationFigures,
    "drawn": GenerationFigures,
}


def conformation_figures(stored: Mapping[str, JSON]) -> Figures:
    """Return the figures of a file of conformations, in the class of the command that wrote it.

    Parameters
    ----------
    stored : mapping
        The `summary` of the file; that of conformations that no command made is empty.

    Raises
    ------
    FigureError
        A figure is of another type than that of its class.
    """
    kind = next((kind for mark, kind in _MARKS.items() if mark in stored), Figures)
    return kind.from_json(stored)
