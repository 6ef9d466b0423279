"""Define observables: named, differentiable functions of positions, each with a unit, that give a number per frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.molecule.bond_graph import neighbour_lists
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.store import Quantity
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats, Int64

Function = Callable[[Tensor], Tensor]

PAIR_PREFIX = "distance_"
MAX_PAIRS = 2000  # most pair distances that are compared
_SMALLEST = (
    1e-30  # two components whose squares sum to no more than this count as zero: atoms that coincide or are in line
)
# names of columns that files have beside observables; an observable of such a name would replace the column
_TAKEN = (
    *(
        "latent",
        "latent_scale",
        "latent_tangent",
        "rmsd",
        "frame_jump",
        "in_support",
        "time",
        "trajectory",
        "file",
        "frame",
    ),
    *("valid", "invalid_reason", "redraws", "energy", "energy_drawn", "nearest_frame", "nearest_rmsd"),
    *("objective", "projected", "merged", "speed", "elbo", "kl"),
)


@dataclass(frozen=True)
class Observable:
    """Describe an observable: a named, differentiable function of positions that gives a number for each frame.

    Attributes
    ----------
    name, unit : str
        The unit is written as in files, such as Angstrom or degree; it is empty for a pure number.
    function : callable
        Positions (B, N, D) in Å to values (B,).
    period : float
        The period of an angle, in the unit; 0 for other observables.
    atoms : tuple of int
        The atoms that the observable depends on, from 0 within the selection; empty if it depends on all.
    key : str
        The name in the table of observables, under which models keep the values; empty for any other observable.
    """

    name: str
    unit: str
    function: Function
    period: float = 0.0
    atoms: tuple[int, ...] = ()
    key: str = ""

    def quantity(self, values: Float64) -> Quantity:
        """Return values of this observable with its unit, and with its period if it has one, as files hold them."""
        return Quantity(values, self.unit, {"period": self.period} if self.period else {})


def radius_of_gyration(x: Tensor, masses: Tensor) -> Tensor:
    """Return mass-weighted radii of gyration in Å, (B, N, D) to (B,), as `AtomGroup.radius_of_gyration()`."""
    w = (masses / masses.sum()).to(x)
    centred = x - torch.einsum("bnd,n->bd", x, w)[:, None]
    square: Tensor = torch.einsum("bnd,bnd,n->b", centred, centred, w)
    return square.sqrt()


def distance(x: Tensor, i: int, j: int) -> Tensor:
    """Return the distance of two atoms in Å, (B, N, D) to (B,)."""
    length: Tensor = torch.linalg.vector_norm(x[:, i] - x[:, j], dim=-1)
    return length


def safe_atan2(y: Tensor, x: Tensor) -> Tensor:
    """Return the angle of vectors (x, y) in radians; 0, with a derivative of 0, where both are almost 0."""
    # written with a negation, so that numbers that are not finite are passed on
    defined = ~(x.detach().square() + y.detach().square() <= _SMALLEST)
    return torch.atan2(torch.where(defined, y, torch.zeros_like(y)), torch.where(defined, x, torch.ones_like(x)))


def angle(x: Tensor, i: int, j: int, k: int) -> Tensor:
    """Return the angle at atom j in degrees, from 0 to 180; (B, N, D) to (B,).

    The gradient is finite everywhere. It is 0 where the atoms are in line, as the angle has its minimum or maximum
    there, and where atom j coincides with one of the others, where the angle is 0 by convention.
    """
    a, b = x[:, i] - x[:, j], x[:, k] - x[:, j]
    if x.shape[-1] == 2:
        across = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs()
    else:
        across = torch.linalg.vector_norm(torch.linalg.cross(a, b), dim=-1)
    return torch.rad2deg(safe_atan2(across, (a * b).sum(dim=-1)))


def dihedral(x: Tensor, i: int, j: int, k: int, m: int) -> Tensor:
    """Return the dihedral angle in degrees, IUPAC sign, in (-180, 180]; (B, N, 3) to (B,).

    Where three neighbouring atoms are in line there is no dihedral angle: it is 0 by convention, with a gradient of 0.
    """
    a, b, c = x[:, j] - x[:, i], x[:, k] - x[:, j], x[:, m] - x[:, k]
    n1, n2 = torch.linalg.cross(a, b), torch.linalg.cross(b, c)
    along = torch.linalg.vector_norm(b, dim=-1) * (a * n2).sum(dim=-1)
    return torch.rad2deg(safe_atan2(along, (n1 * n2).sum(dim=-1)))


def superposed_rmsd(x: Tensor, reference: Tensor) -> Tensor:
    """Return the RMSD after optimal proper superposition, unweighted; (B, N, D) and (N, D) to (B,).

    The minimum follows from the singular values of the covariance without the rotation, so that gradients are finite.
    """
    a = x - x.mean(dim=1, keepdim=True)
    b = (reference - reference.mean(dim=0)).to(x)
    covariance = a.transpose(1, 2) @ b
    values = torch.linalg.svdvals(covariance)
    sign = torch.sign(torch.linalg.det(covariance.detach()))
    overlap = values[:, :-1].sum(dim=-1) + sign * values[:, -1]
    square: Tensor = (a.square().sum(dim=(1, 2)) + b.square().sum() - 2.0 * overlap) / x.shape[1]
    return square.clamp(min=1e-16).sqrt()


def _radius_of_gyration(topology: Topology) -> Observable:
    """Return the radius of gyration of a molecule as an observable."""
    masses = torch.from_numpy(topology.masses)
    return Observable("rg", "Angstrom", lambda x: radius_of_gyration(x, masses))


def _end_to_end(topology: Topology) -> Observable:
    """Return the distance from the first to the last selected atom as an observable."""
    last = topology.n_atoms - 1
    return Observable("end_to_end", "Angstrom", lambda x: distance(x, 0, last))


# The observables that every model keeps of its training frames. Each function makes the observable for a molecule, or
# returns None if the molecule has no such observable. A new entry is kept, stored, plotted, compared and optimised too.
OBSERVABLES: dict[str, Callable[[Topology], Observable | None]] = {
    "rg": _radius_of_gyration,
    "end_to_end": _end_to_end,
}


def built_in(topology: Topology) -> dict[str, Observable]:
    """Return the observables of `OBSERVABLES` that a molecule has, by name.

    Raises
    ------
    OptionError
        A name cannot be that of a column in a file.
    """
    observables = {}
    for name, make in OBSERVABLES.items():
        if not name.isidentifier() or name in _TAKEN:
            raise OptionError(
                f"an observable cannot be named '{name}': expected letters, digits and underscores, and none of the "
                f"columns that files have beside observables ({', '.join(_TAKEN)}); choose another name"
            )
        observable = make(topology)
        if observable is not None:
            observables[name] = replace(observable, name=name, key=name)
    return observables


def angles_of(bonds: Int64, n_atoms: int) -> Int64:
    """Return all bond angles i - j - k that bonds (B, 2) form, as atoms (A, 3) with i < k."""
    neighbours = neighbour_lists(bonds, n_atoms)
    angles = [(i, j, k) for j, bonded in enumerate(neighbours) for i in bonded for k in bonded if i < k]
    return np.array(angles, dtype=np.int64).reshape(-1, 3)


def ramachandran(topology: Topology) -> dict[str, tuple[int, int, int, int]]:
    """Return the atoms of the dihedrals phi and psi, by name, of residues whose backbone is selected.

    A dihedral is left out where one of its four atoms is not selected, or where the chain has a gap.
    """
    atom_of: dict[tuple[int, str], int] = {}
    for index, key in enumerate(zip(topology.residues.tolist(), topology.names.tolist(), strict=True)):
        atom_of.setdefault(key, index)
    out = {}
    for residue, first in zip(*np.unique(topology.residues, return_index=True), strict=True):
        backbone = [atom_of.get((int(residue), name)) for name in ("N", "CA", "C")]
        before, after = atom_of.get((int(residue) - 1, "C")), atom_of.get((int(residue) + 1, "N"))
        label = f"{topology.resids[first]}{topology.icodes[first]}"
        for name, atoms in ((f"phi_{label}", [before, *backbone]), (f"psi_{label}", [*backbone, after])):
            selected = [i for i in atoms if i is not None]
            if len(selected) == 4 and _in_sequence(topology, selected[0], selected[3]):
                name = name if name not in out else f"{name}_{topology.segids[first]}"
                name = name if name not in out else f"{name}_{topology.chain_indices[first]}"
                out[name] = (selected[0], selected[1], selected[2], selected[3])
    return out


def _in_sequence(topology: Topology, i: int, j: int) -> bool:
    """Return whether the residues of two atoms belong to one chain and have equal or consecutive numbers."""
    same = topology.chain_indices[i] == topology.chain_indices[j] and topology.segments[i] == topology.segments[j]
    return bool(same and 0 <= topology.resids[j] - topology.resids[i] <= 1)


def pair_observables(n_atoms: int, most: int = MAX_PAIRS) -> list[Observable]:
    """Return the distances `distance_i-j` of all pairs of atoms, or of `most` evenly spaced pairs, as observables."""
    i, j = np.triu_indices(n_atoms, 1)
    rows = evenly_spaced(len(i), most)
    pairs = zip(i[rows].tolist(), j[rows].tolist(), strict=True)
    return [Observable(f"{PAIR_PREFIX}{a}-{b}", "Angstrom", _bound(distance, a, b), atoms=(a, b)) for a, b in pairs]


def catalogue(topology: Topology, dimension: int) -> list[Observable]:
    """Return all observables whose distributions are compared, except pair distances.

    These are the observables of `OBSERVABLES`, bonds and angles where the topology has bonds, and the dihedrals phi and
    psi where it has the backbone of a protein.
    """
    label = [f"{n}{i}" if n else str(i) for i, n in enumerate(topology.names.tolist())]
    out = list(built_in(topology).values())
    for i, j in topology.bonds.tolist():
        name = f"bond_{label[i]}-{label[j]}"
        out.append(Observable(name, "Angstrom", _bound(distance, i, j), atoms=(i, j)))
    for i, j, k in angles_of(topology.bonds, topology.n_atoms).tolist():
        name = f"angle_{label[i]}-{label[j]}-{label[k]}"
        out.append(Observable(name, "degree", _bound(angle, i, j, k), atoms=(i, j, k)))
    if dimension == 3:
        for name, four in ramachandran(topology).items():
            out.append(Observable(name, "degree", _bound(dihedral, *four), period=360.0, atoms=four))
    return out


def _bound(function: Callable[..., Tensor], *atoms: int) -> Function:
    """Return a function of positions alone that measures the given atoms."""
    return lambda x: function(x, *atoms)


def evaluate(observable: Observable, positions: Floats, chunk: int = 4096) -> Float64:
    """Return values of an observable for frames (T, N, D), (T,)."""
    return evaluate_all([observable], positions, chunk)[observable.name]


def evaluate_all(observables: Sequence[Observable], positions: Floats, chunk: int = 4096) -> dict[str, Float64]:
    """Return values (T,) of several observables, by name, for frames (T, N, D).

    Parameters
    ----------
    observables : sequence of Observable
    positions : ndarray, shape (T, N, D)
        In Å.
    chunk : int
        Frames that are converted to a tensor at a time.
    """
    out = {o.name: np.empty(len(positions)) for o in observables}
    for i in range(0, len(positions), chunk):
        x = torch.from_numpy(np.ascontiguousarray(positions[i : i + chunk], dtype=np.float64))
        for o in observables:
            out[o.name][i : i + chunk] = o.function(x).numpy()
    return out
