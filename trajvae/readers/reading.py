"""Define the options of reading: which frames and atoms are read, and how files are interpreted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict


class ReadingOptions(TypedDict, total=False):
    """Hold keyword arguments for the fields of `Reading`, except the selection."""

    topology: str | Path | list[str | Path] | tuple[str | Path, ...] | None
    start: int | None
    stop: int | None
    step: int | None
    bonds: str | Path | None
    format: str | None
    jobs: int | None


@dataclass(frozen=True)
class Reading:
    """Hold which atoms and frames to read, and how.

    Attributes
    ----------
    topology : str or Path, or a sequence of them, optional
        A topology file that MDAnalysis reads, for all trajectories, or one for each; by default the topology in the
        trajectory, if it has one.
    select : str, optional
        MDAnalysis' selection language; by default the heavy atoms of protein and nucleic acid if there are any, else
        everything but solvent and ions, and all atoms where nothing has a name.
    start, stop, step : int, optional
        Slice of the frames, counted over all files in the order given.
    bonds : {"none", "guess"} or path, optional
        Ignore all bonds, guess them from distances, or take them from this topology file. By default the bonds of the
        topology, completed by distance where the atoms of a residue are not connected.
    format : str, optional
        Format of the trajectories, where it does not follow from their suffix.
    jobs : int, optional
        Most processes that read XTC, TRR, DCD and NetCDF files, this one included; by default as many as there are
        cores for it. What is read does not depend on it, so results do not store it.
    """

    topology: str | Path | list[str | Path] | tuple[str | Path, ...] | None = None
    select: str | None = None
    start: int | None = None
    stop: int | None = None
    step: int | None = None
    bonds: str | Path | None = None
    format: str | None = None
    jobs: int | None = None

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

    def to_dict(self) -> dict[str, object]:
        """Return the options as a dictionary that can be written as JSON."""
        files = [str(path) for path in self.topologies]
        topology = files if len(files) > 1 else next(iter(files), None)
        bonds = None if self.bonds is None else str(self.bonds)
        options = {name: value for name, value in asdict(self).items() if name != "jobs"}
        return {**options, "topology": topology, "bonds": bonds}
