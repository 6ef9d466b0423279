"""The committor in `kinetics.h5`: of every frame, beside what the trajectories did, and the transition states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trajvae.display import Brief
from trajvae.figures.committor import CommittorFigures
from trajvae.results.base import floats
from trajvae.store import Contents, Quantity
from trajvae.store.schema import Tree
from trajvae.typing import Bool, Float64, Int64

MIDDLE = (0.45, 0.55)  # committors of transition states
_SHARES, _COUNTS = ("committor", "outcome", "error"), ("frames", "excursions")


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Brief):
    """Hold committors beside the outcomes of the trajectories, in classes of the committor.

    Attributes
    ----------
    committor : ndarray, shape (B,)
        Mean over the frames of a class, each estimated from other parts of the trajectories.
    outcome, error : ndarray, shape (B,)
        Share of these frames whose trajectory enters the target first, and its standard error.
    frames, excursions : ndarray of int64, shape (B,)
        Number of frames, and of stretches between visits to the regions that they are of.
    """

    committor: Float64
    outcome: Float64
    error: Float64
    frames: Int64
    excursions: Int64

    def arrays(self) -> Tree:
        """Return the arrays as files hold them."""
        return {name: Quantity(getattr(self, name)) for name in (*_SHARES, *_COUNTS)}

    @classmethod
    def from_contents(cls, contents: Contents, group: str) -> Calibration:
        """Return the calibration that a group of a file holds."""
        committor, outcome, error = (floats(contents.quantity(f"{group}/{name}")) for name in _SHARES)
        frames, excursions = (contents.array(f"{group}/{name}").astype(np.int64) for name in _COUNTS)
        return cls(committor, outcome, error, frames, excursions)


@dataclass(frozen=True, eq=False, repr=False)
class Committor(Brief):
    """Hold the probability of each frame that its trajectory enters the target before the source.

    Attributes
    ----------
    value : ndarray, shape (T,)
        From 0 in the source to 1 in the target; NaN of frames of which it is not known.
    step : ndarray of int64, shape (T,)
        Number of each frame in its trajectory.
    time : ndarray, shape (T,)
        ps; NaN where times are not known.
    source, target : str
        The two regions, as they were written.
    inside : ndarray of int64, shape (T,)
        -1 of frames in the source, 1 of frames in the target, else 0.
    outcome : ndarray, shape (T,)
        1 where the trajectory enters the target first after a frame, 0 where it enters the source, NaN where it ends
        before; of a frame in a region, that region.
    states : ndarray, shape (S,)
        Committor of the part of each Markov state that lies outside the regions; NaN where it is not known.
    lag_frames : int
        Lag time, as a number of frames.
    excursions : int
        Number of stretches of frames between visits to the regions, whose outcome is known.
    passages : tuple of int
        Number of these that lead from the source to the target, and from the target to the source.
    explained : dict of str to tuple of float
        Share of the variance of the outcomes that committors explain, which were estimated from other parts of the
        trajectories on states of these coordinates, and its standard error.
    calibration : Calibration
    structures : str
        Name of the PDB file of transition states, where it was written.
    """

    value: Float64
    step: Int64
    time: Float64
    source: str
    target: str
    inside: Int64
    outcome: Float64
    states: Float64
    lag_frames: int
    excursions: int
    passages: tuple[int, int]
    explained: dict[str, tuple[float, float]]
    calibration: Calibration
    structures: str = ""

    @property
    def outside(self) -> Bool:
        """Frames (T,) in neither region whose outcome is known."""
        return np.asarray((self.inside == 0) & np.isfinite(self.outcome))

    @property
    def transition_states(self) -> Int64:
        """Numbers of the frames in neither region with a committor from 0.45 to 0.55."""
        low, high = MIDDLE
        return np.flatnonzero((self.inside == 0) & (self.value >= low) & (self.value <= high)).astype(np.int64)

    @property
    def figures(self) -> CommittorFigures:
        """Figures that `kinetics --json` prints as `committor`."""
        return CommittorFigures(
            source=self.source,
            target=self.target,
            source_frames=int((self.inside < 0).sum()),
            target_frames=int((self.inside > 0).sum()),
            frames=int(self.outside.sum()),
            excursions=self.excursions,
            passages=self.passages,
            transition_states=len(self.transition_states),
            explained={name: value for name, (value, _) in self.explained.items()},
            explained_error={name: error for name, (_, error) in self.explained.items()},
            structures=self.structures or None,
        )

    def with_structures(self, name: str) -> Committor:
        """Return the committor with the name of the file that its transition states were written to."""
        return replace(self, structures=name)

    def groups(self) -> dict[str, tuple[Tree, Mapping[str, object]]]:
        """Return the groups of the file that hold it, with their attributes."""
        rows = {"value": Quantity(self.value), "step": Quantity(self.step), "time": Quantity(self.time, "ps")}
        rows |= {name: Quantity(getattr(self, name)) for name in ("inside", "outcome", "states")}
        marks: dict[str, object] = {"from": self.source, "to": self.target, "lag_frames": self.lag_frames}
        marks |= {"excursions": self.excursions, "passages": list(self.passages), "structures": self.structures}
        chosen = self.transition_states
        middle = {"row": chosen, "step": self.step[chosen], "committor": self.value[chosen]}
        shares = np.array(list(self.explained.values()), dtype=np.float64).reshape(-1, 2)
        named: Tree = {"name": Quantity(np.array(list(self.explained), dtype=str))}
        named = {**named, "value": Quantity(shares[:, 0]), "error": Quantity(shares[:, 1])}
        return {
            "committor": (rows, marks),
            "committor_calibration": (self.calibration.arrays(), {}),
            "committor_explained": (named, {}),
            "transition_states": ({name: Quantity(x) for name, x in middle.items()}, {"committor": list(MIDDLE)}),
        }

    @classmethod
    def from_contents(cls, contents: Contents) -> Committor | None:
        """Return the committor that a file holds; None where it holds none."""
        if "committor" not in contents.tree:
            return None
        marks, explained = contents.marks["committor"], contents.columns("committor_explained")
        held = {name: floats(contents.quantity(f"committor/{name}")) for name in ("value", "time", "outcome", "states")}
        shares = zip(floats(explained["value"]).tolist(), floats(explained["error"]).tolist(), strict=True)
        there, back = (int(n) for n in marks["passages"])
        return cls(
            **held,
            step=contents.array("committor/step").astype(np.int64),
            source=str(marks["from"]),
            target=str(marks["to"]),
            inside=contents.array("committor/inside").astype(np.int64),
            lag_frames=int(marks["lag_frames"]),
            excursions=int(marks["excursions"]),
            passages=(there, back),
            explained=dict(zip(explained["name"].value.astype(str).tolist(), shares, strict=True)),
            calibration=Calibration.from_contents(contents, "committor_calibration"),
            structures=str(marks["structures"]),
        )
