"""Whether frames are of the molecule that a model was trained on: its atoms, in its order and its unit."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from trajvae.errors import ModelError, TrajvaeWarning
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.bonded_terms import bond_lengths
from trajvae.molecule.validity import Validity
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.frame_file import sample_range
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64, Text

FAR = 1.5  # times the longest bond that is valid, or below the shortest, is no bond of this molecule
MANY = 0.1  # of the bonds as far off: another order of the atoms
OTHER = 0.75  # of the residues with another name: another protein; homologues differ in fewer
_LOOKS, _FILES = 3, 5
# what force fields call residues, beyond those that MDAnalysis knows
_FORMS = {"CYX": "C", "CYM": "C", "HIP": "H", "HSP": "H", "MSE": "M"}


def check_molecule(pipeline: Pipeline, record: TrainingRecord, selection: str, frames: Frames) -> None:
    """Refuse frames of another molecule than the model's.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    selection : str
        The model's atoms in words.
    frames : Frames
        A few of them are read.

    Raises
    ------
    ModelError
        The atoms differ in number, dimension, name, residue, order or unit.
    """
    own, topology, dimension = pipeline.topology, frames.topology, len(frames.axes)
    where = f"the model is of another molecule: it was trained on {own.n_atoms} atoms ({selection})"
    if (topology.n_atoms, dimension) != (own.n_atoms, pipeline.dimension):
        raise ModelError(
            f"{where} in {pipeline.dimension} dimensions, these are {topology.n_atoms} in {dimension}: "
            "choose the atoms with --select, or train a model of them"
        )
    check_names(own, topology, where)
    check_bonds(record.validity, own, frames.names, _some(frames))


def check_names(own: Topology, other: Topology, where: str) -> None:
    """Refuse atoms with other names, and residues most of which have other names; warn of some.

    Raises
    ------
    ModelError
        Begins with `where`, and names the first atom that differs.
    """
    if not (own.named and other.named):
        return
    if (own.names != other.names).any():
        i = int(np.argmax(own.names != other.names))
        raise ModelError(f"{where}; its atom {i} is '{own.names[i]}', here it is '{other.names[i]}'")
    a, b = residue_letters(own.resnames), residue_letters(other.resnames)
    differ = (a != b) & (a != "") & (b != "")
    if not differ.any():
        return
    i = int(np.argmax(differ))
    what = (
        f"its atom {i} is {own.names[i]} of {own.resnames[i]}{own.resids[i]}, here of "
        f"{other.resnames[i]}{other.resids[i]}, and so for {differ.sum()} of {own.n_atoms} atoms"
    )
    if differ.mean() > OTHER:
        raise ModelError(f"{where}; {what}: another protein, or its residues in another order")
    warnings.warn(f"some residues are not the model's: {what}; a mutant may be meant", TrajvaeWarning, stacklevel=4)


def residue_letters(resnames: Text) -> Text:
    """Return one letter for each amino acid whatever its protonation or place in the chain, (N,); empty for others."""
    names, place = np.unique(np.char.upper(resnames), return_inverse=True)
    return np.array([_letter(str(name)) for name in names], dtype=str)[place]


def _letter(name: str) -> str:
    from MDAnalysis.lib.util import convert_aa_code

    for form in (name, name[1:] if len(name) == 4 else name):  # NALA and CALA end chains
        try:
            return _FORMS[form] if form in _FORMS else str(convert_aa_code(form)) if len(form) > 2 else ""
        except ValueError:
            continue
    return ""


def _some(frames: Frames) -> Chunk:
    """A few frames of the first files."""
    left = [k for k, r in enumerate(frames.ranges) if len(r)][:_FILES]
    few = [sample_range(file, r, _LOOKS) for file, r in zip(frames.files, frames.ranges, strict=True)]
    some = dataclasses.replace(frames, ranges=[r if k in left else r[:0] for k, r in enumerate(few)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)  # comes again, of all frames, when they are read
        return some.read()


def check_bonds(validity: Validity, topology: Topology, names: list[str], chunk: Chunk) -> None:
    """Refuse frames whose bonds are far from those that the model was trained on, and warn where few are.

    Where no bond is known, neighbours in the order of the atoms are looked at.

    Raises
    ------
    ModelError
        Names the frame, two atoms, and the way out.
    """
    if not len(validity.bonds):
        return
    lengths = bond_lengths(chunk.positions, validity.bonds)
    usual = 0.5 * (validity.bond_low + validity.bond_high)
    _check_unit(lengths, usual)
    excess = np.maximum(lengths / validity.bond_high, np.maximum(validity.bond_low, 0.0) / np.maximum(lengths, 1e-9))
    off = excess > FAR
    if not off.any():
        return
    many = off.sum(axis=1) >= max(2, MANY * len(usual))
    t = int(many.argmax() if many.any() else off.sum(axis=1).argmax())  # the first that is refused, or the worst
    k = int(excess[t].argmax())
    low, high = max(validity.bond_low[k], 0.0), validity.bond_high[k]
    what = (
        f"in frame {chunk.frame[t]} of '{names[chunk.file[t]]}' {_pair(topology, validity.bonds[k])} are "
        f"{lengths[t, k]:.2f} Å apart, {low:.2f} to {high:.2f} Å where the model was trained"
    )
    share = f"{int(off[t].sum())} of {len(usual)} bonds are as far off"
    if many[t]:
        raise ModelError(
            f"{what} ({share}): the atoms stand in another order, or a molecule is broken over a periodic boundary; "
            "give the topology with -s/--topology, or the atoms in the model's order"
        )
    warnings.warn(f"{what} ({share}): such frames are unlike any it has seen", TrajvaeWarning, stacklevel=4)


def _check_unit(lengths: Float64, usual: Float64) -> None:
    ratio = float(np.median(lengths / usual))
    if not (0.07 < ratio < 0.14 or 7.0 < ratio < 14.0):
        return
    found = (
        f"neighbouring atoms are {np.median(lengths):.3g} Å apart in the median, {np.median(usual):.3g} Å where the "
        "model was trained"
    )
    if ratio < 1.0:
        raise ModelError(f"{found}: these look like nanometres, and Å are wanted: multiply the positions by 10")
    raise ModelError(f"{found}: divide the positions by 10, or train again if it was the model's that were nanometres")


def _pair(topology: Topology, bond: Int64) -> str:
    """Two atoms in words."""
    words = [
        f"{i} ({topology.resnames[i]}{topology.resids[i]}:{topology.names[i]})" if topology.named else f"{i}"
        for i in bond
    ]
    return f"atoms {words[0]} and {words[1]}"
