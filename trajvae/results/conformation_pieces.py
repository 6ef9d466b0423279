"""Conformations in pieces, so that many need not be in memory at once, and the files that they are written to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trajvae.errors import OutputError
from trajvae.molecule.structure_files import FORMATS
from trajvae.store import Quantity
from trajvae.typing import AnyArray, Bool, Float64

NUMBERS = ".h5md"  # the file that keeps latent points, verdicts and observables beside positions


def conformation_files(path: str | Path) -> list[Path]:
    """Return the files of conformations: topology, structures in another format if one is named, and numbers.

    Raises
    ------
    OutputError
        The name does not end in `.h5md`, `.xtc`, `.dcd`, `.pdb` or `.nc`.
    """
    path = Path(path)
    if path.suffix not in (NUMBERS, *FORMATS):
        wanted = ", ".join([NUMBERS, *FORMATS])
        raise OutputError(f"conformations are written to a file that ends in one of {wanted}, got '{path}'")
    return [
        path.with_suffix(".pdb"),
        *([path] if path.suffix not in (".pdb", NUMBERS) else []),
        path.with_suffix(NUMBERS),
    ]


class Piece(NamedTuple):
    """Hold some conformations of a set.

    Attributes
    ----------
    positions, latent, valid, observables
        As of `Conformations`.
    """

    positions: Float64
    latent: Float64
    valid: Bool
    observables: dict[str, Quantity]


def gather(n: int, pieces: Iterable[Piece]) -> Piece:
    """Return all n conformations of a set of one piece or more; memory holds them once, and a piece."""
    done, whole = 0, None
    for piece in pieces:
        if whole is None:
            whole = _room(n, piece)
        rows = slice(done, done + len(piece.positions))
        whole.positions[rows], whole.latent[rows], whole.valid[rows] = piece[:3]
        for name, quantity in piece.observables.items():
            whole.observables[name].value[rows] = quantity.value
        done = rows.stop
    if whole is None or done != n:
        raise OutputError(f"{n} conformations were wanted, {done} came")
    return whole


def _room(n: int, like: Piece) -> Piece:
    """Return a piece of n conformations such as those of another, not filled yet."""

    def room(column: AnyArray) -> AnyArray:
        """Return a column that is not filled yet."""
        return np.empty((n, *column.shape[1:]), dtype=column.dtype)

    observables = {name: replace(q, value=room(q.value)) for name, q in like.observables.items()}
    return Piece(room(like.positions), room(like.latent), room(like.valid), observables)
