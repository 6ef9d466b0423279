"""Encoding of many frames, in chunks that bound the memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trajvae.models.encoded import Encoded, join
from trajvae.models.pipeline import Pipeline


def encode_all(pipeline: Pipeline, positions: NDArray[np.floating[Any]]) -> Encoded:
    """Encode frames in chunks of the pipeline's size."""
    generator = torch.Generator(pipeline.device).manual_seed(0)
    pieces = range(0, len(positions), pipeline.chunk)
    return join([pipeline.encode(positions[i : i + pipeline.chunk], generator)[0] for i in pieces])
