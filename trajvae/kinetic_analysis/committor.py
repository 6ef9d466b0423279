"""The committor of every frame between two regions, and how well it predicts what trajectories do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trajvae.errors import ReadError
from trajvae.kinetic_analysis.committor_equations import StoppedPairs, committor_of_pairs
from trajvae.kinetic_analysis.first_hits import FirstHits, first_hits
from trajvae.kinetic_analysis.outcomes import Outcomes
from trajvae.kinetic_analysis.regions import Region, check_apart
from trajvae.kinetic_analysis.states import find_states
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.results.committor import Committor
from trajvae.results.kinetics import Kinetics
from trajvae.typing import Float64, Int64

LATENT = "latent"


def find_committor(
    states: Int64,
    times: FrameTimes,
    lag: Lag,
    source: Region,
    target: Region,
    *,
    others: Mapping[str, Int64] | None = None,
) -> Committor:
    """Compute the probability of each frame that its trajectory enters the target before the source.

    Frames of a Markov state that lie in neither region have one value; frames in a region have 0 or 1 whatever the rest
    of their state has.

    Parameters
    ----------
    states : ndarray of int64, shape (T,)
        Number of the Markov state of each frame in the latent space, or -1.
    times : FrameTimes
    lag : Lag
        Of the Markov model.
    source, target : Region
    others : mapping of str to ndarray, optional
        States of the same frames in other coordinates, such as those of TICA, that the latent space is compared with.

    Returns
    -------
    Committor

    Raises
    ------
    OptionError
        The regions overlap, or the lag is no multiple of the time between frames.
    ReadError
        No trajectory enters one of the regions from outside, or none is as long as the lag.
    MissingPackageError
        deeptime is not installed.
    """
    check_apart(source, target)
    a, b = source.inside, target.inside
    hits = check_linked(times, source, target)
    pairs = StoppedPairs.of(times, lag, hits)
    of_state = committor_of_pairs(states, pairs, a, b)
    outcomes = Outcomes.of(hits, pairs, a, b)
    predicted = {name: outcomes.predicted(found) for name, found in {LATENT: states, **(others or {})}.items()}
    return Committor(
        value=np.where(a, 0.0, np.where(b, 1.0, np.append(of_state, np.nan)[states])),
        step=times.frame,
        time=np.full(len(states), np.nan) if times.time is None else times.time,
        source=source.name,
        target=target.name,
        inside=b.astype(np.int64) - a.astype(np.int64),
        outcome=hits.outcome,
        states=of_state,
        lag_frames=times.frames_of(lag),
        excursions=len(np.unique(hits.excursion[hits.outside])),
        passages=hits.passages(),
        explained={name: outcomes.explained(q) for name, q in predicted.items()},
        calibration=outcomes.calibration(predicted[LATENT]),
    )


def check_linked(times: FrameTimes, source: Region, target: Region) -> FirstHits:
    """Return the first visits to two regions, which trajectories must enter from frames outside both.

    Raises
    ------
    ReadError
        No trajectory does.
    """
    hits = first_hits(source.inside, target.inside, times)
    outcome = hits.outcome[hits.outside]
    if not len(outcome):
        raise ReadError(
            f"no frame lies outside '{source.name}' and '{target.name}' and enters one of them later: there is no "
            "committor to compute; take smaller regions, or frames that are closer in time"
        )
    for region, found in ((source, outcome == 0.0), (target, outcome == 1.0)):
        if not found.any():
            raise ReadError(
                f"'{source.name}' and '{target.name}' are disconnected: no trajectory enters '{region.name}' from "
                "frames outside both; a longer simulation, or other regions, would do"
            )
    return hits


def with_committor(
    found: Kinetics,
    times: FrameTimes,
    regions: tuple[Region, Region],
    others: Mapping[str, Float64] | None = None,
    seed: int = 0,
) -> Kinetics:
    """Return kinetics with the committor between two regions.

    Parameters
    ----------
    found : Kinetics
    times : FrameTimes
        Of its frames.
    regions : tuple of two Region
    others : mapping of str to ndarray, shape (T, k), optional
        Coordinates whose states the latent space's are compared with, as many as these.
    seed : int
        Of these states.

    Raises
    ------
    OptionError, ReadError
        As `find_committor`.
    """
    model, (source, target) = found.markov, regions
    clusters = {
        name: find_states(c, f"e{c.shape[1]}", model.n_states, seed).states for name, c in (others or {}).items()
    }
    lag = Lag(float(model.lag_frames), True)
    return replace(found, committor=find_committor(model.states, times, lag, source, target, others=clusters))
