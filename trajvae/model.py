"""`Model`, the facade that users hold: train, load, save, encode, decode, generate, marginals, optimize."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.config import TrainConfig
from trajvae.errors import ModelError
from trajvae.geometry.geodesic import Descent
from trajvae.models.identity import check_molecule
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import Record, encode_all
from trajvae.models.saved import Parts, from_record, to_record
from trajvae.models.supply import InMemory
from trajvae.outputs.conformations import Conformations
from trajvae.outputs.embed import Embedding, embed
from trajvae.outputs.generate import Drawing, generate
from trajvae.outputs.marginals import Marginals, marginals
from trajvae.outputs.objectives import parse_objective
from trajvae.outputs.observed import Observed
from trajvae.outputs.optimize import Search, optimize
from trajvae.outputs.path import find_ends, path
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_matching
from trajvae.store import read_model, write_model
from trajvae.topology import Topology
from trajvae.training import resume, train, train_frames


class Model:
    """A trained model.

    Parameters
    ----------
    pipeline : Pipeline
    record : Record
        What is kept of the training frames.
    files : list of str
        The trajectories it was trained on.
    selection : str
        The atoms in words.
    command : str
        The call that made it.

    Examples
    --------
    >>> from trajvae import Model
    >>> model = Model.train("traj.dcd")                    # doctest: +SKIP
    >>> model.generate(1000, seed=0).save("new.h5md")      # doctest: +SKIP
    """

    def __init__(
        self, pipeline: Pipeline, record: Record, files: list[str], selection: str, command: str = "Model.train"
    ) -> None:
        self.pipeline, self.record = pipeline, record
        self.files, self.selection, self.command = files, selection, command

    @classmethod
    def train(cls, source: Any, config: TrainConfig | None = None, **options: Any) -> Model:
        """Read, align and train.

        Parameters
        ----------
        source
            See `open_source`.
        config : TrainConfig, optional
        reading : Reading, optional
            Topology and frames; its selection is the config's if it has none of its own.
        device : {"auto", "cpu", "cuda"}
        inputs : optional
            A source of as many frames of the same atoms, which the encoder sees in the place of the source's, such as
            noisy ones: the model learns to denoise.
        regulariser : callable, optional
            (VAE, Terms) to a scalar in nats a frame that is added to the loss.
        progress : callable, optional
            Called with (epoch, epochs, held-out ELBO).
        checkpoint : str or Path, optional
            A model file that what was reached is written to every minute (`every`, in seconds); see `resume`. One that
            exists is an error, unless `force` is on.
        memory : str or float, optional
            Such as "2GB": where the frames take more, they are streamed. By default half of the machine's.

        Raises
        ------
        TrajvaeError
            What cannot be read or learned from.
        """
        return cls(*train(source, config, **options))

    @classmethod
    def fit(cls, frames: Frames, chunk: Chunk, config: TrainConfig, **options: Any) -> Model:
        """Train on frames that were read already; `options` as in `train`."""
        return cls(*train_frames(frames, InMemory(chunk), config, **options))

    @classmethod
    def resume(cls, path: str | Path, source: Any = None, **options: Any) -> Model:
        """Go on with a training from its last checkpoint, to the same weights; see `training.resume`."""
        return cls(*resume(path, source, **options))

    def __repr__(self) -> str:
        c = self.config
        return f"<Model {c.backend}, latent dimension {c.latent_dim}, {self.topology.n_atoms} atoms ({self.selection})>"

    @property
    def config(self) -> TrainConfig:
        """The options it was made with."""
        return self.pipeline.config

    @property
    def topology(self) -> Topology:
        """Of the selected atoms."""
        return self.pipeline.topology

    @property
    def figures(self) -> dict[str, Any]:
        """What training reported: held-out ELBO, RMSD and the like."""
        return self.record.figures

    def open(self, source: Any, reading: Reading | None = None) -> Frames:
        """Open a source with the model's own selection, and refuse another molecule.

        Raises
        ------
        ModelError
            See `check_molecule`: the atoms differ from the model's.
        """
        frames = open_matching(source, reading or Reading(), self.config.select, self.topology.n_atoms)
        check_molecule(self.pipeline, self.record, self.selection, frames)
        return frames

    def encode(
        self,
        source: Any,
        reading: Reading | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        rmsd: bool = True,
    ) -> Embedding:
        """Latent coordinates of every frame of a source; see `open_source`.

        Without `rmsd` nothing is decoded: RMSDs are NaN, `figures` has no ELBO, and latents are the same, in a third of
        the time from memory or DCD.
        """
        return embed(self.pipeline, self.open(source, reading), progress, rmsd=rmsd)

    def decode(self, latent: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Mean conformations of latent points (n, ambient): positions (n, N, D) in Å."""
        return self.pipeline.decode(latent)

    def generate(
        self,
        n: int,
        *,
        seed: int = 0,
        mean: bool = False,
        sampler: str = "auto",
        novelty: bool = False,
        progress: Callable[[int, int], None] | None = None,
        **mending: Any,
    ) -> Conformations:
        """New conformations; see `outputs.generate.Drawing`, and `Mending` for what else may be said."""
        extra: dict[str, Any] = {"novelty": novelty, "progress": progress, **mending}
        return generate(self.pipeline, self.record, n, seed=seed, mean=mean, sampler=sampler, **extra)

    def drawing(self, n: int, **options: Any) -> Drawing:
        """What `generate` gives, not drawn yet: iterate over pieces, or `save` as many as the disk holds."""
        return Drawing(self.pipeline, self.record, n, **options)

    def marginals(self, source: Any = None, reading: Reading | None = None, *, seed: int = 0) -> Marginals:
        """Simulation against model; without a source, on the frames the model keeps. See `outputs.marginals`."""
        positions = None if source is None else self.open(source, reading).read().positions
        return marginals(self.pipeline, self.record, positions, seed=seed)

    def optimize(
        self,
        objective: str | Callable[[torch.Tensor], torch.Tensor],
        *,
        goal: str | float = "min",
        of: str = "sample",
        seed: int = 0,
        source: Any = None,
        reading: Reading | None = None,
        search: Search | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> Conformations:
        """Structures that optimise an observable.

        Parameters
        ----------
        objective : str or callable
            See `outputs.objectives.parse_objective`.
        goal : {"min", "max"} or float
        of : {"sample", "mean"}
        source : optional
            Simulated frames to compare with, beside those that the model keeps.
        """
        reading, observed = reading or Reading(), None
        followed = parse_objective(objective, self.pipeline, reading.first_topology)
        if source is not None:
            observed = Observed.of_frames(self.open(source, reading), followed)
        extra: dict[str, Any] = {"of": of, "seed": seed, "search": search, "observed": observed, "progress": progress}
        extra["files"] = self.files
        return optimize(self.pipeline, self.record, followed, goal=str(goal), **extra)

    def path(
        self,
        start: int | str | Path,
        end: int | str | Path,
        *,
        metric: str = "density",
        frames: int = 50,
        curve: str = "spline",
        descent: Descent | None = None,
        seed: int = 0,
        source: Any = None,
        reading: Reading | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> Conformations:
        """The geodesic between two conformations, decoded; see `outputs.path.path`.

        Parameters
        ----------
        start, end : int, str or Path
            Numbers of frames (from 0, of the training frames or of the source), or structure files.
        source : optional
            Simulated frames that numbers count and in which the nearest are looked for, instead of those kept.
        """
        reading, latent, simulated = reading or Reading(), self.record.latent, None
        if source is not None:
            simulated = self.open(source, reading).read().positions
            latent = encode_all(self.pipeline, simulated).latent
        return path(
            self.pipeline,
            self.record,
            find_ends(self.pipeline, latent, (start, end), reading.first_topology),
            metric=metric,
            frames=frames,
            curve=curve,
            descent=descent,
            simulated=simulated,
            seed=seed,
            progress=progress,
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `model.h5`: arrays and JSON, whole or not at all."""
        parts = Parts(self.pipeline, self.record, self.files, self.selection, self.command)
        write_model(Path(path), to_record(parts), force=force)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Model:
        """Read `model.h5`.

        Raises
        ------
        ReadError
            Missing, damaged, or no model.
        ModelError
            Its training did not complete, or its parts do not fit each other.
        """
        stored = read_model(Path(path))
        if stored.status != "complete":
            raise ModelError(
                f"'{path}' is a model whose training did not complete: 'trajvae train --resume -o {path}' goes on"
            )
        return cls(*from_record(stored, device, str(path)))
