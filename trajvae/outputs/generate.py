"""New conformations."""

from __future__ import annotations

import numpy as np
import torch

from trajvae.errors import OptionError
from trajvae.models.fit import Record
from trajvae.models.pipeline import Pipeline
from trajvae.observables import built_in, evaluate
from trajvae.outputs.conformations import Conformations
from trajvae.outputs.samplers import sample
from trajvae.store import Quantity
from trajvae.validity import REASONS


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
    generator = torch.Generator(pipeline.device).manual_seed(seed)
    z, drawn = sample(pipeline, record, n, sampler, generator)
    positions = pipeline.decode(z, None if mean else generator)
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
