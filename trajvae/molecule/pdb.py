"""One frame as a PDB file in which MDAnalysis and mdtraj find the residues, segments and chains of the topology.

MDAnalysis begins a residue where number, insertion code, name or segment identifier changes and a segment where the
segment identifier does; mdtraj begins a chain where the chain identifier changes and, within it, a residue where
number, insertion code or name does. So neighbours that agree are given labels of their own, and all other labels are
kept.
"""

from __future__ import annotations

import io
import itertools
import string
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from trajvae.errors import TrajvaeError, TrajvaeWarning
from trajvae.molecule.to_libraries import to_universe
from trajvae.store import path_for_writing
from trajvae.topology import Topology
from trajvae.typing import Floats, Int64

_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
_SEGMENT, _RESIDUE = 4, 4  # columns
_LARGEST, _SMALLEST = 9999, -999  # residue numbers of four columns
_MOST_SERIALS = 99_999
COORDINATES = slice(30, 54)  # columns of an atom's line where they stand
_FALL = 5000  # MDAnalysis takes a larger fall of the residue number for a counter that began anew
_VIRTUAL = "VS"  # mdtraj's symbol; MDAnalysis knows no such element


def write_pdb(path: Path, topology: Topology, positions: Floats) -> None:
    """Write one frame as PDB, with CONECT records where bonds are known.

    Parameters
    ----------
    path : Path
    topology : Topology
    positions : ndarray, shape (N, D)
        In Å.

    Raises
    ------
    TrajvaeError
        The coordinates do not fit the format's eight columns.

    Warns
    -----
    TrajvaeWarning
        Residue numbers, residue names or the number of atoms do not fit the format's columns.
    """
    from MDAnalysis.lib.util import NamedStream

    _warn_of_columns(topology)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # absent cell, altLoc, occupancy: conformations have none
        try:
            atoms = to_universe(labelled(topology), positions[None]).atoms
            virtual = (topology.masses == 0.0) & (topology.elements == "")
            atoms.elements = np.where(virtual, _VIRTUAL, topology.elements).astype(object)
            stream = NamedStream(io.StringIO(), "atoms.pdb")
            atoms.write(stream, bonds="conect" if len(topology.bonds) else None)
            path_for_writing(path).write_text(stream.stream.getvalue(), encoding="utf-8")
        except ValueError as error:
            raise TrajvaeError(f"the topology cannot be written as PDB: {error}") from error


def same_atoms(one: Path, other: Path) -> bool:
    """Whether two files of one frame differ in coordinates alone: both describe the atoms of the same conformations."""
    texts = [path.read_bytes().splitlines() for path in (one, other)]
    return [_unplaced(line) for line in texts[0]] == [_unplaced(line) for line in texts[1]]


def _unplaced(line: bytes) -> bytes:
    """A line without an atom's coordinates."""
    atom = line.startswith((b"ATOM", b"HETATM"))
    return line[: COORDINATES.start] + line[COORDINATES.stop :] if atom else line


def labelled(topology: Topology) -> Topology:
    """Return the topology with segment and chain identifiers and insertion codes that fit PDB and tell all apart."""
    segments, chains = _firsts(topology.segments), _firsts(topology.chain_indices)
    segids = np.array(list(_segment_labels(topology.segids[segments].tolist())), dtype=str)[topology.segments]
    letters = np.array(_chain_labels(topology.chains[chains].tolist()), dtype=str)[topology.chain_indices]
    out = replace(topology, segids=segids, chains=letters)
    first = _firsts(topology.residues)
    return replace(out, icodes=np.array(_icodes(out, first), dtype=str)[topology.residues])


def _firsts(index: Int64) -> Int64:
    return np.asarray(np.unique(index, return_index=True)[1], dtype=np.int64)


def _segment_labels(segids: list[str]) -> Iterator[str]:
    """Labels of at most four characters: the own one, unless it is too long or equals the segment's before."""
    fits = {s for s in segids if _fits(s, _SEGMENT)}
    spare = (f"S{_base36(k)}" for k in itertools.count())
    names: dict[str, str] = {}
    before = ""
    for segid in segids:
        if segid not in names:
            names[segid] = segid if segid in fits else _unused(spare, fits)
        label = names[segid] if names[segid] != before else _unused(spare, fits)
        before = label
        yield label


def _fits(label: str, columns: int) -> bool:
    return 0 < len(label) <= columns and label.isascii() and label.isprintable() and " " not in label


def _base36(number: int) -> str:
    digits = string.digits + string.ascii_uppercase
    return "".join(digits[number // 36**k % 36] for k in (2, 1, 0))


def _unused(labels: Iterable[str], used: set[str]) -> str:
    """The next label that is not used; it counts as used from then on."""
    found = next(label for label in labels if label not in used)
    used.add(found)
    return found


def _chain_labels(chains: list[str]) -> list[str]:
    """Labels of one character; where the 62 are spent, they repeat, but never from one chain to the next."""
    used = {c for c in chains if c in _LETTERS and len(c) == 1}
    again = itertools.cycle(_LETTERS)
    names: dict[str, str] = {}
    out: list[str] = []
    for k, chain in enumerate(chains):
        own = chain if chain in used else names.get(chain, "")
        near = {out[-1] if out else "", chains[k + 1] if chains[k + 1 : k + 2] else ""}
        if not own or own == (out[-1] if out else ""):
            free = [c for c in _LETTERS if c not in used]
            own = free[0] if free else next(c for c in again if c not in near)
            used.add(own) if free else None
            names.setdefault(chain, own)
        out.append(own)
    return out


def _icodes(topology: Topology, first: Int64) -> list[str]:
    """Insertion codes of the residues: the own ones, unless a library would join the residue with the one before."""
    columns = (topology.icodes, topology.resids, topology.resnames, topology.segids, topology.chains)
    rows = list(zip(*(c[first].tolist() for c in columns), strict=True))
    out: list[str] = []
    for k, (icode, number, name, segid, chain) in enumerate(rows):
        code = icode if _fits(icode, 1) else ""
        if k:
            _, last_number, last_name, last_segid, last_chain = rows[k - 1]
            same = (number - last_number) % 10_000 == 0 and name[:_RESIDUE] == last_name[:_RESIDUE]
            if same and code == out[-1] and (segid == last_segid or chain == last_chain):
                following = rows[k + 1][0] if k + 1 < len(rows) else ""
                code = next(c for c in _LETTERS if c not in (out[-1], following))
        out.append(code)
    return out


def _warn_of_columns(topology: Topology) -> None:
    first = _firsts(topology.residues)
    numbers, names = topology.resids[first], topology.resnames[first]
    wide = int(((numbers > _LARGEST) | (numbers < _SMALLEST)).sum())
    said = [f"{wide} residue numbers have more than four digits and are cut to the last four"] if wide else []
    if not wide and (np.diff(numbers) < -_FALL).any():
        said.append(f"a residue number falls by more than {_FALL}, and MDAnalysis adds 10000 to those that follow")
    long = int((np.char.str_len(names) > _RESIDUE).sum())
    said += [f"{long} residue names have more than four letters and are cut to four"] if long else []
    if topology.n_atoms > _MOST_SERIALS:
        said.append(f"{topology.n_atoms} atoms are more than {_MOST_SERIALS}, so bonds are not written")
    if said:
        warnings.warn(f"the PDB file differs from the topology: {'; '.join(said)}", TrajvaeWarning, stacklevel=3)
