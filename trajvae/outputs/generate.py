"""New conformations: drawn, judged, repaired and measured batch after batch, into memory or straight to disk."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np
import torch

from trajvae.display import Displayed, Summary
from trajvae.errors import OptionError
from trajvae.keywords import spelled_out
from trajvae.models.model_file import hash_of
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import built_in, evaluate_all
from trajvae.molecule.validity import REASONS
from trajvae.outputs.conformations import Conformations, Piece, gather, median_of, save_pieces
from trajvae.outputs.drawing.novelty import nearest
from trajvae.outputs.drawing.relax import Relaxation
from trajvae.outputs.drawing.repair import REPAIR_DEFAULTS, Batch, RepairKeywords, RepairOptions, draw_batch
from trajvae.outputs.drawing.samplers import LatentStream, resolve_sampler
from trajvae.outputs.judging.verdicts import judge_generation
from trajvae.outputs.searching.support import Support
from trajvae.runtime.progress import counted
from trajvae.runtime.threads import in_order, small_work
from trajvae.store import Header, Quantity
from trajvae.typing import Bool, Float64

Progress = Callable[[int, int], None]

_WORKERS = 4  # threads at most: each holds a batch


def draw(
    pipeline: Pipeline, record: TrainingRecord, n: int, *, seed: int = 0, mean: bool = False, sampler: str = "prior"
) -> tuple[Float64, Float64, dict[str, Any]]:
    """Draw latent points and positions without judging them, and return them with the sampler's figures."""
    points = LatentStream(pipeline, record, sampler, seed)
    latent, positions = [], []
    starts = range(0, n, pipeline.chunk)
    for first in counted(starts, "drawing", "batch", len(starts)):
        z, generator = points.next(min(pipeline.chunk, n - first))
        latent.append(z)
        positions.append(pipeline.decode(z, None if mean else generator))
    return np.concatenate(latent), np.concatenate(positions), points.figures(n)


