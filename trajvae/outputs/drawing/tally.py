"""Counts of a drawing as it goes on, from which its figures are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from trajvae.figures import GenerationFigures, SamplerFigures
from trajvae.molecule.validity import REASONS
from trajvae.outputs.drawing.repair import Batch, DrawCounts
from trajvae.store import Quantity
from trajvae.typing import Bool, Float64

_MEDIANS = ("energy", "energy_drawn", "nearest_rmsd")  # observables whose medians are figures


class DrawingTally:
    """Count draws and the conformations that are kept of them."""

    def __init__(self) -> None:
        self.draws = DrawCounts()
        self.reasons: Counter[str] = Counter()
        self._inside = 0
        self._moved = 0.0
        self._values: dict[str, list[Float64]] = {}

    @property
    def n_kept(self) -> int:
        """Number of conformations that are kept so far."""
        return self.reasons.total()

    def keep(self, kept: Batch, inside: Bool, observables: Mapping[str, Quantity]) -> None:
        """Count conformations (n,) that are kept, and whether the latent point of each lies in the support."""
        names, counts = np.unique(kept.reasons, return_counts=True)
        self.reasons.update({REASONS[k]: int(count) for k, count in zip(names, counts, strict=True)})
        self._inside += int(inside.sum())
        self._moved += float(kept.displacement.sum())
        for name in _MEDIANS:
            if name in observables:
                values = np.asarray(observables[name].value, dtype=np.float64)
                self._values.setdefault(name, []).append(values)

    def figures(self, sampler: SamplerFigures, *, mean: bool, projected: bool) -> GenerationFigures:
        """Return the figures of the conformations so far, without a verdict.

        Parameters
        ----------
        sampler : SamplerFigures
        mean : bool
            Whether means of p(x|z) were decoded.
        projected : bool
            Whether draws were moved into the allowed ranges.
        """
        n = max(self.n_kept, 1)
        return GenerationFigures(
            n=self.n_kept,
            valid=self.reasons[REASONS[0]],
            drawn=self.draws.drawn,
            valid_raw=self.draws.valid_raw,
            redrawn=self.draws.redrawn,
            moved=self._moved / n if projected else None,
            sampler=sampler.sampler,
            acceptance=sampler.acceptance,
            effective_sample_size=sampler.effective_sample_size,
            off_data=1.0 - self._inside / n,
            of="mean" if mean else "sample",
            energy=self._median("energy"),
            energy_drawn=self._median("energy_drawn"),
            nearest_rmsd=self._median("nearest_rmsd"),
        )

    def _median(self, name: str) -> float | None:
        """Return the median of an observable; None where it was not measured."""
        return _median(np.concatenate(self._values[name])) if name in self._values else None


def _median(values: Float64) -> float:
    """Return the median of the values that are numbers; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
