"""Give what a model draws the local geometry that its training found."""

from __future__ import annotations

from trajvae.arguments.lookup import check_choice
from trajvae.choices import GEOMETRIES
from trajvae.local_geometry import LocalGeometry
from trajvae.models.geometry_fit import fit_local_geometry
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.typing import Float64


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
    return fit_local_geometry(pipeline, record.validity, known, judges, record.figures.prior_gap or 0.0)
