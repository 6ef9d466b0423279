"""Between MDAnalysis' and mdtraj's molecules and the plain `Topology`: names, elements, bonds, selections, PDB."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from trajvae.errors import SelectionError, TrajvaeError
from trajvae.readers.elements import attribute, elements_of, keep_elements
from trajvae.topology import Topology

MAX_ATOMS = 10_000
_SOLVENT = (
    "resname HOH SOL WAT H2O TIP TIP2 TIP3 TIP3P TIP4 TIP4P TIP5 SPC SPCE T3P T4P "
    "NA CL K LI CS RB MG CA ZN NA+ CL- K+ SOD CLA POT CES LIT RUB CAL ZN2 MG2 ION"
)


def has_names(atoms: Any) -> bool:
    """Whether the atoms of an AtomGroup carry names, that is, whether a real topology stands behind them."""
    return any(map(str, attribute(atoms, "names", "").tolist()))


def guess_bonds(atoms: Any, positions: NDArray[np.floating[Any]], box: Any) -> NDArray[np.int64]:
    """Bonds of an AtomGroup from distances in Å at `positions` (N, 3); universe indices, shape (B, 2).

    Nothing is guessed where an element is unknown (coarse-grained beads are no balls of known radius).
    """
    import MDAnalysis as mda
    from MDAnalysis.guesser.default_guesser import DefaultGuesser

    elements, _ = elements_of(atoms)
    if (elements == "").any():
        return np.empty((0, 2), dtype=np.int64)
    proxy = mda.Universe.empty(len(atoms), trajectory=False)
    proxy.add_TopologyAttr("types", np.char.upper(elements))
    try:
        found = DefaultGuesser(None, box=box).guess_bonds(atoms=proxy.atoms, coords=positions.astype(np.float32))
    except ValueError:  # an element without a van der Waals radius
        return np.empty((0, 2), dtype=np.int64)
    return np.asarray(atoms.indices[np.asarray(found, dtype=np.int64).reshape(-1, 2)], dtype=np.int64)


_kept: WeakKeyDictionary[Any, NDArray[np.int64]] = WeakKeyDictionary()


def keep(universe: Any) -> Any:
    """Look up bonds, and elements when they are asked for, once for all where nobody will change them; gives it."""
    _kept[universe] = bonds_of(universe)
    return keep_elements(universe)


def bonds_of(universe: Any) -> NDArray[np.int64]:
    """The bonds that a universe's topology holds; universe indices, shape (B, 2)."""
    if universe in _kept:
        return _kept[universe]
    try:
        return np.asarray(universe.bonds.to_indices(), dtype=np.int64).reshape(-1, 2)
    except AttributeError:
        return np.empty((0, 2), dtype=np.int64)


def topology_of(atoms: Any, bonds: NDArray[np.int64]) -> Topology:
    """The plain topology of an AtomGroup, with those of `bonds` (universe indices) that join two of its atoms."""
    if not has_names(atoms):
        return Topology.anonymous(len(atoms))
    place = np.full(len(atoms.universe.atoms), -1, dtype=np.int64)
    place[atoms.indices] = np.arange(len(atoms))
    inside = place[bonds] if len(bonds) else bonds
    if len(inside):  # some files bond an atom with itself
        inside = inside[(inside >= 0).all(axis=1) & (inside[:, 0] != inside[:, 1])]
    masses = attribute(atoms, "masses", 0.0).astype(np.float64)
    return Topology(
        names=attribute(atoms, "names", "").astype(str),
        elements=elements_of(atoms)[0],
        resnames=attribute(atoms, "resnames", "").astype(str),
        segids=attribute(atoms, "segids", "").astype(str),
        resids=attribute(atoms, "resids", 1).astype(np.int64),
        # beads and unknown atoms count one each
        masses=masses if (masses > 0).all() else np.ones(len(atoms)),
        bonds=np.unique(np.sort(inside, axis=1), axis=0).astype(np.int64),
    )


def select_atoms(atoms: Any, select: str | None) -> tuple[Any, str]:
    """Apply a selection, or the default one, and say which it was.

    Parameters
    ----------
    atoms : AtomGroup
    select : str, optional
        MDAnalysis' selection language. By default the heavy atoms of protein and nucleic acid if there
        are any, else everything but solvent and ions; all atoms where nothing has a name.

    Returns
    -------
    selected : AtomGroup
    said : str
        The selection in words.

    Raises
    ------
    SelectionError
        Not understood, empty, by name without a topology, or of more than 10^4 atoms by default.
    """
    chosen, said = (_default(atoms), _default_words(atoms)) if select is None else (_explicit(atoms, select), select)
    if len(chosen) == 0:
        raise SelectionError(f"the selection '{said}' matches none of the {len(atoms)} atoms")
    if len(chosen) > MAX_ATOMS:
        raise SelectionError(f"'{said}' selects {len(chosen)} atoms, more than {MAX_ATOMS}: narrow it with --select")
    return chosen, said


