"""New conformations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.errors import OptionError
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import Record
from trajvae.observables import built_in, evaluate
from trajvae.outputs.conformations import Conformations
from trajvae.outputs.novelty import nearest
from trajvae.outputs.projection import project
from trajvae.outputs.relax import Relaxation
from trajvae.outputs.samplers import sample, settle
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
        Go on until all that are given are valid, before they are relaxed.
    budget : int
        Draws at most for each that is wanted, where only valid ones are.
    relax : bool
        Minimise what is kept in a force field, with OpenMM; see `outputs.relax`.
    """

    redraws: int = 2
    project: bool = False
    valid_only: bool = False
    budget: int = 50
    relax: bool = False

    def __post_init__(self) -> None:
        for name, low in (("redraws", 0), ("budget", 1)):
            if getattr(self, name) < low:
                raise OptionError(f"{name} must be {low} or more, got {getattr(self, name)}")


class _Batch(NamedTuple):
    """Conformations with why they are not valid, as drawn and after mending, how often x was drawn, how far moved."""

    latent: NDArray[Any]
    positions: NDArray[Any]
    raw: NDArray[Any]
    reasons: NDArray[Any]
    redraws: NDArray[Any]
    moved: NDArray[Any]

    def tally(self) -> dict[str, int]:
        """What `generate` counts of all draws."""
        return {
            "drawn": len(self.raw),
            "valid_raw": int((self.raw == 0).sum()),
            "redrawn": int((self.redraws > 0).sum()),
        }


