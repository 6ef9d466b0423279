"""Encoding of many frames, in chunks that bound the memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from trajvae.models.encoded import Posterior, Reconstruction, join_posteriors, join_reconstructions
from trajvae.models.pipeline import Pipeline
from trajvae.typing import Floats


def encode_all(pipeline: Pipeline, positions: Floats) -> Posterior:
    """Return the posteriors of frames (T, N, D) in Å, computed in chunks of the pipeline's size."""
    return join_posteriors([pipeline.encode(x)[0] for x in _pieces(pipeline, positions)])


def reconstruct_all(pipeline: Pipeline, positions: Floats) -> tuple[Posterior, Reconstruction]:
    """Return the posteriors and the reconstructions of frames (T, N, D) in Å, computed in chunks."""
    generator = torch.Generator(pipeline.device).manual_seed(0)
    parts = [pipeline.reconstruct(x, generator)[:2] for x in _pieces(pipeline, positions)]
    posteriors, reconstructions = zip(*parts, strict=True)
    return join_posteriors(posteriors), join_reconstructions(reconstructions)


def _pieces(pipeline: Pipeline, positions: Floats) -> Iterator[Floats]:
    """The frames, as many at a time as the pipeline computes at once."""
    for first in range(0, len(positions), pipeline.chunk):
        yield positions[first : first + pipeline.chunk]