class _Judged(NamedTuple):
    """What a thread makes of a batch: what is counted of all draws, those that are kept, and what was measured."""

    tally: dict[str, int]
    kept: Batch
    inside: Bool
    observables: dict[str, Quantity]


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
    progress : callable, optional
        Called with (done, n) after every batch, and after every conformation that is relaxed.
    redraws, project, valid_only, budget, relax : optional
        What is done about draws that are not valid, see `RepairOptions`: by default x is drawn again, twice at most.

    Raises
    ------
    OptionError
        `n` below 1, a sampler that is none or does not suit the latent space; while drawing, too few valid draws where
        only those are wanted.

    Notes
    -----
    Iterating draws: pieces of some thousand conformations, in order, made by as many threads as torch uses. Seed and n
    decide every bit, the number of threads none. Pieces are the same for every n, but for the last, unless only valid
    ones are wanted.
    """

    @spelled_out(RepairKeywords, REPAIR_DEFAULTS)
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
        progress: Progress | None = None,
        **mending: Unpack[RepairKeywords],
    ) -> None:
        self.mending = RepairOptions(**mending)
        if n < 1:
            raise OptionError(f"the number of conformations must be 1 or more, got {n}")
        self.pipeline, self.record, self.n, self.seed, self.mean = pipeline, record, n, seed, mean
        self.novelty, self.progress = novelty, progress or (lambda done, of: None)
        self.support = Support.of(pipeline, record)
        self.built_in = built_in(pipeline.topology)
        self.sampler = resolve_sampler(record, sampler)
        self.command = f"Model.generate({n}, seed={seed}, mean={mean}, sampler='{self.sampler}')"
        self._start()

    def _summary(self) -> Summary:
        title = f"Drawing of {self.n} conformations, {self.n_done} drawn; sampler {self.sampler}, seed {self.seed}"
        return Summary(title, [("drawn", self.n_done), ("wanted", self.n), ("seed", self.seed)])

    def _start(self) -> None:
        """Back to where nothing is drawn."""
        # what is missing is said at once
        self.relaxation = Relaxation(self.pipeline.topology) if self.mending.relax else None
        self.points = LatentStream(self.pipeline, self.record, self.sampler, self.seed)
        self.tally: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.moved = 0.0
        self.kept: dict[str, list[Float64]] = {}

    @property
    def n_done(self) -> int:
        """Number of conformations so far."""
        return self.reasons.total()

    def __iter__(self) -> Iterator[Piece]:
        if self.tally:
            self._start()
        workers = min(torch.get_num_threads(), _WORKERS) if self.pipeline.device.type == "cpu" else 1
        with small_work(0.0):  # a thread a batch
            while self.n_done < self.n:
                with contextlib.closing(in_order(self._judge, self._batches(self._draws_needed()), workers)) as found:
                    for looked in found:
                        self.tally.update(looked.tally)
                        if len(looked.kept.latent):
                            yield self._piece(looked)
                        if self.n_done == self.n:
                            break

    def _draws_needed(self) -> int:
        """How many draws to go on with."""
        if not self.mending.valid_only:
            return self.n
        have, total, most = self.n_done, self.tally["drawn"], self.mending.budget * self.n
        if total >= most:
            raise OptionError(
                f"{have} of {total} draws were valid, {self.n} are wanted: --project moves draws into the allowed "
                "ranges, --mean decodes averages, --budget allows more draws"
            )
        share = max(have / total, 0.02) if total else 1.0
        return int(np.clip(1.1 * (self.n - have) / share + 1, 1, most - total))

    def _batches(self, n: int) -> Iterator[tuple[Float64, torch.Generator]]:
        """Latent points for n draws, each with the generator that goes on."""
        chunk = self.pipeline.chunk
        for first in range(0, n, chunk):
            yield self.points.next(min(chunk, n - first))

    def _judge(self, batch: tuple[Float64, torch.Generator]) -> _Judged:
        """Draw, judge and mend, and measure what is kept, unless it will be moved yet; what changes is not touched."""
        z, generator = batch
        made = draw_batch(self.pipeline, self.record, z, None if self.mean else generator, self.mending)
        kept = made.take(made.reasons == 0) if self.mending.valid_only else made
        measured = self._measured(kept) if not self.mending.relax else {}
        return _Judged(made.tally(), kept, self.support.inside(kept.latent), measured)

    def _measured(self, kept: Batch) -> dict[str, Quantity]:
        values = evaluate_all(list(self.built_in.values()), kept.positions)
        out = {name: o.quantity(values[name]) for name, o in self.built_in.items()}
        out["invalid_reason"] = Quantity(kept.reasons.astype(np.int8), attributes={"meaning": ", ".join(REASONS)})
        out["redraws"] = Quantity(kept.redraws.astype(np.int32))
        if self.novelty:
            frame, rmsd = nearest(kept.positions, self.record.sample)
            out["nearest_frame"] = Quantity(self.record.sample_index[frame])
            out["nearest_rmsd"] = Quantity(rmsd, "Angstrom")
        return out

    def _piece(self, looked: _Judged) -> Piece:
        """What is wanted yet of a batch, relaxed where that is asked for, and counted."""
        rows = slice(0, self.n - self.n_done)
        kept = looked.kept.take(rows)
        observables = {k: replace(q, value=q.value[rows]) for k, q in looked.observables.items()}
        if self.relaxation is not None:
            kept, energies = self._relaxed(kept, self.relaxation)
            observables = {**self._measured(kept), **energies}
        names, counts = np.unique(kept.reasons, return_counts=True)
        self.tally["inside"] += int(looked.inside[rows].sum())
        self.moved += float(kept.displacement.sum())
        for name in observables.keys() & {"energy", "energy_drawn", "nearest_rmsd"}:
            self.kept.setdefault(name, []).append(np.asarray(observables[name].value, dtype=np.float64))
        self.reasons.update({REASONS[k]: int(count) for k, count in zip(names, counts, strict=True)})
        self.progress(self.n_done, self.n)
        return Piece(kept.positions, kept.latent, kept.reasons == 0, observables)

    def _relaxed(self, kept: Batch, relaxation: Relaxation) -> tuple[Batch, dict[str, Quantity]]:
        """Conformations at rest, aligned and judged again, with their energies."""
        before = self.n_done

        def told(done: int, of: int) -> None:
            """Report progress, except of the last conformation, which is reported with the whole piece."""
            if done < of:
                self.progress(before + done, self.n)

        found = relaxation(kept.positions, told)
        placed = np.asarray(self.pipeline.alignment.apply(found.positions), dtype=np.float64)
        kept = kept._replace(positions=placed, reasons=self.record.validity.reasons(placed))
        energies = {"energy": found.after, "energy_drawn": found.before}
        return kept, {name: Quantity(value, "kJ/mol") for name, value in energies.items()}

    @property
    def figures(self) -> dict[str, Any]:
        """Figures of the conformations drawn so far, by name, as the command line reports them."""
        given = max(self.n_done, 1)
        found = {
            "n": self.n_done,
            "valid": self.reasons[REASONS[0]],
            **{name: self.tally[name] for name in ("drawn", "valid_raw", "redrawn")},
            **({"moved": self.moved / given} if self.mending.project else {}),
            **self.points.figures(self.n_done),
            "off_data": 1.0 - self.tally["inside"] / given,
            "of": "mean" if self.mean else "sample",
            **{name: median_of(np.concatenate(self.kept[name])) for name in sorted(self.kept)},
        }
        return {**found, **judge_generation(self.record.figures, found).to_json()}

    def collect(self) -> Conformations:
        """Return all conformations in memory."""
        whole = gather(self.n, self)
        return Conformations(
            whole.positions,
            whole.latent,
            whole.valid,
            self.pipeline.topology,
            whole.observables,
            self.seed,
            self.command,
            self.figures,
            geometry=self.pipeline.vae.latent.geometry(),
            model_hash=hash_of(self.pipeline),
        )

    def save(self, path: str | Path, *, force: bool = False, command: str = "") -> dict[str, Any]:
        """Write what `Conformations.save` does, piece by piece; memory does not grow with n.

        Parameters
        ----------
        path : str or Path
            Ends in `.h5md`, `.xtc`, `.dcd`, `.nc` or `.pdb`.
        force : bool
            Replace existing files.
        command : str
            What the file says it was made by.

        Returns
        -------
        dict
            The figures.

        Raises
        ------
        OutputError
            Another ending, a file exists, or the disk refused.
        """
        header = Header("conformations", command or self.command, self.seed)
        shape = (self.n, self.pipeline.n_atoms, self.pipeline.dimension)
        marks: dict[str, Any] = {"geometry": self.pipeline.vae.latent.geometry(), "force": force}
        marks["model_hash"] = hash_of(self.pipeline)
        save_pieces(path, shape, self.pipeline.topology, self, header, lambda: self.figures, **marks)
        return self.figures


def generate(pipeline: Pipeline, record: TrainingRecord, n: int, **options: Any) -> Conformations:
    """Return new conformations in memory; `ConformationStream` draws them.

    Returns
    -------
    Conformations
        With the observables `rg`, `end_to_end`, `invalid_reason` (an index into `validity.REASONS`) and `redraws`; of
        those that were asked for, `energy` and `energy_drawn` in kJ/mol, `nearest_frame` and `nearest_rmsd` in Å.
    """
    return ConformationStream(pipeline, record, n, **options).collect()


Drawing = ConformationStream  # its name in earlier versions
