"""New conformations: drawn, judged, repaired and measured batch after batch, into memory or straight to disk."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np

from trajvae.arguments.keywords import spelled_out
from trajvae.cluster import WorkPlace
from trajvae.display import Displayed, Summary
from trajvae.errors import OptionError
from trajvae.figures import GenerationFigures
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.drawing.given_points import GivenPoints, points_on
from trajvae.outputs.drawing.judged import BatchJudge, JudgedBatch
from trajvae.outputs.drawing.positions import threads_for
from trajvae.outputs.drawing.relax import Relaxation
from trajvae.outputs.drawing.repair import DRAWING_DEFAULTS, Batch, DrawingKeywords, RepairOptions
from trajvae.outputs.drawing.samplers import LatentBatch, LatentStream, resolve_sampler
from trajvae.outputs.drawing.tally import DrawingTally
from trajvae.outputs.judging.verdicts import judge_generation
from trajvae.outputs.provenance import Provenance
from trajvae.results.conformation_pieces import Piece, gather
from trajvae.results.conformations import Conformations, save_pieces
from trajvae.runtime.threads import small_work
from trajvae.store import Header, Quantity
from trajvae.typing import Floats

Progress = Callable[[int, int], None]


class ConformationStream(Displayed):
    """Draw new conformations when asked for: z from a sampler, and x from p(x|z).

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    n : int
        How many.
    seed : int
    mean : bool
        Decode the mean of p(x|z) instead of drawing from it.
    sampler : str
        Where z comes from: `prior`, `aggregate` (posteriors of simulated frames), `metric` (Hamiltonian Monte Carlo),
        or `auto`: the prior, but `aggregate` where much of it is empty.
    novelty : bool
        Look for the nearest frame of those that the model keeps.
    at : ndarray, optional, shape (ambient,) or (P, ambient)
        Latent points, as `embed` gives them: n conformations are drawn at each, instead of at points of a sampler.
    progress : callable, optional
        Called with (done, n) after every batch, and after every conformation that is relaxed.
    cluster : WorkPlace, optional
        Such as a `trajvae.cluster.DaskCluster`, on which batches are drawn; they are relaxed and written here.
    redraws, project, valid_only, budget, relax, geometry : optional
        What is done about draws that are not valid, see `RepairOptions`: by default x is drawn again, twice at most.

    Raises
    ------
    OptionError
        `n` below 1, a sampler that is none or does not suit the latent space, points that are not on it, or points
        with a sampler or with `valid_only`; while drawing, too few valid draws where only those are wanted.

    Notes
    -----
    Iterating draws pieces of some thousand conformations, in order, in up to four threads or on a cluster. The result
    depends on seed and n, not on where they are drawn. All pieces but the last are the same for every n, unless only
    valid ones are wanted.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        record: TrainingRecord,
        n: int,
        *,
        seed: int = 0,
        mean: bool = False,
        sampler: str = "auto",
        novelty: bool = False,
        at: Floats | None = None,
        progress: Progress | None = None,
        cluster: WorkPlace | None = None,
        redraws: int = RepairOptions.redraws,
        project: bool = RepairOptions.project,
        valid_only: bool = RepairOptions.valid_only,
        budget: int = RepairOptions.budget,
        relax: bool = RepairOptions.relax,
        geometry: str = RepairOptions.geometry,
    ) -> None:
        self.repair = RepairOptions(redraws, project, valid_only, budget, relax, geometry)
        if n < 1:
            raise OptionError(f"the number of conformations must be 1 or more, got {n}")
        self.at = None if at is None else points_on(pipeline.vae.latent.manifold, at)
        if self.at is not None and (sampler != "auto" or valid_only):
            raise OptionError("points given by 'at' exclude a sampler, and valid_only: leave these out")
        self.each, n = n, n if self.at is None else n * len(self.at)
        self.pipeline, self.record, self.n, self.seed, self.mean = pipeline, record, n, seed, mean
        self.progress = progress or (lambda done, of: None)
        threads = threads_for(pipeline, -(-n // pipeline.chunk))
        self.place: WorkPlace = cluster or threads.place
        self.judge = BatchJudge(pipeline, record, self.repair, mean=mean, novelty=novelty, workers=threads.each)
        self.sampler = resolve_sampler(record, sampler) if self.at is None else "given"
        self.command = f"Model.generate({self.each}, seed={seed}, mean={mean}, sampler='{self.sampler}')"
        self._start()

    def _summary(self) -> Summary:
        done = f"{self.n_done} drawn; sampler {self.sampler}, seed {self.seed}"
        return Summary(
            f"ConformationStream of {self.n} conformations, {done}",
            [("drawn", self.n_done), ("wanted", self.n), ("seed", self.seed)],
        )

    def _start(self) -> None:
        """Reset counters and random streams."""
        # a package that is missing is reported before anything is drawn
        self.relaxation = Relaxation(self.pipeline.topology) if self.repair.relax else None
        given = None if self.at is None else GivenPoints(self.at, self.each, self.pipeline.device)
        self.points = LatentStream(self.pipeline, self.record, self.sampler, self.seed, given)
        self.tally = DrawingTally()

    @property
    def n_done(self) -> int:
        """Number of conformations so far."""
        return self.tally.n_kept

    @property
    def reasons(self) -> Counter[str]:
        """Number of conformations so far by the part of the validity test that each fails first, or "valid"."""
        return self.tally.reasons

    def __iter__(self) -> Iterator[Piece]:
        if self.tally.draws.drawn:
            self._start()
        with small_work(0.0):  # a thread a batch
            while self.n_done < self.n:
                batches = self._batches(self._draws_needed())
                with contextlib.closing(self.place.map(self.judge, batches)) as found:
                    for looked in found:
                        self.tally.draws.add(looked.counts)
                        if len(looked.kept.latent):
                            yield self._piece(looked)
                        if self.n_done == self.n:
                            break

    def _draws_needed(self) -> int:
        """Return how many draws to go on with."""
        if not self.repair.valid_only:
            return self.n
        have, total, most = self.n_done, self.tally.draws.drawn, self.repair.budget * self.n
        if total >= most:
            raise OptionError(
                f"{have} of {total} draws were valid, {self.n} are wanted: --project moves draws into the allowed "
                "ranges, --mean decodes averages, --budget allows more draws"
            )
        share = max(have / total, 0.02) if total else 1.0
        return int(np.clip(1.1 * (self.n - have) / share + 1, 1, most - total))

    def _batches(self, n: int) -> Iterator[LatentBatch]:
        """Latent points for n draws, each batch with the generator that goes on."""
        chunk = self.pipeline.chunk
        for first in range(0, n, chunk):
            yield self.points.next(min(chunk, n - first))

    def _piece(self, looked: JudgedBatch) -> Piece:
        """Return the part of a batch that is still missing, relaxed where that is asked for, and count it."""
        rows = slice(0, self.n - self.n_done)
        kept = looked.kept.take(rows)
        observables = {k: replace(q, value=q.value[rows]) for k, q in looked.observables.items()}
        if self.relaxation is not None:
            kept, energies = self._relaxed(kept, self.relaxation)
            observables = {**self.judge.measure(kept), **energies}
        self.tally.keep(kept, looked.inside[rows], observables)
        self.progress(self.n_done, self.n)
        return Piece(kept.positions, kept.latent, kept.reasons == 0, observables)

    def _relaxed(self, kept: Batch, relaxation: Relaxation) -> tuple[Batch, dict[str, Quantity]]:
        """Return relaxed conformations, aligned and judged again, and their energies."""
        before = self.n_done

        def report(done: int, of: int) -> None:
            """Report progress, except of the last conformation, which is reported with the whole piece."""
            if done < of:
                self.progress(before + done, self.n)

        found = relaxation(kept.positions, report)
        placed = np.asarray(self.pipeline.alignment.apply(found.positions), dtype=np.float64)
        kept = kept._replace(positions=placed, reasons=self.record.validity.reasons(placed))
        energies = {"energy": found.after, "energy_drawn": found.before}
        return kept, {name: Quantity(value, "kJ/mol") for name, value in energies.items()}

    @property
    def figures(self) -> GenerationFigures:
        """Figures of the conformations drawn so far, as the command line reports them."""
        sampler = self.points.figures(self.n_done)
        found = self.tally.figures(sampler, mean=self.mean, projected=self.repair.project)
        found = replace(found, geometry=self.judge.draw.restorer.name)
        return replace(found, judgement=judge_generation(self.record.figures, found))

    def collect(self) -> Conformations[GenerationFigures]:
        """Return all conformations in memory."""
        whole = gather(self.n, self)
        return Provenance.of(self.pipeline, self.seed, self.command).conformations(whole, self.figures)

    def save(self, path: str | Path, *, force: bool = False, command: str = "") -> GenerationFigures:
        """Write what `Conformations.save` does, piece by piece; memory does not grow with n.

        Parameters
        ----------
        path : str or Path
            Ends in `.h5md`, `.xtc`, `.dcd`, `.nc` or `.pdb`.
        force : bool
            Replace existing files.
        command : str
            The command that the file names as its maker.

        Returns
        -------
        GenerationFigures

        Raises
        ------
        OutputError
            Another ending, a file exists, or the disk refused.
        """
        made_by = Provenance.of(self.pipeline, self.seed, command or self.command)
        save_pieces(
            path,
            (self.n, self.pipeline.n_atoms, self.pipeline.dimension),
            made_by.topology,
            self,
            Header(Conformations.KIND, made_by.command, made_by.seed),
            lambda: self.figures,
            geometry=made_by.geometry,
            model_hash=made_by.model_hash,
            force=force,
        )
        return self.figures


@spelled_out(DrawingKeywords, DRAWING_DEFAULTS)
def generate(
    pipeline: Pipeline, record: TrainingRecord, n: int, **drawing: Unpack[DrawingKeywords]
) -> Conformations[GenerationFigures]:
    """Return new conformations in memory; the options are those of `ConformationStream`, which draws them.

    Returns
    -------
    Conformations
        With the observables `rg`, `end_to_end`, `invalid_reason` (an index into `validity.REASONS`) and `redraws`; of
        those that were asked for, `energy` and `energy_drawn` in kJ/mol, `nearest_frame` and `nearest_rmsd` in Å.
    """
    return ConformationStream(pipeline, record, n, **drawing).collect()


Drawing = ConformationStream  # its name in earlier versions
