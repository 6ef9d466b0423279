"""`free_energy`: from latent points of frames to a free energy with errors, and its basins."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from trajvae.arguments.lookup import check_choice
from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.frame_weights.table import GAS_CONSTANT
from trajvae.free_energies.bandwidth import choose_bandwidth
from trajvae.free_energies.basins import Partition, find_basins
from trajvae.free_energies.blocks import Blocks, make_blocks
from trajvae.free_energies.coordinates import LatentCoordinates
from trajvae.free_energies.curved_maps import DiscMap, SphereMap
from trajvae.free_energies.density import Density, estimate
from trajvae.free_energies.frames import LatentFrames
from trajvae.free_energies.maps import FlatMap, LatentMap
from trajvae.free_energies.options import check_bins, check_temperature
from trajvae.free_energies.populations import describe_basins
from trajvae.free_energies.weighting import Weights, weights_of
from trajvae.results import Embedding, TrainedModel, load_latent_points
from trajvae.results.free_energy import FreeEnergy
from trajvae.results.free_energy_parts import FreeEnergyMap
from trajvae.typing import Float64, Floats
from trajvae.weighted_samples import effective_size

RESAMPLES = 400
Progress = Callable[[int, int], None]


def free_energy(
    points: Floats | Embedding | TrainedModel | LatentFrames | str | Path,
    *,
    temperature: float,
    geometry: str = "",
    weights: Weights | None = None,
    pairs: Sequence[str] | None = None,
    bins: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> FreeEnergy:
    """Estimate the free energy on a latent space, with standard errors, and its basins.

    F = -kT ln p at the centres of cells, p being the density of frames with respect to the volume of the latent space,
    by kernels. Their bandwidth is that which predicts unseen frames best, and what smoothing changes to second order of
    the bandwidth is taken away. Errors come from a bootstrap over blocks of ten correlation times.

    Parameters
    ----------
    points : ndarray, shape (T, ambient), or Embedding, TrainedModel, LatentFrames, str or Path
        Latent points in the order of time, or an embed.h5 or a model.h5.
    temperature : float
        K, of the simulation.
    geometry : str
        Of an array, the signature of its space: "e2" (the default, of as many dimensions as there are columns),
        "s1,s1" for the torus, with columns cos and sin of each angle, "s2" for unit vectors, "h2" for points of the
        hyperboloid.
    weights : ndarray, shape (T,), or str, Path, sequence of paths, or FrameWeights, optional
        Of the frames, such as exp(V / kT) of a simulation that was biased by V; or a file of weights or, as COLVAR of
        PLUMED, of biases, whose rows are matched to embedded frames by time or by number. By default those that the
        points were embedded with, else all are equal.
    pairs : sequence of str, optional
        Names of the maps, such as `z0-z1`; by default each curved plane, and each pair of the other coordinates.
    bins : int, optional
        Cells along a coordinate; by default as many as leave about six frames in each, from 10 to 60.
    resamples : int
        Bootstrap samples.
    seed : int
        Seed of the bootstrap.
    progress : callable, optional
        Called with (bootstrap samples done, samples in all).

    Returns
    -------
    FreeEnergy

    Raises
    ------
    OptionError
        An option out of its range, or a pair that there is not.
    ReadError
        Fewer than twenty frames, or points that are not finite.

    Warns
    -----
    TrajvaeWarning
        The frames are worth fewer than about ninety independent ones: errors may be too small.

    Examples
    --------
    >>> import trajvae
    >>> found = trajvae.free_energy("embed.h5", temperature=300.0)     # doctest: +SKIP
    >>> found.maps["z0-z1"].value                                       # doctest: +SKIP
    """
    check_temperature(temperature)
    if not 20 <= resamples <= 100_000:
        raise OptionError(f"resamples must be a number from 20 to 100000, got {resamples}")
    found = load_latent_points(points) if isinstance(points, str | Path) else points
    frames = LatentFrames.of(found, geometry)
    weighting, told = weights_of(found, frames, weights, temperature)
    maps = maps_of(frames.coordinates, pairs)
    blocks = make_blocks(vectors_of(frames.coordinates), frames.file, frames.frame)
    if blocks.short:
        warnings.warn(_few(blocks, len(weighting)), TrajvaeWarning, stacklevel=2)
    counts = blocks.resampled(resamples, np.random.default_rng(seed))
    densities = []
    for number, part in enumerate(maps):
        report = None if progress is None else _of_one(progress, number * resamples, len(maps) * resamples)
        cells = part.cells(check_bins(bins, len(weighting), part.points.shape[1]))
        bandwidth = choose_bandwidth(part, weighting, blocks)
        densities.append(estimate(part, cells, weighting, blocks, bandwidth, counts, report))
    result = _result(frames, weighting, blocks, counts, list(zip(maps, densities, strict=True)), temperature, seed)
    return replace(result, weights=told)


def _of_one(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)


def _few(blocks: Blocks, n: int) -> str:
    worth = n / blocks.inefficiency
    return (
        f"the {n} frames are worth about {worth:.0f} independent ones along the slowest coordinate: errors may be too "
        f"small, and what the simulation has not visited is not in them"
    )


def maps_of(found: LatentCoordinates, names: Sequence[str] | None = None) -> list[LatentMap]:
    """Return the maps of some names; by default each curved plane, and each pair of other coordinates or the only one.

    Raises
    ------
    OptionError
        No map has one of the names; coordinates that are the same in all frames have no maps.
    ReadError
        All coordinates are the same in all frames.
    """
    curved = [(SphereMap if p.curvature > 0.0 else DiscMap)(p) for p in found.planes]
    single = [c for c in found.single if c.varies]
    usual: list[LatentMap] = [*curved, *(FlatMap(group) for group in combinations(single, min(2, len(single) or 2)))]
    if not usual:
        raise ReadError("all frames have one latent point: there is no free energy; has the latent space collapsed?")
    if not names:
        return usual
    known = {m.name: m for m in [*usual, *(FlatMap([c]) for c in single)]}
    for name in names:
        check_choice(name, list(known), "pair of coordinates")
    return [known[name] for name in dict.fromkeys(names)]


def vectors_of(found: LatentCoordinates) -> Float64:
    """Return coordinates (T, k) without a seam, whose correlation times count: circles and spheres as unit vectors."""
    columns: list[Float64] = []
    for plane in found.planes:
        hyperbolic = plane.curvature < 0.0
        columns += list((plane.points[:, 1:] / (1.0 + plane.points[:, :1]) if hyperbolic else plane.points).T)
    for c in found.single:
        columns += [np.cos(c.values), np.sin(c.values)] if c.period else [c.values]
    return np.stack(columns, axis=-1)


def _result(
    frames: LatentFrames,
    weights: Float64,
    blocks: Blocks,
    counts: Float64,
    found: list[tuple[LatentMap, Density]],
    temperature: float,
    seed: int,
) -> FreeEnergy:
    """Put the parts together; basins are those of the map that tells the most of them apart."""
    kt, (interval, unit) = GAS_CONSTANT * temperature, frames.interval
    parted: list[Partition] = [find_basins(d, m.neighbours(d.cells), weights) for m, d in found]
    best = int(np.argmax([len(p.minimum) for p in parted]))
    part, density = found[best]
    basin = parted[best].basin[density.cell]
    back = np.empty_like(basin)
    back[frames.order] = basin
    return FreeEnergy(
        maps={m.name: energy_map(m, d, weights, kt) for m, d in found},
        basins=describe_basins(frames, weights, blocks, counts, (part, density), parted[best], kt),
        basins_of=part.name,
        basin=back,
        temperature=float(temperature),
        effective_samples=effective_size(weights) / blocks.inefficiency,
        correlation_time=0.5 * blocks.inefficiency * interval,
        correlation_unit=unit,
        seed=seed,
    )


def energy_map(part: LatentMap, density: Density, weights: Float64, kt: float) -> FreeEnergyMap:
    """Return a density as a free energy in the unit of kT, from the lowest cell, NaN in cells without frames."""
    shape = density.cells.shape
    seen = np.bincount(density.cell, weights, minlength=len(density.energy)) > 0.0
    seen &= np.isfinite(density.energy)
    energy, error, smoothing = (
        np.where(seen, kt * x, np.nan) for x in (density.energy, density.error, density.smoothing)
    )
    lowest = float(np.nanmin(energy))
    return FreeEnergyMap(
        edges=density.cells.edges,
        value=(energy - lowest).reshape(shape),
        error=error.reshape(shape),
        volume=density.cells.volume.reshape(shape),
        smoothing=smoothing.reshape(shape),
        lowest=lowest,
        bandwidth=density.bandwidth,
        kind=part.kind,
        curvature=part.curvature,
        labels=part.labels,
        own=part.own,
    )
