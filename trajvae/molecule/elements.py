"""Find the chemical elements of MDAnalysis' atoms: from the file, from masses, or from names."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from trajvae.typing import AnyArray, AtomGroup, Bool, Float64, Text, Universe

Elements = tuple[Text, Bool]

# elements of groups of atoms, by universe and by the indices of the group
_elements_by_universe: WeakKeyDictionary[Universe, dict[bytes, Elements]] = WeakKeyDictionary()


def atom_attribute(atoms: AtomGroup, name: str, default: str | float) -> AnyArray:
    """Return an attribute of the atoms of a group, (N,), or `default` for every atom where the topology lacks it."""
    try:
        return np.asarray(getattr(atoms, name))
    except AttributeError:  # of which MDAnalysis' NoDataError is a subclass
        return np.full(len(atoms), default)


def cache_elements(universe: Universe) -> Universe:
    """Keep the elements of each group of atoms once found, for a universe that nobody changes; return the universe."""
    _elements_by_universe[universe] = {}
    return universe


def elements_of(atoms: AtomGroup) -> Elements:
    """Return the elements of an AtomGroup: from the file, else from masses, else from names.

    Returns
    -------
    elements : ndarray of str, shape (N,)
        Empty where no element fits (coarse-grained beads).
    certain : ndarray of bool, shape (N,)
        Whether the file gives the element, or mass and name agree on it.
    """
    cached = _elements_by_universe.get(atoms.universe, {})
    key = atoms.indices.tobytes()
    if key not in cached:
        cached[key] = _find_elements(atoms)
    elements, certain = cached[key]
    return elements.copy(), certain.copy()


def _find_elements(atoms: AtomGroup) -> Elements:
    """Return elements, and whether they are certain, without the cache; see `elements_of`."""
    given = atom_attribute(atoms, "elements", "").astype(str)
    given = np.char.capitalize(np.char.strip(given)) if given.any() else given
    names = atom_attribute(atoms, "names", "").astype(str)
    masses = atom_attribute(atoms, "masses", 0.0).astype(float)
    guess, expected = _elements_by_name(names)
    agree = (np.abs(expected - masses) < 0.2) & (guess != "")
    by_mass = _elements_by_mass(masses)
    deduced = np.where(agree | (by_mass == ""), np.where(agree | (masses <= 1.0), guess, ""), by_mass)
    return np.where(given != "", given, deduced), (given != "") | (deduced != "") & (masses > 1.0)


def masses_of_elements(elements: Text) -> Float64:
    """Return the masses of elements in u: 0 for an empty text, and 1 for all where one is unknown or none is given."""
    from MDAnalysis.guesser.tables import masses as element_masses

    masses = np.array([element_masses.get(e.upper(), element_masses.get(e, 0.0)) for e in elements], dtype=float)
    all_known = (elements != "").any() and bool((masses > 0.0)[elements != ""].all())
    return masses if all_known else np.ones(len(elements))


def _elements_by_name(names: Text) -> tuple[Text, Float64]:
    """Return the elements that MDAnalysis guesses from atom names, and the masses of these elements in u."""
    from MDAnalysis.guesser.default_guesser import DefaultGuesser
    from MDAnalysis.guesser.tables import masses as element_masses

    different, number = np.unique(names, return_inverse=True)  # MDAnalysis takes long for each name
    guess = np.char.capitalize(np.asarray(DefaultGuesser(None).guess_types(atom_types=different), dtype=str))
    masses = np.array([element_masses.get(e.upper(), element_masses.get(e, 0.0)) for e in guess], dtype=float)
    return guess[number], masses[number]


def _elements_by_mass(masses: Float64) -> Text:
    """Return the common element whose mass is within 0.1 u of each mass, or an empty string where there is none."""
    from MDAnalysis.guesser.tables import masses as element_masses

    common = ("H", "C", "N", "O", "F", "Na", "Mg", "P", "S", "Cl", "K", "Ca", "Fe", "Zn", "Br", "I")
    table = np.array([element_masses.get(e, element_masses.get(e.upper())) for e in common], dtype=float)
    different, number = np.unique(masses, return_inverse=True)
    difference = np.abs(different[:, None] - table)
    return np.where(difference.min(axis=1) < 0.1, np.asarray(common)[difference.argmin(axis=1)], "")[number]
