"""What is said of basins: populations, free energies, barriers, with errors, and the frame that represents each."""

from __future__ import annotations

import numpy as np

from trajvae.free_energies.basins import Partition, barriers
from trajvae.free_energies.blocks import Blocks
from trajvae.free_energies.density import Density
from trajvae.free_energies.frames import LatentFrames
from trajvae.free_energies.maps import Cells, LatentMap
from trajvae.results.free_energy_parts import Basins
from trajvae.typing import Float64, Int64

_MOST_COMPARED = 1000  # frames of a basin


def describe_basins(
    frames: LatentFrames,
    weights: Float64,
    blocks: Blocks,
    counts: Float64,
    found: tuple[LatentMap, Density],
    partition: Partition,
    kt: float,
) -> Basins:
    """Return the basins of a map, the most populated first.

    Parameters
    ----------
    frames : LatentFrames
    weights : ndarray, shape (T,)
    blocks : Blocks
    counts : ndarray, shape (samples, blocks)
        See `Blocks.resampled`.
    found : LatentMap and Density
    partition : Partition
    kt : float
        kJ/mol.
    """
    part, density = found
    basin = partition.basin[density.cell]
    share, changes = _populations(basin, weights, blocks, counts, len(partition.minimum))
    seen = np.bincount(density.cell, weights, minlength=len(density.energy)) > 0.0
    energy = np.where(seen & np.isfinite(density.energy), density.energy, np.inf)
    height, top = _passes(energy, density.energy, part.neighbours(density.cells), partition.minimum)
    lowest = float(energy.min())
    rows = _representatives(frames, weights, basin, len(partition.minimum))
    names = [frames.files[k] if frames.files else "" for k in frames.file[rows].tolist()]
    return Basins(
        center=_centres(density.cells, partition.minimum),
        minimum=kt * energy[partition.minimum] - kt * lowest,  # to the last bit what the map says
        population=share,
        population_error=share * changes.std(axis=0),
        free_energy=kt * np.log(share[0] / share),
        error=kt * (changes - changes[:, :1]).std(axis=0),
        barrier=kt * height - kt * lowest,
        barrier_error=kt * _barrier_errors(density, partition.minimum, top),
        representative_file=names,
        representative_frame=frames.frame[rows],
        representative_row=frames.order[rows],
    )


def _populations(basin: Int64, weights: Float64, blocks: Blocks, counts: Float64, n: int) -> tuple[Float64, Float64]:
    """Shares of basins (K,), and their relative changes in bootstrap samples (samples, K)."""
    member = (basin[:, None] == np.arange(n)) * weights[:, None]
    sums = blocks.sums(member)
    share = sums.sum(axis=0) / sums.sum()
    drawn = counts @ sums
    relative = drawn / drawn.sum(axis=1, keepdims=True) / share - 1.0
    return share, relative * blocks.correction


def _passes(seen: Float64, known: Float64, neighbours: Int64, minimum: Int64) -> tuple[Float64, Int64]:
    """Passes through cells with frames; where none leads from one basin to another, through all that kernels reach."""
    height, top = barriers(seen, neighbours, minimum)
    wider_height, wider_top = barriers(known, neighbours, minimum)
    lost = top < 0
    return np.where(lost, wider_height, height), np.where(lost, wider_top, top)


def _barrier_errors(density: Density, minimum: Int64, top: Int64) -> Float64:
    """Standard errors of the height of passes above the minimum of the first of two basins, (K, K)."""
    changes = density.changes[:, np.maximum(top, 0)] - density.changes[:, minimum][:, :, None]
    return np.where(top >= 0, changes.std(axis=0), np.nan)


def _centres(cells: Cells, minimum: Int64) -> Float64:
    """Middles of cells in the coordinates of the edges, (K, 1 or 2)."""
    places = np.unravel_index(minimum, cells.shape)
    return np.stack([(0.5 * (e[1:] + e[:-1]))[i] for e, i in zip(cells.edges, places, strict=True)], axis=-1)


def _representatives(frames: LatentFrames, weights: Float64, basin: Int64, n: int) -> Int64:
    """Rows of the medoid of each basin, (K,), among frames that are evenly spread over it."""
    import torch

    from trajvae.geometry.manifolds.named import manifold_of
    from trajvae.geometry.medoids import medoid

    space, out = manifold_of(frames.geometry, frames.latent.shape[1]), []
    for k in range(n):
        rows = np.flatnonzero((basin == k) & (weights > 0.0))
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_COMPARED)).astype(np.int64))]
        best = medoid(torch.from_numpy(frames.latent[rows]), space, torch.from_numpy(weights[rows]))
        out.append(int(rows[best]))
    return np.array(out, dtype=np.int64)