def _explicit(atoms: Any, select: str) -> Any:
    from MDAnalysis.exceptions import SelectionError as MDASelectionError

    try:
        return atoms.select_atoms(select)
    except (MDASelectionError, AttributeError, ValueError, TypeError) as error:
        if not has_names(atoms):
            raise SelectionError(
                f"without a topology only index selections such as 'index 0:99' work, got '{select}': "
                "give the topology with -s/--topology"
            ) from error
        raise SelectionError(f"selection '{select}' is not understood: {str(error).splitlines()[0]}") from error


def _has_residues(atoms: Any) -> bool:
    """Whether residues have names; those of XYZ and other bare formats have none, and match no residue selection."""
    return bool(np.any(attribute(atoms, "resnames", "").astype(str) != ""))


def _polymer(atoms: Any) -> Any:
    return atoms.select_atoms("protein or nucleic")


def _default(atoms: Any) -> Any:
    if not has_names(atoms) or not _has_residues(atoms):
        return atoms
    polymer = _polymer(atoms)
    if len(polymer):
        return polymer[elements_of(polymer)[0] != "H"]
    return atoms.select_atoms(f"not ({_SOLVENT})")


def _default_words(atoms: Any) -> str:
    if not has_names(atoms) or not _has_residues(atoms):
        return "all atoms"
    return "heavy atoms of protein and nucleic acid" if len(_polymer(atoms)) else "all but solvent and ions"


def to_universe(topology: Topology, positions: NDArray[np.floating[Any]]) -> Any:
    """An in-memory MDAnalysis Universe.

    Parameters
    ----------
    topology : Topology
    positions : ndarray, shape (T, N, D)
        In Å; z = 0 is added where D = 2.
    """
    import MDAnalysis as mda

    rows = np.stack([topology.segids, topology.resids.astype(str), topology.resnames])
    new = np.r_[True, (rows[:, 1:] != rows[:, :-1]).any(axis=0)]
    residue = np.cumsum(new) - 1
    new_segment = np.r_[True, topology.segids[1:] != topology.segids[:-1]]
    segment_of_residue = (np.cumsum(new_segment) - 1)[new]
    universe = mda.Universe.empty(
        topology.n_atoms,
        n_residues=int(new.sum()),
        n_segments=int(new_segment.sum()),
        atom_resindex=residue,
        residue_segindex=segment_of_residue,
        trajectory=False,
    )
    attributes = {
        "names": np.where(topology.names == "", "X", topology.names),
        "types": topology.elements,
        "elements": topology.elements,
        "masses": topology.masses,
        "resids": topology.resids[new],
        "resnames": np.where(topology.resnames == "", "UNK", topology.resnames)[new],
        "segids": np.where(topology.segids == "", "A", topology.segids)[new_segment],
        "chainIDs": np.array([s[-1:] or "A" for s in topology.segids]),
    }
    for name, values in attributes.items():
        universe.add_TopologyAttr(name, list(values))
    if len(topology.bonds):
        universe.add_TopologyAttr("bonds", [tuple(b) for b in topology.bonds.tolist()])
    universe.load_new(spatial(positions).astype(np.float32), order="fac")
    return universe


def spatial(positions: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Positions with three coordinates, z = 0 where there were two."""
    if positions.shape[-1] == 3:
        return positions
    return np.concatenate([positions, np.zeros_like(positions[..., :1])], axis=-1)


def to_mdtraj(topology: Topology, positions: NDArray[np.floating[Any]]) -> Any:
    """An `mdtraj.Trajectory` (nm); `positions` as in `to_universe`."""
    import mdtraj
    from mdtraj.core.element import Element, virtual

    top = mdtraj.Topology()
    chain = residue = last = None
    atoms = []
    for i in range(topology.n_atoms):
        key = (topology.segids[i], topology.resids[i], topology.resnames[i])
        if last is None or key[0] != last[0]:
            chain = top.add_chain(str(key[0]) or None)
        if key != last:
            residue = top.add_residue(str(key[2]) or "UNK", chain, resSeq=int(key[1]), segment_id=str(key[0]))
        last = key
        symbol = str(topology.elements[i])
        element = Element.getBySymbol(symbol) if symbol else virtual
        atoms.append(top.add_atom(str(topology.names[i]) or "X", element, residue))
    for a, b in topology.bonds.tolist():
        top.add_bond(atoms[a], atoms[b])
    return mdtraj.Trajectory(spatial(positions).astype(np.float32) / 10.0, top)


def write_pdb(path: Path, topology: Topology, positions: NDArray[np.floating[Any]]) -> None:
    """Write one frame as PDB, with CONECT records where bonds are known.

    Raises
    ------
    TrajvaeError
        The coordinates do not fit the format's eight columns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # absent cell, altLoc, occupancy: conformations have none
        try:
            atoms = to_universe(topology, positions[None]).atoms
            atoms.write(str(path), bonds="conect" if len(topology.bonds) else None)
        except ValueError as error:
            raise TrajvaeError(f"the topology cannot be written as PDB: {error}") from error
