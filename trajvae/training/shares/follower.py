"""A process that helps another one to train: it has its own share of the frames, and writes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from trajvae.arguments.user_functions import importing
from trajvae.errors import ReadError
from trajvae.models.devices import choose_device
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source
from trajvae.runtime.ranks import Ranks
from trajvae.training.checkpoints.file import from_checkpoint, origin_in, training_parts_in
from trajvae.training.checkpoints.writer import Checkpointer
from trajvae.training.frame_source import open_frame_source
from trajvae.training.prepared import SHUFFLED
from trajvae.training.run import train_share
from trajvae.training.shares.hand_over import from_bytes
from trajvae.training.shares.share import frames_of_share, share_of


def follow(
    ranks: Ranks,
    device: str = "auto",
    *,
    functions: Sequence[str] = (),
    asked: Callable[[], bool] | None = None,
) -> None:
    """Train with the share of frames that falls to this process, and wait until the first one has written the model.

    The first process reads the options, or a checkpoint, fits alignment and features, and hands on the parts of the
    training. This one opens the same files by the same names, and reads its share.

    Parameters
    ----------
    ranks : Ranks
    device : {"auto", "cpu", "cuda"}
    functions : sequence of str
        Functions of the user's own, as MODULE:FUNCTION, that were named in this call and may be imported.
    asked : callable, optional
        Called after every step: whether to stop.

    Raises
    ------
    ReadError
        The files hold other frames than those that the first process has read.
    StoppedError
        One of the processes was asked to stop.
    LostProcessError
        Another process has ended.
    """
    data = ranks.receive()
    if data is None:
        return
    stored, name = from_bytes(data), "the first process"
    at = None
    if stored.groups["optimiser"]:
        parts, at, origin = from_checkpoint(stored, device, name)
    else:
        parts, origin = training_parts_in(stored, choose_device(device)), origin_in(stored)
    del data, stored
    frames, all_frames = open_source(origin.files, Reading(**origin.reading)), len(parts.partition.part)
    if frames.n_frames != all_frames:
        raise ReadError(
            f"process {ranks.rank} finds {frames.n_frames} frames in the files of which the first process has read "
            f"{all_frames}: all must see the same files"
        )
    frames, share = frames_of_share(frames, share_of(parts.partition, ranks))
    source = open_frame_source(frames, parts.model.config.features, origin.memory)
    checkpoint = Checkpointer(Path(), origin, math.inf, asked, ranks=ranks)
    with importing(functions):
        train_share(parts, source, share, ranks, at=at, memory=origin.memory * SHUFFLED, checkpoint=checkpoint)
    del source, parts, at
    ranks.wait_for_first()
