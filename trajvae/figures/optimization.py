"""Figures of an optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from trajvae.figures.base import Figures, JudgedFigures


@dataclass(frozen=True, eq=False, kw_only=True)
class RejectionFigures(Figures):
    """Hold why structures with a better objective do not come first.

    Attributes
    ----------
    reason : str
        The part of the validity test that fails, such as "contact"; "out of support"; or "unfamiliar", a bond or an
        angle beyond those of all frames that the model keeps.
    count : int
        Number of structures.
    best : float
        The best objective among them, in its unit.
    why : str
        The reason in words, for the best of them.
    """

    reason: str
    count: int
    best: float
    why: str


@dataclass(frozen=True, eq=False, kw_only=True)
class OptimizationFigures(JudgedFigures):
    """Hold the figures of an optimisation; values of the objective are in its unit.

    Attributes
    ----------
    objective : str
        As it was asked for.
    goal : str
        "min", "max" or a number.
    of : str
        "sample" where the expectation under p(x|z) was followed, "mean" where the decoded mean was.
    unit : str
        Of the objective, such as "Angstrom"; empty for a pure number.
    period : float
        The period of an angle, or 0.
    initial, expected : float
        Expectation of the objective at the best start, and at the optimum reached from there.
    steps : int
    optimum : float
        The objective of the best structure.
    away : float or None
        Distance of the optimum from a goal that is a number.
    best_observed : float
        The objective of the best simulated frame.
    best_observed_frame : int
        Number of that frame among all.
    best_observed_file : str or None
        The file of that frame, where it is known.
    best_observed_file_frame : int
        Number of that frame in its file.
    better_than_observed : bool
        Whether the best structure is valid, in support and better than every simulated frame.
    ratio : float or None
        The optimum divided by the best simulated value; None for a periodic objective.
    quantiles : tuple of float
        1 % and 99 % quantiles of the objective over the simulated frames.
    in_support, valid : bool
        Whether the best structure lies where training frames are, and passes the validity test.
    failure : str
        Why it does not pass, in words; empty where it does.
    projected : bool
        Whether it was moved into the simulation's ranges of bonds, angles and contacts.
    structures, merged : int
        Number of structures that are returned, and of those left out because they are near one of them.
    merge_radius : float
        Å; structures at a smaller RMSD count once.
    better_rejected : tuple of RejectionFigures
        Better structures that do not come first, the best first.
    bonds, simulated_bonds : tuple of float
        Å; the shortest and the longest bond of the best structure, and of the frames that the model keeps.
    judgement : Verdict or None
    """

    objective: str
    goal: str
    of: str
    unit: str
    period: float
    initial: float
    expected: float
    steps: int
    optimum: float
    away: float | None
    best_observed: float
    best_observed_frame: int
    best_observed_file: str | None
    best_observed_file_frame: int
    better_than_observed: bool
    ratio: float | None
    quantiles: tuple[float, float]
    in_support: bool
    valid: bool
    failure: str
    projected: bool
    structures: int
    merged: int
    merge_radius: float
    better_rejected: tuple[RejectionFigures, ...]
    bonds: tuple[float, float]
    simulated_bonds: tuple[float, float]
