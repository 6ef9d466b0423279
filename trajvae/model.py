"""`Model`, the facade that users hold: train, load, save, encode, decode, generate, marginals, optimize."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.config import TrainConfig
from trajvae.errors import ModelError
from trajvae.geometry.geodesic import Descent
from trajvae.models.fit import fit
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import Record, encode_all
from trajvae.models.saved import Parts, from_record, to_record
from trajvae.models.train import Progress, Regulariser
from trajvae.observables import evaluate
from trajvae.outputs.conformations import Conformations
from trajvae.outputs.embed import Embedding, embed
from trajvae.outputs.generate import Mending, generate
from trajvae.outputs.marginals import Marginals, marginals
from trajvae.outputs.objectives import parse_objective
from trajvae.outputs.optimize import Search, optimize
from trajvae.outputs.path import find_ends, path
from trajvae.readers.sources import Chunk, Frames, Reading, open_matching, open_source, own_selection
from trajvae.store import read_model, write_model
from trajvae.topology import Topology


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
    def train(
        cls,
        source: Any,
        config: TrainConfig | None = None,
        *,
        reading: Reading | None = None,
        device: str = "auto",
        inputs: Any = None,
        regulariser: Regulariser | None = None,
        progress: Progress | None = None,
        command: str = "Model.train",
    ) -> Model:
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

        Raises
        ------
        TrajvaeError
            What cannot be read or learned from.
        """
        config, reading = config or TrainConfig(), reading or Reading()
        config = dataclasses.replace(config, select=own_selection(source, reading.select or config.select))
        reading = dataclasses.replace(reading, select=config.select)
        frames = open_source(source, reading)
        extra = {
            "inputs": None if inputs is None else open_source(inputs, reading).read().positions,
            "regulariser": regulariser,
            "progress": progress,
        }
        return cls.fit(frames, frames.read(), config, device=device, command=command, **extra)

    @classmethod
    def fit(
        cls,
        frames: Frames,
        chunk: Chunk,
        config: TrainConfig,
        *,
        device: str = "auto",
        command: str = "Model.train",
        **extra: Any,
    ) -> Model:
        """Train on frames that were read already; `extra` is handed to `models.fit.fit`."""
        pipeline, record = fit(chunk, frames.topology, config, precision=frames.precision, device=device, **extra)
        return cls(pipeline, record, frames.names, frames.selection, command)

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
            The atoms differ in number, dimension or name from the model's.
        """
        frames = open_matching(source, reading or Reading(), self.config.select, self.topology.n_atoms)
        self._check(frames.topology, len(frames.axes))
        return frames

    def _check(self, topology: Topology, dimension: int) -> None:
        own = self.topology
        where = f"the model is of another molecule: it was trained on {own.n_atoms} atoms ({self.selection})"
        if (topology.n_atoms, dimension) != (own.n_atoms, self.pipeline.dimension):
            raise ModelError(
                f"{where} in {self.pipeline.dimension} dimensions, these are {topology.n_atoms} in {dimension}: "
                "choose the atoms with --select, or train a model of them"
            )
        if own.named and topology.named and (own.names != topology.names).any():
            i = int(np.argmax(own.names != topology.names))
            raise ModelError(f"{where}; its atom {i} is '{own.names[i]}', here it is '{topology.names[i]}'")

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
        """New conformations; see `outputs.generate.generate`, and `Mending` for what else may be said."""
        extra: dict[str, Any] = {"novelty": novelty, "progress": progress, "mending": Mending(**mending)}
        return generate(self.pipeline, self.record, n, seed=seed, mean=mean, sampler=sampler, **extra)

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
        followed = parse_objective(objective, self.pipeline, reading.topology)
        if source is not None:
            observed = np.concatenate([evaluate(followed, c.positions) for c in self.open(source, reading).chunks()])
        extra: dict[str, Any] = {"of": of, "seed": seed, "search": search, "observed": observed, "progress": progress}
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
            find_ends(self.pipeline, latent, (start, end), reading.topology),
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
            raise ModelError(f"'{path}' is a model whose training did not complete: train it again")
        try:
            return cls(*from_record(stored, device))
        except (KeyError, ValueError, RuntimeError, TypeError, IndexError, AttributeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"'{path}' is damaged: {reason}") from error
