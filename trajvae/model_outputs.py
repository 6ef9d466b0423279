"""`ModelOutputs`: what a trained model is used for: encode, decode, generate, marginals, optimize, path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from trajvae.arguments.keywords import spelled_out
from trajvae.cluster import WorkPlace
from trajvae.cluster.frame_ranges import read_all, reader_at
from trajvae.errors import OptionError
from trajvae.frame_weights import read_weights
from trajvae.model_base import ModelBase
from trajvae.models.encoding import encode_all
from trajvae.outputs.drawing.repair import DRAWING_DEFAULTS, DrawingKeywords
from trajvae.outputs.embed import embed, embed_to
from trajvae.outputs.generate import ConformationStream
from trajvae.readers.reading import Reading
from trajvae.typing import Float64, Floats

# marginals, optimize and path are imported by the methods that need them, so that `from trajvae import Model` is fast
if TYPE_CHECKING:
    from trajvae.figures import EmbeddingFigures, GenerationFigures, OptimizationFigures, PathFigures
    from trajvae.frame_weights import FrameWeights
    from trajvae.geometry.geodesic import GeodesicOptions
    from trajvae.outputs.optimize import Search
    from trajvae.outputs.searching.objectives import Objective
    from trajvae.readers.data_set import Frames
    from trajvae.results import Conformations, Embedding, Marginals, Sensitivity


class ModelOutputs(ModelBase):
    """Encode and decode with a trained model, and draw, compare and search by it."""

    def encode(
        self,
        source: object,
        reading: Reading | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        rmsd: bool = True,
        weights: object = None,
        temperature: float | None = None,
        sensitivity: bool = False,
        cluster: WorkPlace | None = None,
    ) -> Embedding:
        """Return latent coordinates of every frame of a source, which may be all that `Model.train` takes.

        `weights` and `temperature` are those of `Model.train`; weights are kept, and means in `figures` are weighted.
        Without `rmsd` nothing is decoded or measured: RMSDs are NaN, `figures` has no ELBO, there are no observables
        and no flags of the support, and latents are the same, in less than half of the time from memory or DCD.
        With `sensitivity` the frames are read three times, and `Embedding.sensitivity` is what `Model.sensitivity`
        gives of them. With `cluster`, a `trajvae.cluster.DaskCluster`, ranges of frames are encoded there, alike.
        """
        frames = self.open(source, reading)
        own = read_weights(weights, frames, temperature)
        moved = self._moved(frames, own) if sensitivity else None
        return embed(
            self.pipeline,
            frames,
            progress,
            rmsd=rmsd,
            record=self.record,
            weights=own,
            moved=moved,
            place=cluster,
            reader=reader_at(cluster, frames, source, reading),
        )

    def _moved(self, frames: Frames, weights: FrameWeights | None) -> Sensitivity:
        from trajvae.sensitivity import sensitivity

        return sensitivity(self, frames, None, weights)

    def encode_to(
        self,
        path: str | Path,
        source: object,
        reading: Reading | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        seed: int = 0,
        force: bool = False,
        weights: object = None,
        temperature: float | None = None,
        sensitivity: bool = False,
        cluster: WorkPlace | None = None,
    ) -> EmbeddingFigures:
        """Write latent coordinates of every frame of a source as they are computed, and return their figures.

        The file is the one that `encode(source).save(path)` writes, of any number of frames: memory does not grow with
        it.

        Parameters
        ----------
        path : str or Path
            An `.h5` file that does not exist, or any with `force`.
        source, reading : optional
            As of `encode`.
        progress : callable, optional
            Called with (frames done, frames in all).
        seed : int
            The seed that the file names; the encoding itself is deterministic.
        force : bool
        weights, temperature, sensitivity, cluster : optional
            As of `encode`.

        Returns
        -------
        EmbeddingFigures
            With the share of frames in support, and the verdict.

        Raises
        ------
        OutputError
            The file exists and `force` is off, or it cannot be written.
        ModelError
            The atoms differ from the model's.
        """
        frames = self.open(source, reading)
        own = read_weights(weights, frames, temperature)
        return embed_to(
            Path(path),
            self.pipeline,
            frames,
            progress,
            command="Model.encode_to",
            seed=seed,
            force=force,
            record=self.record,
            weights=own,
            moved=self._moved(frames, own) if sensitivity else None,
            place=cluster,
            reader=reader_at(cluster, frames, source, reading),
        )

    def decode(self, latent: Floats) -> Float64:
        """Return mean conformations of latent points (n, ambient): positions (n, N, D) in Å."""
        return self.pipeline.decode(latent)

    @spelled_out(DrawingKeywords, DRAWING_DEFAULTS)
    def generate(self, n: int, **drawing: Unpack[DrawingKeywords]) -> Conformations[GenerationFigures]:
        """Return new conformations in memory, with the options of `trajvae.outputs.generate.ConformationStream`."""
        return ConformationStream(self.pipeline, self.record, n, **drawing).collect()

    @spelled_out(DrawingKeywords, DRAWING_DEFAULTS)
    def drawing(self, n: int, **drawing: Unpack[DrawingKeywords]) -> ConformationStream:
        """Return what `generate` draws, not drawn yet: iterate over pieces, or `save` as many as the disk holds."""
        return ConformationStream(self.pipeline, self.record, n, **drawing)

    def marginals(
        self,
        source: object = None,
        reading: Reading | None = None,
        *,
        seed: int = 0,
        geometry: str = "simulated",
        weights: object = None,
        temperature: float | None = None,
        cluster: WorkPlace | None = None,
    ) -> Marginals:
        """Compare simulation and model, observable by observable; without a source, on the frames the model keeps.

        With `geometry` "none" draws of Cartesian models keep their bonds and angles, as p(x|z) gives them. `weights`
        and `temperature` are those of `Model.train`; without them frames of the training have the weights that they
        had there. With `cluster` frames are read and conformations are drawn there.

        Raises
        ------
        OptionError
            Weights without a source: the frames that the model keeps have their own.
        """
        from trajvae.outputs.marginals import marginals

        if source is None and weights is not None:
            raise OptionError("weights are those of trajectories, and none is given; the model's frames have their own")
        positions, own = None, None
        if source is not None:
            frames = self.open(source, reading)
            own = read_weights(weights, frames, temperature)
            positions = read_all(frames, cluster, reader_at(cluster, frames, source, reading)).positions
        compared = self.pipeline, self.record, positions
        return marginals(*compared, seed=seed, geometry=geometry, weights=own, cluster=cluster)

    def optimize(
        self,
        objective: Objective,
        *,
        goal: str | float = "min",
        of: str = "sample",
        seed: int = 0,
        geometry: str = "simulated",
        source: object = None,
        reading: Reading | None = None,
        search: Search | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> Conformations[OptimizationFigures]:
        """Find structures that optimise an observable.

        Parameters
        ----------
        objective : str, Observable or callable
            See `parse_objective`.
        goal : {"min", "max"} or float, a float for a periodic objective
        of : {"sample", "mean"}
        geometry : {"simulated", "none"}
            Give structures of Cartesian models the simulation's bonds, angles and torsions, or none.
        source : optional
            Simulated frames to compare with, beside those that the model keeps.
        """
        from trajvae.outputs.optimize import optimize
        from trajvae.outputs.searching.best_frame import Observed
        from trajvae.outputs.searching.objectives import Goal, parse_objective

        reading, observed = reading or Reading(), None
        followed = parse_objective(objective, self.pipeline, reading.first_topology)
        Goal(str(goal), followed.period)  # a wrong one is refused before the source is read
        if source is not None:
            observed = Observed.of_frames(self.open(source, reading), followed)
        return optimize(
            self.pipeline,
            self.record,
            followed,
            goal=str(goal),
            of=of,
            seed=seed,
            geometry=geometry,
            observed=observed,
            search=search,
            progress=progress,
            files=self.files,
        )

    def path(
        self,
        start: int | str | Path,
        end: int | str | Path,
        *,
        metric: str = "density",
        frames: int = 50,
        curve: str = "spline",
        descent: GeodesicOptions | None = None,
        seed: int = 0,
        geometry: str = "simulated",
        source: object = None,
        reading: Reading | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> Conformations[PathFigures]:
        """Find the geodesic between two conformations, and decode it.

        Parameters
        ----------
        start, end : int, str or Path
            Numbers of frames (from 0, of the training frames or of the source), or structure files.
        geometry : {"simulated", "none"}
            Give decoded means of Cartesian models bonds, angles and torsions that are usual in the simulation, or none.
        source : optional
            Simulated frames that numbers count and in which the nearest are looked for, instead of those kept.
        """
        from trajvae.outputs.path import find_ends, path

        reading, latent, simulated = reading or Reading(), self.record.latent, None
        if source is not None:
            simulated = self.open(source, reading).read().positions
            latent = encode_all(self.pipeline, simulated).latent
        ends = find_ends(self.pipeline, latent, (start, end), reading.first_topology)
        return path(
            self.pipeline,
            self.record,
            ends,
            metric=metric,
            frames=frames,
            curve=curve,
            descent=descent,
            simulated=simulated,
            seed=seed,
            geometry=geometry,
            progress=progress,
        )
