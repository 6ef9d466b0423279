"""Options of reading: which frames and atoms of a source are read, and how its files are understood."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict


class ReadingOptions(TypedDict, total=False):
    """Options of reading beside the selection; see `Reading`, whose fields they are."""

    topology: str | Path | list[str | Path] | tuple[str | Path, ...] | None
    start: int | None
    stop: int | None
    step: int | None
    bonds: str | Path | None
    format: str | None


@dataclass(frozen=True)
class Reading:
    """Which atoms and frames to read.

    Attributes
    ----------
    topology : str or Path, or a sequence of them, optional
        A file that MDAnalysis reads, for all trajectories, or one for each of them; by default the trajectory's own,
        if it has one.
    select : str, optional
        MDAnalysis' selection language; by default the heavy atoms of protein and nucleic acid if there are any, else
        everything but solvent and ions, and all atoms where nothing has a name.
    start, stop, step : int, optional
        As in MDAnalysis, over all files in the order given.
    bonds : {"none", "guess"} or path, optional
        Ignore all bonds, guess them from distances, or take them from this topology file. By default the bonds of the
        topology, completed by distance where the atoms of a residue are not connected.
    format : str, optional
        Format of the trajectories, where their suffix does not tell it.
    """

    topology: str | Path | list[str | Path] | tuple[str | Path, ...] | None = None
    select: str | None = None
    start: int | None = None
    stop: int | None = None
    step: int | None = None
    bonds: str | Path | None = None
    format: str | None = None

    @property
    def topologies(self) -> tuple[str | Path, ...]:
        """The topology files; empty where none was given."""
        if self.topology is None:
            return ()
        return (self.topology,) if isinstance(self.topology, str | Path) else tuple(self.topology)

    @property
    def first_topology(self) -> str | Path | None:
        """The topology file of the first trajectory."""
        return next(iter(self.topologies), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        files = [str(path) for path in self.topologies]
        topology = files if len(files) > 1 else next(iter(files), None)
        bonds = None if self.bonds is None else str(self.bonds)
        return {**asdict(self), "topology": topology, "bonds": bonds}
