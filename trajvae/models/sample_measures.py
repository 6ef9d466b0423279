"""Measures of the frames that a model keeps and of its draws, which decide the verdict on a training."""

from __future__ import annotations

import math

import numpy as np
import torch

from trajvae.alignment.align import pairwise_rmsd
from trajvae.alignment.distances import rmsd_matrix
from trajvae.frame_weights.weights import FrameWeights, equivalent_of, equivalent_places
from trajvae.local_geometry import LocalGeometry
from trajvae.models.aggregate import AggregatePosterior
from trajvae.models.draws.nearby_residuals import NearbyResiduals, decode_draws, nearby_of
from trajvae.models.judgement import SampleMeasures, warn_of_spread
from trajvae.models.partition import Partition
from trajvae.models.pipeline import Pipeline
from trajvae.molecule.validity import Validity
from trajvae.topology import Topology
from trajvae.typing import Floats, Int64

DRAWS = 200  # number of draws for validity, and at least for the spectrum
GAP = 0.7  # nats from all posteriors together to the prior, above which draws come from posteriors
MOTIONS = 10  # of the spectrum
_ATOMS = 2000  # number of atoms among which nearest ones are sought, at most
_SPECTRUM_DRAWS, _NUMBERS = 1000, 10**7  # for the spectrum, at most: draws, and coordinates of all of them
_PAIRS = 2**16  # of frames, whose RMSDs are computed at once
_LEAST = 1e-9  # of the largest eigenvalue, below which one is rounding


def draws_of(
    pipeline: Pipeline,
    frames: Floats,
    judges: Floats,
    gap: float,
    n: int = DRAWS,
    nearby: NearbyResiduals | None = None,
) -> Floats:
    """Return draws (n, N, D) in Å, as `generate` makes them before it repairs any.

    Parameters
    ----------
    pipeline : Pipeline
    frames : ndarray, shape (T, N, D)
        Training frames.
    judges : ndarray, shape (V, ambient)
        Latent points of validation frames.
    gap : float
        Result of `prior_gap`: above 0.7 nats latent points come from posteriors of the frames, else from the prior.
    n : int
        Number of draws.
    nearby : NearbyResiduals, optional
        Residuals that draws have instead of those of p(x|z).
    """
    generator = torch.Generator(pipeline.device).manual_seed(0)
    with torch.no_grad():
        if gap > GAP:
            z = AggregatePosterior(pipeline, frames, judges).draw(n, generator)
        else:
            z = pipeline.vae.latent.prior_sample(n, generator)
    return decode_draws(pipeline, np.asarray(z.cpu().double().numpy()), generator, nearby)


def spread_of(pipeline: Pipeline, draws: Floats, frames: Floats) -> tuple[float, tuple[float, ...]]:
    """Return how much draws (n, N, D) fluctuate, beside frames (T, N, D).

    Returns
    -------
    total : float
        Mean square deviation of draws from their mean over that of frames: the ratio of total variances.
    spectrum : tuple of float
        Ratios of the first ten eigenvalues of the covariances of their coordinates, largest first, or of as many as
        there are.
    """
    spectra = []
    for x in (draws, frames):
        flat = pipeline.alignment.apply(x).astype(np.float64).reshape(len(x), -1)
        flat = (flat - flat.mean(axis=0)) / math.sqrt(len(x))
        products = flat @ flat.T if flat.shape[0] < flat.shape[1] else flat.T @ flat
        spectra.append(np.linalg.eigvalsh(products)[::-1])
    found, wanted = spectra
    total = float(found.sum() / max(wanted.sum(), 1e-12))
    known = min(MOTIONS, len(found), int((wanted > _LEAST * wanted[0]).sum()))
    return total, tuple((found[:known] / wanted[:known]).tolist())


def novelty_of(draws: Floats, held: Floats, known: Floats) -> float:
    """Return the median RMSD of draws (n, N, D) to the nearest of the known frames (T, N, D), over that of held ones.

    Parameters
    ----------
    draws : ndarray, shape (n, N, D)
    held : ndarray, shape (H, N, D)
        Frames that are none of the known ones; without any the novelty is 1.
    known : ndarray, shape (T, N, D)
    """
    if not len(held):
        return 1.0
    own, usual = (float(np.median(_nearest(x, known))) for x in (draws, held))
    return own / max(usual, 1e-6)


