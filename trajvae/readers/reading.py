"""Options of reading: which frames and atoms of a source are read, and how its files are understood."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    """Which atoms and frames to read.

    Attributes
    ----------
    topology : str or Path, or a sequence of them, optional
        A file that MDAnalysis reads, for all trajectories, or one for each of them; by default the trajectory's own,
        if it has one.
    select : str, optional
        MDAnalysis' selection language; `select_atoms` documents the default.
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
