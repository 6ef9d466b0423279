"""Find a model's atoms in the topology of a whole simulation, by name and residue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from trajvae.errors import ModelError
from trajvae.models.same_molecule import residue_letters
from trajvae.molecule.from_mdanalysis import bonds_of, topology_of
from trajvae.readers.opening import open_topology
from trajvae.topology import Topology
from trajvae.typing import Int64


def match_atoms(own: Topology, whole: Topology, name: str) -> Int64:
    """Return the place of each of a model's atoms among all atoms of a simulation.

    Atoms are the same where name, number and name of the residue, and insertion code agree; protonated forms of an
    amino acid count as one. Chain identifiers are compared first, and left out where the simulation has others.
    Atoms that agree in all of that, as in copies of a molecule, are taken in their order if the simulation has as many.

    Parameters
    ----------
    own : Topology
        Of the model.
    whole : Topology
        Of all atoms of the simulation.
    name : str
        What the simulation is called in messages.

    Returns
    -------
    ndarray of int64, shape (N,)

    Raises
    ------
    ModelError
        An atom is missing, or there are several; the message names the first.
    """
    if not (own.named and whole.named):
        return _by_number(own, whole, name)
    labels = _labels(own), _labels(whole)
    for n_labels in (len(labels[0][0]), len(labels[0][0]) - 1):  # the last one is that of the chain
        first, second = ([label[:n_labels] for label in side] for side in labels)
        counts = Counter(first), Counter(second)
        wrong = [k for k, label in enumerate(first) if counts[1][label] != counts[0][label]]
        if not wrong:
            return _in_order(first, second)
    raise _mismatch(own, wrong[0], counts[1][first[wrong[0]]], counts[0][first[wrong[0]]], name)


def open_whole(path: str) -> Topology:
    """Return the topology of all atoms of a file that MDAnalysis or mdtraj reads.

    Raises
    ------
    ReadError
        The file is missing or cannot be read.
    """
    atoms = open_topology(path)
    return topology_of(atoms, bonds_of(atoms.universe))


def _by_number(own: Topology, whole: Topology, name: str) -> Int64:
    if own.n_atoms == whole.n_atoms:
        return np.arange(own.n_atoms, dtype=np.int64)
    which = "the model's atoms have no names" if not own.named else f"the atoms of {name} have no names"
    raise ModelError(
        f"{which}, so that its {own.n_atoms} cannot be found among {whole.n_atoms}: give a topology with names, train "
        "the model with one (-s/--topology), or, in Python, give their numbers with atoms=..."
    )


def _labels(topology: Topology) -> list[tuple[Hashable, ...]]:
    """Return what tells each atom from others, its chain last."""
    upper = np.char.upper(topology.resnames)
    letters = residue_letters(topology.resnames)
    residues = np.where(letters != "", letters, upper)
    columns = (topology.names, topology.resids, topology.icodes, residues, topology.chains)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _in_order(own: Sequence[Hashable], whole: Sequence[Hashable]) -> Int64:
    """Return the place of each label among others, equal ones one after the other."""
    places: dict[Hashable, list[int]] = {label: [] for label in own}
    for k, label in enumerate(whole):
        if label in places:
            places[label].append(k)
    ways = {label: iter(found) for label, found in places.items()}
    return np.array([next(ways[label]) for label in own], dtype=np.int64)


def _mismatch(own: Topology, k: int, found: int, wanted: int, name: str) -> ModelError:
    atom = f"{own.names[k]} of {own.resnames[k]}{own.resids[k]}{own.icodes[k]}"
    how = (
        f"is not in {name}: another molecule, or its residues have other numbers"
        if not found
        else f"is there {wanted} times in the model and {found} times in {name}, whose chains have other names"
    )
    return ModelError(f"the model's atom {k}, {atom}, {how}; in Python, atoms=... gives the numbers of its atoms")
