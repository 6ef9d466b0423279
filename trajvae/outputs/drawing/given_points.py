"""Latent points that a user gives, at each of which conformations are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OptionError, ReadError
from trajvae.geometry.manifolds import Manifold
from trajvae.outputs.drawing.samplers import WalkFigures
from trajvae.typing import Float64, Floats

_OFF = 0.01  # how far from the manifold a point may be, over its length: coordinates are printed with few digits


class GivenPoints:
    """Return given latent points in their order, each as often as conformations are wanted there.

    Parameters
    ----------
    points : ndarray, shape (P, ambient)
    each : int
        Conformations at each point.
    device : device
    """

    def __init__(self, points: Floats, each: int, device: torch.device) -> None:
        self.points = torch.from_numpy(np.repeat(np.asarray(points, dtype=np.float64), each, axis=0)).to(device)
        self.done = 0

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return the next n points, (n, ambient)."""
        self.done += n
        return self.points[self.done - n : self.done]

    def walk_figures(self, n: int) -> WalkFigures | None:
        """Return None: no point is drawn."""
        return None


def points_on(manifold: Manifold, given: Floats) -> Float64:
    """Return given latent points as points of a manifold, (P, ambient).

    Parameters
    ----------
    manifold : Manifold
    given : array_like, shape (ambient,) or (P, ambient)
        As `embed` gives latent coordinates; of a curved space they may be rounded.

    Raises
    ------
    OptionError
        Another number of coordinates, or points that are off the manifold.
    """
    points = np.atleast_2d(np.asarray(given, dtype=np.float64))
    wanted = manifold.ambient_dim
    if points.ndim != 2 or not len(points) or points.shape[1] != wanted or not np.isfinite(points).all():
        raise OptionError(f"a latent point of this model has {wanted} finite coordinates, got shape {points.shape}")
    projected = np.asarray(manifold.project(torch.from_numpy(points)).numpy(), dtype=np.float64)
    off = np.linalg.norm(projected - points, axis=1) / np.maximum(np.linalg.norm(projected, axis=1), 1e-12)
    if off.max() > _OFF:
        k = int(off.argmax())
        raise OptionError(
            f"latent point {k}, {_words(points[k])}, is not on the latent space; the nearest of it is "
            f"{_words(projected[k])}: give points as 'trajvae embed' writes them"
        )
    return projected


def _words(point: Float64) -> str:
    return ",".join(f"{x:.4g}" for x in point)


def read_points(given: Sequence[str]) -> Float64:
    """Return latent points that are given as texts, (P, ambient).

    Parameters
    ----------
    given : sequence of str
        Each the coordinates of a point ("0.5,-1.2"), or the name of a file of points: `.npy`, or text with a point in
        each line.

    Raises
    ------
    OptionError
        Neither coordinates nor a file, or points of different numbers of coordinates.
    ReadError
        A file that holds no table of numbers.
    """
    tables = [_table(text) for text in given]
    if len({table.shape[1] for table in tables}) > 1:
        raise OptionError(f"latent points must have one number of coordinates, got {[t.shape[1] for t in tables]}")
    return np.concatenate(tables)


def _table(text: str) -> Float64:
    """Return the points of one text, (P, ambient)."""
    try:
        return np.array([[float(x) for x in text.split(",")]])
    except ValueError:
        pass
    path = Path(text)
    if not path.is_file():
        raise OptionError(
            f"a latent point is written as its coordinates, such as 0.5,-1.2, or is in a file; got '{text}'"
        )
    try:
        table = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _text_table(path)
        return np.atleast_2d(np.asarray(table, dtype=np.float64))
    except (ValueError, TypeError, EOFError, UnicodeDecodeError, MemoryError) as error:
        raise ReadError(f"'{path}' holds no table of latent points: a line for each, its coordinates in it") from error


def _text_table(path: Path) -> Float64:
    text = path.read_text(encoding="utf-8").replace(",", " ")
    return np.loadtxt(text.splitlines(), dtype=np.float64, ndmin=2)
