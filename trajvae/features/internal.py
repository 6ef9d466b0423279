"""Internal coordinates: bonds, angles and torsions along a spanning tree, F = 3N - 6 (2N - 3 in the plane).

Bonds and angles vary little in a simulation, so that draws of these coordinates are intact molecules. Torsions that
hardly turn are numbers about their circular mean, like bonds and angles; the others are angles of a whole turn and
enter networks as cosine and sine.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.alignment.differentiable import superpose_tensors
from trajvae.alignment.rigid_moves import rigid_moves
from trajvae.errors import OptionError
from trajvae.features.base import LEAST_FLOOR, Features, FeatureSizes, FittingData
from trajvae.features.cartesian import SCALE_FLOOR, constraints, principal_components
from trajvae.features.rebuild import Coordinates, RebuildPlan, log_volume, measure, rebuild
from trajvae.features.tree import spanning_tree
from trajvae.features.weighted_moments import weighted_deviation, weighted_mean

STIFF = 0.45  # radians; circular standard deviation below which a torsion counts with the linear coordinates
_STRAIGHT = 0.02  # sine of an angle that is straight in the median frame
_ROUNDING = math.sqrt(1.0 / 6.0)  # standard deviation of a distance between atoms rounded to multiples of one


def _wrapped(angle: Tensor) -> Tensor:
    """Into [-pi, pi), with the slope of the identity."""
    turns: Tensor = torch.floor((angle.detach() + math.pi) / (2.0 * math.pi))
    return angle - 2.0 * math.pi * turns


class Internal(Features):
    """Describe frames by bonds, angles and torsions.

    Parameters
    ----------
    alignment : Alignment
        Frames that are rebuilt are superposed on its reference.
    shape : FeatureSizes

    Attributes
    ----------
    plan : RebuildPlan
        The references, sorted for use.
    references : Tensor of int64, shape (N, D)
        See `spanning_tree`.
    flexible : Tensor of bool, shape (K,)
        Which torsions (signed angles in the plane) are angles of a whole turn.
    centre : Tensor, shape (K,)
        The circular mean about which the others are counted; 0 for the flexible.
    middle, spread : Tensor, shape (F - angular,)
        Mean and standard deviation of the linear targets, in Å and radians.
    mean, axes, scale : Tensor
        Of the principal components of (standardised linear targets, cosines, sines) that are the inputs.

    Notes
    -----
    Targets are the linear coordinates (bonds in Å, then angles and stiff torsions in radians) and after them the
    flexible torsions.
    """

    kind = "internal"
    references: Tensor
    flexible: Tensor
    centre: Tensor
    middle: Tensor
    spread: Tensor
    mean: Tensor
    axes: Tensor
    scale: Tensor

    def __init__(self, alignment: Alignment, shape: FeatureSizes) -> None:
        super().__init__()
        n, dimension = alignment.reference.shape
        if alignment.kind != "superpose":
            raise OptionError(f"internal coordinates go with --align superpose, got '{alignment.kind}'")
        if n < 3:
            raise OptionError(f"internal coordinates need 3 atoms or more, got {n}: use --features cartesian")
        if len(constraints(alignment.reference, alignment.weights, "superpose")) < dimension * (dimension + 1) // 2:
            raise OptionError(
                "internal coordinates need three atoms with mass that are not on one line: use --features cartesian"
            )
        self.alignment, self.shape = alignment, shape
        self._size: int = 3 * n - 6 if dimension == 3 else 2 * n - 3
        turning = n - dimension
        linear, embedded = self._size - shape.n_angular, self._size + shape.n_angular
        self.register_buffer("references", torch.full((n, dimension), -1, dtype=torch.int64))
        self.register_buffer("flexible", torch.zeros(turning, dtype=torch.bool))
        self.register_buffer("centre", torch.zeros(turning, dtype=torch.float64))
        self.register_buffer("middle", torch.zeros(linear, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(linear, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(embedded, dtype=torch.float64))
        self.register_buffer("axes", torch.zeros(embedded, shape.n_inputs, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(shape.n_inputs, dtype=torch.float64))
        self.plan = RebuildPlan(self.references.numpy())

    @classmethod
    def fit(cls, data: FittingData) -> Self:
        """Make features and fit them to training frames.

        Raises
        ------
        OptionError
            Fewer than three atoms, atoms in one line, or another alignment than superposition.
        """
        x = torch.from_numpy(np.ascontiguousarray(data.frames, dtype=np.float64))
        bonds = data.topology.backbone_bonds()
        references = spanning_tree(bonds, data.frames, data.topology.elements != "H")
        coordinates = measure(x, RebuildPlan(references))
        turning = coordinates.torsions if x.shape[2] == 3 else coordinates.angles
        _refuse_lines(coordinates, x.shape[2])
        flexible, centre = _flexible(turning, data.frame_weights)
        n_angular = int(flexible.sum())
        size = sum(c.shape[1] for c in coordinates)
        out = cls(data.alignment, FeatureSizes(data.inputs_of(size + n_angular), n_angular))
        out.references, out.flexible = torch.from_numpy(references), flexible
        out.centre = torch.where(flexible, 0.0, centre)
        out.plan = RebuildPlan(references)
        out._scale_to(x, data.floor, data.frame_weights)
        return out

    def _scale_to(self, x: Tensor, floor: float, weights: Tensor | None) -> None:
        """Means, spreads and principal components of training frames."""
        targets = self.targets(x)
        linear = targets[:, : self.n_linear]
        self.middle = weighted_mean(linear, weights)
        self.spread = weighted_deviation(linear, weights).clamp(min=max(floor * _ROUNDING, LEAST_FLOOR))
        self.mean, self.axes, deviations = principal_components(self._embedded(targets), self.shape.n_inputs, weights)
        self.scale = deviations.clamp(min=max(float(deviations[0]) * SCALE_FLOOR, 1e-12))

    @classmethod
    def empty(cls, alignment: Alignment, shape: FeatureSizes) -> Self:
        return cls(alignment, shape)

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self.plan = RebuildPlan(
            self.references.cpu().numpy()
        )  # at once: derivatives in forward mode hide a tensor's numbers
        if not self.plan.complete:
            raise ValueError("the reference atoms of the internal coordinates do not form a tree")
        if int(self.flexible.sum()) != self.shape.n_angular:
            raise ValueError(f"{int(self.flexible.sum())} torsions are flexible, wanted {self.shape.n_angular}")

    @property
    def size(self) -> int:
        return self._size

    @property
    def definition(self) -> bytes:
        """Bytes of the spanning tree, int64."""
        return np.ascontiguousarray(self.plan.references, dtype="<i8").tobytes()

    def targets(self, x: Tensor) -> Tensor:
        bonds, angles, torsions = measure(x, self.plan)
        plane = x.shape[2] == 2
        turning = _wrapped((angles if plane else torsions) - self.centre.to(x))
        straight = [bonds] if plane else [bonds, angles]
        return torch.cat([*straight, turning[:, ~self.flexible], turning[:, self.flexible]], dim=1)

    def coordinates(self, targets: Tensor) -> Coordinates:
        """Return the bonds, angles and torsions of targets (B, F) in the order of the tree."""
        plane = self.references.shape[1] == 2
        n = len(self.references)
        bonds, rest = targets[:, : n - 1], targets[:, n - 1 :]
        angles, turning = (rest[:, :0], rest) if plane else (rest[:, : n - 2], rest[:, n - 2 :])
        stiff_first = torch.cat([torch.where(~self.flexible)[0], torch.where(self.flexible)[0]])
        turning = turning[:, torch.argsort(stiff_first)] + self.centre.to(targets)
        return Coordinates(bonds, turning, angles) if plane else Coordinates(bonds, angles, turning)

    def positions(self, targets: Tensor) -> Tensor:
        built = rebuild(self.coordinates(targets), self.plan)
        reference, weights = (torch.from_numpy(a).to(built) for a in (self.alignment.reference, self.alignment.weights))
        return superpose_tensors(built, reference, weights)

    def standardised(self, targets: Tensor) -> Tensor:
        """Return the linear targets in units of their spread, (B, F - angular)."""
        return (targets[:, : self.n_linear] - self.middle.to(targets)) / self.spread.to(targets)

    def _embedded(self, targets: Tensor) -> Tensor:
        torsions = targets[:, self.n_linear :]
        return torch.cat([self.standardised(targets), torsions.cos(), torsions.sin()], dim=1)

    def inputs(self, targets: Tensor) -> Tensor:
        return ((self._embedded(targets) - self.mean.to(targets)) @ self.axes.to(targets)) / self.scale.to(targets)

    def log_jacobian(self, targets: Tensor) -> Tensor:
        """Return the log volume of shape space per volume of targets, (B,).

        It is that of all positions, less that of turning the superposed frame.

        Positions are a superposed frame, turned and shifted: d^3N x = |det K| d(shape) d(turn) d(shift), where K says
        how the conditions of superposition, normalised, change under turn and shift.
        """
        a = self.alignment
        x = self.positions(targets)
        rows = constraints(a.reference, a.weights, "superpose")
        whole = log_volume(self.coordinates(targets), x.shape[2])
        turn: Tensor = torch.linalg.slogdet(rigid_moves(x).flatten(2) @ torch.from_numpy(rows.T).to(x)).logabsdet
        return whole - turn


def _refuse_lines(coordinates: Coordinates, dimension: int) -> None:
    straight = coordinates.angles.sin().abs().median(dim=0).values
    if dimension == 3 and bool((straight < _STRAIGHT).any()):
        raise OptionError("atoms lie on one line, about which no torsion is defined: use --features cartesian")


def _flexible(angles: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Which angles (T, K) turn, and the circular mean of each, over frames of weights (T,).

    References
    ----------
    K. V. Mardia, P. E. Jupp, Directional Statistics (2000), eq. 2.3.14: the circular standard deviation.
    """
    c, s = weighted_mean(angles.cos(), weights), weighted_mean(angles.sin(), weights)
    length = torch.sqrt(c.square() + s.square()).clamp(min=1e-12, max=1.0)
    return torch.sqrt(-2.0 * length.log()) >= STIFF, torch.atan2(s, c)
