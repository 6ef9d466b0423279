"""`Model`, the facade that users hold: train, load, save, encode, decode, generate, marginals, optimize."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from trajvae.config import TrainConfig
from trajvae.display import Displayed, Summary
from trajvae.errors import ModelError
from trajvae.figures import GenerationFigures, OptimizationFigures, PathFigures
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.keywords import spelled_out
from trajvae.models.encoding import encode_all
from trajvae.models.model_file import ModelParts, pack, unpack
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.models.same_molecule import check_molecule
from trajvae.outputs.drawing.repair import DRAWING_DEFAULTS, DrawingKeywords
from trajvae.outputs.embed import embed
from trajvae.outputs.generate import ConformationStream
from trajvae.outputs.marginals import marginals
from trajvae.outputs.optimize import Search, optimize
from trajvae.outputs.path import find_ends, path
from trajvae.outputs.searching.best_frame import Observed
from trajvae.outputs.searching.objectives import Goal, Objective, parse_objective
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_matching
from trajvae.results import Conformations, Embedding, Marginals, TrainingHistory
from trajvae.store import read_model, verification, write_model
from trajvae.topology import Topology
from trajvae.training import options as train_options
from trajvae.training.frame_source import InMemoryFrames
from trajvae.training.options import ResumeOptions, RunOptions, TrainOptions, running
from trajvae.training.session import resume, train, train_frames
from trajvae.typing import Float64, Floats


class Model(Displayed):
    """Use a trained model; `Model.train`, `Model.load` and `Model.resume` return one.

    Examples
    --------
    >>> from trajvae import Model
    >>> model = Model.train("traj.dcd")                    # doctest: +SKIP
    >>> model.generate(1000, seed=0).save("new.h5md")      # doctest: +SKIP
    """

    def __init__(
        self, pipeline: Pipeline, record: TrainingRecord, files: list[str], selection: str, command: str = "Model.train"
    ) -> None:
        self.pipeline, self.record = pipeline, record
        self.files, self.selection, self.command = files, selection, command

    @classmethod
    @spelled_out(TrainOptions, train_options.TRAIN_DEFAULTS)
    def train(cls, source: Any, config: TrainConfig | None = None, **options: Unpack[TrainOptions]) -> Model:
        """Read, align and train.

        Parameters
        ----------
        source : str, Path, ndarray, Universe, AtomGroup, mdtraj.Trajectory, or a sequence of such
            Paths may be globs; arrays are (T, N, D) in Å.
        config, reading : TrainConfig, Reading, optional
            Options in one object; those given by name beside it replace its own.
        backend, latent_dim, signature, features, likelihood, torsions, free_bits, align, center, beta, epochs,\
        batch_size, hidden, select, seed, settings : optional
            The fields of `TrainConfig`; `latent` is another name of `backend`.
        topology, start, stop, step, bonds, format : optional
            The fields of `Reading`.
        device : {"auto", "cpu", "cuda"}
        inputs : optional
            A source of as many frames of the same atoms that the encoder sees instead, such as noisy ones.
        regulariser : callable, optional
            (network, terms of the bound) to a scalar in nats a frame that is added to the loss.
        progress : callable, optional
            Called with (epoch, epochs, held-out ELBO); without it, `verbose` draws a progress bar.
        checkpoint : str or Path, optional
            A file for `Model.resume`, written every minute (`every`, in seconds). One that exists needs `force`.
        asked : callable, optional
            Called after every step: whether to stop, with a checkpoint.
        memory : str or float, optional
            Such as "2GB": where the frames take more, they are streamed. By default half of the machine's.
        command : str
            What the model's file says it was made by.

        Raises
        ------
        TrajvaeError
            What cannot be read or learned from; an option that there is not, with the one that was probably meant.
        """
        chosen, reading = train_options.config_of(config, options), train_options.reading_of(options)
        with running(options) as run:
            return cls(*train(source, chosen, reading=reading, inputs=options.get("inputs"), **run))

    @classmethod
    @spelled_out(RunOptions, train_options.RUN_DEFAULTS)
    def fit(cls, frames: Frames, chunk: Chunk, config: TrainConfig, **options: Unpack[RunOptions]) -> Model:
        """Train on frames that were read already; the options are those of `Model.train`."""
        with running(options) as run:
            return cls(*train_frames(frames, InMemoryFrames(chunk), config, **run))

    @classmethod
    @spelled_out(ResumeOptions, train_options.RUN_DEFAULTS)
    def resume(
        cls, path: str | Path, source: Any = None, reading: Reading | None = None, **options: Unpack[ResumeOptions]
    ) -> Model:
        """Go on with a training from its last checkpoint, to the same weights as if it had not stopped.

        Parameters
        ----------
        path : str or Path
            The model file that its checkpoints were written to.
        source, reading : optional
            The frames, where they are elsewhere now, or were no files.
        asked_for : dict, optional
            Options that must be those it began with.
        device, regulariser, progress, verbose, every, asked, memory : optional
            As in `Model.train`.

        Raises
        ------
        ModelError
            The file holds no unfinished training, or is damaged.
        OptionError
            Another option than it began with.
        ReadError
            The frames are not those that it began with.
        """
        with running(options) as run:
            return cls(*resume(path, source, reading, **run))

    def _summary(self) -> Summary:
        c, names = self.config, ("frames", "held_out", "features", "likelihood", "elbo", "rmsd", "pca_rmsd", "epochs")
        title = f"Model {c.backend}, latent dimension {c.latent_dim}, {self.topology.n_atoms} atoms ({self.selection})"
        rows = [("trajectories", ", ".join(self.files))]
        return Summary(title, [*rows, *((name, self.figures[name]) for name in names if name in self.figures)])

    @property
    def config(self) -> TrainConfig:
        """Options that the model was made with."""
        return self.pipeline.config

    @property
    def topology(self) -> Topology:
        """Topology of the selected atoms."""
        return self.pipeline.topology

    @property
    def figures(self) -> dict[str, Any]:
        """Figures that training reported: held-out ELBO, RMSD and the like."""
        return self.record.figures

    @property
    def history(self) -> TrainingHistory:
        """History of the training: columns by name, a row an evaluation."""
        return TrainingHistory(self.record.history, self.pipeline.vae.latent.parts)

    def open(self, source: Any, reading: Reading | None = None) -> Frames:
        """Open a source with the model's own selection, and refuse another molecule.

        Raises
        ------
        ModelError
            The atoms differ from the model's: it is another molecule, or another order of atoms.
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
        """Return latent coordinates of every frame of a source, which may be all that `Model.train` takes.

        Without `rmsd` nothing is decoded or measured: RMSDs are NaN, `figures` has no ELBO, there are no observables
        and no flags of the support, and latents are the same, in a third of the time from memory or DCD.
        """
        return embed(self.pipeline, self.open(source, reading), progress, rmsd=rmsd, record=self.record)

    def decode(self, latent: Floats) -> Float64:
        """Return mean conformations of latent points (n, ambient): positions (n, N, D) in Å."""
        return self.pipeline.decode(latent)

    @spelled_out(DrawingKeywords, DRAWING_DEFAULTS)
    def generate(self, n: int, **options: Unpack[DrawingKeywords]) -> Conformations[GenerationFigures]:
        """Return new conformations in memory, with the options of `trajvae.outputs.generate.ConformationStream`."""
        return ConformationStream(self.pipeline, self.record, n, **options).collect()

    @spelled_out(DrawingKeywords, DRAWING_DEFAULTS)
    def drawing(self, n: int, **options: Unpack[DrawingKeywords]) -> ConformationStream:
        """Return what `generate` draws, not drawn yet: iterate over pieces, or `save` as many as the disk holds."""
        return ConformationStream(self.pipeline, self.record, n, **options)

    def marginals(self, source: Any = None, reading: Reading | None = None, *, seed: int = 0) -> Marginals:
        """Compare simulation and model, observable by observable; without a source, on the frames the model keeps."""
        positions = None if source is None else self.open(source, reading).read().positions
        return marginals(self.pipeline, self.record, positions, seed=seed)

    def optimize(
        self,
        objective: Objective,
        *,
        goal: str | float = "min",
        of: str = "sample",
        seed: int = 0,
        source: Any = None,
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
        source : optional
            Simulated frames to compare with, beside those that the model keeps.
        """
        reading, observed = reading or Reading(), None
        followed = parse_objective(objective, self.pipeline, reading.first_topology)
        Goal(str(goal), followed.period)  # a wrong one is refused before the source is read
        if source is not None:
            observed = Observed.of_frames(self.open(source, reading), followed)
        extra: dict[str, Any] = {"of": of, "seed": seed, "search": search, "progress": progress, "files": self.files}
        return optimize(self.pipeline, self.record, followed, goal=str(goal), observed=observed, **extra)

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
        source: Any = None,
        reading: Reading | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> Conformations[PathFigures]:
        """Find the geodesic between two conformations, and decode it.

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
        ends = find_ends(self.pipeline, latent, (start, end), reading.first_topology)
        way: dict[str, Any] = {"metric": metric, "frames": frames, "curve": curve, "descent": descent}
        return path(self.pipeline, self.record, ends, **way, simulated=simulated, seed=seed, progress=progress)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `model.h5`: arrays and JSON, whole or not at all."""
        parts = ModelParts(self.pipeline, self.record, self.files, self.selection, self.command)
        write_model(Path(path), pack(parts), force=force)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", *, verify: bool = True) -> Model:
        """Read `model.h5`.

        Parameters
        ----------
        path : str or Path
        device : str
        verify : bool
            Compare arrays and attributes with the checksums that were written with them.

        Raises
        ------
        ReadError
            Missing, damaged, altered since it was written, or no model.
        ModelError
            Its training did not complete, or its parts do not fit each other.
        """
        with verification(wanted=verify):
            stored = read_model(Path(path))
        if stored.status != "complete":
            raise ModelError(
                f"'{path}' is a model whose training did not complete: 'trajvae train --resume -o {path}' goes on"
            )
        return cls(*unpack(stored, device, str(path)))
