"""Where conformations come from: the model and the call that made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeVar

from trajvae.figures import Figures
from trajvae.models.model_file import hash_of
from trajvae.models.pipeline import Pipeline
from trajvae.results.conformation_pieces import Piece
from trajvae.results.conformations import Conformations
from trajvae.store.schema import Tree
from trajvae.topology import Topology

F = TypeVar("F", bound=Figures)


@dataclass(frozen=True, eq=False)
class Provenance:
    """Hold which model and which call made conformations.

    Attributes
    ----------
    topology : Topology
    geometry : str
        Signature of the latent space, such as `e2`.
    model_hash : str
        See `Conformations`.
    seed : int
    command : str
        The call, as a user writes it.
    """

    topology: Topology
    geometry: str
    model_hash: str
    seed: int
    command: str

    @classmethod
    def of(cls, pipeline: Pipeline, seed: int, command: str) -> Self:
        """Return the provenance of what a model makes."""
        return cls(pipeline.topology, pipeline.vae.latent.manifold.geometry(), hash_of(pipeline), seed, command)

    def conformations(self, rows: Piece, figures: F, extra: Tree | None = None) -> Conformations[F]:
        """Return conformations with their figures, and with arrays that are stored beside them."""
        return Conformations(
            positions=rows.positions,
            latent=rows.latent,
            valid=rows.valid,
            topology=self.topology,
            observables=rows.observables,
            seed=self.seed,
            command=self.command,
            figures=figures,
            extra=extra or {},
            geometry=self.geometry,
            model_hash=self.model_hash,
        )
