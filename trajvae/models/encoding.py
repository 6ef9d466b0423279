"""Encoding of many frames, in chunks that bound the memory."""

from __future__ import annotations

import torch

from trajvae.models.encoded import Encoded, join
from trajvae.models.pipeline import Pipeline
from trajvae.typing import Floats


def encode_all(pipeline: Pipeline, positions: Floats) -> Encoded:
    """Encode frames in chunks of the pipeline's size."""
    generator = torch.Generator(pipeline.device).manual_seed(0)
    pieces = range(0, len(positions), pipeline.chunk)
    return join([pipeline.encode(positions[i : i + pipeline.chunk], generator)[0] for i in pieces])
