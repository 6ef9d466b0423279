"""Conformations: what `generate` and `optimize` give back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajvae.errors import OutputError
from trajvae.readers.molecules import to_mdtraj, to_universe, write_pdb
from trajvae.store import Header, Quantity, check_outputs, whole_files, write_conformations
from trajvae.store.schema import Tree
from trajvae.topology import Topology


def conformation_files(path: str | Path) -> list[Path]:
    """The files that conformations consist of: topology and positions.

    Raises
    ------
    OutputError
        The name does not end in `.h5md`.
    """
    path = Path(path)
    if path.suffix != ".h5md":
        raise OutputError(f"conformations are written to a file that ends in '.h5md', got '{path}'")
    return [path.with_suffix(".pdb"), path]


@dataclass(frozen=True, eq=False, repr=False)
class Conformations:
    """Conformations with their latent points.

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
    figures : dict
        What the command line reports.
    extra : mapping
        Other arrays, stored under `/trajvae`.
    geometry : str
        The space that `latent` lies in, as `Latent.geometry` has it.
    """

    positions: NDArray[np.float64]
    latent: NDArray[np.float64]
    valid: NDArray[np.bool_]
    topology: Topology
    observables: dict[str, Quantity] = field(default_factory=dict)
    seed: int = 0
    command: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    extra: Tree = field(default_factory=dict)
    geometry: str = ""

    def __repr__(self) -> str:
        n, atoms, dimension = self.positions.shape
        return f"<Conformations: {n} of {atoms} atoms in {dimension} dimensions, {int(self.valid.sum())} valid>"

    def __len__(self) -> int:
        return len(self.positions)

    def universe(self) -> Any:
        """An in-memory MDAnalysis Universe; z = 0 in two dimensions."""
        return to_universe(self.topology, self.positions)

    def to_mdtraj(self) -> Any:
        """An `mdtraj.Trajectory`, in nm."""
        return to_mdtraj(self.topology, self.positions)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `X.h5md`, and the topology beside it as `X.pdb`.

        Parameters
        ----------
        path : str or Path
            Ends in `.h5md`.
        force : bool
            Replace existing files.

        Raises
        ------
        OutputError
            Another ending, a file exists, or the disk refused.
        """
        files = conformation_files(path)
        check_outputs(files, force=force)
        latent = Quantity(self.latent, attributes={"geometry": self.geometry})
        rows = {"latent": latent, "valid": Quantity(self.valid.astype(np.int8)), **self.observables}
        header = Header("conformations", self.command or "Conformations.save", self.seed)
        with whole_files(*files, force=force) as (pdb, h5md):
            if len(self):
                write_pdb(pdb, self.topology, self.positions[0])
            else:
                pdb.touch()
            attributes = {"summary": json.dumps(self.figures)}
            write_conformations(h5md, self.positions, self.topology, rows, header, attributes, self.extra)
