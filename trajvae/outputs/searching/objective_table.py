"""The objectives that `optimize` knows by name: a table with one entry for each.

Messages, the help of the command line and its documentation are made from it. What computes an objective is imported
when it is used, so that the help appears at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trajvae.display import unit_symbol
from trajvae.errors import OptionError

if TYPE_CHECKING:
    from trajvae.models.pipeline import Pipeline
    from trajvae.molecule.observables import Function

OWN = "module:function"


@dataclass(frozen=True)
class Request:
    """An objective as the user wrote it, and the model whose structures are optimised.

    Attributes
    ----------
    text : str
        The whole text, such as `distance:0,9`.
    arguments : str
        What follows the colon, such as `0,9`.
    pipeline : Pipeline
    topology : str, Path or None
        The topology file of a structure file that holds none.
    """

    text: str
    arguments: str
    pipeline: Pipeline
    topology: str | Path | None = None

    def atoms(self, count: int) -> tuple[int, ...]:
        """Read the arguments as numbers of atoms.

        Raises
        ------
        OptionError
            They are not `count` different numbers of atoms of the model.
        """
        last = self.pipeline.n_atoms - 1
        try:
            found = tuple(int(part) for part in self.arguments.split(","))
        except ValueError:
            found = ()
        if len(set(found)) != count or len(found) != count or not 0 <= min(found) <= max(found) <= last:
            name, example = self.text.partition(":")[0], ",".join(map(str, range(count)))
            raise OptionError(
                f"objective '{self.text}': expected {count} different atom numbers from 0 to {last}, "
                f"as in {name}:{example}; found '{self.arguments}'"
            )
        return found


@dataclass(frozen=True)
class ObjectiveKind:
    """An entry of the table.

    Attributes
    ----------
    help : str
        A few words for the help; empty where the name says enough.
    unit : str
        As files hold it, such as Angstrom or degree; empty for a pure number.
    make : callable, optional
        From a `Request` to a function of positions (B, N, D) in Å to values (B,); None where the name is that of an
        observable that models keep.
    arguments : str
        How the text after the colon is written, such as `i,j`; empty where there is none.
    period : float
        0, or the period of an angle in the unit.
    reads_file : bool
        Whether the arguments are the path of a file.
    """

    help: str
    unit: str
    make: Callable[[Request], Function] | None = None
    arguments: str = ""
    period: float = 0.0
    reads_file: bool = False


def _distance(request: Request) -> Function:
    from trajvae.molecule.observables import distance

    i, j = request.atoms(2)
    return lambda x: distance(x, i, j)


def _angle(request: Request) -> Function:
    from trajvae.molecule.observables import angle

    i, j, k = request.atoms(3)
    return lambda x: angle(x, i, j, k)


def _dihedral(request: Request) -> Function:
    from trajvae.molecule.observables import dihedral

    if request.pipeline.dimension != 3:
        raise OptionError(
            f"objective '{request.text}': expected a model of three dimensions, found one of the plane, where there "
            "are no dihedral angles; angle:i,j,k is defined there"
        )
    i, j, k, m = request.atoms(4)
    return lambda x: dihedral(x, i, j, k, m)


def _rmsd(request: Request) -> Function:
    import torch

    from trajvae.molecule.observables import superposed_rmsd
    from trajvae.outputs.searching.structures import read_structure

    target = torch.from_numpy(read_structure(request.arguments, request.pipeline, request.topology).astype("float64"))
    return lambda x: superposed_rmsd(x, target)


OBJECTIVES: dict[str, ObjectiveKind] = {
    "rg": ObjectiveKind("radius of gyration", "Angstrom"),
    "end-to-end": ObjectiveKind("first to last atom", "Angstrom"),
    "distance": ObjectiveKind("", "Angstrom", _distance, "i,j"),
    "angle": ObjectiveKind("at atom j", "degree", _angle, "i,j,k"),
    "dihedral": ObjectiveKind("periodic", "degree", _dihedral, "i,j,k,l", period=360.0),
    "rmsd": ObjectiveKind("to its first frame", "Angstrom", _rmsd, "FILE", reads_file=True),
}


def written(name: str) -> str:
    """Return how an objective is written, such as `distance:i,j`."""
    arguments = OBJECTIVES[name].arguments
    return f"{name}:{arguments}" if arguments else name


def known_objectives() -> str:
    """Return all objectives as they are written, for messages."""
    return ", ".join([*map(written, OBJECTIVES), f"or {OWN}"])


def objective_help() -> str:
    """Return the help of the option."""
    parts = []
    for name, kind in OBJECTIVES.items():
        remarks = ", ".join(filter(None, (kind.help, unit_symbol(kind.unit))))
        parts.append(f"{written(name)} ({remarks})" if remarks else written(name))
    return (
        f"{', '.join(parts)}, or {OWN}, a torch function of positions (B, N, D) in Å to (B,); the module may lie in "
        "this folder. Atoms are counted from 0 within the selection."
    )


def file_of(text: str) -> str | None:
    """Return the file that an objective reads, if it reads one."""
    name, _, arguments = text.partition(":")
    kind = OBJECTIVES.get(name)
    return arguments if kind is not None and kind.reads_file and arguments else None
