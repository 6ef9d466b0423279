"""`sensitivity.h5`: how much each atom and each residue moves each latent coordinate, also as B-factors of PDB."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Summary
from trajvae.figures.sensitivity import MovedFigures, MoverFigures, SensitivityFigures
from trajvae.frame_weights.weights import WeightSource
from trajvae.results.base import ResultFile, floats
from trajvae.store import Contents, Header, Quantity, read_contents, whole_files, write_table
from trajvae.store.tables import Groups
from trajvae.topology import Topology
from trajvae.typing import Float64

if TYPE_CHECKING:
    from pandas import DataFrame

_MOST = 10  # atoms and residues of the figures
_LARGEST = 100.0  # B-factor


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity(ResultFile):
    """Hold how much atoms and residues move latent coordinates.

    Attributes
    ----------
    atoms : ndarray, shape (M, N)
        Of each component of latent points to each atom: the root mean square over the frames of what the atom's
        distance from its mean position changes, to first order. In the unit of the latent coordinate.
    residues : ndarray, shape (M, R)
        The same of all atoms of a residue together: of the sum of their changes, which may cancel.
    spread : ndarray, shape (M,)
        Standard deviation of each component over the frames.
    fluctuation : ndarray, shape (N,)
        Root mean square distance of each atom from its mean position in aligned frames, in Å.
    structure : ndarray, shape (N, 3)
        The aligned frame that is nearest to the mean, in Å.
    structure_file : str
        Name of the trajectory of that frame.
    structure_frame : int
        Its number in that trajectory.
    topology : Topology
    frames : int
        Number of frames.
    model_hash : str
        SHA-256 of all that decides which latent point a frame has.
    command : str
    weights : WeightSource or None
        Of the frames, where they do not count alike: all means are weighted.
    """

    KIND: ClassVar[str] = "sensitivity"

    atoms: Float64
    residues: Float64
    spread: Float64
    fluctuation: Float64
    structure: Float64
    structure_file: str
    structure_frame: int
    topology: Topology
    frames: int
    model_hash: str = ""
    command: str = "Model.sensitivity"
    weights: WeightSource | None = None

    @property
    def figures(self) -> SensitivityFigures:
        """Figures that `sensitivity --json` prints."""
        atoms, residues = _atom_names(self.topology), _residue_names(self.topology)
        return SensitivityFigures(
            frames=self.frames,
            atoms=self.atoms.shape[1],
            residues=self.residues.shape[1],
            coordinates=tuple(
                MovedFigures(
                    name=f"z{k}",
                    spread=float(self.spread[k]),
                    residues=_largest(self.residues[k], residues),
                    atoms=_largest(self.atoms[k], atoms),
                )
                for k in range(len(self.spread))
            ),
            model_hash=self.model_hash,
            effective_sample_size=None if self.weights is None else self.weights.effective_sample_size,
        )

    @property
    def groups(self) -> Groups:
        """The group `/sensitivity` of a file, with its attributes."""
        held = {name: Quantity(getattr(self, name)) for name in ("atoms", "residues", "spread")}
        held |= {name: Quantity(getattr(self, name), "Angstrom") for name in ("fluctuation", "structure")}
        marks = {"structure_file": self.structure_file, "structure_frame": self.structure_frame}
        return {"sensitivity": (held, {"frames": self.frames, **marks})}

    def _summary(self) -> Summary:
        f = self.figures
        title = f"Sensitivity of {len(self.spread)} latent coordinates to {f.atoms} atoms over {f.frames} frames"
        rows = [(c.name, c.spread, c.residues[0].name, c.residues[0].value, c.atoms[0].name) for c in f.coordinates]
        return Summary(title, rows, ("coordinate", "spread", "moved most by residue", "by", "by atom"))

    def to_dataframe(self) -> DataFrame:
        """Return a pandas.DataFrame, a row an atom: its name and residue, and its value for each coordinate.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        columns = {f"z{k}": row for k, row in enumerate(self.atoms)}
        names = np.array(_atom_names(self.topology), dtype=object)
        columns = {"name": names, "residue": self.topology.residues, **columns, "fluctuation": self.fluctuation}
        return dataframe(columns, list(range(self.atoms.shape[1])), "atom")

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `/sensitivity` as the page on formats describes it, with the atoms' names.

        Parameters
        ----------
        path : str or Path
        force : bool
            Replace an existing file.

        Raises
        ------
        OutputError
            The file exists and `force` is off, or the disk refused.
        """
        told = {} if self.weights is None else {"weights": json.dumps(self.weights.to_json())}
        write_table(
            Path(path),
            Header(self.KIND, self.command, 0),
            groups=self.groups,
            extra={"topology": self.topology.to_arrays()},
            attributes={"model_hash": self.model_hash, **told},
            force=force,
        )

    def save_structures(self, path: str | Path, *, force: bool = False) -> list[Path]:
        """Write a PDB file for each latent coordinate, with the atoms' values as B-factors, the largest 100.

        PyMOL and VMD read B-factors once for a molecule, so that models of one file could not differ in theirs.

        Parameters
        ----------
        path : str or Path
            Such as "sensitivity.h5" for "sensitivity_0.pdb", "sensitivity_1.pdb" and so on.
        force : bool
            Replace existing files.

        Returns
        -------
        list of Path

        Raises
        ------
        OutputError
            A file exists and `force` is off, or the disk refused.
        """
        from trajvae.molecule.pdb import write_pdb

        names = structure_names(path, len(self.atoms))
        with whole_files(*names, force=force) as parts:
            for k, (part, values) in enumerate(zip(parts, self.atoms, strict=True)):
                largest = float(values.max())
                b_factors = _LARGEST * values / largest if largest > 0.0 else values
                write_pdb(part, self.topology, self.structure, b_factors=b_factors, remarks=self._remarks(k, largest))
        return names

    def _remarks(self, k: int, largest: float) -> tuple[str, ...]:
        return (
            f"B-FACTORS: HOW MUCH EACH ATOM MOVES LATENT COORDINATE Z{k}, SCALED:",
            f"THE LARGEST, {_LARGEST:.0f}, STANDS FOR {largest:.4g} OF THE COORDINATE'S UNIT.",
            f"THE COORDINATE'S STANDARD DEVIATION IS {self.spread[k]:.4g}, OF {self.frames} FRAMES.",
            "POSITIONS: THE FRAME THAT IS NEAREST TO THE MEAN OF ALL FRAMES.",
        )

    @classmethod
    def _unpack(cls, contents: Contents, path: str) -> Sensitivity:
        marks = contents.marks["sensitivity"]
        array = {name: floats(contents.quantity(f"sensitivity/{name}")) for name in contents.group("sensitivity")}
        return cls(
            atoms=array["atoms"],
            residues=array["residues"],
            spread=array["spread"],
            fluctuation=array["fluctuation"],
            structure=array["structure"],
            structure_file=str(marks["structure_file"]),
            structure_frame=int(marks["structure_frame"]),
            topology=Topology.from_arrays(
                {k: contents.array(f"trajvae/topology/{k}") for k in contents.group("trajvae/topology")}
            ),
            frames=int(marks["frames"]),
            model_hash=contents.text("model_hash"),
            command=contents.command,
            weights=WeightSource.from_json(contents.json("weights")),
        )


def sensitivity_of(path: str | Path) -> Sensitivity:
    """Return the sensitivity that a file of any kind holds, such as one of an embedding.

    Raises
    ------
    ReadError
        The file holds none, or is damaged.
    """
    return Sensitivity.from_contents(read_contents(Path(path), skip=("observables",)), path)


def structure_names(path: str | Path, n: int) -> list[Path]:
    """Return the names of the PDB files of n latent coordinates beside a file."""
    return [Path(path).with_name(f"{Path(path).stem}_{k}.pdb") for k in range(n)]


def _largest(values: Float64, names: Sequence[str]) -> tuple[MoverFigures, ...]:
    """Return the largest values with their names; of equal ones the first comes first."""
    order = np.argsort(-values, kind="stable")[:_MOST].tolist()
    return tuple(MoverFigures(name=names[i], number=i, value=float(values[i])) for i in order)


def _residue_names(topology: Topology) -> list[str]:
    """Return a name for each residue, such as "ALA2"; its number where it has none."""
    first = np.unique(topology.residues, return_index=True)[1]
    several = len(np.unique(topology.chains)) > 1
    columns = (topology.chains, topology.resnames, topology.resids, topology.icodes)
    rows = zip(*(column[first].tolist() for column in columns), strict=True)
    return [
        f"{chain + ':' if several else ''}{name}{number}{icode}" if name else f"residue {k}"
        for k, (chain, name, number, icode) in enumerate(rows)
    ]


def _atom_names(topology: Topology) -> list[str]:
    """Return a name for each atom, such as "ALA2:CB"; its number where it has none."""
    residues = _residue_names(topology)
    pairs = zip(topology.residues.tolist(), topology.names.tolist(), strict=True)
    return [f"{residues[r]}:{name}" if name not in ("", "X") else f"atom {i}" for i, (r, name) in enumerate(pairs)]
