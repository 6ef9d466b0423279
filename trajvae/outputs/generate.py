"""New conformations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.errors import OptionError
from trajvae.models.fit import Record
from trajvae.models.pipeline import Pipeline
from trajvae.observables import built_in, evaluate
from trajvae.outputs.conformations import Conformations
from trajvae.outputs.projection import project
from trajvae.outputs.samplers import sample
from trajvae.outputs.support import Support
from trajvae.store import Quantity
from trajvae.validity import REASONS


def draw(
    pipeline: Pipeline, record: Record, n: int, *, seed: int = 0, mean: bool = False, sampler: str = "prior"
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """As `generate`, without a look at what was drawn: latent points, positions, and what the sampler says."""
    generator = torch.Generator(pipeline.device).manual_seed(seed)
    z, drawn = sample(pipeline, record, n, sampler, generator)
    return z, pipeline.decode(z, None if mean else generator), drawn


@dataclass(frozen=True)
class Mending:
    """What is done about draws that are not valid.

    Attributes
    ----------
    redraws : int
        Times that x is drawn again at the same z, at most. None where means are decoded.
    project : bool
        Move draws into the allowed ranges; see `outputs.projection`.
    valid_only : bool
        Go on until all that are given are valid.
    budget : int
        Draws at most for each that is wanted, where only valid ones are.
    """

    redraws: int = 2
    project: bool = False
    valid_only: bool = False
    budget: int = 50

    def __post_init__(self) -> None:
        for name, low in (("redraws", 0), ("budget", 1)):
            if getattr(self, name) < low:
                raise OptionError(f"{name} must be {low} or more, got {getattr(self, name)}")


@dataclass(eq=False)
class _Batch:
    """Conformations with why they are not valid, before any mending and after, and how often they were drawn again."""

    latent: NDArray[np.float64]
    positions: NDArray[np.float64]
    raw: NDArray[np.int64]
    reasons: NDArray[np.int64]
    redraws: NDArray[np.int64]
    moved: NDArray[np.float64]
    drawn: dict[str, Any]

    def kept(self, rows: NDArray[np.int64]) -> _Batch:
        """Some of them."""
        return _Batch(
            self.latent[rows],
            self.positions[rows],
            self.raw[rows],
            self.reasons[rows],
            self.redraws[rows],
            self.moved[rows],
            self.drawn,
        )

    @classmethod
    def joined(cls, parts: list[_Batch]) -> _Batch:
        """One after the other; what the sampler said is that of the first."""
        return cls(
            np.concatenate([p.latent for p in parts]),
            np.concatenate([p.positions for p in parts]),
            np.concatenate([p.raw for p in parts]),
            np.concatenate([p.reasons for p in parts]),
            np.concatenate([p.redraws for p in parts]),
            np.concatenate([p.moved for p in parts]),
            parts[0].drawn,
        )


def _placed(
    record: Record, positions: NDArray[np.float64], *, wanted: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Positions, projected if that is wanted, why they are not valid, and how far they were moved."""
    placed = project(record.validity, positions) if wanted else positions
    moved = np.sqrt(np.square(placed - positions).sum(axis=-1).mean(axis=-1))
    return placed, record.validity.reasons(placed), np.asarray(moved)


def _batch(pipeline: Pipeline, record: Record, n: int, seed: int, mean: bool, sampler: str, mending: Mending) -> _Batch:
    z, drawn_positions, drawn = draw(pipeline, record, n, seed=seed, mean=mean, sampler=sampler)
    raw = record.validity.reasons(drawn_positions)
    positions, reasons, moved = _placed(record, drawn_positions, wanted=mending.project)
    made = _Batch(z, positions, raw, reasons, np.zeros(n, dtype=np.int64), moved, drawn)
    generator = torch.Generator(pipeline.device).manual_seed(seed + 1)
    for _ in range(0 if mean else mending.redraws):
        bad = np.flatnonzero(made.reasons)
        if not len(bad):
            break
        again = pipeline.decode(z[bad], generator)
        again, reasons, moved = _placed(record, again, wanted=mending.project)
        better = bad[reasons == 0]
        made.redraws[bad] += 1
        made.positions[better], made.moved[better] = again[reasons == 0], moved[reasons == 0]
        made.reasons[better] = 0
    return made


def _enough(
    pipeline: Pipeline, record: Record, n: int, seed: int, mean: bool, sampler: str, mending: Mending
) -> tuple[_Batch, int]:
    """Batches until n are valid, and how many were drawn in all."""
    parts: list[_Batch] = []
    have = total = 0
    while have < n:
        if total >= mending.budget * n:
            raise OptionError(
                f"{have} of {total} draws were valid, {n} are wanted: --project moves draws into the allowed ranges, "
                "--mean decodes averages, --budget allows more draws"
            )
        share = max(have / total, 0.02) if total else 1.0
        size = int(np.clip(1.1 * (n - have) / share + 1, 1, min(mending.budget * n - total, pipeline.chunk)))
        batch = _batch(pipeline, record, size, seed + 7919 * len(parts), mean, sampler, mending)
        parts.append(batch.kept(np.flatnonzero(batch.reasons == 0)))
        have, total = have + len(parts[-1].reasons), total + size
    return _Batch.joined(parts).kept(np.arange(n)), total


def generate(
    pipeline: Pipeline,
    record: Record,
    n: int,
    *,
    seed: int = 0,
    mean: bool = False,
    sampler: str = "prior",
    mending: Mending | None = None,
) -> Conformations:
    """Draw z, and x from p(x|z).

    Parameters
    ----------
    pipeline : Pipeline
    record : Record
    n : int
        How many.
    seed : int
    mean : bool
        Decode the mean of p(x|z) instead of drawing from it.
    sampler : str
        Where z comes from; see `SAMPLERS`.
    mending : Mending, optional
        What is done about draws that are not valid: by default x is drawn again, twice at most.

    Returns
    -------
    Conformations
        With the observables `rg`, `end_to_end`, `invalid_reason` (an index into `validity.REASONS`) and `redraws`.

    Raises
    ------
    OptionError
        `n` below 1, a sampler that is none or does not suit the latent space, or too few valid draws where only those
        are wanted.
    """
    mending = mending or Mending()
    if n < 1:
        raise OptionError(f"the number of conformations must be 1 or more, got {n}")
    if mending.valid_only:
        made, total = _enough(pipeline, record, n, seed, mean, sampler, mending)
    else:
        made, total = _batch(pipeline, record, n, seed, mean, sampler, mending), n
    drawn = dict(made.drawn)
    support = Support.fit(pipeline.vae.latent, record.latent, pipeline.device)
    drawn["off_data"] = float(1.0 - support.inside(made.latent).mean())
    observables = {k: Quantity(evaluate(o, made.positions), o.unit) for k, o in built_in(pipeline.topology).items()}
    named = Quantity(made.reasons.astype(np.int8), attributes={"meaning": ", ".join(REASONS)})
    figures = {
        "n": n,
        "valid": int((made.reasons == 0).sum()),
        "valid_raw": int((made.raw == 0).sum()),
        "redrawn": int((made.redraws > 0).sum()),
        "drawn": total,
        **({"moved": float(made.moved.mean())} if mending.project else {}),
        **drawn,
        "of": "mean" if mean else "sample",
    }
    return Conformations(
        made.positions,
        made.latent,
        made.reasons == 0,
        pipeline.topology,
        {**observables, "invalid_reason": named, "redraws": Quantity(made.redraws.astype(np.int32))},
        seed,
        f"Model.generate({n}, seed={seed}, mean={mean}, sampler='{sampler}')",
        figures,
    )
