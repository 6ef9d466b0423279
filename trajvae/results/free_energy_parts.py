"""The parts of a free energy: its maps and its basins, and how files hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.display import Brief
from trajvae.results.base import floats
from trajvae.store import Contents, Quantity
from trajvae.store.schema import Tree
from trajvae.typing import Float64, Int64

_ENERGY = "kJ/mol"


@dataclass(frozen=True, eq=False, repr=False)
class FreeEnergyMap(Brief):
    """Hold the free energy on the cells of two latent coordinates, or of one.

    Attributes
    ----------
    edges : tuple of ndarray
        Edges of the cells along each coordinate: (n + 1,), or (n + 1,) and (m + 1,). Of a sphere longitude and latitude
        in radians, of a hyperbolic plane x and y in Poincare's disc, of a circle its angle in radians.
    value : ndarray, shape (n,) or (n, m)
        kJ/mol at the centres of the cells: -kT ln p, p being the density with respect to the volume of the latent
        space; 0 in the lowest cell, NaN in cells without frames.
    error : ndarray, shape (n,) or (n, m)
        Standard error of -kT ln p in kJ/mol.
    volume : ndarray, shape (n,) or (n, m)
        Volume of each cell in the latent space's unit; infinite where a cell reaches the edge of Poincare's disc.
    smoothing : ndarray, shape (n,) or (n, m)
        kJ/mol, what the kernels alone would have changed; the value is corrected for it.
    lowest : float
        kJ/mol, -kT ln p of the lowest cell: `exp(-(value + lowest) / kT)` is the density.
    bandwidth : ndarray, shape (1,) or (2,)
        Of the kernels, in the latent space's unit of length.
    kind : {"flat", "sphere", "disc"}
    curvature : float
        Of a sphere or a hyperbolic plane; 0 where the map is flat.
    labels : tuple of str
        Name of each coordinate.
    own : bool
        Whether volumes are those of the latent space, and not of its tangent space.
    """

    edges: tuple[Float64, ...]
    value: Float64
    error: Float64
    volume: Float64
    smoothing: Float64
    lowest: float
    bandwidth: Float64
    kind: str
    curvature: float
    labels: tuple[str, ...]
    own: bool

    def arrays(self) -> Tree:
        """Return the arrays as files hold them."""
        edges = {f"edges_{i}": Quantity(e) for i, e in enumerate(self.edges)}
        energies = {name: Quantity(getattr(self, name), _ENERGY) for name in ("value", "error", "smoothing")}
        return {**edges, **energies, "volume": Quantity(self.volume)}

    def marks(self) -> dict[str, object]:
        """Return the attributes of the group that holds the arrays."""
        return {
            "bandwidth": self.bandwidth,
            "lowest": self.lowest,
            "kind": self.kind,
            "curvature": self.curvature,
            "labels": list(self.labels),
            "measure": "space" if self.own else "tangent",
        }

    @classmethod
    def from_contents(cls, contents: Contents, group: str) -> FreeEnergyMap:
        """Return the map that a group of a file holds."""
        marks, names = contents.marks[group], sorted(n for n in contents.group(group) if n.startswith("edges_"))
        array = {name: floats(contents.quantity(f"{group}/{name}")) for name in contents.group(group)}
        return cls(
            edges=tuple(array[name] for name in names),
            value=array["value"],
            error=array["error"],
            volume=array["volume"],
            smoothing=array["smoothing"],
            lowest=float(marks["lowest"]),
            bandwidth=np.asarray(marks["bandwidth"], dtype=np.float64),
            kind=str(marks["kind"]),
            curvature=float(marks["curvature"]),
            labels=tuple(map(str, marks["labels"])),
            own=str(marks["measure"]) == "space",
        )


@dataclass(frozen=True, eq=False, repr=False)
class Basins(Brief):
    """Hold the basins of a free energy, the most populated first.

    Attributes
    ----------
    center : ndarray, shape (K, 1 or 2)
        Where each is lowest, in the coordinates of the map's edges.
    minimum : ndarray, shape (K,)
        kJ/mol there.
    population, population_error : ndarray, shape (K,)
        Share of the frames, and its standard error.
    free_energy, error : ndarray, shape (K,)
        kJ/mol above the most populated basin, -kT ln of the ratio of populations, and its standard error.
    barrier, barrier_error : ndarray, shape (K, K)
        kJ/mol, height of the lowest pass between two basins above the map's lowest cell; on the diagonal the minimum,
        so that `barrier[i, j] - barrier[i, i]` is the barrier that a molecule in basin i has before it; the error is
        that of this difference. Ways lead through cells with frames; where there is none, through cells that kernels
        reach, and NaN says that there is no such way either.
    representative_file : list of str
        Trajectory of the frame that represents each basin.
    representative_frame : ndarray of int64, shape (K,)
        Its number in that trajectory.
    representative_row : ndarray of int64, shape (K,)
        Its number among the frames that the free energy is of.
    """

    center: Float64
    minimum: Float64
    population: Float64
    population_error: Float64
    free_energy: Float64
    error: Float64
    barrier: Float64
    barrier_error: Float64
    representative_file: list[str]
    representative_frame: Int64
    representative_row: Int64

    def arrays(self) -> Tree:
        """Return the arrays as files hold them."""
        energies = ("minimum", "free_energy", "error", "barrier", "barrier_error")
        plain = ("center", "population", "population_error", "representative_frame", "representative_row")
        return {
            **{name: Quantity(getattr(self, name), _ENERGY) for name in energies},
            **{name: Quantity(getattr(self, name)) for name in plain},
            "representative_file": Quantity(np.array(self.representative_file, dtype=str)),
        }

    @classmethod
    def from_contents(cls, contents: Contents, group: str) -> Basins:
        """Return the basins that a group of a file holds."""

        def real(name: str) -> Float64:
            """Return an array of the group."""
            return floats(contents.quantity(f"{group}/{name}"))

        return cls(
            center=real("center"),
            minimum=real("minimum"),
            population=real("population"),
            population_error=real("population_error"),
            free_energy=real("free_energy"),
            error=real("error"),
            barrier=real("barrier"),
            barrier_error=real("barrier_error"),
            representative_file=contents.array(f"{group}/representative_file").astype(str).tolist(),
            representative_frame=contents.array(f"{group}/representative_frame").astype(np.int64),
            representative_row=contents.array(f"{group}/representative_row").astype(np.int64),
        )
