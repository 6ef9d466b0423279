"""Fingerprints of frames, by which copies are found and a resumed training knows its own frames."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from trajvae.training.frame_source import FrameSource
from trajvae.training.unlike_blocks import exact_fingerprints, fingerprints
from trajvae.typing import UInt64

_AT_ONCE = 2**21  # coordinates that are looked at for copies


def fingerprints_of(frame_source: FrameSource) -> tuple[UInt64, str]:
    """Return fingerprints of every frame, (T,), and one of all: their precision, and a hash of every bit."""
    a_frame = frame_source.fitting_frames()[1][0].size
    size = max(1, _AT_ONCE // a_frame)
    marks, bits, kinds = [], [], set()
    for chunk in frame_source.chunks(size):
        marks.append(fingerprints(chunk.positions))
        bits.append(exact_fingerprints(chunk.positions))
        kinds.add(chunk.positions.dtype.name)
    return np.concatenate(marks), f"{'+'.join(sorted(kinds))}:{sha256(np.concatenate(bits).data).hexdigest()}"


def are_frames_of(fingerprint: str, frame_source: FrameSource) -> bool:
    """Return whether frames have a fingerprint; one of an older version sees float32 alone."""
    marks, own = fingerprints_of(frame_source)
    return fingerprint == (own if ":" in fingerprint else sha256(marks.data).hexdigest())
