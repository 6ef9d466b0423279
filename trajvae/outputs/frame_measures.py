"""Numbers of each frame beside its latent point: the built-in observables, and whether it is in support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from trajvae.models.encoded import Posterior
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import built_in, evaluate_all
from trajvae.outputs.searching.support import Support
from trajvae.store import Quantity
from trajvae.typing import Bool, Floats


class Measured(NamedTuple):
    """Hold what is reported of frames beside what the encoder returns for them.

    Attributes
    ----------
    observables : mapping of str to Quantity
        Values (T,) of those of `OBSERVABLES`, with unit and period.
    in_support : ndarray of bool, shape (T,), or None
        None where no training frames were given.
    """

    observables: Mapping[str, Quantity]
    in_support: Bool | None


class FrameMeasures:
    """Measure frames chunk by chunk, beside what the encoder returns for them."""

    def __init__(self, pipeline: Pipeline, record: TrainingRecord | None, *, observables: bool) -> None:
        self._wanted = list(built_in(pipeline.topology).values()) if observables else []
        self._support: Support | None = None
        if record is not None:
            self._support = Support.of(pipeline, record)

    def measure(self, posterior: Posterior, aligned: Floats) -> Measured:
        """Return the built-in observables of some frames, and whether they are in support."""
        inside = None if self._support is None else self._support.inside(posterior.latent)
        values = evaluate_all(self._wanted, aligned) if self._wanted else {}
        return Measured({o.name: o.quantity(values[o.name]) for o in self._wanted}, inside)


def join_measures(parts: Sequence[Measured]) -> Measured:
    """Return the measures of all frames of some chunks."""
    first = parts[0]
    values = {
        name: replace(q, value=np.concatenate([part.observables[name].value for part in parts]))
        for name, q in first.observables.items()
    }
    found = [part.in_support for part in parts if part.in_support is not None]
    return Measured(values, np.concatenate(found) if found else None)