def _projected(record: Record, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Positions in the allowed ranges, and how far they were moved in Å."""
    placed = project(record.validity, positions)
    return placed, np.sqrt(np.square(placed - positions).sum(axis=-1).mean(axis=-1))


def _batch(
    pipeline: Pipeline, record: Record, n: int, seed: int, mean: bool, sampler: str, mending: Mending
) -> tuple[_Batch, dict[str, Any]]:
    """n draws, mended, and what the sampler says of them."""
    z, positions, drawn = draw(pipeline, record, n, seed=seed, mean=mean, sampler=sampler)
    judge = record.validity.reasons
    raw, moved = judge(positions), np.zeros(n)
    reasons = raw.copy()
    if mending.project:
        positions, moved = _projected(record, positions)
        reasons = judge(positions)
    made = _Batch(z, positions, raw, reasons, np.zeros(n, dtype=np.int64), moved)
    generator = torch.Generator(pipeline.device).manual_seed(seed + 1)
    for _ in range(0 if mean else mending.redraws):
        bad = np.flatnonzero(made.reasons)
        if not len(bad):
            break
        again, moved = pipeline.decode(z[bad], generator), np.zeros(len(bad))
        if mending.project:
            again, moved = _projected(record, again)
        good = judge(again) == 0
        made.redraws[bad] += 1
        made.positions[bad[good]], made.moved[bad[good]], made.reasons[bad[good]] = again[good], moved[good], 0
    return made, drawn


def _enough(
    pipeline: Pipeline, record: Record, n: int, seed: int, mean: bool, sampler: str, mending: Mending
) -> tuple[_Batch, dict[str, Any], Counter[str]]:
    """The first n that are valid, what the sampler says of the first batch, and the tally of all draws."""
    parts: list[_Batch] = []
    said: list[dict[str, Any]] = []
    tally: Counter[str] = Counter()
    have = 0
    while have < n:
        total = tally["drawn"]
        if total >= mending.budget * n:
            raise OptionError(
                f"{have} of {total} draws were valid, {n} are wanted: --project moves draws into the allowed ranges, "
                "--mean decodes averages, --budget allows more draws"
            )
        share = max(have / total, 0.02) if total else 1.0
        size = int(np.clip(1.1 * (n - have) / share + 1, 1, min(mending.budget * n - total, pipeline.chunk)))
        batch, drawn = _batch(pipeline, record, size, seed + 7919 * len(parts), mean, sampler, mending)
        valid = np.flatnonzero(batch.reasons == 0)
        parts.append(_Batch(*(column[valid] for column in batch)))
        said.append(drawn)
        tally.update(batch.tally())
        have += len(valid)
    return _Batch(*(np.concatenate(column)[:n] for column in zip(*parts, strict=True))), said[0], tally


def _looked_at(
    pipeline: Pipeline,
    record: Record,
    made: _Batch,
    relaxation: Relaxation | None,
    novelty: bool,
    progress: Callable[[int, int], None] | None,
) -> tuple[_Batch, dict[str, Quantity], dict[str, float]]:
    """What is kept, relaxed where that is wanted; observables and figures of energies and of the nearest frames."""
    observables: dict[str, Quantity] = {}
    figures: dict[str, float] = {}
    if relaxation is not None:
        found = relaxation(made.positions, progress)
        placed = pipeline.alignment.apply(found.positions)
        made = made._replace(positions=placed, reasons=record.validity.reasons(placed))
        observables |= {"energy": Quantity(found.after, "kJ/mol"), "energy_drawn": Quantity(found.before, "kJ/mol")}
        figures |= {"energy": _median(found.after), "energy_drawn": _median(found.before)}
    if novelty:
        frame, rmsd = nearest(made.positions, record.sample)
        observables |= {
            "nearest_frame": Quantity(record.sample_index[frame]),
            "nearest_rmsd": Quantity(rmsd, "Angstrom"),
        }
        figures["nearest_rmsd"] = float(np.median(rmsd))
    return made, observables, figures


def _median(values: NDArray[np.float64]) -> float:
    """Of those that are numbers; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def generate(
    pipeline: Pipeline,
    record: Record,
    n: int,
    *,
    seed: int = 0,
    mean: bool = False,
    sampler: str = "auto",
    mending: Mending | None = None,
    novelty: bool = False,
    progress: Callable[[int, int], None] | None = None,
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
        Where z comes from; see `SAMPLERS` and `settle`.
    mending : Mending, optional
        What is done about draws that are not valid: by default x is drawn again, twice at most.
    novelty : bool
        Look for the nearest frame of those that the model keeps.
    progress : callable, optional
        Called with (done, in all) while conformations are relaxed.

    Returns
    -------
    Conformations
        With the observables `rg`, `end_to_end`, `invalid_reason` (an index into `validity.REASONS`) and `redraws`; of
        those that were asked for, `energy` and `energy_drawn` in kJ/mol, `nearest_frame` and `nearest_rmsd` in Å.

    Raises
    ------
    OptionError
        `n` below 1, a sampler that is none or does not suit the latent space, or too few valid draws where only those
        are wanted.
    """
    mending = mending or Mending()
    if n < 1:
        raise OptionError(f"the number of conformations must be 1 or more, got {n}")
    support = Support.fit(pipeline.vae.latent, record.latent, pipeline.device)
    sampler = settle(record, sampler)
    relaxation = Relaxation(pipeline.topology) if mending.relax else None  # what is missing is said at once
    if mending.valid_only:
        made, drawn, tally = _enough(pipeline, record, n, seed, mean, sampler, mending)
    else:
        made, drawn = _batch(pipeline, record, n, seed, mean, sampler, mending)
        tally = Counter(made.tally())
    made, extra, further = _looked_at(pipeline, record, made, relaxation, novelty, progress)
    observables = {k: Quantity(evaluate(o, made.positions), o.unit) for k, o in built_in(pipeline.topology).items()}
    named = Quantity(made.reasons.astype(np.int8), attributes={"meaning": ", ".join(REASONS)})
    figures = {
        "n": n,
        "valid": int((made.reasons == 0).sum()),
        **tally,
        **({"moved": float(made.moved.mean())} if mending.project else {}),
        **drawn,
        "off_data": float(1.0 - support.inside(made.latent).mean()),
        "of": "mean" if mean else "sample",
        **further,
    }
    return Conformations(
        made.positions,
        made.latent,
        made.reasons == 0,
        pipeline.topology,
        {**observables, "invalid_reason": named, "redraws": Quantity(made.redraws.astype(np.int32)), **extra},
        seed,
        f"Model.generate({n}, seed={seed}, mean={mean}, sampler='{sampler}')",
        figures,
        geometry=pipeline.vae.latent.geometry(),
    )
