"""New conformations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.errors import OptionError
from trajvae.models.fit import Record
from trajvae.models.pipeline import Pipeline
from trajvae.observables import built_in, evaluate
from trajvae.outputs.conformations import Conformations
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


def generate(
    pipeline: Pipeline, record: Record, n: int, *, seed: int = 0, mean: bool = False, sampler: str = "prior"
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

    Returns
    -------
    Conformations
        With the observables `rg`, `end_to_end` and `invalid_reason` (an index into `validity.REASONS`).

    Raises
    ------
    OptionError
        `n` below 1, or a sampler that is none or does not suit the latent space.
    """
    if n < 1:
        raise OptionError(f"the number of conformations must be 1 or more, got {n}")
    z, positions, drawn = draw(pipeline, record, n, seed=seed, mean=mean, sampler=sampler)
    drawn["off_data"] = float(1.0 - Support.fit(pipeline.vae.latent, record.latent, pipeline.device).inside(z).mean())
    reasons = record.validity.reasons(positions)
    observables = {k: Quantity(evaluate(o, positions), o.unit) for k, o in built_in(pipeline.topology).items()}
    named = Quantity(reasons.astype(np.int8), attributes={"meaning": ", ".join(REASONS)})
    figures = {"n": n, "valid": int((reasons == 0).sum()), **drawn, "of": "mean" if mean else "sample"}
    return Conformations(
        positions,
        z,
        reasons == 0,
        pipeline.topology,
        {**observables, "invalid_reason": named},
        seed,
        f"Model.generate({n}, seed={seed}, mean={mean}, sampler='{sampler}')",
        figures,
    )
