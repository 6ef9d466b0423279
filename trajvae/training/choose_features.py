"""Choice of features: those in which a normal distribution alone comes nearest to the simulation.

In shape space the training frames' mean and covariance; in internal coordinates the same of what is linear, and every
flexible torsion drawn anew from its own values. Whichever's draws have pair distances nearer to the simulation's is
chosen. A folded protein's internal coordinates fail by their levers, a short chain's Cartesian ones by its bonds.
"""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.config import TrainConfig
from trajvae.errors import OptionError
from trajvae.features import FEATURES, Features, FittingData
from trajvae.likelihoods import LIKELIHOODS, likelihood_names
from trajvae.molecule.histogram_divergence import histogram_divergence
from trajvae.molecule.observables import evaluate_all, pair_observables
from trajvae.typing import Float64, Floats

_FRAMES = 2000
_PAIRS = 300
_ATOMS = 2000  # above which levers are long in any molecule


def choose_features(config: TrainConfig, data: FittingData) -> tuple[TrainConfig, dict[str, float] | None]:
    """Replace `auto` by the kind of features that suits the training frames.

    Parameters
    ----------
    config : TrainConfig
    data : FittingData

    Returns
    -------
    config : TrainConfig
        Whose features are a kind.
    found : dict or None
        Divergence in bits of each kind of features; None where there was no choice.
    """
    if config.features != "auto":
        return config, None
    found = divergences(data, config.likelihood)
    best = min(found, key=lambda kind: found[kind])
    told = ", ".join(f"{kind} {bits:.3f} bits" for kind, bits in found.items())
    logging.getLogger("trajvae").info("features %s: divergences of pair distances of normal draws: %s", best, told)
    return dataclasses.replace(config, features=best), found


def divergences(data: FittingData, likelihood: str | None = None) -> dict[str, float]:
    """Return mean Jensen-Shannon divergences of pair distances, in bits, of normal draws in each kind of features."""
    kinds = [kind for kind in FEATURES if likelihood is None or likelihood in likelihood_names(kind)]
    if data.topology.n_atoms > _ATOMS and "cartesian" in kinds:
        kinds = ["cartesian"]
    if not kinds:
        check_choice(str(likelihood), LIKELIHOODS, "likelihood")
    step = max(1, -(-len(data.frames) // _FRAMES))
    data = dataclasses.replace(data, frames=data.frames[::step])
    items = pair_observables(data.topology.n_atoms, _PAIRS)
    simulated = evaluate_all(items, data.frames)
    out = {}
    for kind in kinds:
        try:
            drawn = _draws(FEATURES[kind].fit(data), data.frames)
        except OptionError:  # a molecule that this kind does not suit
            continue
        values = evaluate_all(items, drawn)
        out[kind] = float(np.mean([histogram_divergence(simulated[o.name], values[o.name]) for o in items]))
    return out


def _draws(features: Features, frames: Floats) -> Float64:
    """As many draws as frames from the normal distribution of the linear targets, angular ones resampled alone."""
    generator = torch.Generator().manual_seed(0)
    targets = features.targets(torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float64)))
    linear, angular = targets[:, : features.n_linear], targets[:, features.n_linear :]
    mean, n = linear.mean(dim=0), len(linear)
    weights = torch.randn(n, n, generator=generator, dtype=torch.float64) / max(n - 1, 1) ** 0.5
    drawn = mean + weights @ (linear - mean)
    columns: list[Tensor] = [column[torch.randint(n, (n,), generator=generator)] for column in angular.T]
    return np.asarray(features.positions(torch.cat([drawn, *(c[:, None] for c in columns)], dim=1)).numpy())
