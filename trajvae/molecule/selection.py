"""Select atoms: by MDAnalysis' selection language, by the default selection, or as an AtomGroup names them."""

from __future__ import annotations

import warnings

import numpy as np

from trajvae.errors import SelectionError, TrajvaeWarning
from trajvae.molecule.elements import atom_attribute, elements_of
from trajvae.molecule.residues import ReadAtoms, chain_residues
from trajvae.typing import AtomGroup, Int64, ResidueGroup

MAX_ATOMS = 10_000
_INCOMPLETE = (
    LookupError,
    TypeError,
    AttributeError,
)  # MDAnalysis raises these where a word is missing, without saying so
_NAMED = 6  # most residues that a warning names
_SOLVENT = (
    "resname HOH SOL WAT H2O DOD TIP TIP2 TIP3 TIP3P TIP4 TIP4P TIP5 TIP5P TP3 TP4 TP5 T3P T4P T3H T4H T4E T5P SPC "
    "SPCE OPC OPC3 SWM4 W WF PW NA CL K LI CS RB MG CA ZN NA+ CL- K+ SOD CLA POT CES LIT RUB CAL ZN2 MG2 ION IB+ IB-"
)


def has_names(atoms: AtomGroup) -> bool:
    """Return whether any atom of an AtomGroup has a name, that is, whether a topology was given."""
    return any(map(str, atom_attribute(atoms, "names", "").tolist()))


def select_atoms(
    atoms: AtomGroup, select: str | None, bonds: Int64 | None = None, read_atoms: ReadAtoms | None = None
) -> tuple[AtomGroup, str]:
    """Apply a selection, or the default selection, and describe it in words.

    Parameters
    ----------
    atoms : AtomGroup
    select : str, optional
        MDAnalysis' selection language. By default the heavy atoms of protein and nucleic acid if there
        are any, with the residues bonded into their chains, else everything but solvent and ions; all atoms where
        nothing has a name.
    bonds : ndarray of int64, shape (B, 2), optional
        Known bonds, by indices in the universe.
    read_atoms : callable, optional
        Takes indices in the universe; returns the positions (n, 3) in Å of these atoms in the first frame, and its box
        (6,) or None. It is called only where some residues are neither polymer nor solvent.

    Returns
    -------
    selected : AtomGroup
    description : str
        The selection in words.

    Raises
    ------
    SelectionError
        The selection is not understood, selects no atoms or more than 10^4, or uses names without a topology.
    """
    if select is None:
        selected, description = _select_by_default(atoms, bonds, read_atoms)
    else:
        selected, description = _select_by_text(atoms, select), select
    if len(selected) == 0:
        raise SelectionError(f"the selection '{description}' matches none of the {len(atoms)} atoms")
    if len(selected) > MAX_ATOMS:
        raise SelectionError(
            f"'{description}' selects {len(selected)} atoms, more than {MAX_ATOMS}: narrow it with --select"
        )
    return selected, description


def atom_groups(source: object) -> list[AtomGroup] | None:
    """Return the AtomGroups that a source consists of; None where it is or has anything else, such as a Universe."""
    items = list(source) if isinstance(source, list | tuple) else [source]
    groups = [s for s in items if hasattr(s, "atoms") and hasattr(s, "universe") and s is not s.universe]
    return groups if groups and len(groups) == len(items) else None


def selection_of(source: object, select: str | None) -> str | None:
    """Return the selection that a source stands for: all atoms of an AtomGroup, in the order of the topology.

    Parameters
    ----------
    source : object
        See `open_source`; of several AtomGroups the first counts.
    select : str, optional
        A selection that the user gave, which is returned as it is.

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


def _select_by_text(atoms: AtomGroup, select: str) -> AtomGroup:
    """Apply a selection in MDAnalysis' language."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MDAnalysis warns of how it understands some words
            return atoms.select_atoms(select)
    # the exceptions cannot be named: MDAnalysis' parser passes on what numpy, re and its own parts raise for a user's
    # text
    except Exception as error:
        if not has_names(atoms):
            raise SelectionError(
                f"without a topology only index selections such as 'index 0:99' work, got '{select}': "
                "give the topology with -s/--topology"
            ) from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, _INCOMPLETE):
            reason = "it lacks a word, or is not of MDAnalysis' selection language"
        raise SelectionError(f"selection '{select}' is not understood: {reason}") from error


def _select_by_default(atoms: AtomGroup, bonds: Int64 | None, read_atoms: ReadAtoms | None) -> tuple[AtomGroup, str]:
    """Return the atoms of the default selection, and the selection in words; see `select_atoms`."""
    # residues of XYZ and similar formats have no names, so no selection by residue names matches them
    if not has_names(atoms) or not (atom_attribute(atoms, "resnames", "").astype(str) != "").any():
        return atoms, "all atoms"
    polymer = atoms.select_atoms("protein or nucleic")
    other = atoms.select_atoms(f"not ({_SOLVENT})")
    if not len(polymer):
        return other, "all but solvent and ions"
    residues = chain_residues(polymer, other - polymer, bonds, read_atoms)
    if len(residues.left_out):
        _warn_of_left_out(atoms.universe.residues[residues.left_out])
    selected = atoms[np.isin(atoms.resindices, np.union1d(polymer.residues.resindices, residues.added))]
    return selected[elements_of(selected)[0] != "H"], "heavy atoms of protein and nucleic acid"


def _warn_of_left_out(residues: ResidueGroup) -> None:
    """Warn of residues that are bonded to a selected chain but are not selected."""
    names = [f"{r.resname}{r.resid}" for r in residues[:_NAMED]]
    more = f" and {len(residues) - _NAMED} more" if len(residues) > _NAMED else ""
    warnings.warn(
        f"bonded to the selected chains but left out: {', '.join(names)}{more}; --select takes other atoms",
        TrajvaeWarning,
        stacklevel=5,
    )
