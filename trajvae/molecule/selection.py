"""Which atoms are taken: a selection in MDAnalysis' language, the default one, or an AtomGroup as it is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from trajvae.errors import SelectionError, TrajvaeWarning
from trajvae.molecule.elements import attribute, elements_of
from trajvae.molecule.residues import Look, chain_residues
from trajvae.typing import Int64

MAX_ATOMS = 10_000
_INCOMPLETE = (LookupError, TypeError, AttributeError)  # of MDAnalysis, whose text says nothing to a user
_NAMED = 6  # residues that a warning names
_SOLVENT = (
    "resname HOH SOL WAT H2O DOD TIP TIP2 TIP3 TIP3P TIP4 TIP4P TIP5 TIP5P TP3 TP4 TP5 T3P T4P T3H T4H T4E T5P SPC "
    "SPCE OPC OPC3 SWM4 W WF PW NA CL K LI CS RB MG CA ZN NA+ CL- K+ SOD CLA POT CES LIT RUB CAL ZN2 MG2 ION IB+ IB-"
)


def has_names(atoms: Any) -> bool:
    """Return whether the atoms of an AtomGroup carry names, that is, whether a real topology stands behind them."""
    return any(map(str, attribute(atoms, "names", "").tolist()))


def select_atoms(
    atoms: Any, select: str | None, bonds: Int64 | None = None, look: Look | None = None
) -> tuple[Any, str]:
    """Apply a selection, or the default one, and say which it was.

    Parameters
    ----------
    atoms : AtomGroup
    select : str, optional
        MDAnalysis' selection language. By default the heavy atoms of protein and nucleic acid if there
        are any, with the residues bonded into their chains, else everything but solvent and ions; all atoms where
        nothing has a name.
    bonds : ndarray of int64, shape (B, 2), optional
        Known bonds, by indices in the universe.
    look : callable, optional
        Indices in the universe to positions (n, 3) in Å of the first frame and its box (6,) or None. It is called only
        where residues are neither polymer nor solvent.

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
    chosen, said = _default(atoms, bonds, look) if select is None else (_explicit(atoms, select), select)
    if len(chosen) == 0:
        raise SelectionError(f"the selection '{said}' matches none of the {len(atoms)} atoms")
    if len(chosen) > MAX_ATOMS:
        raise SelectionError(f"'{said}' selects {len(chosen)} atoms, more than {MAX_ATOMS}: narrow it with --select")
    return chosen, said


def atom_groups(source: Any) -> list[Any] | None:
    """Return the AtomGroups that a source consists of, of which a Universe is none, or None."""
    items = list(source) if isinstance(source, list | tuple) else [source]
    groups = [s for s in items if hasattr(s, "atoms") and hasattr(s, "universe") and s is not s.universe]
    return groups if groups and len(groups) == len(items) else None


def selection_of(source: Any, select: str | None) -> str | None:
    """Return the selection that stands for a source: an AtomGroup is meant whole, in topology order.

    Parameters
    ----------
    source
        See `open_source`; the first of several AtomGroups counts.
    select : str, optional
        A selection that was given is kept.

    Raises
    ------
    SelectionError
        The AtomGroup is empty.
    """
    groups = atom_groups(source)
    if select is not None or groups is None:
        return select
    indices = np.unique(groups[0].atoms.indices)
    if not len(indices):
        raise SelectionError("the AtomGroup is empty: give one with atoms")
    if len(indices) == len(groups[0].universe.atoms):
        return "all"
    ends = np.flatnonzero(np.diff(indices) > 1)
    first, last = np.r_[0, ends + 1], np.r_[ends, len(indices) - 1]
    spans = zip(indices[first].tolist(), indices[last].tolist(), strict=True)
    return "index " + " ".join(f"{a}:{b}" if a < b else f"{a}" for a, b in spans)


def _explicit(atoms: Any, select: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MDAnalysis, about how it reads the words
            return atoms.select_atoms(select)
    except Exception as error:  # MDAnalysis' parser raises whatever its parts do, and a selection is a user's text
        if not has_names(atoms):
            raise SelectionError(
                f"without a topology only index selections such as 'index 0:99' work, got '{select}': "
                "give the topology with -s/--topology"
            ) from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, _INCOMPLETE):
            reason = "it lacks a word, or is not of MDAnalysis' selection language"
        raise SelectionError(f"selection '{select}' is not understood: {reason}") from error


def _default(atoms: Any, bonds: Int64 | None, look: Look | None) -> tuple[Any, str]:
    # residues of XYZ and other bare formats have no names, and match no residue selection
    if not has_names(atoms) or not (attribute(atoms, "resnames", "").astype(str) != "").any():
        return atoms, "all atoms"
    polymer = atoms.select_atoms("protein or nucleic")
    other = atoms.select_atoms(f"not ({_SOLVENT})")
    if not len(polymer):
        return other, "all but solvent and ions"
    found = chain_residues(atoms, polymer, other - polymer, bonds, look)
    if len(found.left_out):
        _warn_of(atoms.universe.residues[found.left_out])
    chosen = atoms[np.isin(atoms.resindices, np.union1d(polymer.residues.resindices, found.added))]
    return chosen[elements_of(chosen)[0] != "H"], "heavy atoms of protein and nucleic acid"


def _warn_of(residues: Any) -> None:
    names = [f"{r.resname}{r.resid}" for r in residues[:_NAMED]]
    more = f" and {len(residues) - _NAMED} more" if len(residues) > _NAMED else ""
    warnings.warn(
        f"bonded to the selected chains but left out: {', '.join(names)}{more}; --select takes other atoms",
        TrajvaeWarning,
        stacklevel=5,
    )
