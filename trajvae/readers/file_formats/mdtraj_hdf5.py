"""Read mdtraj's HDF5 files as mdtraj trajectories, without mdtraj's reader; `store.mdtraj_file` says why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from trajvae.errors import DAMAGED, ReadError
from trajvae.store import read_mdtraj
from trajvae.typing import MdtrajTrajectory

if TYPE_CHECKING:
    import mdtraj
    from mdtraj.core.element import Element


class _AtomRecord(TypedDict):
    """Describe an atom as mdtraj's JSON does."""

    index: int
    name: str
    element: str


class _ResidueRecord(TypedDict):
    """Describe a residue as mdtraj's JSON does."""

    index: int
    name: str
    resSeq: NotRequired[int | None]
    segmentID: NotRequired[str]
    atoms: list[_AtomRecord]


class _ChainRecord(TypedDict):
    """Describe a chain as mdtraj's JSON does."""

    index: int
    chain_id: NotRequired[str]
    residues: list[_ResidueRecord]


class _TopologyRecord(TypedDict):
    """Describe a topology as mdtraj's JSON does. A file may hold anything else, which is an error when it is read."""

    chains: list[_ChainRecord]
    bonds: list[list[int]]


def load_mdtraj(path: Path) -> MdtrajTrajectory:
    """Return the `mdtraj.Trajectory` in a file.

    Raises
    ------
    ReadError
        The file does not exist, is damaged, or was not written by mdtraj.
    """
    import mdtraj

    stored = read_mdtraj(path)
    try:
        topology = _make_topology(cast(_TopologyRecord, stored.topology))
        return mdtraj.Trajectory(stored.positions, topology, stored.time, stored.lengths, stored.angles)
    except DAMAGED as error:
        raise ReadError(f"'{path}': its topology is not as mdtraj writes it: {error}") from error


def _make_topology(record: _TopologyRecord) -> mdtraj.Topology:
    """Return the topology that a record describes."""
    from mdtraj import Topology

    out = Topology()
    for chain in sorted(record["chains"], key=_index):
        new_chain = out.add_chain(_text(chain.get("chain_id")))
        for residue in sorted(chain["residues"], key=_index):
            number, segment = residue.get("resSeq"), _text(residue.get("segmentID")) or ""
            number = None if number is None else int(number)
            new_residue = out.add_residue(_text(residue["name"]), new_chain, number, segment)
            for atom in sorted(residue["atoms"], key=_index):
                out.add_atom(_text(atom["name"]), _element(_text(atom["element"])), new_residue)
    atoms = list(out.atoms)
    for first, second, *_ in record["bonds"]:
        if not 0 <= min(first, second) <= max(first, second) < len(atoms):
            raise ValueError(f"a bond of atoms {first} and {second} of {len(atoms)}")
        out.add_bond(atoms[first], atoms[second])
    return out


def _index(record: _ChainRecord | _ResidueRecord | _AtomRecord) -> int:
    """Return the index by which records are sorted."""
    return int(record["index"])


def _text(value: object) -> str | None:
    """Return a value that must be text or None."""
    if not isinstance(value, str | None):
        raise TypeError(f"expected text, got {value!r}")
    return value


def _element(symbol: str | None) -> Element:
    """Return the element of a symbol, or a virtual site for an unknown symbol."""
    from mdtraj.core import element

    try:
        return element.get_by_symbol(symbol)
    except KeyError:
        return element.virtual
