"""The chemical elements of MDAnalysis' atoms, from the file, from masses, or from names."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from trajvae.typing import AnyArray, Bool, Float64, Text

Elements = tuple[Text, Bool]

_known: WeakKeyDictionary[Any, dict[bytes, Elements]] = WeakKeyDictionary()  # of groups, by their indices


def attribute(atoms: Any, name: str, default: Any) -> AnyArray:
    """An attribute of an AtomGroup, or `default` for every atom where the topology has none."""
    try:
        return np.asarray(getattr(atoms, name))
    except AttributeError:  # MDAnalysis' NoDataError is one
        return np.full(len(atoms), default)


def cache_elements(universe: Any) -> Any:
    """Look up each group's elements once, where nobody will change them; gives the universe."""
    _known[universe] = {}
    return universe


def elements_of(atoms: Any) -> Elements:
    """Elements of an AtomGroup, from the file, else from masses, else from names.

    Returns
    -------
    elements : ndarray of str, shape (N,)
        Empty where nothing fits (coarse-grained beads).
    certain : ndarray of bool, shape (N,)
        Where the file says so itself, or where mass and name agree.
    """
    known = _known.get(atoms.universe, {})
    key = atoms.indices.tobytes()
    if key not in known:
        known[key] = _elements_of(atoms)
    elements, certain = known[key]
    return elements.copy(), certain.copy()


def _elements_of(atoms: Any) -> Elements:
    given = attribute(atoms, "elements", "").astype(str)
    given = np.char.capitalize(np.char.strip(given)) if given.any() else given
    names = attribute(atoms, "names", "").astype(str)
    masses = attribute(atoms, "masses", 0.0).astype(float)
    guess, expected = _by_name(names)
    agree = (np.abs(expected - masses) < 0.2) & (guess != "")
    by_mass = _by_mass(masses)
    deduced = np.where(agree | (by_mass == ""), np.where(agree | (masses <= 1.0), guess, ""), by_mass)
    return np.where(given != "", given, deduced), (given != "") | (deduced != "") & (masses > 1.0)


def masses_of_elements(elements: Text) -> Float64:
    """Return the masses of elements in u: 0 of an empty text, and 1 of all where one is unknown or none is given."""
    from MDAnalysis.guesser.tables import masses as element_masses

    found = np.array([element_masses.get(e.upper(), element_masses.get(e, 0.0)) for e in elements], dtype=float)
    known = (elements != "").any() and bool((found > 0.0)[elements != ""].all())
    return found if known else np.ones(len(elements))


def _by_name(names: Text) -> tuple[Text, Float64]:
    """MDAnalysis' guess of each atom's element, and that element's mass; each name is looked at once."""
    from MDAnalysis.guesser.default_guesser import DefaultGuesser
    from MDAnalysis.guesser.tables import masses as element_masses

    different, place = np.unique(names, return_inverse=True)
    guess = np.char.capitalize(np.asarray(DefaultGuesser(None).guess_types(atom_types=different), dtype=str))
    masses = np.array([element_masses.get(e.upper(), element_masses.get(e, 0.0)) for e in guess], dtype=float)
    return guess[place], masses[place]


def _by_mass(masses: Float64) -> Text:
    """The common element whose mass is within 0.1 u, or an empty string."""
    from MDAnalysis.guesser.tables import masses as element_masses

    common = ("H", "C", "N", "O", "F", "Na", "Mg", "P", "S", "Cl", "K", "Ca", "Fe", "Zn", "Br", "I")
    table = np.array([element_masses.get(e, element_masses.get(e.upper())) for e in common], dtype=float)
    different, place = np.unique(masses, return_inverse=True)
    off = np.abs(different[:, None] - table)
    return np.where(off.min(axis=1) < 0.1, np.asarray(common)[off.argmin(axis=1)], "")[place]
