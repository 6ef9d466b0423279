"""`.h5md` files: the conformations that `generate`, `optimize` and `path` give back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Self, cast

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Summary, scalars
from trajvae.errors import OutputError
from trajvae.figures import Figures, conformation_figures
from trajvae.molecule.elements import masses_of_elements
from trajvae.molecule.from_mdanalysis import to_mdtraj, to_universe, write_pdb
from trajvae.molecule.pdb import same_atoms
from trajvae.molecule.structure_files import structure_file
from trajvae.results.base import ResultFile, floats
from trajvae.results.conformation_pieces import NUMBERS, Piece, conformation_files
from trajvae.results.conformation_tasks import Descent, Task, descent_of, task_of
from trajvae.results.older_files import geometry_of
from trajvae.store import Contents, Header, Quantity, conformations_file, read_contents, whole_files
from trajvae.store.conformations import positions_of
from trajvae.store.mdtraj_topology import parse_mdtraj_topology
from trajvae.store.schema import Tree
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64

if TYPE_CHECKING:
    from MDAnalysis import Universe
    from mdtraj import Trajectory
    from pandas import DataFrame
    from typing_extensions import TypeVar

    F = TypeVar("F", bound=Figures, covariant=True, default=Figures)
else:
    from typing import TypeVar

    F = TypeVar("F", bound=Figures, covariant=True)
_LINKS = ("coordinates", "time")  # the positions and their times by the names that mdtraj gives them


@dataclass(frozen=True, eq=False, repr=False)
class Conformations(ResultFile, Generic[F]):
    """Hold conformations with their latent points.

    Attributes
    ----------
    positions : ndarray, shape (n, N, D)
        In Å; NaN where they were not read, see `load`.
    latent : ndarray, shape (n, ambient)
    valid : ndarray of bool, shape (n,)
    topology : Topology
    observables : mapping of str to Quantity
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

    KIND: ClassVar[str] = "conformations"
    SKIPPED: ClassVar[tuple[str, ...]] = _LINKS

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
        title += "" if self.has_positions else ", positions not read"
        return Summary(title, scalars(self.figures))

    @property
    def has_positions(self) -> bool:
        """Whether the positions were read, or made."""
        return any(self.positions.strides) or not self.positions.size

    @property
    def columns(self) -> Mapping[str, Quantity]:
        """Quantities with a row a conformation, by name."""
        return self.observables

    @property
    def task(self) -> Task:
        """Command that made the conformations: "generate", "optimize" or "path"."""
        return task_of(self.command, self.observables, self.extra)

    @property
    def descent(self) -> Descent | None:
        """Way of an optimisation; None where the conformations are of none."""
        return descent_of(self.extra)

    def to_dataframe(self) -> DataFrame:
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

    def universe(self) -> Universe:
        """Return an in-memory MDAnalysis Universe; z = 0 in two dimensions."""
        return to_universe(self.topology, self._known_positions())

    def to_mdtraj(self) -> Trajectory:
        """Return an `mdtraj.Trajectory`, in nm."""
        return to_mdtraj(self.topology, self._known_positions())

    def _known_positions(self) -> Float64:
        if not self.has_positions:
            raise OutputError("the positions of these conformations were not read: Conformations.load reads them")
        return self.positions

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `X.h5md`, the topology beside it as `X.pdb`, and the structures in the format that is named.

        Parameters
        ----------
        path : str or Path
            Ends in `.h5md`, `.xtc`, `.dcd`, `.nc` or `.pdb`; all but the first are written beside `X.h5md`, which
            keeps the numbers. With `.pdb`, `X.pdb` has one model per structure, otherwise only the first structure.
        force : bool
            Replace existing files.

        Raises
        ------
        OutputError
            Another ending, a file exists, the disk refused, or the positions were not read.
        """
        header = Header(self.KIND, self.command or "Conformations.save", self.seed)
        piece = Piece(self._known_positions(), self.latent, self.valid, self.observables)
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

    @classmethod
    def load(cls, path: str | Path, *, positions: bool = True) -> Self:
        """Read an `.h5md` file that `save` or a command wrote.

        Parameters
        ----------
        path : str or Path
        positions : bool
            Whether to read the positions, in the file's precision of float32, and the masses of the elements. Without
            them the positions are NaN, and take no memory.

        Returns
        -------
        Conformations
            Insertion codes, and masses that are not those of the elements, do not stand in the file.

        Raises
        ------
        ReadError
            The file is missing, damaged or of another kind, or lacks what its kind must hold.
        """
        skipped = (*cls.SKIPPED, *(() if positions else ("particles",)))
        return cls.from_contents(read_contents(Path(path), cls.KIND, skip=skipped), path)

    @classmethod
    def _unpack(cls, contents: Contents, path: str) -> Self:
        columns, figures = contents.columns("observables"), conformation_figures(contents.json("summary"))
        latent, valid = columns.pop("latent"), columns.pop("valid").value.astype(bool)
        topology = parse_mdtraj_topology(str(contents.array("topology")[0]))
        shape = (len(valid), topology.n_atoms, int(contents.attributes.get("dimension", 3)))
        positions: Float64 = np.broadcast_to(np.nan, shape)
        if "particles" in contents.tree:
            positions = positions_of(contents.array("particles/trajectory/position/value"), shape[2])
            topology = replace(topology, masses=masses_of_elements(topology.elements))
        extra: Tree = {name: found for name, found in contents.quantities("trajvae").items()}
        geometry, model_hash = geometry_of(latent), contents.text("model_hash")
        rows = (positions, floats(latent), valid, topology, columns)
        return cls(*rows, contents.seed, contents.command, cast("F", figures), extra, geometry, model_hash)


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
