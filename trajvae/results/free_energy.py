"""`free_energy.h5`: the free energy on the latent space with its errors, and its basins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Summary
from trajvae.figures.free_energy import BasinFigures, FreeEnergyFigures, RepresentativeFigures
from trajvae.frame_weights.weights import WeightSource
from trajvae.results.base import ResultFile
from trajvae.results.free_energy_parts import Basins, FreeEnergyMap
from trajvae.store import Contents, Header, Quantity, write_table
from trajvae.store.schema import Tree
from trajvae.typing import Int64

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class FreeEnergy(ResultFile):
    """Hold a free energy.

    Attributes
    ----------
    maps : dict of str to FreeEnergyMap
        By the names of their coordinates, such as `z0-z1`.
    basins : Basins
    basins_of : str
        Name of the map whose basins they are.
    basin : ndarray of int64, shape (T,)
        Number of the basin of each frame.
    temperature : float
        K.
    effective_samples : float
        Number of independent frames of equal weight that the frames are worth.
    correlation_time : float
        Integrated, in `correlation_unit`, of the slowest latent coordinate.
    correlation_unit : {"ps", "frame"}
    weights : WeightSource or None
        Where weights of the frames came from; None where none were read.
    structures : tuple of str
        Names of the PDB files of the representatives, where they were written.
    seed : int
    command : str
    """

    KIND: ClassVar[str] = "free_energy"

    maps: dict[str, FreeEnergyMap]
    basins: Basins
    basins_of: str
    basin: Int64
    temperature: float
    effective_samples: float
    correlation_time: float
    correlation_unit: str = "frame"
    structures: tuple[str, ...] = ()
    weights: WeightSource | None = None
    seed: int = 0
    command: str = "free_energy"

    @property
    def figures(self) -> FreeEnergyFigures:
        """Figures that `free-energy --json` prints."""
        return FreeEnergyFigures(
            temperature=self.temperature,
            effective_samples=self.effective_samples,
            correlation_time=self.correlation_time,
            correlation_unit=self.correlation_unit,
            frames=len(self.basin),
            pairs=tuple(self.maps),
            basins_of=self.basins_of,
            bandwidth={name: tuple(m.bandwidth.tolist()) for name, m in self.maps.items()},
            smoothing={name: float(np.sqrt(np.nanmean(m.smoothing**2))) for name, m in self.maps.items()},
            basins=tuple(self._basin_figures(k) for k in range(len(self.basins.minimum))),
            barriers=tuple(tuple(row) for row in self.basins.barrier.tolist()),
        )

    def _basin_figures(self, k: int) -> BasinFigures:
        b = self.basins
        structure = self.structures[k] if self.structures else None
        frame = int(b.representative_frame[k])
        return BasinFigures(
            population=float(b.population[k]),
            population_error=float(b.population_error[k]),
            free_energy=float(b.free_energy[k]),
            error=float(b.error[k]),
            minimum=float(b.minimum[k]),
            representative=RepresentativeFigures(file=b.representative_file[k], frame=frame, structure=structure),
        )

    def _summary(self) -> Summary:
        found = self.figures.basins
        rows = [(k, b.population, b.population_error, b.free_energy, b.error) for k, b in enumerate(found)]
        count = f"{len(rows)} basin" + ("s" if len(rows) != 1 else "")
        title = (
            f"FreeEnergy of {', '.join(self.maps)} at {self.temperature:g} K: {count}, {len(self.basin)} frames worth "
            f"{self.effective_samples:.0f} independent ones"
        )
        return Summary(title, rows, ("basin", "population", "error", "free energy (kJ/mol)", "error"))

    def to_dataframe(self) -> DataFrame:
        """Return a pandas.DataFrame, a row a basin.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        b = self.basins
        names = ("center", "minimum", "population", "population_error", "free_energy", "error", "representative_frame")
        columns = {name: getattr(b, name) for name in names}
        columns["representative_file"] = np.array(b.representative_file, dtype=object)
        return dataframe(columns, list(range(len(b.minimum))), "basin")

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `/free_energy/<pair>` and `/basins` as the page on formats describes them, and the basin of each frame.

        Parameters
        ----------
        path : str or Path
        force : bool
            Replace an existing file.

        Raises
        ------
        OutputError
            The file exists and `force` is off, or the disk refused.
        """
        common: dict[str, object] = {
            "temperature": self.temperature,
            "effective_samples": self.effective_samples,
            "correlation_time": self.correlation_time,
            "correlation_unit": self.correlation_unit,
        }
        groups: dict[str, tuple[Tree, Mapping[str, object]]] = {
            f"free_energy/{name}": (m.arrays(), {**common, **m.marks()}) for name, m in self.maps.items()
        }
        groups["basins"] = (self.basins.arrays(), {"pair": self.basins_of})
        write_table(
            Path(path),
            Header(self.KIND, self.command, self.seed),
            observables={"basin": Quantity(self.basin)},
            groups=groups,
            extra={"structures": np.array(self.structures, dtype=str)} if self.structures else {},
            attributes=common if self.weights is None else {**common, "weights": json.dumps(self.weights.to_json())},
            force=force,
        )

    @classmethod
    def _unpack(cls, contents: Contents, path: str) -> FreeEnergy:
        marks = contents.attributes
        held = contents.group("trajvae").get("structures", np.empty(0, dtype=str))
        return cls(
            maps={
                name: FreeEnergyMap.from_contents(contents, f"free_energy/{name}")
                for name in contents.tree["free_energy"]
            },
            basins=Basins.from_contents(contents, "basins"),
            basins_of=str(contents.marks["basins"]["pair"]),
            basin=contents.array("observables/basin/value").astype(np.int64),
            temperature=float(marks["temperature"]),
            effective_samples=float(marks["effective_samples"]),
            correlation_time=float(marks["correlation_time"]),
            correlation_unit=contents.text("correlation_unit"),
            weights=WeightSource.from_json(contents.json("weights")),
            structures=tuple(np.asarray(held).astype(str).tolist()),
            seed=contents.seed,
            command=contents.command,
        )

    def with_structures(self, names: tuple[str, ...]) -> FreeEnergy:
        """Return the free energy with the names of the files that its representatives were written to."""
        return replace(self, structures=names)
