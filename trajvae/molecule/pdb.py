"""Write a frame as a PDB file in which MDAnalysis and mdtraj find the residues, segments and chains of the topology.

MDAnalysis begins a new residue where the number, insertion code, name or segment identifier changes, and a new segment
where the segment identifier changes. mdtraj begins a new chain where the chain identifier changes and, within a chain,
a new residue where the number, insertion code or name changes. Neighbours with equal labels would be joined: they are
given other labels, and all other labels are kept.
"""

from __future__ import annotations

import io
import itertools
import string
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trajvae.errors import TrajvaeError, TrajvaeWarning
from trajvae.molecule.to_libraries import first_atoms, to_universe
from trajvae.store import path_for_writing
from trajvae.topology import Topology
from trajvae.typing import Floats, Int64

_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
_SEGMENT, _RESIDUE = 4, 4  # columns of a segment identifier and of a residue name
_LARGEST, _SMALLEST = 9999, -999  # residue numbers that fit into four columns
_MOST_SERIALS = 99_999
COORDINATES = slice(30, 54)  # columns of the coordinates in the line of an atom
_FALL = 5000  # where the residue number falls by more, MDAnalysis assumes that it was cut to four digits
_VIRTUAL = "VS"  # mdtraj's symbol of a virtual site; MDAnalysis has no such element


def write_pdb(
    path: Path,
    topology: Topology,
    positions: Floats,
    *,
    b_factors: Floats | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Write one frame as PDB, with CONECT records where bonds are known.

    Parameters
    ----------
    path : Path
    topology : Topology
    positions : ndarray, shape (N, D)
        In Å.
    b_factors : ndarray, shape (N,), optional
        From -99 to 999; two digits are kept.
    remarks : sequence of str
        Lines of at most 69 characters.

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
        warnings.simplefilter("ignore")  # MDAnalysis warns that cell, altLoc and occupancy are missing
        try:
            atoms = to_universe(with_pdb_labels(topology), positions[None]).atoms
            virtual = (topology.masses == 0.0) & (topology.elements == "")
            atoms.elements = np.where(virtual, _VIRTUAL, topology.elements).astype(object)
            if b_factors is not None:
                atoms.universe.add_TopologyAttr("tempfactors", b_factors)
            stream = NamedStream(io.StringIO(), "atoms.pdb")
            atoms.write(stream, bonds="conect" if len(topology.bonds) else None)
            title, end, rest = stream.stream.getvalue().partition("\n")
            said = "".join(f"REMARK   6 {line}\n" for line in remarks)
            path_for_writing(path).write_text(title + end + said + rest, encoding="utf-8")
        except ValueError as error:
            raise TrajvaeError(f"the topology cannot be written as PDB: {error}") from error


def same_atoms(one: Path, other: Path) -> bool:
    """Return whether two PDB files of one frame describe the same atoms: they differ in coordinates only."""
    texts = [path.read_bytes().splitlines() for path in (one, other)]
    return [_without_coordinates(line) for line in texts[0]] == [_without_coordinates(line) for line in texts[1]]


def _without_coordinates(line: bytes) -> bytes:
    """Return a line of a PDB file without the coordinates of an atom."""
    atom = line.startswith((b"ATOM", b"HETATM"))
    return line[: COORDINATES.start] + line[COORDINATES.stop :] if atom else line


def with_pdb_labels(topology: Topology) -> Topology:
    """Return the topology with segment and chain identifiers and insertion codes that PDB files can hold.

    Neighbouring segments, chains and residues get different labels.
    """
    segments, chains = first_atoms(topology.segments), first_atoms(topology.chain_indices)
    segids = np.array(list(_segment_labels(topology.segids[segments].tolist())), dtype=str)[topology.segments]
    chain_ids = np.array(_chain_labels(topology.chains[chains].tolist()), dtype=str)[topology.chain_indices]
    out = replace(topology, segids=segids, chains=chain_ids)
    first = first_atoms(topology.residues)
    return replace(out, icodes=np.array(_insertion_codes(out, first), dtype=str)[topology.residues])


def _segment_labels(segids: list[str]) -> Iterator[str]:
    """Yield a label of at most four characters for each segment.

    It is the identifier of the segment, unless that is too long or equals the label of the segment before.
    """
    used = {s for s in segids if _fits(s, _SEGMENT)}
    new_labels = (f"S{_base36(k)}" for k in itertools.count())
    names: dict[str, str] = {}
    before = ""
    for segid in segids:
        if segid not in names:
            names[segid] = segid if segid in used else _next_unused(new_labels, used)
        label = names[segid] if names[segid] != before else _next_unused(new_labels, used)
        before = label
        yield label


def _fits(label: str, columns: int) -> bool:
    """Return whether a label can be written in so few columns: printable ASCII without a space."""
    return 0 < len(label) <= columns and label.isascii() and label.isprintable() and " " not in label


def _base36(number: int) -> str:
    """Return a number as three digits to base 36."""
    digits = string.digits + string.ascii_uppercase
    return "".join(digits[number // 36**k % 36] for k in (2, 1, 0))


def _next_unused(labels: Iterable[str], used: set[str]) -> str:
    """Return the next label that is not in a set of used labels, and add it to the set."""
    unused = next(label for label in labels if label not in used)
    used.add(unused)
    return unused


def _chain_labels(chains: list[str]) -> list[str]:
    """Return a label of one character for each chain.

    Beyond 62 chains the labels repeat, but neighbouring chains never have the same label.
    """
    used = {c for c in chains if c in _LETTERS and len(c) == 1}
    repeated = itertools.cycle(_LETTERS)
    names: dict[str, str] = {}
    out: list[str] = []
    for k, chain in enumerate(chains):
        label = chain if chain in used else names.get(chain, "")
        before = out[-1] if out else ""
        neighbours = {before, chains[k + 1] if chains[k + 1 : k + 2] else ""}
        if not label or label == before:
            free = [c for c in _LETTERS if c not in used]
            label = free[0] if free else next(c for c in repeated if c not in neighbours)
            used.add(label) if free else None
            names.setdefault(chain, label)
        out.append(label)
    return out


def _insertion_codes(topology: Topology, first: Int64) -> list[str]:
    """Return an insertion code for each residue, given the first atom of each.

    It is the insertion code of the residue, unless a library would join the residue with the one before.
    """
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
    """Warn of residue numbers, residue names and numbers of atoms that do not fit the columns of the format."""
    first = first_atoms(topology.residues)
    numbers, names = topology.resids[first], topology.resnames[first]
    wide = int(((numbers > _LARGEST) | (numbers < _SMALLEST)).sum())
    changes = [f"{wide} residue numbers have more than four digits and are cut to the last four"] if wide else []
    if not wide and (np.diff(numbers) < -_FALL).any():
        changes.append(f"a residue number falls by more than {_FALL}, and MDAnalysis adds 10000 to those that follow")
    long = int((np.char.str_len(names) > _RESIDUE).sum())
    changes += [f"{long} residue names have more than four letters and are cut to four"] if long else []
    if topology.n_atoms > _MOST_SERIALS:
        changes.append(f"{topology.n_atoms} atoms are more than {_MOST_SERIALS}, so bonds are not written")
    if changes:
        warnings.warn(f"the PDB file differs from the topology: {'; '.join(changes)}", TrajvaeWarning, stacklevel=3)