def _nearest(frames: Floats, known: Floats) -> Floats:
    """RMSD in Å to the nearest known frame, some frames at once."""
    step = max(1, _PAIRS // len(known))
    return np.concatenate([rmsd_matrix(frames[i : i + step], known).min(axis=1) for i in range(0, len(frames), step)])


def mean_rmsd(frames: Floats, others: Floats) -> float:
    """Return the mean RMSD in Å of frames (T, N, D) to the mean of others, all of them aligned."""
    middle = np.broadcast_to(others.mean(axis=0), frames.shape)
    return float(pairwise_rmsd(frames, middle, np.ones(frames.shape[1])).mean())


def drift_of(frames: Floats, file: Int64) -> tuple[float, int]:
    """Return how far the largest motion of frames (T, N, D) follows time, and how often it goes there and back.

    Returns
    -------
    drift : float
        The rank correlation of the first principal component with the frames' order, without its sign; 0 where frames
        are of several files.
    crossings : int
        Passages between the component's outer quarters.
    """
    flat = frames.reshape(len(frames), -1).astype(np.float64)
    if len(flat) < 5 or len(np.unique(file)) > 1:
        return 0.0, 0
    flat -= flat.mean(axis=0)
    first = np.linalg.eigh(flat @ flat.T)[1][:, -1]  # of the frames' products: as many as frames, not as coordinates
    low, high = np.quantile(first, [0.25, 0.75])
    outer = np.where(first <= low, -1, np.where(first >= high, 1, 0))
    outer = outer[outer != 0]
    order = np.argsort(np.argsort(first))
    return abs(float(np.corrcoef(order, np.arange(len(first)))[0, 1])), int((np.diff(outer) != 0).sum())


def molecules_of(frames: Floats, topology: Topology) -> tuple[int, float, float]:
    """Return the number of molecules, and the RMS motion in Å of their centres and of atoms about these centres.

    Parameters
    ----------
    frames : ndarray, shape (T, N, D)
        Aligned.
    topology : Topology
        Without bonds all atoms are one molecule; single atoms, such as ions, are not counted beside molecules.
    """
    from scipy.sparse import coo_matrix  # here: these take a quarter of a second, and most commands need none
    from scipy.sparse.csgraph import connected_components

    bonds, n = topology.bonds, topology.n_atoms
    if not len(bonds):
        return 1, 0.0, 0.0
    graph = coo_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), (n, n))
    count, label = connected_components(graph, directed=False)
    sizes = np.bincount(label, minlength=count)
    large = sizes[label] > 1
    if len(np.unique(label[large])) < 2:
        return 1, 0.0, 0.0
    weights = coo_matrix((1.0 / sizes[label], (label, np.arange(n))), (count, n)).tocsr()
    flat = np.moveaxis(frames.astype(np.float64), 1, 0)  # (N, T, D)
    centres = np.asarray(weights @ flat.reshape(n, -1)).reshape(count, *flat.shape[1:])
    about = flat - centres[label]
    apart = np.sqrt(centres[sizes > 1].var(axis=1).sum(axis=-1).mean())
    return int((sizes > 1).sum()), float(apart), float(np.sqrt(about[large].var(axis=1).sum(axis=-1).mean()))


def order_of(frame: Floats) -> float:
    """Return the median distance of neighbours in the file over that of nearest atoms, in one frame (N, D)."""
    from scipy.spatial import cKDTree

    atoms = frame[:_ATOMS].astype(np.float64)
    if len(atoms) < 3:
        return 1.0
    nearest = np.asarray(cKDTree(atoms).query(atoms, k=2)[0])[:, 1]
    return float(np.median(np.linalg.norm(np.diff(atoms, axis=0), axis=1)) / max(float(np.median(nearest)), 1e-6))


def measure(
    pipeline: Pipeline,
    validity: Validity,
    sample: Floats,
    index: Int64,
    file: Int64,
    parts: Partition,
    latent: Floats,
    gap: float,
    local_geometry: LocalGeometry | None = None,
    weights: FrameWeights | None = None,
) -> SampleMeasures:
    """Measure the frames that a model keeps, and its draws.

    Parameters
    ----------
    pipeline : Pipeline
    validity : Validity
    sample : ndarray, shape (S, N, D)
        Aligned frames, evenly spread.
    index : ndarray of int64, shape (S,)
        Indices of the sample among the T frames.
    file : ndarray of int64, shape (T,)
    parts : Partition
    latent : ndarray, shape (T, ambient)
        Latent points of all frames.
    gap : float
        Result of `prior_gap` in nats.
    local_geometry : LocalGeometry, optional
        What draws are given before they are tested.
    weights : FrameWeights, optional
        Of the T frames: draws are compared with frames that stand for them.

    Warns
    -----
    TrajvaeWarning
        Draws fluctuate by a fifth less or more than the frames.
    """
    training, held = (equivalent_places(weights, index, use[index]) for use in (parts.training, parts.held_out))
    known = sample[training] if len(training) else sample
    n = int(np.clip(_NUMBERS // sample[0].size, DRAWS, _SPECTRUM_DRAWS))
    residuals = sample[parts.training[index]] if len(training) else sample  # of near frames, which need no weights
    nearby = nearby_of(pipeline, local_geometry, residuals)
    draws = draws_of(pipeline, known, latent[equivalent_of(weights, parts.validation)], gap, n, nearby)
    few = draws[:DRAWS]
    total, spectrum = spread_of(pipeline, draws, known)
    warn_of_spread(total)
    drift, crossings = drift_of(sample, file[index])
    molecules, apart, within = molecules_of(sample, pipeline.topology)
    return SampleMeasures(
        draws_valid=float(validity.test(few if local_geometry is None else local_geometry.restore(few)).mean()),
        spread=total,
        spectrum=spectrum,
        novelty=novelty_of(few, sample[held], known),
        mean_rmsd=mean_rmsd(sample[held] if len(held) else sample, known),
        drift=drift,
        crossings=crossings,
        molecules=molecules,
        apart=apart,
        within=within,
        order=order_of(sample[0]),
    )
