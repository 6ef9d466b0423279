"""The latent mean in OpenMM: forces for each component, and variables for metadynamics and OPES.

OpenMM is an optional dependency: `pip install "trajvae[openmm]"`. A component is a `PythonForce` on the model's atoms
whose energy, in kJ/mol, is its value; `CustomCVForce` and what builds on it bias such values.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from trajvae.errors import MissingPackageError, OptionError
from trajvae.export.atoms import match_atoms
from trajvae.export.coordinates import bias_range, coordinates_of
from trajvae.export.latent_cv import LatentCV
from trajvae.model_base import ModelBase
from trajvae.models.model_file import hash_of
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64

OpenMMObject: TypeAlias = Any  # OpenMM has no types
T = TypeVar("T")

_ANGSTROM = 10.0  # in a nm
_GRID_POINTS = 250_000  # of a bias, at most, about; 500 a side of two variables
_POINTS_A_WIDTH = 3.0  # a hill between so many points of a cubic spline is right to 1e-4 of its height


class SharedPoint:
    """Hold the latent point of the last positions, so that the forces of all its components compute it once.

    OpenMM copies forces by pickling them, each by itself: copies in one process are this object again.

    Parameters
    ----------
    cv : LatentCV
    key : str
        The same for objects that compute the same.
    """

    def __init__(self, cv: LatentCV, key: str) -> None:
        self.cv, self.key = cv, key
        self._last: tuple[bytes, Float64, Float64] = b"", np.empty(0), np.empty((0, 0, 3))

    def at(self, positions: Float64) -> tuple[Float64, Float64]:
        """Return values (M,) and gradients (M, N, 3), per nm, at positions (N, 3) in nm."""
        known, values, gradients = self._last
        given = positions.tobytes()
        if given != known:
            values, gradients = self.cv.value_and_gradient(_ANGSTROM * positions)
            gradients *= _ANGSTROM
            self._last = given, values, gradients
        return values, gradients

    def __reduce__(self) -> tuple[Callable[[LatentCV, str], SharedPoint], tuple[LatentCV, str]]:
        return shared_point, (self.cv, self.key)


_POINTS: WeakValueDictionary[str, SharedPoint] = WeakValueDictionary()


def shared_point(cv: LatentCV, key: str) -> SharedPoint:
    """Return the point of a key: the one that exists, or a new one."""
    return _POINTS.setdefault(key, SharedPoint(cv, key))


class ComponentEnergy:
    """Compute a component of the latent point as an energy, for `openmm.PythonForce`.

    Objects can be pickled, so that OpenMM serialises systems with them.

    Parameters
    ----------
    point : SharedPoint
    component : int
    """

    def __init__(self, point: SharedPoint, component: int) -> None:
        self.point, self.component = point, component

    def __call__(self, state: OpenMMObject) -> tuple[float, Float64]:
        """Return the component, and minus its gradient per nm, (N, 3), of an OpenMM state of the model's atoms."""
        positions = np.asarray(state.getPositions(asNumpy=True)._value, dtype=np.float64)
        values, gradients = self.point.at(positions)
        return float(values[self.component]), -gradients[self.component]


def latent_forces(
    model: ModelBase,
    topology: OpenMMObject,
    *,
    outputs: Sequence[int] | None = None,
    atoms: Sequence[int] | None = None,
) -> list[OpenMMObject]:
    """Return a force for each component of the latent point, whose energy is the component's value.

    Parameters
    ----------
    model : Model
    topology : openmm.app.Topology
        Of the simulation, in which the model's atoms are found by name and residue.
    outputs : sequence of int, optional
        Components, by default all.
    atoms : sequence of int, optional
        Indices of the model's atoms in the simulation, from 0 on and in the model's order, where names do not tell.

    Returns
    -------
    list of openmm.PythonForce
        To be added to an OpenMM CustomCVForce as collective variables. Added to a system as it is, such a force pushes
        the coordinate down by 1 kJ/mol per unit.

    Raises
    ------
    MissingPackageError
        OpenMM is not installed, or too old for forces in Python.
    ModelError
        An atom is not in the simulation, or there are several; or the model's points cannot drive a simulation.
    OptionError
        There is no such component, or another number of atoms.

    Notes
    -----
    Positions are taken as OpenMM has them, without periodic images: its molecules are whole if they were so at the
    start. Models of several molecules need a start in which these stand together.
    """
    mm = _openmm()
    cv = LatentCV(model)
    indices, point = _indices(model, topology, atoms), shared_point(cv, hash_of(model.pipeline))
    forces = []
    for k in _components(outputs, cv.n_outputs):
        force = mm.PythonForce(ComponentEnergy(point, k))
        force.setParticles(indices.tolist())
        force.setName(f"z{k}")
        forces.append(force)
    return forces


