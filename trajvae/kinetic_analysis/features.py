"""The features of a model for many frames, of which TICA and PCA stand beside its latent coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import ReadError, TrajvaeError
from trajvae.free_energies.frames import LatentFrames
from trajvae.free_energies.structures import open_embedded
from trajvae.lagged_pairs import FrameTimes
from trajvae.models.encoded import ColumnBuffer
from trajvae.models.model_file import hash_of, unpack
from trajvae.models.pipeline import Pipeline
from trajvae.readers.data_set import Frames
from trajvae.readers.named_files import find_named_file
from trajvae.results import Embedding
from trajvae.runtime.progress import count_rows
from trajvae.store import read_model
from trajvae.typing import Float32, Floats, Int64


@dataclass(frozen=True, eq=False)
class EncodedFrames:
    """Hold frames of a trajectory as a model sees them, in the order of its files.

    Attributes
    ----------
    frames : LatentFrames
    features : ndarray of float32, shape (T, I)
        The components of the model's features that its encoder sees, the largest first, each in its own unit.
    dim : int
        Intrinsic dimension of the latent space.
    """

    frames: LatentFrames
    features: Float32
    dim: int


def encode_frames(pipeline: Pipeline, frames: Frames) -> EncodedFrames:
    """Read frames once, for their latent points and their features."""
    columns = ColumnBuffer(frames.n_frames)
    chunks = count_rows(frames.chunks(), lambda c: c.file, "encoding", "frame", frames.n_frames)
    for chunk in chunks:
        posterior, aligned = pipeline.encode(chunk.positions)
        seen = _features(pipeline, pipeline.targets(aligned))
        origin = {"file": chunk.file, "frame": chunk.frame, "time": chunk.time}
        columns.add({"latent": posterior.latent, "features": seen.cpu().float().numpy(), **origin})
    latent = LatentFrames(
        columns["latent"],
        pipeline.vae.latent.manifold.geometry(),
        columns["file"],
        columns["frame"],
        frames.names,
        time=columns["time"] if _timed(frames) else None,
    )
    return EncodedFrames(latent, columns["features"], pipeline.vae.latent.dim)


def times_of(frames: Frames) -> FrameTimes:
    """Return the times of frames before they are read."""
    file, frame = frames.origins()
    return FrameTimes(file, frame, frames.times(file, frame) if _timed(frames) else None, frames.names)


def _timed(frames: Frames) -> bool:
    return all(frames.timed(k) for k, chosen in enumerate(frames.ranges) if len(chosen))


@torch.no_grad()
def _features(pipeline: Pipeline, targets: Tensor) -> Tensor:
    """Return the encoder's inputs, not scaled to equal sizes where features tell their scale."""
    features = pipeline.vae.features
    inputs, scale = features.inputs(targets), getattr(features, "scale", None)
    return inputs * scale.to(inputs) if isinstance(scale, Tensor) and scale.shape == inputs.shape[1:] else inputs


def features_of(embedding: Embedding, device: str = "cpu") -> Float32:
    """Return the features of embedded frames: their trajectories are read again, and the model that the file names.

    Raises
    ------
    ReadError
        The model or a trajectory is not there, or is another one than was embedded.
    """
    applied = embedding.applied
    if not applied.model:
        raise ReadError("the file does not say which model was applied")
    path = find_named_file(applied.model, Path(embedding.path).parent, embedding.path, "-m")
    pipeline = unpack(read_model(Path(path)), device, path).pipeline
    if hash_of(pipeline) != applied.model_hash:
        raise ReadError(f"'{path}' is another model than was applied")
    frames = _embedded_frames(embedding)
    if frames.topology.n_atoms != pipeline.n_atoms:
        raise ReadError(f"the trajectories have {frames.topology.n_atoms} atoms, the model {pipeline.n_atoms}")
    found = encode_frames(pipeline, frames)
    if not np.allclose(found.frames.latent, embedding.latent, rtol=1e-3, atol=1e-3):
        raise ReadError("the trajectories are others than were embedded, or changed since")
    return found.features


def _embedded_frames(embedding: Embedding) -> Frames:
    """Open the trajectories of an embedding, for the frames that were embedded."""
    frames = open_embedded(embedding)
    kept = [_range(embedding.frame[embedding.file == k], source.name) for k, source in enumerate(frames.files)]
    if sum(map(len, kept)) != len(embedding.frame) or any(
        r and r[-1] >= f.n_frames for r, f in zip(kept, frames.files, strict=True)
    ):
        raise ReadError("the trajectories have fewer frames than were embedded")
    return replace(frames, ranges=kept)


def _range(numbers: Int64, name: str) -> range:
    """Return the numbers of frames as a range.

    Raises
    ------
    ReadError
        They are not at equal steps.
    """
    if not len(numbers):
        return range(0)
    step = int(numbers[1] - numbers[0]) if len(numbers) > 1 else 1
    found = range(int(numbers[0]), int(numbers[-1]) + 1, max(step, 1))
    if len(found) != len(numbers) or not np.array_equal(numbers, np.asarray(found)):
        raise ReadError(f"the frames of '{name}' that were embedded are not at equal steps")
    return found


def reason_of(error: TrajvaeError) -> str:
    """Return why TICA and PCA are left out, and what to do about it, in one line."""
    return (
        f"TICA and PCA of the model's features are left out: {error}; 'trajvae kinetics TRAJ... -m model.h5' has them"
    )


def fewer(features: Floats, n_frames: int, dim: int) -> Floats:
    """Return the largest components of features (T, I): at most one for twenty frames, lest TICA fit noise."""
    return features[:, : max(dim, n_frames // 20)]
