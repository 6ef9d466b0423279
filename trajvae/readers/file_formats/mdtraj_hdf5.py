"""mdtraj's own HDF5 files as mdtraj's trajectories, without mdtraj's reader; see `store.mdtraj_file` why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trajvae.errors import DAMAGED, ReadError
from trajvae.store import read_mdtraj


def load_mdtraj(path: Path) -> Any:
    """The `mdtraj.Trajectory` that a file holds.

    Raises
    ------
    ReadError
        No such file, damaged, or none of mdtraj's.
    """
    import mdtraj

    found = read_mdtraj(path)
    try:
        topology = _topology(found.topology)
        return mdtraj.Trajectory(found.positions, topology, found.time, found.lengths, found.angles)
    except DAMAGED as error:
        raise ReadError(f"'{path}': its topology is not as mdtraj writes it: {error}") from error


def _topology(described: dict[str, Any]) -> Any:
    from mdtraj import Topology

    out = Topology()
    for chain in _sorted(described["chains"]):
        made = out.add_chain(_text(chain.get("chain_id")))
        for residue in _sorted(chain["residues"]):
            number, segment = residue.get("resSeq"), _text(residue.get("segmentID")) or ""
            own = out.add_residue(_text(residue["name"]), made, None if number is None else int(number), segment)
            for atom in _sorted(residue["atoms"]):
                out.add_atom(_text(atom["name"]), _element(_text(atom["element"])), own)
    atoms = list(out.atoms)
    for first, second, *_ in described["bonds"]:
        if not 0 <= min(first, second) <= max(first, second) < len(atoms):
            raise ValueError(f"a bond of atoms {first} and {second} of {len(atoms)}")
        out.add_bond(atoms[first], atoms[second])
    return out


def _sorted(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: int(item["index"]))


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise TypeError(f"wanted text, got {value!r}")
    return value


def _element(symbol: str | None) -> Any:
    from mdtraj.core import element

    try:
        return element.get_by_symbol(symbol)
    except KeyError:
        return element.virtual