def bias_variables(
    model: ModelBase,
    topology: OpenMMObject,
    *,
    outputs: Sequence[int] | None = None,
    atoms: Sequence[int] | None = None,
    widths: Sequence[float] | None = None,
    ranges: Sequence[tuple[float, float]] | None = None,
) -> list[OpenMMObject]:
    """Return a variable for each component of the latent point, for metadynamics by OpenMM and for openmm-opes.

    Parameters
    ----------
    model : Model
    topology, outputs, atoms
        As of `latent_forces`. Metadynamics takes three variables at most.
    widths : sequence of float, optional
        Of the Gaussians, one for each component; by default a fifth of the spread of the training frames.
    ranges : sequence of (float, float), optional
        In which the bias acts; by default those of the training frames, and a quarter more on either side.

    Returns
    -------
    list of openmm.app.BiasVariable
        None is periodic: circles and other curved spaces have the components of their points.

    Raises
    ------
    MissingPackageError, ModelError, OptionError
        As `latent_forces`; or another number of widths or ranges than of components, or a width that is not above 0.

    Examples
    --------
    >>> from openmm import app                                                        # doctest: +SKIP
    >>> from trajvae.export.openmm import bias_variables
    >>> variables = bias_variables(model, pdb.topology)                               # doctest: +SKIP
    >>> meta = app.Metadynamics(system, variables, 300.0, 10.0, 1.0, 500)             # doctest: +SKIP
    """
    forces = latent_forces(model, topology, outputs=outputs, atoms=atoms)
    known = coordinates_of(model)
    chosen = [known[k] for k in _components(outputs, len(known))]
    wide = _each(widths, [c.width for c in chosen], "widths")
    bounds = _each(ranges, [bias_range(c) for c in chosen], "ranges")
    if min(wide) <= 0.0 or any(low >= high for low, high in bounds):
        raise OptionError(f"widths must be above 0 and ranges (low, high) rise, got {list(wide)} and {list(bounds)}")
    most = max(10, int(_GRID_POINTS ** (1.0 / len(forces))))
    app = importlib.import_module("openmm.app")
    return [
        app.BiasVariable(force, low, high, width, False, min(most, int(_POINTS_A_WIDTH * (high - low) / width) + 2))
        for force, width, (low, high) in zip(forces, wide, bounds, strict=True)
    ]


def to_topology(topology: OpenMMObject) -> Topology:
    """Return the atoms of an `openmm.app.Topology`, with names, residues and chains."""
    rows = [(a.name, a.element.symbol if a.element else "", a.residue, a.residue.chain) for a in topology.atoms()]
    names, elements, residues, chains = zip(*rows, strict=True) if rows else ((), (), (), ())
    texts = [np.array(column, dtype=str) for column in (names, elements, [r.name for r in residues])]
    ids = np.array([c.id for c in chains], dtype=str)
    return Topology(
        names=texts[0],
        elements=texts[1],
        resnames=texts[2],
        segids=ids,
        resids=np.array([_number(r.id, r.index) for r in residues], dtype=np.int64),
        masses=np.ones(len(rows)),
        bonds=np.empty((0, 2), dtype=np.int64),
        icodes=np.array([r.insertionCode.strip() for r in residues], dtype=str),
        residues=np.array([r.index for r in residues], dtype=np.int64),
        chain_indices=np.array([c.index for c in chains], dtype=np.int64),
    )


def _number(text: str, index: int) -> int:
    """Return a residue's number; its place where it has none."""
    try:
        return int(text)
    except ValueError:
        return index + 1


def _openmm() -> OpenMMObject:
    try:
        mm = importlib.import_module("openmm")
        importlib.import_module("openmm.app")
    except ImportError as error:
        raise MissingPackageError("latent forces need OpenMM: pip install 'trajvae[openmm]'") from error
    if not hasattr(mm, "PythonForce"):
        raise MissingPackageError(
            f"latent forces need a newer OpenMM, which has PythonForce; this is {mm.__version__}: "
            "pip install --upgrade openmm"
        )
    return mm


def _indices(model: ModelBase, topology: OpenMMObject, atoms: Sequence[int] | None) -> Int64:
    """Return where the model's atoms are among those of the simulation."""
    if atoms is None:
        return match_atoms(model.topology, to_topology(topology), "the simulation")
    found = np.asarray(atoms, dtype=np.int64)
    n, n_all = model.topology.n_atoms, topology.getNumAtoms()
    if found.shape != (n,) or len(set(found.tolist())) != n or not ((found >= 0) & (found < n_all)).all():
        raise OptionError(f"atoms= wants {n} different indices from 0 to {n_all - 1}, got {list(atoms)[:20]}")
    return found


def _components(outputs: Sequence[int] | None, n: int) -> list[int]:
    chosen = list(range(n)) if outputs is None else list(outputs)
    if not chosen or any(not 0 <= k < n for k in chosen) or len(set(chosen)) < len(chosen):
        raise OptionError(f"the latent points have components 0 to {n - 1}, got outputs={chosen}")
    return chosen


def _each(given: Sequence[T] | None, default: list[T], what: str) -> list[T]:
    if given is None:
        return default
    if len(given) != len(default):
        raise OptionError(f"{what}= wants one for each of {len(default)} components, got {len(given)}")
    return list(given)
