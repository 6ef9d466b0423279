"""Geodesic paths between two conformations: shortest in a metric of the latent space, decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.choices import METRICS
from trajvae.errors import OptionError
from trajvae.figures import PathFigures
from trajvae.geometry.curves import NodeCurve, equal_times
from trajvae.geometry.geodesic import CurveMeasure, Geodesic, GeodesicOptions, geodesic
from trajvae.geometry.metric import DensityWeighted, KernelDensity, Metric, Pullback, spacing
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import built_in, evaluate
from trajvae.outputs.drawing.local_geometry import GeometryRestorer
from trajvae.outputs.drawing.novelty import nearest
from trajvae.outputs.path_crossings import crossings_along
from trajvae.outputs.provenance import Provenance
from trajvae.outputs.searching.latent_metrics import learned_metric, posterior_metric
from trajvae.outputs.searching.path_ends import Ends as Ends
from trajvae.outputs.searching.path_ends import find_ends as find_ends
from trajvae.results.conformation_pieces import Piece
from trajvae.results.conformations import Conformations
from trajvae.runtime.progress import count_items
from trajvae.runtime.threads import small_work
from trajvae.store import Quantity
from trajvae.typing import Bool, Float64, Floats, Int64

MOST_FRAMES = 100_000
_CENTROID_METRICS = {"learned": learned_metric, "posterior": posterior_metric}
_GRAPH = 1500  # training latents in the neighbour graph
_NEIGHBOURS = 12
_NODES = 24
_LINKS = 256  # that are measured at once
_WIDTH = 1.0  # of the density's kernel, in units of the spacing of the latents: wider ones bridge empty space


def path(
    pipeline: Pipeline,
    record: TrainingRecord,
    ends: Ends,
    *,
    metric: str = "density",
    frames: int = 50,
    curve: str = "spline",
    geometry: str = "simulated",
    descent: GeodesicOptions | None = None,
    simulated: Floats | None = None,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> Conformations[PathFigures]:
    """Find the shortest path between two latent points, and decode it.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    ends : Ends
    metric : {"density", "pullback", "learned", "posterior", "flat"}
        `pullback`: lengths are those of the decoded molecule's way, in Å. `density`: the same, made longer where the
        simulation has not been. `posterior`: the posterior's precision at the training frames, for flat latent spaces.
        `learned`: the metric of an RHVAE, elsewhere as `posterior`. `flat`: the latent space's own.
    frames : int
        Conformations along the path, both ends included.
    curve : {"spline", "discrete", "neural"}
    geometry : {"simulated", "none"}
        Give decoded means of Cartesian models bonds, angles and torsions that are usual in the simulation, or none.
    descent : GeodesicOptions, optional
        How the curve is optimised.
    simulated : ndarray, shape (T, N, D), optional
        Frames to look for the nearest in; by default those that the model keeps.
    seed : int
    progress : callable, optional
        Called with (step, steps, length).

    Returns
    -------
    Conformations
        With the observables `speed`, `energy`, `nearest_frame`, `nearest_rmsd`.
    """
    if not 2 <= frames <= MOST_FRAMES:
        raise OptionError(f"a path has 2 frames or more, up to {MOST_FRAMES}, got {frames}")
    check_choice(metric, METRICS, "metric")
    search = _Search(pipeline, record, metric)
    a, b = search.tensor(ends.latent)
    with small_work(3.0 * 128 * sum(p.numel() for p in pipeline.vae.decoder.parameters())):
        if metric == "flat":
            found = search.straight(a, b, frames)
        else:
            found = search.bent(a, b, frames, curve, descent, progress)
    decoded = _Decoded.of(GeometryRestorer(pipeline, record, geometry), pipeline, record, found, simulated)
    return _conformations(pipeline, found, decoded, _figures(search, found, decoded, ends), seed)


class _Search:
    """Search for the shortest curve in a metric."""

    def __init__(self, pipeline: Pipeline, record: TrainingRecord, metric: str) -> None:
        self.pipeline, self.record, self.name = pipeline, record, metric
        self.manifold = pipeline.vae.latent.manifold
        step = max(1, -(-len(record.latent) // _GRAPH))
        self.known = self.tensor(record.latent[::step])
        self.molecule = Pullback(self.decode)
        self.metric = self._metric(metric)

    def tensor(self, x: Float64) -> Tensor:
        """Return an array in the networks' precision, on their device."""
        return torch.from_numpy(np.asarray(x, dtype=np.float32)).to(self.pipeline.device)

    def decode(self, z: Tensor) -> Tensor:
        """Return all coordinates of the mean structures (B, N D) in Å at latent points (B, ambient)."""
        vae = self.pipeline.vae
        return vae.features.positions(vae.likelihood.mean(vae.decode(z))).flatten(1)

    def _metric(self, name: str) -> Metric:
        if name in _CENTROID_METRICS:
            wanted = f"metric '{name}' needs a flat latent space: use density, pullback or flat"
            return _CENTROID_METRICS[name](self.pipeline, self.record, _WIDTH, wanted)
        if name != "density":
            return self.molecule
        width = _WIDTH * max(spacing(self.known, self.manifold.pairwise_distance), 1e-6)
        return DensityWeighted(self.molecule, KernelDensity(self.known, width, self.manifold.pairwise_distance))

    def straight(self, a: Tensor, b: Tensor, frames: int) -> Geodesic:
        """Return the latent space's own geodesic, at constant speed."""
        t = torch.linspace(0.0, 1.0, max(frames, 200), dtype=a.dtype, device=a.device)
        line = NodeCurve(self.manifold.geodesic(a, b, t).detach(), 1)
        length = float(self.manifold.pairwise_distance(a[None], b[None]))
        points = self.manifold.geodesic(a, b, torch.linspace(0.0, 1.0, frames, dtype=a.dtype, device=a.device))
        speed = torch.full((frames,), length)
        return Geodesic(points.detach(), speed, length, length**2 / 2.0, length, line, line)

    def bent(
        self,
        a: Tensor,
        b: Tensor,
        frames: int,
        kind: str,
        descent: GeodesicOptions | None,
        progress: Callable[[int, int, float], None] | None,
    ) -> Geodesic:
        """Return the shortest of what descents find from the neighbour graph's path and from the straight line."""
        t = torch.linspace(0.0, 1.0, _NODES, dtype=a.dtype, device=a.device)
        straight = self.manifold.geodesic(a, b, t).detach()
        guess = self._through_neighbours(a, b)
        problem = CurveMeasure(self.metric, None if self.manifold.flat else self.manifold.project)
        first = straight if guess is None else guess
        return geodesic(problem, first, straight, frames, kind, descent=descent, progress=progress)

    @torch.no_grad()
    def _through_neighbours(self, a: Tensor, b: Tensor) -> Tensor | None:
        """Return the shortest path over training latents, each linked to its nearest; None if no path leads."""
        points = torch.cat([a[None], self.known, b[None]])
        k = min(_NEIGHBOURS, len(points) - 1)
        near = self.manifold.pairwise_distance(points, points).topk(k + 1, dim=1, largest=False).indices[:, 1:]
        first = torch.arange(len(points), device=a.device).repeat_interleave(k)
        start, step = points[first], points[near.flatten()] - points[first]
        middle = self.manifold.project(start + 0.5 * step)
        pieces = list(zip(torch.split(middle, _LINKS), torch.split(step, _LINKS), strict=True))
        measured = count_items(pieces, "measuring links between frames", "piece", len(pieces))
        cost = torch.cat([self.metric.square(m, v) for m, v in measured])
        weights = cost.clamp(min=1e-12).sqrt().double().cpu().numpy()
        links = (first.cpu().numpy(), near.flatten().cpu().numpy())
        graph = scipy.sparse.csr_matrix((weights, links), shape=(len(points), len(points)))
        (reach,), (before,) = scipy.sparse.csgraph.dijkstra(
            graph, directed=False, indices=[0], return_predecessors=True
        )
        if not np.isfinite(reach[-1]):
            return None
        way = [len(points) - 1]
        while way[-1] != 0:
            way.append(int(before[way[-1]]))
        polygon = points[torch.tensor(way[::-1], device=a.device)].double().cpu().numpy()
        return self.manifold.project(self.tensor(equal_times(polygon, _NODES)))


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Hold the conformations of a path, and the simulated frame that is nearest to each."""

    latent: Float64
    positions: Float64
    valid: Bool
    nearest_frame: Int64
    nearest_rmsd: Float64
    crossings: int | None

    @classmethod
    def of(
        cls,
        restorer: GeometryRestorer,
        pipeline: Pipeline,
        record: TrainingRecord,
        found: Geodesic,
        simulated: Floats | None,
    ) -> _Decoded:
        """Decode a path, and look for the nearest simulated frames: by default those that the model keeps."""
        latent = found.points.double().cpu().numpy()
        positions = restorer(pipeline.decode(latent), mean=True)
        frame, rmsd = nearest(positions, record.sample if simulated is None else simulated)
        frame = record.sample_index[frame] if simulated is None else frame
        valid, crossings = record.validity.test(positions), crossings_along(positions, record.validity.bonds)
        return cls(latent, positions, valid, frame, rmsd, crossings)


def _conformations(
    pipeline: Pipeline, found: Geodesic, decoded: _Decoded, figures: PathFigures, seed: int
) -> Conformations[PathFigures]:
    speed = found.speed.double().cpu().numpy()
    observables = {
        **{k: o.quantity(evaluate(o, decoded.positions)) for k, o in built_in(pipeline.topology).items()},
        "speed": Quantity(speed),
        "energy": Quantity(0.5 * speed**2),
        "nearest_frame": Quantity(decoded.nearest_frame),
        "nearest_rmsd": Quantity(decoded.nearest_rmsd, "Angstrom"),
    }
    options = f"metric={figures.metric!r}, frames={figures.frames}"
    command = f"Model.path({figures.start!r}, {figures.end!r}, {options})"
    rows = Piece(decoded.positions, decoded.latent, decoded.valid, observables)
    return Provenance.of(pipeline, seed, command).conformations(rows, figures)


def _figures(search: _Search, found: Geodesic, decoded: _Decoded, ends: Ends) -> PathFigures:
    molecule = CurveMeasure(search.molecule, None if search.manifold.flat else search.manifold.project)
    atoms, like = search.pipeline.n_atoms**0.5, found.points
    return PathFigures(
        start=ends.names[0],
        end=ends.names[1],
        metric=search.name,
        frames=len(decoded.positions),
        length=found.length,
        straight_length=found.straight_length,
        energy=found.energy,
        length_angstrom=molecule.length(found.curve, like) / atoms,
        straight_length_angstrom=molecule.length(found.straight, like) / atoms,
        nearest_rmsd=float(decoded.nearest_rmsd.mean()),
        valid=int(decoded.valid.sum()),
        crossings=decoded.crossings,
    )
