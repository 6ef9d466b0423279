"""MDAnalysis-style analyses: `TrajVAE` trains on a trajectory, `Embed` applies a model to one.

`run` of AnalysisBase is a Python loop over frames, so `_single_frame` only copies coordinates; everything else is done
at once in `_conclude`, by the functions that the command line uses too.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Unpack

import numpy as np

from trajvae.alignment.align import frame_jump
from trajvae.analysis_base import Collect
from trajvae.arguments.keywords import spelled_out
from trajvae.config import NetworkOptions
from trajvae.errors import OptionError
from trajvae.frame_weights import ChosenFrames, FrameWeights, read_weights
from trajvae.model import Model
from trajvae.models.encoding import reconstruct_all
from trajvae.outputs.embed import Origin, assemble
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source, selection_of
from trajvae.results.embedding import Embedding
from trajvae.training.options import CONFIG_DEFAULTS, config_of
from trajvae.training.trainer import Progress


class TrajVAE(Collect):
    """Train a variational autoencoder on a trajectory.

    Parameters
    ----------
    universe_or_atomgroup : Universe, AtomGroup, mdtraj.Trajectory or ndarray
        Arrays are (T, N, D) in Å.
    select : str, optional
        MDAnalysis' selection language; by default all of an AtomGroup, and of a Universe the heavy atoms of
        protein and nucleic acid, if any.
    latent : str
        The kind of latent space. (`run(backend=...)` is MDAnalysis' word for parallel backends.)
    latent_dim : int
        2 by default, or that of a `signature`.
    seed : int
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with (epoch, epochs, held-out ELBO).
    verbose : bool
        Progress bars: MDAnalysis' over the frames that are read, and one of the training.
    weights : array_like, str, Path or sequence of paths, optional
        How much each frame counts: see `Model.train`. Of an array, a number for each frame of the trajectory, or for
        each that `run` reads.
    temperature : float, optional
        In K, where `weights` names a file with a bias in kJ/mol.
    signature, features, likelihood, torsions, free_bits, align, center, beta, lag, slowness, epochs,\
    batch_size, hidden, settings
        The other fields of `TrainConfig`.

    Attributes
    ----------
    results.latent : ndarray, shape (T, ambient)
        The posterior's mean of every frame.
    results.latent_scale : ndarray, shape (T, dim)
    results.rmsd : ndarray, shape (T,)
        Å, of each frame to its decoded mean.
    results.frame_jump : ndarray, shape (T,)
        Å, to the frame before, after alignment.
    results.tangent, results.geometry, results.file, results.time
        As `Embedding`'s.
    results.history : TrainingHistory
        A dict of ndarray.
    model : Model
    embedding : Embedding
        All of the above in one object, with `save` and `to_dataframe`.

    Examples
    --------
    >>> run = TrajVAE(universe, select="name CA", latent_dim=2, seed=0).run(step=10)   # doctest: +SKIP
    >>> run.model.save("model.h5")                                                      # doctest: +SKIP
    """

    @spelled_out(NetworkOptions, CONFIG_DEFAULTS)
    def __init__(
        self,
        universe_or_atomgroup: object,
        select: str | None = None,
        *,
        latent: str = "euclidean",
        latent_dim: int | None = None,
        seed: int = 0,
        device: str = "auto",
        progress: Progress | None = None,
        verbose: bool = False,
        weights: object = None,
        temperature: float | None = None,
        **network: Unpack[NetworkOptions],
    ) -> None:
        kept = selection_of(universe_or_atomgroup, select)
        self.config = config_of(
            None, {**network, "backend": latent, "latent_dim": latent_dim, "select": kept, "seed": seed}
        )
        self._device, self._progress = device, progress
        self._weights, self._temperature = weights, temperature
        frames = open_source(universe_or_atomgroup, Reading(select=select))
        super().__init__(universe_or_atomgroup, frames, verbose=verbose)

    def _conclude(self) -> None:
        chunk = self._collected()
        command = f"TrajVAE(latent={self.config.backend!r}, latent_dim={self.config.latent_dim}).run()"
        self.model = Model.fit(
            self._plan,
            chunk,
            self.config,
            weights=self._weights,
            temperature=self._temperature,
            device=self._device,
            progress=self._progress,
            verbose=self._bars,
            command=command,
        )
        self.embedding = _embedding(self.model, chunk, self._plan, self.model.record.frame_weights)
        _fill(self.results, self.embedding)
        self.results.history = self.model.history


class Embed(Collect):
    """Apply a model to every frame of a trajectory.

    Parameters
    ----------
    universe_or_atomgroup
        As `TrajVAE`'s; atoms are chosen by the model's own selection.
    model : Model, str or Path
        A model, or the file of one.
    verbose : bool
        MDAnalysis' progress bar over the frames that are read.
    weights, temperature : optional
        As `TrajVAE`'s: they are kept, and the means of the embedding's figures are weighted.

    Attributes
    ----------
    results.latent, results.latent_scale, results.rmsd, results.frame_jump : ndarray
        As `TrajVAE`'s.
    embedding : Embedding
        All of them in one object, with `save` and `to_dataframe`.

    Raises
    ------
    ReadError, ModelError
        The file of the model is missing or damaged; the atoms are those of another molecule.

    Examples
    --------
    >>> Embed(universe, Model.load("model.h5")).run(backend="multiprocessing", n_workers=2)   # doctest: +SKIP
    """

    def __init__(
        self,
        universe_or_atomgroup: object,
        model: Model | str | Path,
        *,
        verbose: bool = False,
        weights: object = None,
        temperature: float | None = None,
    ) -> None:
        if isinstance(model, str | Path):
            model = Model.load(model)
        if not isinstance(model, Model):
            raise OptionError(f"Embed needs a Model or the path of its file, got {type(model).__name__}")
        frames = model.open(universe_or_atomgroup)
        super().__init__(universe_or_atomgroup, frames, verbose=verbose)
        self.model = model
        self._weights, self._temperature = weights, temperature

    def _conclude(self) -> None:
        chunk = self._collected()
        weights = read_weights(self._weights, ChosenFrames(self._plan, chunk), self._temperature)
        self.embedding = _embedding(self.model, chunk, self._plan, weights)
        _fill(self.results, self.embedding)


def _embedding(model: Model, chunk: Chunk, frames: Frames, weights: FrameWeights | None) -> Embedding:
    posterior, reconstruction = reconstruct_all(model.pipeline, chunk.positions)
    jump = np.where(chunk.has_predecessor, frame_jump(model.pipeline.alignment.apply(chunk.positions)), np.nan)
    origin = Origin(chunk.file, chunk.frame, chunk.time, frames.names)
    return assemble(model.pipeline, posterior, origin, jump, reconstruction._asdict(), weights)


def _fill(results: MutableMapping[str, object], embedding: Embedding) -> None:
    for name in ("latent", "latent_scale", "rmsd", "frame_jump", "tangent", "geometry", "file", "time"):
        results[name] = getattr(embedding, name)
