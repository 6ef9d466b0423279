"""Figures of a committor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from trajvae.figures.base import Figures


@dataclass(frozen=True, eq=False, kw_only=True)
class CommittorFigures(Figures):
    """Hold the figures of a committor.

    Attributes
    ----------
    source, target : str
        The two regions as they were written; the figures `from` and `to` in JSON.
    source_frames, target_frames : int
        Number of frames in each.
    frames : int
        Number of frames in neither, whose trajectory enters one of them later.
    excursions : int
        Number of stretches between visits that these are of.
    passages : tuple of int
        Number of stretches that lead from the source to the target, and from the target to the source.
    transition_states : int
        Number of frames with a committor from 0.45 to 0.55.
    explained, explained_error : dict of str to float
        Share of the variance of the outcomes that committors on states of these coordinates explain in parts of the
        trajectories that they were not estimated from, and its standard error.
    structures : str or None
        Name of the PDB file of transition states; None where none was written.
    """

    KEYS: ClassVar[Mapping[str, str]] = {"source": "from", "target": "to"}

    source: str
    target: str
    source_frames: int
    target_frames: int
    frames: int
    excursions: int
    passages: tuple[int, int]
    transition_states: int
    explained: dict[str, float]
    explained_error: dict[str, float]
    structures: str | None = None
