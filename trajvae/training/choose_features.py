"""Choice of features: those in which draws of a quickly fitted model come nearest to the simulation.

In shape space the model is the training frames' mean and covariance, and its draws are given the simulation's local
geometry, as `generate` does it; in internal coordinates it is the same of what is linear, and every flexible torsion is
drawn anew from its own values. Draws are judged by pair distances, by torsions, and by how many are valid. A folded
protein's internal coordinates fail by their levers, a short chain's Cartesian ones by what turns. Weights of frames
play no part: draws and simulation are compared as they are.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from trajvae.arguments.lookup import check_choice
from trajvae.config import TrainConfig
from trajvae.errors import OptionError
from trajvae.features import FEATURES, FittingData
from trajvae.likelihoods import LIKELIHOODS, likelihood_names
from trajvae.models.draws.draw_judge import Judgement
from trajvae.training.quick_models import Judge

_FRAMES = 2000
_ATOMS = 2000  # above which levers are long in any molecule
CLEARLY = 0.02  # bits by which Cartesian draws must be better: those of internal coordinates have a density


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
        What is wrong with draws in each kind of features, in bits; None where there was no choice. See
        `Judgement.total`.
    """
    if config.features != "auto":
        return config, None
    kinds = _kinds(config.likelihood, data)
    if len(kinds) == 1:
        return dataclasses.replace(config, features=kinds[0]), None
    judged = judgements(kinds, data)
    found = {kind: judgement.total for kind, judgement in judged.items()}
    best = min(found, key=lambda kind: found[kind] + (CLEARLY if kind == "cartesian" else 0.0))
    told = "; ".join(f"{kind} {judgement}" for kind, judgement in judged.items())
    logging.getLogger("trajvae").info("features %s, by draws of quickly fitted models: %s", best, told)
    return dataclasses.replace(config, features=best), found


def _kinds(likelihood: str | None, data: FittingData) -> list[str]:
    """Return the kinds of features that have a likelihood, and do not fail for the size of the molecule alone."""
    kinds = [kind for kind in FEATURES if likelihood is None or likelihood in likelihood_names(kind)]
    if not kinds:
        check_choice(str(likelihood), LIKELIHOODS, "likelihood")
    return ["cartesian"] if data.topology.n_atoms > _ATOMS and "cartesian" in kinds else kinds


def judgements(kinds: Sequence[str], data: FittingData) -> dict[str, Judgement]:
    """Judge draws of a quickly fitted model in each kind of features that suits the molecule."""
    step = max(1, -(-len(data.frames) // _FRAMES))
    data = dataclasses.replace(data, frames=data.frames[::step], weights=None)
    judge, out = Judge(data), dict[str, Judgement]()
    for kind in kinds:
        try:
            features = FEATURES[kind].fit(data)
        except OptionError:  # a molecule that this kind does not suit
            continue
        out[kind] = judge.judge(features)
    return out
