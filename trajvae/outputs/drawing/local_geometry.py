"""Give what a model draws the local geometry that its training found."""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.choices import GEOMETRIES
from trajvae.local_geometry import LocalGeometry
from trajvae.models.draws.geometry_fit import GeometryFrames, fit_local_geometry
from trajvae.models.draws.nearby_residuals import decode_draws, nearby_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.typing import Float64, Floats


class GeometryRestorer:
    """Give conformations the simulation's bonds, angles and torsions, where a model does not draw these by itself.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
        Models of earlier versions keep no local geometry: it is fitted to the frames that the model keeps.
    geometry : {"simulated", "none"}
        `none` leaves conformations as they are drawn from p(x|z).

    Attributes
    ----------
    name : str or None
        "simulated" where conformations are changed, "none" where they could be; None of models whose draws have the
        simulation's bonds by themselves, and of atoms without bonds.

    Raises
    ------
    OptionError
        Another geometry.
    """

    def __init__(self, pipeline: Pipeline, record: TrainingRecord, geometry: str = "simulated") -> None:
        check_choice(geometry, GEOMETRIES, "geometry")
        self.local_geometry: LocalGeometry | None = None
        self.name: str | None = None
        if pipeline.config.features == "cartesian" and len(record.validity.bonds):
            self.name = geometry
            self.local_geometry = _of_model(pipeline, record) if geometry == "simulated" else None
        known = record.sample[record.parts.training[record.sample_index]]
        self.pipeline, self.nearby = pipeline, nearby_of(pipeline, self.local_geometry, known)

    def place(self, params: dict[str, Tensor], generator: torch.Generator | None) -> Float64:
        """Return positions (n, N, D) in Å before they have local geometry: draws, or means without a generator."""
        if self.nearby is None or generator is None:
            return self.pipeline.place(params, generator)
        return self.nearby.place(params, generator)

    def decode(self, z: Floats, generator: torch.Generator | None) -> Float64:
        """Return the same at latent points (n, ambient)."""
        if generator is None:
            return self.pipeline.decode(z)
        return decode_draws(self.pipeline, z, generator, self.nearby)

    def __call__(self, positions: Float64, *, mean: bool = False, workers: int = 1) -> Float64:
        """Return conformations (n, N, D) with local geometry; `mean` and `workers` as `LocalGeometry.restore`."""
        if self.local_geometry is None:
            return positions
        return self.local_geometry.restore(positions, mean=mean, workers=workers)


def _of_model(pipeline: Pipeline, record: TrainingRecord) -> LocalGeometry | None:
    """Return the local geometry that a model keeps, or one fitted to its frames."""
    if record.local_geometry is not None:
        return record.local_geometry
    known = record.sample[record.parts.training[record.sample_index]]
    judges = record.latent[record.parts.validation]
    frames = GeometryFrames(known, known[:0], known[:0])  # draws stay those of p(x|z)
    return fit_local_geometry(pipeline, record.validity, frames, judges, record.figures.prior_gap or 0.0)
