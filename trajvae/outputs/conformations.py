"""Conformations: what `generate` and `optimize` give back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, cast

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Displayed, Summary, scalars
from trajvae.errors import OutputError
from trajvae.figures import Figures
from trajvae.molecule.from_mdanalysis import to_mdtraj, to_universe, write_pdb
from trajvae.molecule.pdb import same_atoms
from trajvae.molecule.structure_files import FORMATS, structure_file
from trajvae.store import Header, Quantity, conformations_file, whole_files
from trajvae.store.schema import Tree
from trajvae.topology import Topology
from trajvae.typing import AnyArray, Bool, Float64

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    F = TypeVar("F", bound=Figures, covariant=True, default=Figures)
else:
    from typing import TypeVar

    F = TypeVar("F", bound=Figures, covariant=True)

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
    """Room for n conformations such as those of a piece."""

    def room(column: AnyArray) -> AnyArray:
        """Not filled yet."""
        return np.empty((n, *column.shape[1:]), dtype=column.dtype)

    observables = {name: replace(q, value=room(q.value)) for name, q in like.observables.items()}
    return Piece(room(like.positions), room(like.latent), room(like.valid), observables)


@dataclass(frozen=True, eq=False, repr=False)
class Conformations(Displayed, Generic[F]):
    """Hold conformations with their latent points.

    Attributes
    ----------
    positions : ndarray, shape (n, N, D)
        In Å.
    latent : ndarray, shape (n, ambient)
    valid : ndarray of bool, shape (n,)
    topology : Topology
    observables : dict of Quantity
        One row a conformation, beside `latent` and `valid`.
    seed : int
    command : str
        The call that made them.
    figures : GenerationFigures, OptimizationFigures or PathFigures
        What the command line reports; without figures where no command made the conformations.
    extra : mapping
        Other arrays, stored under `/trajvae`.
    geometry : str
        The space that `latent` lies in, such as `e2` or `h2:0.73,e2`.
    model_hash : str
        Which model made them: SHA-256 of its weights, its reference and the options that decide latent points.
    """

    positions: Float64
    latent: Float64
    valid: Bool
    topology: Topology
    observables: dict[str, Quantity] = field(default_factory=dict)
    seed: int = 0
    command: str = ""
    figures: F = field(default_factory=cast("Callable[[], F]", Figures))
    extra: Tree = field(default_factory=dict)
    geometry: str = ""
    model_hash: str = ""

    def _summary(self) -> Summary:
        n, atoms, dimension = self.positions.shape
        title = f"Conformations: {n} of {atoms} atoms in {dimension} dimensions, {int(self.valid.sum())} valid"
        return Summary(title, scalars(self.figures))

    def to_dataframe(self) -> Any:
        """Return a pandas.DataFrame, a row a conformation: latent coordinates, valid, observables; not the positions.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        values = {name: q.value for name, q in self.observables.items()}
        return dataframe({"latent": self.latent, "valid": self.valid, **values})

    def __len__(self) -> int:
        return len(self.positions)

    def universe(self) -> Any:
        """Return an in-memory MDAnalysis Universe; z = 0 in two dimensions."""
        return to_universe(self.topology, self.positions)

    def to_mdtraj(self) -> Any:
        """Return an `mdtraj.Trajectory`, in nm."""
        return to_mdtraj(self.topology, self.positions)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `X.h5md`, the topology beside it as `X.pdb`, and the structures in the format that is named.

        Parameters
        ----------
        path : str or Path
            Ends in `.h5md`, `.xtc`, `.dcd`, `.nc` or `.pdb`; all but the first are written beside `X.h5md`, which
            keeps the numbers. `X.pdb` then has one model a structure, else the first structure alone.
        force : bool
            Replace existing files.

        Raises
        ------
        OutputError
            Another ending, a file exists, or the disk refused.
        """
        header = Header("conformations", self.command or "Conformations.save", self.seed)
        piece = Piece(self.positions, self.latent, self.valid, self.observables)
        shape = self.positions.shape
        save_pieces(
            path,
            shape,
            self.topology,
            [piece],
            header,
            lambda: self.figures,
            self.extra,
            geometry=self.geometry,
            model_hash=self.model_hash,
            force=force,
        )


def save_pieces(
    path: str | Path,
    shape: tuple[int, ...],
    topology: Topology,
    pieces: Iterable[Piece],
    header: Header,
    figures: Callable[[], Figures],
    extra: Tree | None = None,
    *,
    geometry: str = "",
    model_hash: str = "",
    force: bool = False,
) -> None:
    """Write `X.h5md`, `X.pdb` and what else is named from conformations that come in pieces, whole or not at all.

    Parameters
    ----------
    path : str or Path
        See `Conformations.save`.
    shape : tuple of int
        (n, N, D) of all of them.
    topology : Topology
    pieces : iterable of Piece
        Each is on disk before the next is asked for.
    header : Header
    figures : callable
        Asked for what stands in the file's `summary` when all pieces are there.
    extra : mapping, optional
        Other arrays, stored under `/trajvae`.
    geometry, model_hash : str
        See `Conformations`.
    force : bool
        Replace existing files.

    Raises
    ------
    OutputError
        Another ending, a file exists, or the disk refused.
    """
    files, ending = conformation_files(path), Path(path).suffix
    with (
        whole_files(*files, force=force, alike=same_atoms if ending == NUMBERS else None) as parts,
        conformations_file(parts[-1], shape, topology, header, extra) as out,
        contextlib.nullcontext() if ending == NUMBERS else structure_file(parts[-2], topology, shape[0]) as structures,
    ):
        for piece in pieces:
            if not out.done and len(piece.positions) and ending != ".pdb":
                write_pdb(parts[0], topology, piece.positions[0])
            if structures is not None:
                structures(piece.positions)
            own = {
                "latent": Quantity(piece.latent, attributes={"geometry": geometry}),
                "valid": Quantity(piece.valid.astype(np.int8)),
            }
            out.append(piece.positions, {**own, **piece.observables})
        out.describe({"summary": json.dumps(dict(figures())), "model_hash": model_hash})


def median_of(values: Float64) -> float:
    """Return the median of the values that are numbers; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
