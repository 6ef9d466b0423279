"""Checkpoints: what a training has reached, written to its model file now and then."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

from trajvae.errors import OutputError, StoppedError, TrajvaeWarning
from trajvae.runtime.ranks import ALONE, Ranks
from trajvae.store import ModelContents, write_model
from trajvae.training.checkpoints.file import Origin, to_checkpoint
from trajvae.training.parts import TrainingParts
from trajvae.training.state import Snapshot

CHECKPOINT_SECONDS = 60.0
_FIRST = 5.0  # seconds until the first checkpoint, at most
_SHARE = 0.05  # of the time may be spent on checkpoints
_DUE, _STOP = 1, 2  # what processes tell each other after a step


class Checkpointer:
    """Write what a training has reached to its model file, now and then.

    Parameters
    ----------
    path : Path
    origin : Origin
    every : float
        Seconds between checkpoints; the first comes after five at most.
    asked : callable, optional
        Whether the training shall stop: it then ends at once with a checkpoint.
    written : bool
        Whether the file holds a checkpoint of this training already.
    force : bool
        Whether a file that stands there, and is not of this training, may be replaced.
    ranks : Ranks
        The processes that train together: all take the snapshot, and the first one writes it; all stop where one is
        asked to.

    Raises
    ------
    StoppedError
        It was asked to.

    Warns
    -----
    TrajvaeWarning
        Once, where the disk refuses a checkpoint: the training goes on, and what was written before stands.
    """

    def __init__(
        self,
        path: Path,
        origin: Origin,
        every: float = CHECKPOINT_SECONDS,
        asked: Callable[[], bool] | None = None,
        *,
        written: bool = False,
        force: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        self.force, self._ranks = force, ranks
        self.path, self.origin, self.every, self.asked = path, origin, every, asked
        self.due, self.written, self.warned = time.monotonic() + min(every, _FIRST), written, False

    def __call__(self, parts: TrainingParts, take: Callable[[], Snapshot]) -> None:
        """Write a checkpoint if one is due; called after every step."""
        begins = time.monotonic()
        wanted = self._ranks.highest(self._wanted(begins))
        if not wanted:
            return
        at, stop = take(), wanted == _STOP
        refused = self._write(to_checkpoint(parts, at, self.origin)) if self._ranks.first else ""
        ends = time.monotonic()
        self.due = ends + max(self.every, (ends - begins) / _SHARE)
        if stop:
            raise StoppedError(f"stopped in epoch {int(at.numbers['epoch'])}; {self._kept(refused)}")
        if refused and not self.warned:
            self.warned = True
            warnings.warn(f"no checkpoint: {refused}; the training goes on", TrajvaeWarning, stacklevel=2)

    def _wanted(self, now: float) -> int:
        """What this process wants: a checkpoint, whose time the first one keeps, and an end; 0 for neither."""
        if self.asked is not None and self.asked():
            return _STOP
        return _DUE if self._ranks.first and now >= self.due else 0

    def _write(self, record: ModelContents) -> str:
        """Write a checkpoint; return why it could not be written, or an empty text."""
        try:
            write_model(self.path, record, force=self.force)
        except OutputError as error:
            return str(error)
        self.written = True
        return ""

    def _kept(self, refused: str) -> str:
        """What is left of a training that was asked to stop."""
        if refused and not self.written:
            return f"what was reached is lost: {refused}"
        held = f"'{self.path}' holds " + (f"an earlier checkpoint ({refused})" if refused else "what was reached")
        return f"{held}: 'trajvae train --resume -o {self.path}' goes on"
