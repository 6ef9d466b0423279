"""`kinetics`: from latent points of frames to scores, time scales and a Markov model, beside TICA and PCA."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.free_energies.blocks import Blocks
from trajvae.free_energies.frames import LatentFrames
from trajvae.free_energies.weighting import Weights
from trajvae.kinetic_analysis.blocks import BlockedPairs, check_lag, is_long_enough, make_blocks
from trajvae.kinetic_analysis.committor import check_linked, with_committor
from trajvae.kinetic_analysis.deeptime_library import LaggedPairs, Tica, check_deeptime
from trajvae.kinetic_analysis.features import EncodedFrames, fewer
from trajvae.kinetic_analysis.markov import RESAMPLES, Transitions, markov_model
from trajvae.kinetic_analysis.regions import Region, Written, regions_between
from trajvae.kinetic_analysis.scores import score
from trajvae.kinetic_analysis.sources import KineticSource, Points, source_of
from trajvae.kinetic_analysis.states import States, choose_number, find_states
from trajvae.kinetic_analysis.timescales import markov_timescales, tica_timescales
from trajvae.kinetic_analysis.validation import chapman_kolmogorov, slow_processes
from trajvae.lagged_pairs import Lag
from trajvae.results import Embedding, TrainedModel, load_latent_points
from trajvae.results.kinetics import Kinetics
from trajvae.results.kinetics_parts import ChapmanKolmogorov, TimeScales
from trajvae.runtime.progress import stage
from trajvae.typing import Float64, Floats

_PROCESSES = 5  # of the Markov model whose time scales are given
_MULTIPLES = (2, 3, 4, 5)  # of the lag, in the Chapman-Kolmogorov test
_LEVEL = 0.1  # share by which a time scale may grow with the lag, and yet have levelled off
Lags = str | float | Lag | Sequence[str | float | Lag]


def kinetics(
    points: Points,
    *,
    lags: Lags,
    geometry: str = "",
    states: int | None = None,
    features: Floats | None = None,
    weights: Weights | None = None,
    temperature: float | None = None,
    between: tuple[Written, Written] | None = None,
    basins: str | Path = "free_energy.h5",
    seed: int = 0,
) -> Kinetics:
    """Measure how slow latent coordinates are, beside TICA and PCA, and estimate a Markov model on them.

    Parameters
    ----------
    points : ndarray, shape (T, ambient), or Embedding, TrainedModel, str or Path
        Latent points in the order of time, or an embed.h5 or a model.h5. Of an embed.h5 the trajectories and the model
        that it names are read again, for TICA and PCA of the model's features; where they are not there these are left
        out.
    lags : str, float, Lag, or a sequence of these
        Lag times, such as "10ps", or a number of frames. Time scales are those at each. Scores, the Markov model and
        its test are at the shortest from which on the slowest time scale grows by less than 10 %, or than its error.
    geometry : str
        Of an array, the signature of its space, as of `trajvae.free_energy`.
    states : int, optional
        Number of states of the Markov model; by default half the root of the number of frames, from 5 to 200.
    features : ndarray, shape (T, F), optional
        Of the same frames, for TICA and PCA of the dimension of the latent space.
    weights, temperature : optional
        As of `trajvae.free_energy`. They must be the same for all frames of a trajectory.
    between : tuple of two, optional
        Regions from the first to the second of which the committor is computed. A region is the number of a basin, a
        box such as "z0=-1.2..-0.5,z1=..0", a file or an array of numbers of frames, or a truth value for each frame.
    basins : str or Path
        The free_energy.h5 of the same frames that basins are read from.
    seed : int
        Of the states, and of the bootstrap over blocks of frames that errors are made of.

    Returns
    -------
    Kinetics

    Raises
    ------
    OptionError
        A lag that is too long for the trajectories (the message says how long would do), or no multiple of the time
        between frames; weights that change within a trajectory; regions that overlap or have no frames.
    ReadError
        Fewer than fifty frames, a lag in ps of frames without times, or trajectories with other times between frames;
        regions that no trajectory links.
    MissingPackageError
        deeptime is not installed.

    Warns
    -----
    TrajvaeWarning
        The trajectories are short beside the slowest process, or TICA and PCA are left out.

    Examples
    --------
    >>> import trajvae
    >>> found = trajvae.kinetics("embed.h5", lags=["10ps", "20ps", "50ps"])     # doctest: +SKIP
    >>> found.timescales["markov"].value                                         # doctest: +SKIP
    """
    check_deeptime()
    wanted = parse_lags(lags)
    found = load_latent_points(points) if isinstance(points, str | Path) else points
    regions = None if between is None else _regions(found, geometry, between, basins)  # before anything is read again
    source = source_of(found, geometry, features, weights, temperature)
    for lag in wanted:
        check_lag(source.times, lag)
    wanted = sorted({source.times.frames_of(lag): lag for lag in wanted}.values(), key=source.times.frames_of)
    if regions is not None:
        check_linked(source.times, *regions)
    made = _estimated(source, wanted, choose_number(len(source.frames.latent), states), seed)
    return made if regions is None else with_committor(made, source.times, regions, _slow_others(source, made), seed)


def _regions(
    points: Floats | Embedding | TrainedModel | LatentFrames | EncodedFrames,
    geometry: str,
    between: tuple[Written, Written],
    basins: str | Path,
) -> tuple[Region, Region]:
    """Return the regions of a committor."""
    own = points.frames if isinstance(points, EncodedFrames) else points
    return regions_between(LatentFrames.of(own, geometry, purpose="kinetics"), between, basins)


def parse_lags(lags: Lags) -> list[Lag]:
    """Return lag times as they are written, of which there must be one at least.

    Raises
    ------
    OptionError
    """
    several = [lags] if isinstance(lags, str | int | float | Lag) else list(lags)
    if not several:
        raise OptionError("kinetics needs a lag time at least, such as '10ps'")
    return [Lag.parse(lag) for lag in several]


def _estimated(source: KineticSource, lags: list[Lag], n_states: int, seed: int) -> Kinetics:
    """Put the parts together."""
    times, weights, frames = source.times, source.weights, source.frames
    sets = _coordinate_sets(source)
    blocks = _blocks(source, sets, lags[-1])
    states = find_states(frames.latent, frames.geometry, n_states, seed)
    scales = _time_scales(source, sets, states, lags, blocks, seed)
    lag = _levelled_off(scales["markov"], lags)
    transitions = Transitions(states, BlockedPairs.of(times, lag, blocks), weights)
    model = markov_model(states, transitions, times, lag)
    slow = slow_processes(transitions, seed)
    test = _tested(source, states, transitions, blocks, slow.number + 1, seed)
    scores = [
        score(name, c, times, lag, dim=source.dim, weights=weights, blocks=blocks, seed=seed)
        for name, c in sets.items()
    ]
    return Kinetics(
        scores=tuple(scores),
        timescales=scales,
        markov=model,
        test=test,
        processes=slow.number,
        noise=slow.noise,
        latent=frames.latent,
        geometry=frames.geometry,
        file=frames.file,
        frame=frames.frame,
        time=frames.frame.astype(np.float64) if times.time is None else times.time,
        files=list(frames.files),
        lag_unit="frame" if times.interval() is None else "ps",
        weights=source.told,
        seed=seed,
    )


def _coordinate_sets(source: KineticSource) -> dict[str, Float64]:
    """Return the coordinates that are scored: latent, and with features those that TICA and PCA choose from."""
    if source.features is None:
        return {"latent": source.coordinates}
    kept = np.asarray(fewer(source.features, len(source.features), source.dim), dtype=np.float64)
    return {"latent": source.coordinates, "tica": kept, "pca": principal(kept, source.dim)}


def _slow_others(source: KineticSource, found: Kinetics) -> dict[str, Float64]:
    """Return TICA and PCA of the features, as many functions as the latent space has dimensions."""
    sets = {name: c for name, c in _coordinate_sets(source).items() if name != "latent"}
    if "tica" in sets:
        first, second = source.times.pairs(Lag(float(found.markov.lag_frames), True))
        c = sets["tica"]
        sets["tica"] = Tica.fit(LaggedPairs(c[first], c[second])).apply(c, source.dim)
    return sets


def principal(features: Float64, dim: int) -> Float64:
    """Return the first principal components of features (T, F), (T, dim)."""
    off = features - features.mean(axis=0)
    axes = np.linalg.eigh(off.T @ off)[1][:, ::-1][:, :dim]
    return np.asarray(off @ axes)


def _blocks(source: KineticSource, sets: dict[str, Float64], lag: Lag) -> Blocks:
    """Return blocks of ten correlation times of the slowest function of any of the coordinates."""
    first, second = source.times.pairs(lag)
    slow = [Tica.fit(LaggedPairs(c[first], c[second])).apply(c, source.dim) for c in sets.values()]
    found = make_blocks(np.concatenate([source.coordinates, *slow], axis=1), source.times, source.times.frames_of(lag))
    if found.short:
        warnings.warn(_few(found, len(source.coordinates)), TrajvaeWarning, stacklevel=4)
    return found


def _time_scales(
    source: KineticSource, sets: dict[str, Float64], states: States, lags: list[Lag], blocks: Blocks, seed: int
) -> dict[str, TimeScales]:
    """Return the time scales of the Markov model, and by TICA of each set of coordinates."""
    times, weights = source.times, source.weights
    with stage("estimating time scales", "lag", len(lags)) as report:
        found = {
            "markov": markov_timescales(
                states, times, lags, n=_PROCESSES, weights=weights, blocks=blocks, seed=seed, progress=report
            )
        }
    for name, coordinates in sets.items():
        found[name] = tica_timescales(
            coordinates, times, lags, dim=source.dim, weights=weights, blocks=blocks, seed=seed
        )
    return found


def _levelled_off(found: TimeScales, lags: list[Lag]) -> Lag:
    """Return the shortest lag from which on the slowest time scale grows no more, the longest where it always does.

    Time scales that are shorter than their lag grow with it whatever the process, and say nothing.
    """
    value, error = found.value[:, 0], found.error[:, 0]
    resolved = value > found.lag
    for k, lag in enumerate(lags):
        grown = value[k + 1 :] - value[k] > np.maximum(_LEVEL * value[k], error[k + 1 :])
        if resolved[k] and not (grown & resolved[k + 1 :]).any():
            return lag
    return lags[int(np.flatnonzero(resolved)[-1])] if resolved.any() else lags[0]


def _tested(
    source: KineticSource, states: States, transitions: Transitions, blocks: Blocks, n_sets: int, seed: int
) -> ChapmanKolmogorov:
    """Test the model at those multiples of its lag that fit into the trajectories; at the lag itself if none does."""
    own = transitions.pairs.lag_frames
    lags = [Lag(float(k * own), True) for k in _MULTIPLES]
    lags = [lag for lag in lags if is_long_enough(source.times, lag)] or [Lag(float(own), True)]
    with stage("testing the Markov model", "sample", RESAMPLES) as report:
        return chapman_kolmogorov(
            states,
            transitions,
            source.times,
            lags,
            blocks,
            n_sets=n_sets,
            seed=seed,
            weights=source.weights,
            progress=report,
        )


def _few(blocks: Blocks, n: int) -> str:
    return (
        f"the {n} frames are worth about {n / blocks.inefficiency:.0f} independent ones along the slowest coordinate: "
        "errors may be too small, and processes that happened once or twice are not measured at all"
    )
